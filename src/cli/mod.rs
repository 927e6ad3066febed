//! The words a user may say, turned into plain options. The only room that knows clap.
//!
//! In: arguments and environment. Out: an [`Invocation`] of plain values, or a clap error, which knows how to print
//! itself and which code to exit with. Nothing here reads a file or opens a socket.

pub mod generate;
mod help;
pub mod listen;
pub mod send;
pub mod suite;
pub mod values;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write as _;

use clap::builder::BoolishValueParser;
use clap::parser::ValueSource;
use clap::{
    ArgAction, ColorChoice, Command, CommandFactory as _, FromArgMatches as _, Id, Parser,
    Subcommand,
};

use crate::error::Exit;
use crate::output::OutputOptions;
use crate::untrusted::{clean, disturbs};
use generate::Generate;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "telecmi-cdr",
    version,
    about = "Send and receive TeleCMI outgoing-missed CDRs while you build a webhook handler",
    help_template = help::TEMPLATE,
    before_help = help::PROGRAM.examples(),
    after_help = help::PROGRAM.end(),
    override_usage = "telecmi-cdr <COMMAND>\n       telecmi-cdr --generate <WHAT>",
    max_term_width = 100,
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    mode: Option<Mode>,
    /// Print completions (bash, zsh, fish, powershell, elvish), the manual page (man), or what the webhook takes
    /// (json-schema, openapi)
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    generate: Option<Generate>,
}

/// What the names of all twins begin with.
const PREFIX: &str = "TELECMI_CDR_";

/// The two modes. Of a flag given twice the last one counts, as in curl.
#[derive(Debug, Subcommand)]
enum Mode {
    /// Fire sample CDRs at a webhook handler, over POST or GET
    #[command(help_template = help::TEMPLATE, disable_help_flag = true, args_override_self = true, arg = help::flag())]
    Send(Box<send::SendOptions>),
    /// Receive CDRs, show what arrived and what is wrong with it
    #[command(help_template = help::TEMPLATE, disable_help_flag = true, args_override_self = true, arg = help::flag())]
    Listen(Box<listen::ListenOptions>),
}

/// What the user wants done.
#[derive(Debug)]
pub enum Invocation {
    /// Send something.
    Send(Box<send::SendOptions>),
    /// Listen for something.
    Listen(Box<listen::ListenOptions>),
    /// Print the catalogue of scenarios.
    ListScenarios(OutputOptions),
    /// Print the cases of the handler suite.
    ListCases(OutputOptions),
    /// Print something for other programs.
    Generate(Generate),
}

/// The whole command line, for tools that walk it: completions, manual pages, tests.
#[must_use]
pub fn command() -> Command {
    with_environment(Cli::command(), &BTreeSet::new())
}

/// Reads arguments, the program's name first, and the environment.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, clap::Error> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let command = Cli::command().color(color(&arguments));
    let mut command = with_environment(command, &given(&arguments));
    let matches = command.try_get_matches_from_mut(&arguments)?;
    let cli = Cli::from_arg_matches(&matches)?;
    if let Some(what) = cli.generate {
        return Ok(Invocation::Generate(what));
    }
    let options = match (cli.mode, matches.subcommand()) {
        (Some(Mode::Send(send)), Some((_, matches))) => send.invocation(matches, &arguments),
        (Some(Mode::Listen(listen)), _) => listen.checked().map(Invocation::Listen),
        (Some(Mode::Send(_)) | None, _) => Err("which mode? send or listen".to_owned()),
    };
    options.map_err(|text| {
        let mode = matches.subcommand_name().unwrap_or_default();
        let usage = command.find_subcommand_mut(mode);
        let error = clap::Error::raw(clap::error::ErrorKind::ValueValidation, format!("{text}\n"));
        match usage {
            Some(usage) => error.with_cmd(usage),
            None => error,
        }
    })
}

