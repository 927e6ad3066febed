//! Colour as a value, decided once for each stream: `colored` would decide globally, by standard output alone, and lets
//! `CLICOLOR_FORCE` beat `NO_COLOR`.

use colored::Colorize as _;

/// What a piece of text is, which decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// What one looks for first.
    Strong,
    /// What one may pass over.
    Faint,
    /// It went well.
    Good,
    /// It did not.
    Bad,
    /// Worth a look.
    Odd,
    /// A field's name.
    Name,
    /// A string value.
    Text,
    /// A number.
    Number,
    /// `true`, `false`, `null`.
    Word,
}

/// Whether there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme(bool);

impl Theme {
    /// A theme with colours, or without.
    #[must_use]
    pub fn new(coloured: bool) -> Self {
        // `colored` decides by standard output alone; `Theme` decides for each stream.
        colored::control::set_override(true);
        Self(coloured)
    }

    /// A theme without colours.
    #[must_use]
    pub fn plain() -> Self {
        Self(false)
    }

    /// Text in the colour of its role. The text must be our own, or cleaned.
    #[must_use]
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

/// The values of `--color`; completions show the comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Color {
    /// As the environment and the stream suggest
    #[default]
    Auto,
    /// In any case
    Always,
    /// In no case
    Never,
}

/// What the environment says about colour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// `NO_COLOR`.
    pub no_color: Option<String>,
    /// `CLICOLOR_FORCE`.
    pub clicolor_force: Option<String>,
    /// `CLICOLOR`.
    pub clicolor: Option<String>,
    /// `TERM`.
    pub term: Option<String>,
}

impl Surroundings {
    /// Reads the four variables.
    #[must_use]
    pub fn read() -> Self {
        let variable = |name| std::env::var(name).ok();
        Self {
            no_color: variable("NO_COLOR"),
            clicolor_force: variable("CLICOLOR_FORCE"),
            clicolor: variable("CLICOLOR"),
            term: variable("TERM"),
        }
    }
}

/// Whether a stream gets colours: the flag decides, then `NO_COLOR`, `CLICOLOR_FORCE`, `CLICOLOR` and `TERM`, then
/// whether this very stream is a terminal.
#[must_use]
pub fn decide(wish: Color, surroundings: &Surroundings, is_terminal: bool) -> bool {
    let set =
        |variable: &Option<String>| variable.as_deref().is_some_and(|value| !value.is_empty());
    match wish {
        Color::Always => true,
        Color::Never => false,
        Color::Auto if set(&surroundings.no_color) => false,
        Color::Auto
            if set(&surroundings.clicolor_force)
                && surroundings.clicolor_force.as_deref() != Some("0") =>
        {
            true
        }
        Color::Auto => {
            let dumb = surroundings.clicolor.as_deref() == Some("0")
                || surroundings.term.as_deref() == Some("dumb");
            is_terminal && !dumb
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings(no_color: &str, force: &str, clicolor: &str, term: &str) -> Surroundings {
        let set = |text: &str| (text != "-").then(|| text.to_owned());
        Surroundings {
            no_color: set(no_color),
            clicolor_force: set(force),
            clicolor: set(clicolor),
            term: set(term),
        }
    }

    #[test]
    fn the_documented_order_decides() {
        for (wish, around, terminal, expected) in [
            (Color::Always, ("1", "-", "0", "dumb"), false, true),
            (Color::Never, ("-", "1", "-", "-"), true, false),
            (Color::Auto, ("1", "1", "-", "-"), true, false),
            (Color::Auto, ("", "1", "0", "dumb"), false, true),
            (Color::Auto, ("-", "0", "-", "-"), false, false),
            (Color::Auto, ("-", "-", "0", "-"), true, false),
            (Color::Auto, ("-", "-", "-", "dumb"), true, false),
            (Color::Auto, ("-", "-", "-", "xterm"), true, true),
            (Color::Auto, ("-", "-", "-", "xterm"), false, false),
        ] {
            let around_them = surroundings(around.0, around.1, around.2, around.3);
            assert_eq!(
                decide(wish, &around_them, terminal),
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
