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
    insta::assert_snapshot!(help(&[], "--help", "80"), @r"
    Send and receive TeleCMI outgoing-missed CDRs while you build a webhook handler

    Usage: telecmi-cdr <COMMAND>
           telecmi-cdr --generate <WHAT>

    Examples:
      telecmi-cdr send --demo
          send to a built-in receiver and show both sides
      telecmi-cdr send --url http://localhost:5000/cdr
          send one outgoing-missed CDR to your handler
      telecmi-cdr send --url http://localhost:5000/cdr --suite
          test the handler and report what failed
      telecmi-cdr listen
          show every request on port 8237
      telecmi-cdr listen --tunnel cloudflared --inspect
          open a tunnel, and show requests in a browser
      telecmi-cdr listen --forward-to http://localhost:5000/cdr
          show requests while your handler answers them

    Commands:
      send    Send sample CDRs to a webhook handler, by POST or GET
      listen  Receive CDRs, show what arrived and what is wrong with it

    Options:
          --generate <WHAT>  Print completions (bash, zsh, fish, powershell,
                             elvish), the manual page (man), or what the webhook
                             takes (json-schema, openapi)
          --url <URL>        With --generate openapi: the handler's URL, for paths
                             and servers instead of webhooks
      -h, --help             Print help
      -V, --version          Print version

    More:
      telecmi-cdr send --help, telecmi-cdr listen --help
          flags, further examples, exit codes
      telecmi-cdr --generate zsh, telecmi-cdr --generate man
          shell completions, the manual page

    Each flag can also be set by an environment variable, such
    as TELECMI_CDR_PORT for --port. A flag overrides it.
    HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY and NO_COLOR
    are obeyed, too.
    ");
}

