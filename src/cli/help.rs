//! How help is laid out: what a mode is for, how it is called, examples, flags in groups, and what scripts need to know.
//!
//! Commands and explanations stand on lines of their own, short enough for 60 columns, so that nothing breaks them.

use clap::builder::StyledStr;
use clap::builder::styling::Style;
use clap::{Arg, ArgAction};

/// A command, and what it does.
pub type Example = (&'static str, &'static str);

/// The order of the parts: examples come before flags.
pub const TEMPLATE: &str =
    "{about-with-newline}\n{usage-heading} {usage}\n\n{before-help}{all-args}{after-help}";

/// What the help of the program begins with.
pub const EXAMPLES: &[Example] = &[
    ("telecmi-cdr send --demo", "see both sides at once, on this machine alone"),
    ("telecmi-cdr send --url http://localhost:5000/cdr", "one outgoing-missed CDR to your handler"),
    ("telecmi-cdr send --url http://localhost:5000/cdr --suite", "test the handler, and tell what broke"),
    ("telecmi-cdr listen", "show whatever arrives on port 8237"),
    (
        "telecmi-cdr listen --tunnel cloudflared --inspect",
        "with a public URL for TeleCMI, and a page to look at",
    ),
    ("telecmi-cdr listen --forward-to http://localhost:5000/cdr", "look on, while your handler answers"),
];

/// What the help of the program says last but one.
pub const MORE: &str = "\
More:
  telecmi-cdr send --help, telecmi-cdr listen --help
      flags, further examples, exit codes";

/// Where flags can come from, too: the last word of every help.
pub const TWINS: &str = "\
Every flag of a mode has an environment twin: --port is
TELECMI_CDR_PORT. The flag wins.";

/// The look of headings, clap's own.
const HEADING: Style = Style::new().bold().underline();
/// The look of what can be typed, clap's own.
const LITERAL: Style = Style::new().bold();

/// The examples, under their heading.
pub fn examples(examples: &[Example]) -> StyledStr {
    let lines =
        examples.iter().map(|(command, what)| format!("\n  {LITERAL}{command}{LITERAL:#}\n      {what}"));
    format!("{HEADING}Examples:{HEADING:#}{}", lines.collect::<String>()).into()
}

/// The end of a help: a text that begins with a heading, and the last word.
pub fn closing(text: &str) -> StyledStr {
    let (heading, text) = text.split_once('\n').unwrap_or((text, ""));
    format!("{HEADING}{heading}{HEADING:#}\n{text}\n\n{TWINS}").into()
}

/// The flag of a mode that asks for its help, last in the last group.
pub fn flag() -> Arg {
    let flag = Arg::new("help").short('h').long("help").action(ArgAction::HelpShort);
    flag.help("Print help").help_heading("Output").display_order(usize::MAX)
}
