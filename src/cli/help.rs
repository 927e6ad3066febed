//! The parts of a help text around the flags: examples before them, exit codes and the environment after them.
//!
//! Help lines have at most 60 columns, so that clap never breaks them.

use clap::builder::StyledStr;
use clap::builder::styling::Style;
use clap::{Arg, ArgAction, Command};

/// clap's help template is changed to show the examples before the flags.
pub const TEMPLATE: &str =
    "{about-with-newline}\n{usage-heading} {usage}\n\n{before-help}{all-args}{after-help}";

pub struct Page {
    /// The examples of a help text: pairs of lines, a command and its indented description.
    pub examples: &'static str,
    pub end: &'static str,
}

pub const PROGRAM: Page = Page {
    examples: "
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
    show requests while your handler answers them",
    end: "\
More:
  telecmi-cdr send --help, telecmi-cdr listen --help
      flags, further examples, exit codes
  telecmi-cdr --generate zsh, telecmi-cdr --generate man
      shell completions, the manual page",
};

pub const SEND: Page = Page {
    examples: "
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
    check the CDRs of a file without sending them",
    end: "\
Exit codes:
  0    every delivery met its expectation; every case held
  1    at least one did not
  2    usage error, or the run could not start: a file that
       is missing or not JSON
  130  interrupted by Ctrl-C; 143 by SIGTERM",
};

pub const LISTEN: Page = Page {
    examples: "
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
    fail two requests, and measure when each is retried",
    end: "\
Exit codes:
  0    the run ended as expected
  1    a check failed: --strict, --count, --expect, --save
  2    usage error, or the run could not start
  124  --timeout passed before --count was reached
  130  Ctrl-C before --count was reached; 143 SIGTERM
  With -- CMD, a failure of CMD sets the exit code.",
};

pub const ENVIRONMENT: &str = "\
Each flag can also be set by an environment variable, such
as TELECMI_CDR_PORT for --port. A flag overrides it.
HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY and NO_COLOR
are obeyed, too.";

const HEADING: Style = Style::new().bold().underline();
const LITERAL: Style = Style::new().bold();

impl Page {
    pub fn examples(&self) -> StyledStr {
        let line = |line: &str| match line {
            what if what.starts_with(' ') => format!("\n  {what}"),
            command => format!("\n  {LITERAL}{command}{LITERAL:#}"),
        };
        let lines: String = self.examples.lines().skip(1).map(line).collect();
        format!("{HEADING}Examples:{HEADING:#}{lines}").into()
    }

    pub fn end(&self) -> StyledStr {
        let (heading, lines) = self.end.split_once('\n').unwrap_or((self.end, ""));
        format!("{HEADING}{heading}{HEADING:#}\n{lines}\n\n{ENVIRONMENT}").into()
    }
}

/// The flags that `-h` shows; `--help` shows all flags.
const SHORT: &str = "url demo method suite scenario file set print format help port host inspect save \
    forward_to tunnel strict";

/// Changes the help of a mode to that of `-h`, which fits a screen.
pub fn short(mode: Command) -> Command {
    let name = mode.get_name().to_owned();
    mode.help_template("{about-with-newline}\n{usage-heading} {usage}\n\n{all-args}{after-help}")
        .after_help(format!(
            "All flags, examples and exit codes: telecmi-cdr {name} --help"
        ))
        .mut_args(|flag| {
            let is_shown = SHORT.split_whitespace().any(|id| flag.get_id() == id);
            flag.help_heading("Options").hide(!is_shown)
        })
}

/// Each mode defines `--help` itself, so that the flag is listed last.
pub fn flag() -> Arg {
    Arg::new("help")
        .short('h')
        .long("help")
        .action(ArgAction::HelpShort)
        .help("Print help")
        .help_heading("Output")
        .display_order(usize::MAX)
}