#[expect(clippy::too_many_lines, reason = "the help is that long")]
#[test]
fn the_help_of_send() {
    insta::assert_snapshot!(help(&["send"], "--help", "80"), @"
    Send sample CDRs to a webhook handler, by POST or GET

    Usage: telecmi-cdr send [OPTIONS] [-- <CMD>...]

    Examples:
      telecmi-cdr send --demo
          send to a built-in receiver and show both sides
      telecmi-cdr send --url http://localhost:5000/cdr
          send one outgoing-missed CDR to your handler, by POST
      telecmi-cdr send --url URL --suite
          test the handler and report what failed
      telecmi-cdr send --url URL -X both -s all
          send every scenario, by POST and by GET
      telecmi-cdr send --url URL -s customer-no-answer --speed 1
          send both legs, with the pauses of a real call
      telecmi-cdr send --url URL -s mix -n 500 --rate 50/s
          send a realistic mixture at a fixed rate
      telecmi-cdr send --url URL --file calls.ndjson
          replay what `listen --save` has saved
      telecmi-cdr send --print curl
          print a curl command for each delivery
      telecmi-cdr send --file cdr.json --print verdict --strict
          check the CDRs of a file without sending them

    Target:
          --url <URL>            URL of the handler; its query parameters are kept
          --demo                 Send to a built-in receiver and show both sides
      -X, --method <METHOD>      Send by post, get, or both (POST, then GET), which
                                 is the default of --suite and --demo [default:
                                 post]
          --get-encoding <HOW>   Objects in a GET query: flat (as JSON text) or
                                 brackets (key by key, as Node's qs writes them)
                                 [default: flat]
      -H, --header <HEADER>      Header to add, 'Name: value', or @FILE with one
                                 header a line; repeatable
      -k, --insecure             Accept any TLS certificate, as curl -k does
          --cacert <FILE>        PEM file with additional certificates to trust,
                                 such as a self-signed one
          --timeout <D>          Maximum time for a request and its answer: 500ms,
                                 15s, 1m30s; in the family survives of --suite at
                                 most 3s, or 20 times as long as a good CDR takes
                                 [default: 15s]
          --connect-timeout <D>  Maximum time for opening a connection, TLS included
                                 [default: 5s]
          --keep-alive           Reuse connections instead of opening one for each
                                 delivery

    Suite:
          --suite                 Run test cases against the handler, report
                                  failures
          --only <NAME>           Run only these test cases: a name of --list-cases,
                                  a pattern (get-*), a family (accepts, idempotent,
                                  tolerant, survives, prompt, guard) or a grade
                                  (doc, seen, inferred, hostile); repeatable, or
                                  a,b,c. A good CDR by each method of the cases is
                                  sent first and must be accepted
          --skip <NAME>           Leave out these test cases, given as for --only
          --read-back <URL>       Ask this URL what the handler stored of each CDR,
                                  and compare; {cmiuuid}, {request_id}, {call_id},
                                  {user}, {to} and {port} are filled in
          --read-back-cmd <CMD>   Ask a program instead, run without a shell; the
                                  same values are filled in, and are in its
                                  environment as CDR_CMIUUID and so on
          --read-back-within <D>  How long to ask again, since a handler may store
                                  after its reply [default: 2s]
          --guard <WHERE>         Where the handler's secret is, to send it wrong,
                                  empty and not at all: query:NAME, path, custom,
                                  appid, header:NAME; repeatable. The right secret
                                  is that of --url, --custom, --app-id or --header
          --fuzz <N>              Add N test cases, fuzz-*, with one field changed
                                  at random; the same --seed makes the same cases
          --baseline <FILE>       Earlier report, written with --format ndjson
                                  --output FILE: only failures that it lacks fail
                                  the run
          --junit <FILE>          Write the result as JUnit XML to this file
          --list-cases            List the test cases, or those of --only, with
                                  their descriptions, and run nothing
      [CMD]...                    Command that starts the handler, after --; gets
                                  PORT and TELECMI_CDR_URL, and is restarted when a
                                  case ends it

    Content:
      -s, --scenario <NAME>        Scenario, or group (all, click2call, softphone,
                                   mix); repeatable, or a,b,c [default:
                                   agent-no-answer]
          --click2call             Send each click2call scenario, as --scenario
                                   click2call does
          --list-scenarios         List the scenarios with their CDRs, and send
                                   nothing
      -f, --file <PATH>            Send a file (- is standard input): CDRs as JSON,
                                   or the exact requests of a capture or HAR, at
                                   their own path if --url has none
          --app-id <N>             App id of the account, in `appid` and `user`
          --agent <EXT>            Extension of the agent; `user` becomes EXT_APPID
          --virtual-number <N>     Caller ID of the calls, in `virtual_number`
          --to <N>                 Telephone number of the customer, in `to` of leg
                                   b
          --custom <TEXT>          Parameters set in the dashboard, in `custom`
          --extra-params <JSON>    Parameters of click2call calls, in `extra_params`
          --shape <SHAPE>          Field types as documented (docs), or as seen in
                                   live accounts (live) [default: docs]
          --call-id <HOW>          Whether the legs of a call share a call_id:
                                   shared or per-leg [default: shared]
          --with-events            Send the live events of the calls, too; their
                                   order was seen live for an agent or customer who
                                   does not answer, and is inferred for the other
                                   scenarios
          --set <FIELD=VALUE>      Set a field, typed as documented; repeatable
          --set-json <FIELD=JSON>  Set a field to any JSON value; repeatable
          --unset <FIELD>          Remove a field; repeatable
          --seed <N>               Seed of generated values, printed if not given;
                                   the same --seed and --at make the same bytes
          --at <TIME>              Time when the calls start: RFC 3339 or epoch
                                   milliseconds [default: within the last minute]

    Delivery:
      -n, --count <N>            Number of calls of each scenario, or of times that
                                 a file is sent [default: 1]
          --duration <D>         Repeat the scenarios or the file for this long,
                                 such as 30s or 5m
          --rate <N/s>           Deliveries per second or minute, on an absolute
                                 schedule: 50/s, 300/m; the summary's lateness is
                                 the time behind the schedule [default: as fast as
                                 they are answered]
      -c, --concurrency <N>      Number of concurrent calls; --rate needs more than
                                 one if answers take longer than its interval
                                 [default: 1]
          --speed <X>            Speed of the pauses in a call or capture: 1 is real
                                 time, 10 is ten times as fast, max leaves them out
                                 [default: max]
          --duplicate <N>        Send each CDR N more times [default: 0]
          --race <N>             Send N copies of each CDR at the same moment, each
                                 on its own connection [default: 1]
          --shuffle              Send the deliveries in random order
          --late <D>             Delay each delivery by a random time up to D, such
                                 as 500ms, so that some arrive out of order
          --drop <P>             Leave out this share of the deliveries at random:
                                 0.1 or 10% [default: 0]
          --retry <N>            Number of retries of a delivery, after no answer,
                                 408, 425, 429, 500, 502, 503 or 504 [default: 0]
          --retry-interval <D>   Wait before the first retry; doubled for each
                                 further retry up to 5m, shortened at random by up
                                 to half. Retry-After is obeyed [default: 1s]
          --retry-after-max <D>  Maximum wait that Retry-After may ask for; a longer
                                 one is shortened to this [default: 60s]
          --retry-schedule <D>   Wait before each attempt, the first included, as a
                                 list; PIOPIY documents 0s,5m,10m,15m. In real time
                                 unless --speed is given; Retry-After is ignored
          --yes                  Allow more than 100/s or 10 000 deliveries to
                                 another machine

    Checks:
          --expect-status <LIST>  Statuses that count as success, such as 2xx or
                                  200,204 or 200-299 [default: 2xx]
          --expect-body <TEXT>    Text that the body of each answer must contain
          --max-latency <D>       Maximum time for an answer, such as 2s; a slower
                                  answer fails the delivery
          --compare               With --method both: fail if the answers to POST
                                  and GET differ in status or body

    Output:
          --dry-run          Print the CDRs instead of sending them
          --print <HOW>      Print instead of sending: json (one CDR a line), curl,
                             http, har, vegeta, or verdict (what listen would say)
          --strict           With --print verdict: exit with 1 if a CDR departs from
                             the documented one
          --mask             Mask passwords and tokens of URLs and headers in the
                             printed requests and in the repeat: line
      -o, --output <FILE>    Write the output to a file, which is overwritten,
                             instead of standard output
          --format <FORMAT>  Output: pretty (text), line (one line each) or ndjson
                             (one JSON record a line) [default: pretty]
          --color <WHEN>     Colours: auto (by the terminal and NO_COLOR), always or
                             never [default: auto]
      -q, --quiet            Print only warnings and errors on stderr; standard
                             output stays
      -v, --verbose          Show headers and complete bodies
      -h, --help             Print help

    Exit codes:
      0    every delivery met its expectation; every case held
      1    at least one did not
      2    usage error, or the run could not start: a file that
           is missing or not JSON
      130  interrupted by Ctrl-C; 143 by SIGTERM

    Each flag can also be set by an environment variable, such
    as TELECMI_CDR_PORT for --port. A flag overrides it.
    HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY and NO_COLOR
    are obeyed, too.
    ");
}

#[expect(clippy::too_many_lines, reason = "the help is that long")]
#[test]
fn the_help_of_listen() {
    insta::assert_snapshot!(help(&["listen"], "--help", "80"), @r#"
    Receive CDRs, show what arrived and what is wrong with it

    Usage: telecmi-cdr listen [OPTIONS] [-- <CMD>...]

    Examples:
      telecmi-cdr listen
          show every request on port 8237, whatever its path
      telecmi-cdr listen --inspect
          show requests in a browser, too
      telecmi-cdr listen --tunnel cloudflared
          open a tunnel, and show its URL for the dashboard
      telecmi-cdr listen --forward-to http://localhost:5000/cdr
          show requests while your handler answers them
      telecmi-cdr listen --save calls.ndjson
          save requests, to be replayed by send --file
      telecmi-cdr listen --strict --count 2 --timeout 1m
          for scripts: require two valid CDRs in a minute
      telecmi-cdr listen --port 0 --count 2 -- ./my-sender.sh
          run a command that must send two CDRs
      telecmi-cdr listen --fail-first 2 --report retries.txt
          fail two requests, and measure when each is retried

    Where:
      -p, --port <N>        Port to listen on; 0 chooses a free port [default: 8237]
          --host <ADDRESS>  Address to listen on; any but a loopback address is open
                            to the network [default: 127.0.0.1]

    Inspecting and forwarding:
          --inspect [<PORT>]  Show requests in a browser on this machine, on PORT or
                              a free port
          --save <FILE>       Append each exchange to a file, secrets included;
                              replay it with send --file
          --redact            Mask telephone numbers (in `custom` and other text
                              too), app ids and known secrets in the saved file;
                              names and other words stay
          --forward-to <URL>  Forward each request unchanged to this URL and return
                              its answer; a path in URL replaces the request's
          --forward-probes    Forward health checks and browsers' requests for icons
                              too

    Behind a tunnel:
          --tunnel <TUNNEL>       Start a tunnel and show its public URL:
                                  cloudflared, ngrok, bore[:SERVER],
                                  ssh:[USER@]HOST[:PORT]
          --tunnel-cmd <COMMAND>  Start any other tunnel by a shell command with
                                  {port} or {url}; the first URL it prints is the
                                  public one
          --public-url <URL>      Public URL to show, if the listener is reachable
                                  by another address
          --trust-proxy           Show the client address of X-Forwarded-For and
                                  similar headers as well

    Answer:
          --status <STATUS>  Status of the answers to valid requests, unless
                             --forward-to answers; bodies that cannot be read get
                             400 [default: 200]
          --body <TEXT>      Body of the answers to valid requests, as text/plain
                             unless --header sets a Content-Type [default: "got it"]
      -H, --header <HEADER>  Header to add to the answers, 'Name: value'; repeatable
          --delay <D|A..B>   Time before each answer: 500ms, or random within
                             100ms..2s
          --seed <N>         Seed for --delay and --fault-rate

    Fault injection:
          --fail-first <N>  Fail the first N requests; --count counts them too
          --fault <KIND>    Kind of failure: status (503), status:NNN, reset, empty,
                            hang, slow or garbage; alone, it fails every request
          --fault-rate <P>  Fail this share of the requests at random: 0.1 or 10%
          --report <FILE>   Write a report on the retries of failed requests to this
                            file, at the end

    For scripts:
          --strict                Answer CDRs that depart from the schema with 422,
                                  and exit with 1
      -n, --count <N>             Stop after this many CDRs, failed ones too; with
                                  -- CMD, require exactly this many
          --expect <FIELD=VALUE>  Count only CDRs in which a field has this value:
                                  leg=a; repeatable: all must match
          --settle <D>            Keep listening this long, such as 1s, at the end;
                                  a CDR beyond --count fails the run
          --timeout <D>           Stop after this time, such as 30s or 5m; exit with
                                  124 if --count was not reached
          --ready-file <FILE>     Write the URL to this file once the port is open
          --healthcheck <URL>     Ask the listener at URL instead of listening; exit
                                  with 0 if it answers with 2xx, else 1
      [CMD]...                    Command to run, after --; gets TELECMI_CDR_URL,
                                  which is also the --url of telecmi-cdr send;
                                  listening stops when it ends

    Limits:
          --max-body <SIZE>     Maximum size of a request body, such as 64KiB;
                                larger bodies are answered with 413 [default: 1MiB]
          --header-timeout <D>  Maximum time for receiving the head of a request
                                [default: 15s]
          --body-timeout <D>    Maximum time for receiving a request body; slower
                                bodies are answered with 408 [default: 15s]

    Output:
          --format <FORMAT>  Output: pretty (text), line (one line each) or ndjson
                             (one JSON record a line) [default: pretty]
          --color <WHEN>     Colours: auto (by the terminal and NO_COLOR), always or
                             never [default: auto]
      -q, --quiet            Print only warnings and errors on stderr; standard
                             output stays
      -v, --verbose          Show headers and complete bodies
      -h, --help             Print help

    Exit codes:
      0    the run ended as expected
      1    a check failed: --strict, --count, --expect, --save
      2    usage error, or the run could not start
      124  --timeout passed before --count was reached
      130  Ctrl-C before --count was reached; 143 SIGTERM
      With -- CMD, a failure of CMD sets the exit code.

    Each flag can also be set by an environment variable, such
    as TELECMI_CDR_PORT for --port. A flag overrides it.
    HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY and NO_COLOR
    are obeyed, too.
    "#);
}

#[test]
fn it_fits_and_the_short_one_is_a_screen() {
    for mode in MODES {
        let short = help(mode, "-h", "80");
        assert!(mode.is_empty() || short.lines().count() <= 24, "{short}");
        for columns in [60, 80, 100] {
            let text = help(mode, "--help", &columns.to_string());
            let short = help(mode, "-h", &columns.to_string());
            for line in text.lines().chain(short.lines()) {
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

#[test]
fn help_is_a_word_too() {
    for (words, mode) in [
        (&["help"][..], &[][..]),
        (&["help", "send"], &["send"]),
        (&["send", "help"], &["send"]),
        (&["help", "listen"], &["listen"]),
    ] {
        let ended = program(words.iter().copied()).run().expect(0);
        let same = program(mode.iter().copied().chain(["--help"])).run();
        assert_eq!(ended.stdout, same.stdout, "{words:?}");
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
