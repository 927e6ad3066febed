//! Help, as it stands on a terminal of 80 columns.

use std::collections::BTreeSet;

use clap::ArgAction;

use super::program::program;

/// The help of the program or of one of its modes.
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
          see both sides at once, on this machine alone
      telecmi-cdr send --url http://localhost:5000/cdr
          one outgoing-missed CDR to your handler
      telecmi-cdr send --url http://localhost:5000/cdr --suite
          test the handler, and tell what broke
      telecmi-cdr listen
          show whatever arrives on port 8237
      telecmi-cdr listen --tunnel cloudflared --inspect
          with a public URL for TeleCMI, and a page to look at
      telecmi-cdr listen --forward-to http://localhost:5000/cdr
          look on, while your handler answers

    Commands:
      send    Fire sample CDRs at a webhook handler, over POST or GET
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

    Every flag of a mode has an environment twin: --port is
    TELECMI_CDR_PORT. The flag wins.
    ");
}

#[expect(clippy::too_many_lines, reason = "the help is that long")]
#[test]
fn the_help_of_send() {
    insta::assert_snapshot!(help(&["send"], "--help", "80"), @"
    Fire sample CDRs at a webhook handler, over POST or GET

    Usage: telecmi-cdr send [OPTIONS]

    Examples:
      telecmi-cdr send --demo
          see both sides at once, on this machine alone
      telecmi-cdr send --url http://localhost:5000/cdr
          one outgoing-missed CDR to your handler, by POST
      telecmi-cdr send --url URL --suite
          test the handler, and tell what broke
      telecmi-cdr send --url URL -X both -s all
          every scenario, by POST and by GET
      telecmi-cdr send --url URL -s customer-no-answer --speed 1
          both legs, with the gaps of a real call
      telecmi-cdr send --url URL -s mix -n 500 --rate 50/s
          a realistic mixture, paced
      telecmi-cdr send --url URL --file calls.ndjson
          once more what `listen --save` has kept
      telecmi-cdr send --print curl
          print the curl command that does the same

    Target:
          --url <URL>            The handler's address; its own query is kept
          --demo                 Send to a receiver of our own; show both sides
      -X, --method <METHOD>      post, get, or both: each CDR by POST, then by GET
                                 [default: post]
          --get-encoding <HOW>   Objects in a GET query: flat, as JSON text, or in
                                 brackets, as Node's qs has it [default: flat]
      -H, --header <HEADER>      Header to add, 'Name: value', or @FILE with one a
                                 line; repeatable
      -k, --insecure             Accept any TLS certificate
          --cacert <FILE>        PEM file with certificates to trust, too
          --timeout <D>          How long a delivery may take [default: 15s]
          --connect-timeout <D>  How long connecting may take, TLS included
                                 [default: 5s]
          --keep-alive           Use connections again, not one for each delivery

    Suite:
          --suite         Test the handler by named cases, and tell what broke
          --only <NAME>   Only these cases: names, globs, or families: accepts,
                          idempotent, tolerant, survives, prompt; repeatable
          --skip <NAME>   Not these cases; repeatable
          --junit <FILE>  Write the result as JUnit XML, too
          --list-cases    List the cases with what each stands for

    Content:
      -s, --scenario <NAME>        What happened on the phone; repeatable, or a,b,c
          --click2call             Short for --scenario click2call
          --list-scenarios         List the scenarios with their CDRs
      -f, --file <PATH>            Send what a file holds (- is standard input):
                                   CDRs as JSON, or a capture or HAR, whose requests
                                   go as they came
          --app-id <N>             The account's app id
          --agent <EXT>            The agent's extension; `user` becomes EXT_APPID
          --virtual-number <N>     The caller ID
          --to <N>                 The customer's number, `to` of leg b
          --custom <TEXT>          Your dashboard parameters, echoed in `custom`
          --extra-params <JSON>    Your click2call parameters
          --shape <SHAPE>          Types as documented (docs), or as seen live
                                   (live) [default: docs]
          --call-id <HOW>          The legs of a call have a shared call_id, or one
                                   per-leg [default: shared]
          --set <FIELD=VALUE>      Change a field, typed as documented; repeatable
          --set-json <FIELD=JSON>  Change a field to any JSON; repeatable
          --unset <FIELD>          Leave a field out; repeatable
          --seed <N>               Same seed and --at, same bytes
          --at <TIME>              When calls start: RFC 3339 or epoch milliseconds

    Delivery:
      -n, --count <N>           Calls of each scenario
          --duration <D>        Send for so long, again and again
          --rate <N/s>          Deliveries per second, on an absolute schedule: 50/s
      -c, --concurrency <N>     Calls under way at once [default: 1]
          --speed <X>           Gaps of a call or capture: 1 is real time, 10 is ten
                                times as fast, max has none [default: max]
          --duplicate <N>       Send each CDR N more times [default: 0]
          --race <N>            Release N copies together, a connection each
                                [default: 1]
          --shuffle             Deliver in random order
          --late <D>            Hold each back by up to D: they overtake one another
          --drop <P>            Leave out this share of deliveries: 0.1 or 10%
                                [default: 0]
          --retry <N>           Further attempts after no answer, 408, 425, 429, 5xx
                                [default: 0]
          --retry-interval <D>  Wait before the first, doubled each time;
                                Retry-After is obeyed [default: 1s]
          --yes                 Allow more than 100/s or 10 000 deliveries to
                                another machine

    Checks:
          --expect-status <LIST>  Statuses that count as delivered: 2xx, 200,204,
                                  200-299 [default: 2xx]
          --expect-body <TEXT>    Text the reply must contain
          --max-latency <D>       Longest time a reply may take
          --compare               With --method both: the two replies must agree

    Output:
          --dry-run          Deliver nothing; print what would go
          --print <HOW>      How to print it: json (one CDR a line), curl, http, har
                             or vegeta; implies --dry-run
      -o, --output <FILE>    Write to a file instead of standard output
          --format <FORMAT>  pretty for people, or ndjson: one JSON record a line
                             [default: pretty]
          --color <WHEN>     auto (the terminal and NO_COLOR decide), always or
                             never [default: auto]
      -q, --quiet            Print only warnings and errors on stderr
      -v, --verbose          Headers and whole replies too
      -h, --help             Print help

    Exit codes:
      0    every delivery met its expectation
      1    at least one did not
      2    usage, or could not start
      130  interrupted; 143 if it was by SIGTERM

    Every flag of a mode has an environment twin: --port is
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
          show whatever arrives on port 8237
      telecmi-cdr listen --inspect
          in a browser, too
      telecmi-cdr listen --tunnel cloudflared
          with a public URL for TeleCMI's dashboard
      telecmi-cdr listen --forward-to http://localhost:5000/cdr
          look on, while your handler answers
      telecmi-cdr listen --save calls.ndjson
          keep what comes, to send it again: send --file
      telecmi-cdr listen --strict --count 2 --timeout 1m
          for scripts: two good CDRs must come in a minute
      telecmi-cdr listen --port 0 --count 2 -- ./my-sender.sh
          run it with TELECMI_CDR_URL set: it must send two
      telecmi-cdr listen --fail-first 2 --report retries.txt
          see whether and when the sender comes back

    Where:
      -p, --port <N>        Port to listen on; 0 takes any free one [default: 8237]
          --host <ADDRESS>  Address to listen on; any other is open to the network
                            [default: 127.0.0.1]

    Show, keep, pass on:
          --inspect [<PORT>]  Show it in a browser too, on PORT or any free one, for
                              this machine alone
          --save <FILE>       Append each exchange as it came, secrets too; replay
                              it with send --file
          --redact            Mask telephone numbers, app ids and known secrets in
                              it; names and other words stay
          --forward-to <URL>  Pass requests on as they came, return the handler's
                              answer; the URL's path counts, if any

    Behind a tunnel:
          --tunnel <TUNNEL>       Start a tunnel, show its public URL: cloudflared,
                                  ngrok, bore[:SERVER], ssh:[USER@]HOST[:PORT]
          --tunnel-cmd <COMMAND>  Start any other: a shell line with {port} or
                                  {url}; its first URL is the public one
          --public-url <URL>      Show this as the public URL
          --trust-proxy           Show whom X-Forwarded-For and the like name, too

    Answer:
          --status <STATUS>  Status of a good answer [default: 200]
          --body <TEXT>      Body of a good answer [default: "got it"]
      -H, --header <HEADER>  Header of a good answer, 'Name: value'; repeatable
          --delay <D|A..B>   Hold answers back: 500ms, or by chance: 100ms..2s
          --seed <N>         Seed for --delay and --fault-rate

    Failing on purpose:
          --fail-first <N>  Let the first N requests fail
          --fault <KIND>    How: status (503), status:NNN, reset, empty, hang, slow
                            or garbage; alone, all requests fail
          --fault-rate <P>  Let this share of them fail, by chance: 0.1 or 10%
          --report <FILE>   Write, at the end, what came back after which failure

    For scripts:
          --strict                Refuse what departs from the schema with 422, and
                                  exit 1 at the end
      -n, --count <N>             Stop after this many CDRs
          --expect <FIELD=VALUE>  Count only CDRs that have it: leg=a; repeatable
          --settle <D>            Listen so much longer at the end; a CDR more than
                                  --count then fails the run
          --timeout <D>           Stop after this time; exit 124 if short of --count
          --ready-file <FILE>     Write the URL to this file once requests are taken
      [CMD]...                    After --: run this with TELECMI_CDR_URL set, and
                                  stop when it ends

    Limits:
          --max-body <SIZE>     Largest body, answered 413 above it [default: 1MiB]
          --header-timeout <D>  How long a request's head may take [default: 15s]
          --body-timeout <D>    How long its body may take, answered 408 after it
                                [default: 15s]

    Output:
          --format <FORMAT>  pretty for people, or ndjson: one JSON record a line
                             [default: pretty]
          --color <WHEN>     auto (the terminal and NO_COLOR decide), always or
                             never [default: auto]
      -q, --quiet            Print only warnings and errors on stderr
      -v, --verbose          Headers and whole replies too
      -h, --help             Print help

    Exit codes:
      0    done
      1    a check failed
      2    usage, or could not start
      124  time was up before --count
      130  interrupted before --count; 143 if by SIGTERM
      With -- CMD, its own failure comes first.

    Every flag of a mode has an environment twin: --port is
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
        // Nothing is wider than the widest page, whatever the terminal.
        assert_eq!(help(mode, "--help", "300"), help(mode, "--help", "100"));
    }
}

/// The lines of the examples: a narrow terminal breaks none of them.
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
            // The scenarios have a list of their own.
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
