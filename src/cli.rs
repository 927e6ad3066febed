//! Parses arguments and environment variables with clap, and adds advice to its errors. Reads no files and opens no
//! sockets.

pub mod generate;
mod help;
pub mod listen;
pub mod send;
pub mod words;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Write as _};

use clap::builder::{BoolishValueParser, StyledStr};
use clap::error::{ContextKind, ContextValue, ErrorKind as Refusal};
use clap::parser::ValueSource;
use clap::{
    Arg, ArgAction, ColorChoice, Command, CommandFactory as _, FromArgMatches as _, Id, Parser,
    Subcommand,
};

use crate::error::Exit;
use crate::net::Destination;
use crate::net::secret::masked_url;
use crate::untrusted::{clean_lines, disturbs};
use generate::Generate;

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
    mode: Option<Invocation>,
    /// Print completions (bash, zsh, fish, powershell, elvish), the manual page (man), or what the webhook takes
    /// (json-schema, openapi)
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    generate: Option<Generate>,
    /// With --generate openapi: the handler's URL, for paths and servers instead of webhooks
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

/// These flags are refused if given twice, since a second URL, file or check would drop the first; of any other flag
/// the last one counts, as in curl.
#[rustfmt::skip]
const ONCE: [&str; 10] = [
    "url", "read_back", "forward_to", "public_url", "file", "output", "save", "junit", "baseline", "expect_body",
];

/// clap makes the flags of a mode when the mode is chosen.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Invocation {
    /// Send sample CDRs to a webhook handler, by POST or GET
    #[command(help_template = help::TEMPLATE, disable_help_flag = true, hide_possible_values = true, args_override_self = true)]
    Send(Box<send::SendOptions>),
    /// Receive CDRs, show what arrived and what is wrong with it
    #[command(help_template = help::TEMPLATE, disable_help_flag = true, hide_possible_values = true, args_override_self = true)]
    Listen(Box<listen::ListenOptions>),
    #[command(skip)]
    Generate(Generate, Option<Box<Destination>>),
}

pub fn command() -> Command {
    Cli::command().mut_subcommands(|mode| with_environment(mode, &BTreeSet::new(), false))
}

/// The first of the `arguments` is the program's name; environment variables supply the flags that are not given.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, clap::Error> {
    let arguments = with_help_flag(arguments.into_iter().collect());
    let given = given(&arguments);
    let mut words = arguments.iter().map(|word| word.as_encoded_bytes());
    let has_negative = words.any(|word| matches!(word, [b'-', b'0'..=b'9', ..]));
    let is_short = arguments.iter().any(|word| word == "-h");
    let chosen = arguments.get(1);
    let command = Cli::command().color(color(&arguments));
    let mut command = command.mut_subcommands(|mode| match mode.get_name() {
        name if chosen.is_none_or(|chosen| chosen != name) => mode,
        _ if is_short => help::short(with_environment(mode, &given, has_negative)),
        _ => with_environment(mode, &given, has_negative),
    });
    let matches = command.try_get_matches_from_mut(&arguments);
    let matches = matches.map_err(|error| advised(error, &mut command, &given, &arguments))?;
    let cli = Cli::from_arg_matches(&matches)?;
    if cli.url.is_some() && cli.generate.is_none() {
        let mut error = clap::Error::new(Refusal::UnknownArgument).with_cmd(&command);
        let flag = ContextValue::String("--url".to_owned());
        error.insert(ContextKind::InvalidArg, flag);
        return Err(advised(error, &mut command, &given, &arguments));
    }
    let invalid = |text: String| {
        clap::Error::raw(Refusal::ValueValidation, format!("{text}\n")).with_cmd(&command)
    };
    let checked = match (cli.mode, cli.generate, matches.subcommand()) {
        (Some(Invocation::Send(mut options)), _, Some((_, matches))) => options
            .check(matches, &arguments)
            .map(|()| Invocation::Send(options)),
        (Some(Invocation::Listen(mut options)), _, Some((_, matches))) => {
            options.check(matches).map(|()| Invocation::Listen(options))
        }
        (_, Some(what), _) => generate(what, cli.url.as_deref()),
        _ => Err("a mode is required: send or listen".to_owned()),
    };
    checked.map_err(invalid)
}

