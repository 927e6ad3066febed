//! How help is laid out: what a mode is for, how it is called, examples, flags in groups, and what scripts need to know.
//!
//! Commands and explanations stand on lines of their own, short enough for 60 columns, so that nothing breaks them.

use clap::builder::StyledStr;
use clap::builder::styling::Style;
use clap::{Arg, ArgAction};

/// The order of the parts: examples come before flags.
pub const TEMPLATE: &str =
    "{about-with-newline}\n{usage-heading} {usage}\n\n{before-help}{all-args}{after-help}";

/// What stands around the flags.
pub struct Page {
    /// Commands, each with what it does.
    examples: &'static [(&'static str, &'static str)],
    /// What scripts need to know: a heading, and lines below it.
    end: &'static str,
}

/// Around the modes.
pub const PROGRAM: Page = Page {
    examples: &[
        (
            "telecmi-cdr send --demo",
            "see both sides at once, on this machine alone",
        ),
        (
            "telecmi-cdr send --url http://localhost:5000/cdr",
            "one outgoing-missed CDR to your handler",
        ),
        (
            "telecmi-cdr send --url http://localhost:5000/cdr --suite",
            "test the handler, and tell what broke",
        ),
        ("telecmi-cdr listen", "show whatever arrives on port 8237"),
        (
            "telecmi-cdr listen --tunnel cloudflared --inspect",
            "with a public URL for TeleCMI, and a page to look at",
        ),
        (
            "telecmi-cdr listen --forward-to http://localhost:5000/cdr",
            "look on, while your handler answers",
        ),
    ],
    end: "\
More:
  telecmi-cdr send --help, telecmi-cdr listen --help
      flags, further examples, exit codes",
};

/// Around the flags of `send`.
pub const SEND: Page = Page {
    examples: &[
        (
            "telecmi-cdr send --demo",
            "see both sides at once, on this machine alone",
        ),
        (
            "telecmi-cdr send --url http://localhost:5000/cdr",
            "one outgoing-missed CDR to your handler, by POST",
        ),
        (
            "telecmi-cdr send --url URL --suite",
            "test the handler, and tell what broke",
        ),
        (
            "telecmi-cdr send --url URL -X both -s all",
            "every scenario, by POST and by GET",
        ),
        (
            "telecmi-cdr send --url URL -s customer-no-answer --speed 1",
            "both legs, with the gaps of a real call",
        ),
        (
            "telecmi-cdr send --url URL -s mix -n 500 --rate 50/s",
            "a realistic mixture, paced",
        ),
        (
            "telecmi-cdr send --url URL --file calls.ndjson",
            "once more what `listen --save` has kept",
        ),
        (
            "telecmi-cdr send --print curl",
            "print the curl command that does the same",
        ),
    ],
    end: "\
Exit codes:
  0    every delivery met its expectation
  1    at least one did not
  2    usage, or could not start
  130  interrupted; 143 if it was by SIGTERM",
};

/// Around the flags of `listen`.
pub const LISTEN: Page = Page {
    examples: &[
        ("telecmi-cdr listen", "show whatever arrives on port 8237"),
        ("telecmi-cdr listen --inspect", "in a browser, too"),
        (
            "telecmi-cdr listen --tunnel cloudflared",
            "with a public URL for TeleCMI's dashboard",
        ),
        (
            "telecmi-cdr listen --forward-to http://localhost:5000/cdr",
            "look on, while your handler answers",
        ),
        (
            "telecmi-cdr listen --save calls.ndjson",
            "keep what comes, to send it again: send --file",
        ),
        (
            "telecmi-cdr listen --strict --count 2 --timeout 1m",
            "for scripts: two good CDRs must come in a minute",
        ),
        (
            "telecmi-cdr listen --port 0 --count 2 -- ./my-sender.sh",
            "run it with TELECMI_CDR_URL set: it must send two",
        ),
        (
            "telecmi-cdr listen --fail-first 2 --report retries.txt",
            "see whether and when the sender comes back",
        ),
    ],
    end: "\
Exit codes:
  0    done
  1    a check failed
  2    usage, or could not start
  124  time was up before --count
  130  interrupted before --count; 143 if by SIGTERM
  With -- CMD, its own failure comes first.",
};

/// Where flags can come from, too: the last word of every help.
pub const TWINS: &str = "\
Every flag of a mode has an environment twin: --port is
TELECMI_CDR_PORT. The flag wins.";

/// The look of headings, clap's own.
const HEADING: Style = Style::new().bold().underline();
/// The look of what can be typed, clap's own.
const LITERAL: Style = Style::new().bold();

impl Page {
    /// The examples, under their heading.
    pub fn examples(&self) -> StyledStr {
        let example =
            |(command, what): &(_, _)| format!("\n  {LITERAL}{command}{LITERAL:#}\n      {what}");
        let lines: String = self.examples.iter().map(example).collect();
        format!("{HEADING}Examples:{HEADING:#}{lines}").into()
    }

    /// The end, and the last word.
    pub fn end(&self) -> StyledStr {
        let (heading, lines) = self.end.split_once('\n').unwrap_or((self.end, ""));
        format!("{HEADING}{heading}{HEADING:#}\n{lines}\n\n{TWINS}").into()
    }
}

/// The flag of a mode that asks for its help, last in the last group.
pub fn flag() -> Arg {
    let flag = Arg::new("help")
        .short('h')
        .long("help")
        .action(ArgAction::HelpShort);
    flag.help("Print help")
        .help_heading("Output")
        .display_order(usize::MAX)
}