/// Prints clap's words: help goes to standard output, usage errors to standard error. A reader that has gone changes
/// nothing; help that could not be written is a failure. Words that quote something disturbing are printed without
/// colours, and harmless.
#[must_use]
pub fn refuse(error: &clap::Error) -> Exit {
    let words = error.render().to_string();
    if words.chars().any(|c| c != '\n' && disturbs(c)) {
        let harmless: Vec<_> = words.split('\n').map(clean).collect();
        let _ = std::io::stderr().write_all(harmless.join("\n").as_bytes());
    } else {
        match error.print().and_then(|()| std::io::stdout().flush()) {
            Err(trouble)
                if !error.use_stderr() && trouble.kind() != std::io::ErrorKind::BrokenPipe =>
            {
                // That this cannot be written either changes nothing.
                let _ = writeln!(
                    std::io::stderr(),
                    "error: cannot write the output: {trouble}"
                );
                return Exit::Failed;
            }
            _ => {}
        }
    }
    if error.use_stderr() {
        Exit::Usage
    } else {
        Exit::Success
    }
}

/// The wish about colour, for what clap itself prints: read by hand, since it matters most when nothing can be parsed.
fn color(arguments: &[OsString]) -> ColorChoice {
    let mut given = None;
    // What follows `--` is another program's.
    for (place, argument) in arguments
        .iter()
        .take_while(|argument| *argument != "--")
        .enumerate()
    {
        let Some(rest) = argument
            .to_str()
            .and_then(|text| text.strip_prefix("--color"))
        else {
            continue;
        };
        let next = arguments.get(place + 1).and_then(|next| next.to_str());
        given = if rest.is_empty() {
            next
        } else {
            rest.strip_prefix('=')
        }
        .map(str::to_owned);
    }
    match given
        .or_else(|| std::env::var("TELECMI_CDR_COLOR").ok())
        .as_deref()
    {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ => ColorChoice::Auto,
    }
}

/// The flags that stand on the command line, right or wrong.
fn given(arguments: &[OsString]) -> BTreeSet<Id> {
    let matches = Cli::command()
        .ignore_errors(true)
        .try_get_matches_from(arguments);
    let Some((_, matches)) = matches
        .ok()
        .and_then(|mut matches| matches.remove_subcommand())
    else {
        return BTreeSet::new();
    };
    let on_the_command_line =
        |id: &&Id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine);
    matches.ids().filter(on_the_command_line).cloned().collect()
}

/// Gives every flag its environment twin, except those that conflict with a flag on the command line: that wins. Flags
/// without a value read `1`, `true`, `yes`, `0` and so on.
fn with_environment(mut command: Command, given: &BTreeSet<Id>) -> Command {
    // The flags of all modes are looked at.
    command.build();
    command.mut_subcommands(|mode| {
        let overridden = overridden(&mode, given);
        mode.mut_args(|argument| {
            let Some(long) = argument
                .get_long()
                .filter(|long| !matches!(*long, "help" | "version"))
            else {
                return argument;
            };
            let twin = format!("{PREFIX}{}", long.to_uppercase().replace('-', "_"));
            let value = std::env::var_os(&twin).map(|value| value.to_string_lossy().to_lowercase());
            let is_switch = matches!(argument.get_action(), ArgAction::SetTrue);
            let is_as_good_as_none = match value.as_deref() {
                // That is what compose files leave behind.
                Some("") => true,
                // A switch that is off contradicts nothing.
                Some("0" | "false" | "f" | "no" | "n" | "off") => is_switch,
                _ => false,
            };
            let argument = if is_switch {
                argument.value_parser(BoolishValueParser::new())
            } else {
                argument
            };
            if overridden.contains(argument.get_id()) || is_as_good_as_none {
                argument
            } else {
                argument.env(twin).hide_env(true).hide_env_values(true)
            }
        })
    })
}

/// The flags of a mode that conflict with one on the command line, whichever of the two declares that.
fn overridden(mode: &Command, given: &BTreeSet<Id>) -> BTreeSet<Id> {
    let mut overridden = BTreeSet::new();
    for one in mode.get_arguments() {
        for other in mode.get_arg_conflicts_with(one) {
            for (winner, loser) in [(one, other), (other, one)] {
                if given.contains(winner.get_id()) && !given.contains(loser.get_id()) {
                    overridden.insert(loser.get_id().clone());
                }
            }
        }
    }
    overridden
}
