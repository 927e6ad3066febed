//! Snapshots of the help texts on a terminal of 80 columns.

use std::collections::BTreeSet;

use clap::ArgAction;

use super::program::program;

#[track_caller]
fn help(mode: &[&str], flag: &str, columns: &str) -> String {
    let ended = program(mode.iter().copied().chain([flag]))
        .env("COLUMNS", columns)
        .run()
        .expect(0);
    assert_eq!(ended.stderr, "");
    ended.stdout
}

const MODES: [&[&str]; 3] = [&[], &["send"], &["listen"]];

#[test]
fn the_help_of_the_program() {
    insta::assert_snapshot!(help(&[], "--help", "80"), @"
    Send and receive TeleCMI outgoing-missed CDRs while you build a webhook handler

    Usage: telecmi-cdr <COMMAND>
           telecmi-cdr --generate <WHAT>

    Examples:
      telecmi-cdr send --demo
          send to a built-in receiver and show both sides
      telecmi-cdr send --url http://localhost:5000/cdr
          one outgoing-missed CDR to your handler
      telecmi-cdr send --url http://localhost:5000/cdr --suite
          test the handler and report what failed
      telecmi-cdr listen
          show every request on port 8237
      telecmi-cdr listen --tunnel cloudflared --inspect
          with a public URL for TeleCMI, and a web page
      telecmi-cdr listen --forward-to http://localhost:5000/cdr
          show requests while your handler answers them

    Commands:
      send    Send sample CDRs to a webhook handler, by POST or GET
      listen  Receive CDRs, show what arrived and what is wrong with it

    Options:
          --generate <WHAT>  Print completions (bash, zsh, fish, powershell,
                             elvish), the manual page (man), or what the webhook
                             takes (json-schema, openapi)
      -h, --help             Print help
      -V, --version          Print version

    More:
      telecmi-cdr send --help, telecmi-cdr listen --help
          flags, further examples, exit codes

    Every flag of a mode can be set by a variable: --port by
    TELECMI_CDR_PORT. The flag wins.
    ");
}

#[expect(clippy::too_many_lines, reason = "the help is that long")]
#[test]
fn the_help_of_send() {
    insta::assert_snapshot!(help(&["send"], "--help", "80"), @"
    Send sample CDRs to a webhook handler, by POST or GET

    Usage: telecmi-cdr send [OPTIONS]

    Examples:
      telecmi-cdr send --demo
          send to a built-in receiver and show both sides
      telecmi-cdr send --url http://localhost:5000/cdr
          one outgoing-missed CDR to your handler, by POST
      telecmi-cdr send --url URL --suite
          test the handler and report what failed
      telecmi-cdr send --url URL -X both -s all
          every scenario, by POST and by GET
      telecmi-cdr send --url URL -s customer-no-answer --speed 1
          both legs, with the pauses of a real call
      telecmi-cdr send --url URL -s mix -n 500 --rate 50/s
          a realistic mixture at a fixed rate
      telecmi-cdr send --url URL --file calls.ndjson
          replay what `listen --save` has saved
      telecmi-cdr send --print curl
          print the curl command that does the same

    Target:
          --url <URL>            The handler's address; its own query is kept
          --demo                 Send to a built-in receiver and show both sides
      -X, --method <METHOD>      post, get, or both: each CDR by POST, then by GET
                                 [default: post]
          --get-encoding <HOW>   Objects in a GET query: flat, as JSON text, or in
                                 brackets, as Node's qs has it [default: flat]
      -H, --header <HEADER>      Header to add, 'Name: value', or @FILE with one a
                                 line; repeatable
      -k, --insecure             Accept any TLS certificate
          --cacert <FILE>        PEM file with additional certificates to trust
          --timeout <D>          Maximum time for a delivery [default: 15s]
          --connect-timeout <D>  Maximum time for connecting, TLS included [default:
                                 5s]
          --keep-alive           Reuse connections instead of opening one for each
                                 delivery

    Suite:
          --suite         Run test cases against the handler and report what failed
          --only <NAME>   Run only these cases: names, globs, or families (accepts,
                          idempotent, tolerant, survives, prompt); repeatable
          --skip <NAME>   Leave out these cases; repeatable
          --junit <FILE>  Write the result as JUnit XML to this file
          --list-cases    List the cases with their descriptions

    Content:
      -s, --scenario <NAME>        Scenarios of calls; repeatable, or a,b,c
          --click2call             Short for --scenario click2call
          --list-scenarios         List the scenarios with their CDRs
      -f, --file <PATH>            Send the content of a file (- is standard input):
                                   CDRs as JSON, or the exact requests of a capture
                                   or HAR
          --app-id <N>             The account's app id
          --agent <EXT>            The agent's extension; `user` becomes EXT_APPID
          --virtual-number <N>     The caller ID
          --to <N>                 The customer's number, `to` of leg b
          --custom <TEXT>          Your dashboard parameters, echoed in `custom`
          --extra-params <JSON>    Your click2call parameters
          --shape <SHAPE>          Types as documented (docs), or as seen live
                                   (live) [default: docs]
          --call-id <HOW>          Whether the legs of a call share a call_id:
                                   shared or per-leg [default: shared]
          --set <FIELD=VALUE>      Change a field, typed as documented; repeatable
          --set-json <FIELD=JSON>  Change a field to any JSON; repeatable
          --unset <FIELD>          Leave a field out; repeatable
          --seed <N>               Seed of generated values; the same seed and --at
                                   make the same bytes
          --at <TIME>              When calls start: RFC 3339 or epoch milliseconds

    Delivery:
      -n, --count <N>           Number of calls of each scenario
          --duration <D>        Repeat the scenarios or the file for this long
          --rate <N/s>          Deliveries per second, on an absolute schedule: 50/s
      -c, --concurrency <N>     Number of calls in progress at once [default: 1]
          --speed <X>           Speed of the pauses in a call or capture: 1 is real
                                time, 10 is ten times as fast, max leaves them out
                                [default: max]
          --duplicate <N>       Send each CDR N more times [default: 0]
          --race <N>            Send N copies at the same moment, each on its own
                                connection [default: 1]
          --shuffle             Deliver in random order
          --late <D>            Delay each delivery by up to D, so that some arrive
                                out of order
          --drop <P>            Leave out this share of deliveries: 0.1 or 10%
                                [default: 0]
          --retry <N>           Retries after no response, 408, 425, 429 or 5xx
                                [default: 0]
          --retry-interval <D>  Wait before the first retry, doubled each time;
                                jitter takes off up to half. Retry-After is obeyed
                                [default: 1s]
          --yes                 Allow more than 100/s or 10 000 deliveries to
                                another machine

    Checks:
          --expect-status <LIST>  Statuses that count as delivered: 2xx, 200,204,
                                  200-299 [default: 2xx]
          --expect-body <TEXT>    Text the reply must contain
          --max-latency <D>       Maximum time for a reply
          --compare               With --method both: the two replies must agree

    Output:
          --dry-run          Deliver nothing; print the requests
          --print <HOW>      Print the requests as json (one CDR a line), curl,
                             http, har or vegeta; implies --dry-run
      -o, --output <FILE>    Write to a file instead of standard output
          --format <FORMAT>  pretty for people, or ndjson: one JSON record a line
                             [default: pretty]
          --color <WHEN>     auto (the terminal and NO_COLOR decide), always or
                             never [default: auto]
      -q, --quiet            Print only warnings and errors on stderr
      -v, --verbose          Show headers and whole replies
      -h, --help             Print help

    Exit codes:
      0    every delivery met its expectation
      1    at least one did not
      2    usage, or could not start
      130  interrupted; 143 if it was by SIGTERM

    Every flag of a mode can be set by a variable: --port by
    TELECMI_CDR_PORT. The flag wins.
    ");
}

#[test]
fn the_help_of_listen() {
    insta::assert_snapshot!(help(&["listen"], "--help", "80"), @r#"
    Receive CDRs, show what arrived and what is wrong with it

    Usage: telecmi-cdr listen [OPTIONS] [-- <CMD>...]

    Examples:
      telecmi-cdr listen
          show every request on port 8237
      telecmi-cdr listen --inspect
          also in a browser
      telecmi-cdr listen --tunnel cloudflared
          with a public URL for TeleCMI's dashboard
      telecmi-cdr listen --forward-to http://localhost:5000/cdr
          show requests while your handler answers them
      telecmi-cdr listen --save calls.ndjson
          save requests, to be replayed by send --file
      telecmi-cdr listen --strict --count 2 --timeout 1m
          for scripts: two good CDRs must come in a minute
      telecmi-cdr listen --port 0 --count 2 -- ./my-sender.sh
          run a command that must send two CDRs
      telecmi-cdr listen --fail-first 2 --report retries.txt
          measure when the sender tries again

    Where:
      -p, --port <N>        Port to listen on; 0 takes any free one [default: 8237]
          --host <ADDRESS>  Address to listen on; any but the default is open to the
                            network [default: 127.0.0.1]

    Inspecting and forwarding:
          --inspect [<PORT>]  Show requests in a browser on this machine, by PORT or
                              any free port
          --save <FILE>       Append each exchange to a file, secrets included;
                              replay it with send --file
          --redact            Mask telephone numbers, app ids and known secrets in
                              the saved file; other text stays
          --forward-to <URL>  Forward each request unchanged and return the
                              handler's answer; the URL's path is used, if it has
                              one

    Behind a tunnel:
          --tunnel <TUNNEL>       Start a tunnel, show its public URL: cloudflared,
                                  ngrok, bore[:SERVER], ssh:[USER@]HOST[:PORT]
          --tunnel-cmd <COMMAND>  Start any other tunnel by a shell command with
                                  {port} or {url}; the first URL it prints is the
                                  public one
          --public-url <URL>      Show this as the public URL
          --trust-proxy           Show the client address of X-Forwarded-For and
                                  similar headers as well

    Answer:
          --status <STATUS>  Status of a good answer [default: 200]
          --body <TEXT>      Body of a good answer [default: "got it"]
      -H, --header <HEADER>  Header of a good answer, 'Name: value'; repeatable
          --delay <D|A..B>   Delay answers: 500ms, or a random time: 100ms..2s
          --seed <N>         Seed for --delay and --fault-rate

    Failing on purpose:
          --fail-first <N>  Fail the first N requests
          --fault <KIND>    Kind of failure: status (503), status:NNN, reset, empty,
                            hang, slow or garbage; alone, all requests fail
          --fault-rate <P>  Fail this share of the requests at random: 0.1 or 10%
          --report <FILE>   Write to this file, at the end, which requests came back
                            after a failure

    For scripts:
          --strict                Answer departures from the schema with 422, and
                                  exit with 1
      -n, --count <N>             Stop after this many CDRs
          --expect <FIELD=VALUE>  Count only CDRs with this value: leg=a; repeatable
          --settle <D>            Keep listening this long at the end; a CDR beyond
                                  --count fails the run
          --timeout <D>           Stop after this time; exit 124 if short of --count
          --ready-file <FILE>     Write the URL to this file once the port is open
      [CMD]...                    After --: command to run with TELECMI_CDR_URL set;
                                  listening stops when it ends

    Limits:
          --max-body <SIZE>     Maximum size of a body; larger ones are answered 413
                                [default: 1MiB]
          --header-timeout <D>  Maximum time for a request's head [default: 15s]
          --body-timeout <D>    Maximum time for a body; slower ones are answered
                                408 [default: 15s]

    Output:
          --format <FORMAT>  pretty for people, or ndjson: one JSON record a line
                             [default: pretty]
          --color <WHEN>     auto (the terminal and NO_COLOR decide), always or
                             never [default: auto]
      -q, --quiet            Print only warnings and errors on stderr
      -v, --verbose          Show headers and whole replies
      -h, --help             Print help

    Exit codes:
      0    done
      1    a check failed
      2    usage, or could not start
      124  --timeout passed before --count was reached
      130  interrupted before --count; 143 if by SIGTERM
      With -- CMD, its own failure comes first.

    Every flag of a mode can be set by a variable: --port by
    TELECMI_CDR_PORT. The flag wins.
    "#);
}

#[test]
fn it_is_the_same_by_both_flags_and_fits() {
    for mode in MODES {
        for columns in [60, 80, 100] {
            let text = help(mode, "--help", &columns.to_string());
            assert_eq!(text, help(mode, "-h", &columns.to_string()));
            for line in text.lines() {
                assert!(
                    line.chars().count() <= columns,
                    "{mode:?} is too wide for {columns}: {line}"
                );
                assert_eq!(line, line.trim_end(), "{mode:?}");
            }
        }
        assert_eq!(help(mode, "--help", "300"), help(mode, "--help", "100"));
    }
}

fn examples(help: &str) -> Vec<&str> {
    let lines = help.lines().skip_while(|line| *line != "Examples:").skip(1);
    lines.take_while(|line| !line.is_empty()).collect()
}

#[test]
fn examples_come_first_and_are_understood() {
    for mode in MODES {
        let text = help(mode, "--help", "80");
        let lines = examples(&text);
        assert_eq!(lines, examples(&help(mode, "--help", "60")));
        assert!(
            lines.len() >= 12 && text.find("Examples:") < text.find("-h, --help"),
            "{text}"
        );
        for pair in lines.chunks(2) {
            let [command, what] = pair else {
                panic!("{mode:?}: an odd line: {pair:?}")
            };
            assert!(what.starts_with("      "), "{what}");
            let words = command.replace(" URL", " http://127.0.0.1:5000/");
            let words = words.split_whitespace().map(std::ffi::OsString::from);
            assert!(
                telecmi_cdr::internals::cli::parse(words).is_ok(),
                "{command}"
            );
        }
    }
}

#[test]
fn every_flag_and_every_choice_is_in_it() {
    for mode in telecmi_cdr::internals::cli::command().get_subcommands() {
        let text = help(&[mode.get_name()], "--help", "80");
        let words: BTreeSet<&str> = text
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
            .collect();
        for argument in mode.get_arguments() {
            let Some(long) = argument.get_long() else {
                continue;
            };
            assert!(
                words.contains(format!("--{long}").as_str()),
                "{} --{long}",
                mode.get_name()
            );
            let takes_a_value = matches!(argument.get_action(), ArgAction::Set);
            for choice in argument
                .get_possible_values()
                .iter()
                .filter(|_| takes_a_value)
            {
                let name = choice.get_name();
                assert!(
                    words.contains(name),
                    "{} --{long} does not offer {name}",
                    mode.get_name()
                );
            }
        }
    }
}
