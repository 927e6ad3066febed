//! Colour as a value. The only file that knows `colored`.
//!
//! `colored` decides globally, by standard output alone, and lets `CLICOLOR_FORCE` beat `NO_COLOR`. So we decide
//! ourselves, once for each stream, and ask `colored` only for the codes, which are then kept: painting a word is
//! joining three strings.

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

const ROLES: [Role; 9] = [
    Role::Strong,
    Role::Faint,
    Role::Good,
    Role::Bad,
    Role::Odd,
    Role::Name,
    Role::Text,
    Role::Number,
    Role::Word,
];

/// The codes before and after each role's text; empty strings where there is no colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    codes: [(String, String); ROLES.len()],
}

impl Theme {
    /// A theme with colours, or without.
    #[must_use]
    pub fn new(coloured: bool) -> Self {
        if !coloured {
            return Self {
                codes: Default::default(),
            };
        }
        colored::control::set_override(true);
        let codes = ROLES.map(|role| {
            let painted = match role {
                Role::Strong => "\0".bold(),
                Role::Faint => "\0".dimmed(),
                Role::Good => "\0".green(),
                Role::Bad => "\0".red(),
                Role::Odd => "\0".yellow(),
                Role::Name => "\0".blue(),
                Role::Text => "\0".green(),
                Role::Number => "\0".cyan(),
                Role::Word => "\0".magenta(),
            }
            .to_string();
            let (before, after) = painted.split_once('\0').unwrap_or_default();
            (before.to_owned(), after.to_owned())
        });
        Self { codes }
    }

    /// A theme without colours.
    #[must_use]
    pub fn plain() -> Self {
        Self::new(false)
    }

    /// Text in the colour of its role. The text must be our own, or cleaned.
    #[must_use]
    pub fn paint(&self, role: Role, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + 10);
        self.paint_into(&mut out, role, text);
        out
    }

    /// The same, at the end of a text.
    pub fn paint_into(&self, out: &mut String, role: Role, text: &str) {
        self.painted(out, role, |out| out.push_str(text));
    }

    /// The same with what somebody writes there.
    pub fn painted(&self, out: &mut String, role: Role, write: impl FnOnce(&mut String)) {
        let (before, after) = &self.codes[role as usize];
        out.push_str(before);
        write(out);
        out.push_str(after);
    }
}

/// What a user may say about colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Colour {
    /// As the environment and the stream suggest.
    #[default]
    Auto,
    /// In any case.
    Always,
    /// In no case.
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
pub fn decide(wish: Colour, surroundings: &Surroundings, is_terminal: bool) -> bool {
    let set =
        |variable: &Option<String>| variable.as_deref().is_some_and(|value| !value.is_empty());
    match wish {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto if set(&surroundings.no_color) => false,
        Colour::Auto
            if set(&surroundings.clicolor_force)
                && surroundings.clicolor_force.as_deref() != Some("0") =>
        {
            true
        }
        Colour::Auto => {
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
            (Colour::Always, ("1", "-", "0", "dumb"), false, true),
            (Colour::Never, ("-", "1", "-", "-"), true, false),
            (Colour::Auto, ("1", "1", "-", "-"), true, false),
            (Colour::Auto, ("", "1", "0", "dumb"), false, true),
            (Colour::Auto, ("-", "0", "-", "-"), false, false),
            (Colour::Auto, ("-", "-", "0", "-"), true, false),
            (Colour::Auto, ("-", "-", "-", "dumb"), true, false),
            (Colour::Auto, ("-", "-", "-", "xterm"), true, true),
            (Colour::Auto, ("-", "-", "-", "xterm"), false, false),
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
