//! Colours, decided per stream: the crate `colored` decides globally, by standard output alone, and lets `CLICOLOR_FORCE`
//! override `NO_COLOR`.

use colored::Colorize as _;

/// A `Role` is the meaning of a piece of text, from which `Theme` derives the colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Strong,
    Faint,
    Good,
    Bad,
    Odd,
    Name,
    Text,
    Number,
    Word,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme(bool);

impl Theme {
    pub fn new(coloured: bool) -> Self {
        colored::control::set_override(true);
        Self(coloured)
    }

    pub fn plain() -> Self {
        Self(false)
    }

    /// `Theme::paint` does not escape: received text must have passed through `clean`.
    pub fn paint(self, role: Role, text: &str) -> String {
        if !self.0 {
            return text.to_owned();
        }
        let painted = match role {
            Role::Strong => text.bold(),
            Role::Faint => text.dimmed(),
            Role::Good | Role::Text => text.green(),
            Role::Bad => text.red(),
            Role::Odd => text.yellow(),
            Role::Name => text.blue(),
            Role::Number => text.cyan(),
            Role::Word => text.magenta(),
        };
        painted.to_string()
    }
}

/// The values of `--color`; shell completions show the variants' doc comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Color {
    /// Colours if the output is a terminal and NO_COLOR is not set
    #[default]
    Auto,
    /// Always colours
    Always,
    /// No colours
    Never,
}

/// Colours of a stream are decided in this order: `--color`, `NO_COLOR`, `CLICOLOR_FORCE`, `CLICOLOR` and `TERM`,
/// whether the stream is a terminal.
pub fn is_coloured(
    wish: Color,
    variable: impl Fn(&str) -> Option<String>,
    is_terminal: bool,
) -> bool {
    let is = |name, text: &str| variable(name).is_some_and(|value| value == text);
    let is_set = |name| variable(name).is_some_and(|value| !value.is_empty());
    match wish {
        Color::Always => true,
        Color::Never => false,
        Color::Auto if is_set("NO_COLOR") => false,
        Color::Auto if is_set("CLICOLOR_FORCE") && !is("CLICOLOR_FORCE", "0") => true,
        Color::Auto => is_terminal && !is("CLICOLOR", "0") && !is("TERM", "dumb"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_order_decides() {
        for (wish, around, terminal, expected) in [
            (Color::Always, ["1", "-", "0", "dumb"], false, true),
            (Color::Never, ["-", "1", "-", "-"], true, false),
            (Color::Auto, ["1", "1", "-", "-"], true, false),
            (Color::Auto, ["", "1", "0", "dumb"], false, true),
            (Color::Auto, ["-", "0", "-", "-"], false, false),
            (Color::Auto, ["-", "-", "0", "-"], true, false),
            (Color::Auto, ["-", "-", "-", "dumb"], true, false),
            (Color::Auto, ["-", "-", "-", "xterm"], true, true),
            (Color::Auto, ["-", "-", "-", "xterm"], false, false),
        ] {
            let names = ["NO_COLOR", "CLICOLOR_FORCE", "CLICOLOR", "TERM"];
            let variable = |name: &str| {
                let (_, value) = names
                    .iter()
                    .zip(around)
                    .find(|(known, _)| **known == name)?;
                (value != "-").then(|| value.to_owned())
            };
            assert_eq!(
                is_coloured(wish, variable, terminal),
                expected,
                "{wish:?} {around:?} {terminal}"
            );
        }
    }

    #[test]
    fn painting_puts_codes_around_text_or_nothing() {
        assert_eq!(
            Theme::new(true).paint(Role::Bad, "no"),
            "\u{1b}[31mno\u{1b}[0m"
        );
        assert_eq!(Theme::plain().paint(Role::Bad, "no"), "no");
    }
}
