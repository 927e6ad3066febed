//! Adds advice to clap's usage errors.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind as Refusal};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, Id};

use crate::net::secret::masked_url;

/// `telecmi-cdr help send` and `telecmi-cdr send help` are read as `telecmi-cdr send --help`.
pub fn with_help_flag(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let is_mode = |word: &OsString| word == "send" || word == "listen";
    match &arguments[..] {
        [_, help, mode] if help == "help" && is_mode(mode) => arguments.swap(1, 2),
        [_, mode, help] if help == "help" && is_mode(mode) => {}
        [_, help] if help == "help" => {}
        _ => return arguments,
    }
    arguments.pop();
    arguments.push("--help".into());
    arguments
}

/// Adds advice to clap's error: the mode of a flag before the mode, and the environment variable of a wrong value.
pub fn advised(
    mut error: clap::Error,
    command: &Command,
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
    for kind in [ContextKind::InvalidSubcommand, ContextKind::InvalidArg] {
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
            let modes = command.get_subcommands().filter(of).map(Command::get_name);
            let tips = modes.map(|mode| {
                format!("the flag belongs to a mode: telecmi-cdr {mode} {flag}").into()
            });
            suggest(&mut error, tips.collect());
        }
        Refusal::ValueValidation | Refusal::InvalidValue
            if !is_before_mode && !given.contains(long.replace('-', "_").as_str()) =>
        {
            let variable = ContextValue::String(variable(long));
            error.insert(ContextKind::InvalidArg, variable);
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

/// The environment variable of a flag.
pub fn variable(long: &str) -> String {
    format!("TELECMI_CDR_{}", long.to_uppercase().replace('-', "_"))
}

/// The name of a flag in an error: the environment variable if the value comes from there.
pub fn named(matches: &ArgMatches, flag: &str) -> String {
    let id = flag.trim_start_matches('-').replace('-', "_");
    match matches.value_source(&id) {
        Some(ValueSource::EnvVariable) => variable(&id),
        _ => flag.to_owned(),
    }
}