fn generate(what: Generate, url: Option<&str>) -> Result<Invocation, String> {
    if url.is_some() && what != Generate::Openapi {
        return Err("--url goes with --generate openapi only".to_owned());
    }
    let url = url.map(Destination::parse).transpose();
    let url = url.map_err(|what| format!("--url: {what}"))?;
    Ok(Invocation::Generate(what, url.map(Box::new)))
}

/// clap's help goes to standard output, usage errors to standard error. A closed pipe is no failure. A message with
/// control characters is printed escaped, without colours.
pub fn refuse(error: &clap::Error) -> Exit {
    let message = error.render().to_string();
    if message.chars().any(|c| c != '\n' && disturbs(c)) {
        let _ = std::io::stderr().write_all(clean_lines(&message).as_bytes());
        return Exit::Usage;
    }
    let written = error.print().and_then(|()| std::io::stdout().flush());
    match written {
        _ if error.use_stderr() => Exit::Usage,
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let _ = writeln!(std::io::stderr(), "error: cannot write the output: {error}");
            Exit::Failed
        }
        _ => Exit::Success,
    }
}

/// `--color` is read without clap for clap's own messages, because the flag applies even if parsing fails.
fn color(arguments: &[OsString]) -> ColorChoice {
    // Words after `--` are arguments of the command that `listen` runs.
    let words = arguments.iter().take_while(|word| *word != "--");
    let words = words.map(|word| word.to_str().unwrap_or_default());
    let words: Vec<&str> = words.collect();
    let value = |place: usize| match words[place].strip_prefix("--color")? {
        "" => words.get(place + 1).copied(),
        rest => rest.strip_prefix('='),
    };
    let given = (0..words.len()).rev().find_map(value);
    let by_environment = || std::env::var("TELECMI_CDR_COLOR").ok();
    match given.map(str::to_owned).or_else(by_environment).as_deref() {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ => ColorChoice::Auto,
    }
}

/// The flags that are on the command line, even if clap refuses their values; none without environment variables, which
/// such flags override.
fn given(arguments: &[OsString]) -> BTreeSet<Id> {
    let is_ours = |(name, _): (OsString, _)| name.as_encoded_bytes().starts_with(PREFIX.as_bytes());
    if !std::env::vars_os().any(is_ours) {
        return BTreeSet::new();
    }
    let command = Cli::command().ignore_errors(true);
    let matches = command.try_get_matches_from(arguments).ok();
    let Some((_, matches)) = matches.and_then(|mut matches| matches.remove_subcommand()) else {
        return BTreeSet::new();
    };
    let is_given = |id: &&Id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine);
    matches.ids().filter(is_given).cloned().collect()
}

/// Every flag of a mode gets an environment variable, unless the flag conflicts with one on the command line. The
/// variable of a switch takes `1`, `true`, `yes`, `0` and so on.
fn with_environment(mut mode: Command, given: &BTreeSet<Id>, has_negative: bool) -> Command {
    // The flags exist only after `Command::build`.
    mode.build();
    let overridden = overridden(&mode, given);
    mode.args_override_self(false).mut_args(|mut argument| {
        let id = argument.get_id().clone();
        let is_list = matches!(argument.get_action(), ArgAction::Append);
        if !is_list && !ONCE.contains(&id.as_str()) {
            argument = argument.overrides_with(id);
        }
        let is_switch = matches!(argument.get_action(), ArgAction::SetTrue);
        if is_switch {
            argument = argument.value_parser(BoolishValueParser::new());
        } else if argument.get_action().takes_values() && !argument.is_positional() {
            // A value such as `-1/s` is a wrong value of the flag, not an unknown flag.
            argument = argument.allow_hyphen_values(has_negative);
        }
        let Some(long) = argument.get_long().filter(|long| *long != "help") else {
            return argument;
        };
        let name = variable(long);
        let is_empty = std::env::var_os(&name).is_some_and(|value| says_nothing(&value, is_switch));
        if is_empty || overridden.contains(argument.get_id()) {
            return argument;
        }
        argument.env(name).hide_env(true).hide_env_values(true)
    })
}

