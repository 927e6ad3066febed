//! What the program can say of itself, and of what TeleCMI delivers, for other programs: completions, a manual page, a
//! schema. Made only when it is asked for.

use clap::ValueEnum;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use serde_json::Value;

use super::help;
use crate::cdr::document;

/// What `--generate` offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Generate {
    /// Completions for bash
    Bash,
    /// Completions for zsh
    Zsh,
    /// Completions for fish
    Fish,
    /// Completions for PowerShell
    Powershell,
    /// Completions for elvish
    Elvish,
    /// The manual page, telecmi-cdr(1)
    Man,
    /// JSON Schema 2020-12 of the body that the webhook delivers
    JsonSchema,
    /// The webhook as OpenAPI 3.1
    Openapi,
}

/// The text of it.
#[must_use]
pub fn text(what: Generate) -> String {
    let bytes = match what {
        Generate::Bash => for_bash(&completions(Shell::Bash)),
        Generate::Zsh => completions(Shell::Zsh),
        Generate::Fish => completions(Shell::Fish),
        Generate::Powershell => completions(Shell::PowerShell),
        Generate::Elvish => completions(Shell::Elvish),
        Generate::Man => manual(),
        Generate::JsonSchema => pretty(&document::json_schema()),
        Generate::Openapi => pretty(&document::openapi()),
    };
    String::from_utf8_lossy(&bytes).into_owned()
}

fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::command(), "telecmi-cdr", &mut script);
    script
}

/// The script for bash with the names mended under which it looks for the modes: its generator takes the hyphen in the
/// program's name for a step down to a mode.
fn for_bash(script: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(script)
        .replace("telecmi__subcmd__cdr", "telecmi__cdr")
        .into_bytes()
}

fn pretty(document: &Value) -> Vec<u8> {
    // A value has string keys alone, and always serialises.
    let mut text = serde_json::to_vec_pretty(document).unwrap_or_default();
    text.push(b'\n');
    text
}

/// One page for the program and both modes.
fn manual() -> Vec<u8> {
    let mut command = super::command();
    command.build();
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    // Writing to memory cannot fail.
    let _ = title().to_writer(&mut page);
    let _ = man.render_name_section(&mut page);
    let _ = synopsis(&command).to_writer(&mut page);
    let _ = man.render_description_section(&mut page);
    let _ = man.render_options_section(&mut page);
    for mode in command.get_subcommands() {
        let _ = about(mode).to_writer(&mut page);
        let mut options = Vec::new();
        let _ = Man::new(mode.clone()).render_options_section(&mut options);
        page.extend(
            String::from_utf8_lossy(&options)
                .replace(".SH ", ".SS ")
                .bytes(),
        );
        let _ = examples(mode).to_writer(&mut page);
    }
    let _ = environment().to_writer(&mut page);
    plain(&String::from_utf8_lossy(&page)).into_bytes()
}

/// The page without the line breaks that stand beside an empty line, which strict readers complain of.
fn plain(page: &str) -> String {
    let lines: Vec<&str> = page.lines().collect();
    let is_space =
        |line: Option<&&str>| line.is_some_and(|line| line.is_empty() || line.starts_with(".sp"));
    let mut text = String::with_capacity(page.len());
    for (n, line) in lines.iter().enumerate() {
        let before = n.checked_sub(1).and_then(|n| lines.get(n));
        if *line != ".br" || !(is_space(before) || is_space(lines.get(n + 1))) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

fn title() -> Roff {
    let mut roff = Roff::new();
    let version = concat!("telecmi-cdr ", env!("CARGO_PKG_VERSION"));
    roff.control("TH", ["TELECMI-CDR", "1", "\"\"", version, "User Commands"]);
    roff
}

fn synopsis(command: &clap::Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    for mode in command.get_subcommands() {
        roff.text([
            bold(format!("telecmi-cdr {}", mode.get_name())),
            roman(" [OPTIONS]"),
        ]);
        roff.control("br", []);
    }
    roff.text([bold("telecmi-cdr --generate"), roman(" WHAT")]);
    roff
}

fn about(mode: &clap::Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [mode.get_name().to_uppercase().as_str()]);
    roff.text([roman(
        mode.get_about()
            .map(ToString::to_string)
            .unwrap_or_default(),
    )]);
    roff
}

/// What stands around the flags in the help of a mode, line by line as it stands there.
fn examples(mode: &clap::Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SS", ["In short"]);
    roff.control("nf", []);
    let around =
        [mode.get_before_help(), mode.get_after_help()].map(|text| text.map(ToString::to_string));
    let text = around.map(Option::unwrap_or_default).join("\n\n");
    // What holds for both modes has a section of its own.
    for line in text.replace(help::TWINS, "").trim_end().lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    roff
}

fn environment() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["ENVIRONMENT"]);
    roff.text([roman(help::TWINS)]);
    roff
}