/// An environment variable counts as unset if it is empty, as in Compose files, or turns a switch off. An unset
/// variable conflicts with no flag.
fn says_nothing(value: &OsStr, is_switch: bool) -> bool {
    let off = ["0", "false", "f", "no", "n", "off"];
    let value = value.to_string_lossy().to_lowercase();
    value.is_empty() || (is_switch && off.contains(&value.as_str()))
}

/// Either of two conflicting flags may declare the conflict in clap, so that both directions are checked.
fn overridden(mode: &Command, given: &BTreeSet<Id>) -> BTreeSet<Id> {
    let mut overridden = BTreeSet::new();
    if given.is_empty() {
        return overridden;
    }
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

/// `telecmi-cdr help send` and `telecmi-cdr send help` are read as `telecmi-cdr send --help`.
fn with_help_flag(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let is_mode = |word: &OsString| word == "send" || word == "listen";
    match &arguments[..] {
        [_, help, mode, ..] if help == "help" && is_mode(mode) => arguments.swap(1, 2),
        [_, mode, help] if help == "help" && is_mode(mode) => {}
        [_, help] if help == "help" => {}
        [_, help, ..] if help == "help" => {
            arguments.remove(1);
            return arguments;
        }
        _ => return arguments,
    }
    arguments.truncate(arguments.len().min(3) - 1);
    arguments.push("--help".into());
    arguments
}

/// Adds advice to clap's error: the mode of a flag before the mode, and the environment variable of a wrong value.
fn advised(
    mut error: clap::Error,
    command: &mut Command,
    given: &BTreeSet<Id>,
    arguments: &[OsString],
) -> clap::Error {
    let first = arguments.get(1).map(|word| word.to_string_lossy());
    let is_before_mode = first.is_some_and(|word| word.starts_with('-'));
    if let Some(ContextValue::StyledStrs(mut tips)) = error.remove(ContextKind::Suggested) {
        // clap suggests `-- --flag` for an unknown flag of `listen`, which would run a program of that name.
        tips.retain(|tip| !tip.to_string().contains("' as a value, use '"));
        suggest(&mut error, tips);
    }
    let word = |error: &clap::Error, kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.clone()),
        _ => None,
    };
    for kind in [
        ContextKind::InvalidSubcommand,
        ContextKind::InvalidArg,
        ContextKind::InvalidValue,
    ] {
        let Some(url) = word(&error, kind).filter(|word| word.contains([':', '/'])) else {
            continue;
        };
        error.insert(kind, ContextValue::String(masked_url(&url)));
        if kind == ContextKind::InvalidSubcommand {
            let tip = "to send to a URL, run: telecmi-cdr send --url URL";
            suggest(&mut error, vec![tip.into()]);
        }
    }
    let Some(flag) = word(&error, ContextKind::InvalidArg) else {
        return error;
    };
    let long = flag.split([' ', '=']).next().unwrap_or_default();
    let long = long.trim_start_matches('-');
    let is_named = |flag: &Arg| {
        let short = flag.get_short().map(String::from);
        flag.get_long() == Some(long) || short.as_deref() == Some(long)
    };
    let of = |mode: &&Command| mode.get_arguments().any(is_named);
    match error.kind() {
        Refusal::UnknownArgument if is_before_mode => {
            command.build();
            let modes = command.get_subcommands().filter(of).map(Command::get_name);
            let tips = modes.map(|mode| {
                format!("the flag belongs to a mode: telecmi-cdr {mode} {flag}").into()
            });
            suggest(&mut error, tips.collect());
        }
        Refusal::ValueValidation | Refusal::InvalidValue
            if !is_before_mode && !given.contains(long.replace('-', "_").as_str()) =>
        {
            let variable = variable(long);
            if std::env::var_os(&variable).is_some() {
                error.insert(ContextKind::InvalidArg, ContextValue::String(variable));
            }
        }
        _ => {}
    }
    error
}

fn suggest(error: &mut clap::Error, tips: Vec<StyledStr>) {
    if !tips.is_empty() {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
}

const PREFIX: &str = "TELECMI_CDR_";

/// The environment variable of a flag.
fn variable(long: &str) -> String {
    format!("{PREFIX}{}", long.to_uppercase().replace('-', "_"))
}
