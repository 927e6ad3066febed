//! The last lines of a tunnel program, with secrets masked and safe for a terminal. Pure.

use std::collections::VecDeque;

use serde_json::Value;

use super::Tunnel;
use super::parse::is_ssh_debug;
use crate::net::secret::{MASK, is_secret_name, masked_url};
use crate::untrusted::{beginning, clean};

/// Lines that are kept.
const MAX_LINES: usize = 12;

/// Characters that are shown of a line.
const MAX_CHARS: usize = 300;

/// The last lines of a program's output.
#[derive(Debug, Clone, Default)]
pub struct LogTail(VecDeque<String>);

impl LogTail {
    /// Adds a line, and returns the shown form if there is one.
    pub fn push(&mut self, tunnel: &Tunnel, line: &str) -> Option<String> {
        let line = shown(tunnel, line)?;
        if self.0.len() == MAX_LINES {
            self.0.pop_front();
        }
        self.0.push_back(line.clone());
        Some(line)
    }

    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }
}

/// The shown form of a line: without noise and secrets, and safe for a terminal. `None` if nothing is left.
fn shown(tunnel: &Tunnel, line: &str) -> Option<String> {
    let line = match tunnel {
        Tunnel::Ssh { .. } if is_ssh_debug(line) => return None,
        Tunnel::Cloudflared
            if line.contains("Configuration file") && line.contains("was empty") =>
        {
            return None;
        }
        Tunnel::Ngrok => from_record(line),
        _ => line.to_owned(),
    };
    let line = masked(line.trim());
    (!line.is_empty()).then(|| clean(&beginning(&line, MAX_CHARS)))
}

/// The message and error of a record in ngrok's log; any other line as it is.
fn from_record(line: &str) -> String {
    let Ok(Value::Object(record)) = serde_json::from_str::<Value>(line) else {
        return line.to_owned();
    };
    let text = |name: &str| {
        record
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let said: Vec<_> = [text("msg"), text("err").filter(|text| *text != "<nil>")]
        .into_iter()
        .flatten()
        .collect();
    // ngrok's errors have line breaks.
    said.join(": ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// Masks secrets in URLs, after `name=` and after `name:`.
fn masked(line: &str) -> String {
    let mut masked = String::with_capacity(line.len());
    let mut secret_follows = false;
    for piece in line.split_inclusive(' ') {
        let word = piece.trim_end();
        let (name, value) = word.split_once(['=', ':']).unwrap_or((word, ""));
        let name_alone = name.trim_matches(['"', '\'', '-']);
        let is_name = name_alone
            .chars()
            .all(|c| c.is_alphanumeric() || "-_.".contains(c));
        let is_secret = is_name && is_secret_name(name_alone);
        if word.is_empty() {
            masked.push_str(piece);
            continue;
        }
        if secret_follows && could_be_secret(word) {
            masked.push_str(MASK);
        } else if is_secret && !value.is_empty() {
            masked.push_str(&word[..=name.len()]);
            masked.push_str(MASK);
        } else if word.contains("://") || word.contains(['?', '&']) {
            masked.push_str(&masked_url(word));
        } else {
            masked.push_str(word);
        }
        secret_follows = is_secret && value.is_empty() && word.len() > name.len();
        masked.push_str(&piece[word.len()..]);
    }
    masked
}

/// Whether a word after `token:` may be a token: the words of a sentence are shorter, and have no digits.
fn could_be_secret(word: &str) -> bool {
    word.len() >= 20 || word.contains(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(tunnel: &Tunnel, lines: &[&str]) -> Vec<String> {
        let mut words = LogTail::default();
        for line in lines {
            words.push(tunnel, line);
        }
        words.lines()
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let lines: Vec<_> = (0..100).map(|n| n.to_string()).collect();
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let said = said(&Tunnel::Cloudflared, &lines);
        assert_eq!(
            (said.len(), said[0].as_str(), said[11].as_str()),
            (12, "88", "99")
        );
    }

    #[test]
    fn hostile_words_are_harmless_and_long_ones_cut() {
        let words = said(
            &Tunnel::Cloudflared,
            &["\u{1b}[2Jgone\u{7}", " ", "", &"x".repeat(1_000)],
        );
        assert_eq!(
            (words.len(), words[0].as_str()),
            (2, "\\u{1b}[2Jgone\\u{7}")
        );
        assert_eq!(words[1].chars().count(), MAX_CHARS + 1);
    }

    #[test]
    fn secrets_are_masked() {
        for (line, shown) in [
            ("authtoken: 2abcdef is wrong", "authtoken: *** is wrong"),
            ("--authtoken=2abcdef", "--authtoken=***"),
            ("token:2abcdef x", "token:*** x"),
            (
                "see https://u:p@h.example/?token=abc now",
                "see https://***@h.example/?token=*** now",
            ),
            ("the token is missing", "the token is missing"),
            ("a=1 b:2", "a=1 b:2"),
            (
                r#""auth","err":"no account""#,
                r#""auth","err":"no account""#,
            ),
            (r#""token": "2abc""#, r#""token": ***"#),
        ] {
            assert_eq!(masked(line), shown);
        }
    }

    #[test]
    fn records_and_chatter_are_made_readable() {
        let failed = r#"{"lvl":"eror","msg":"failed to auth","err":"Usage requires an authtoken.\n\nERR_NGROK_4018\r\n"}"#;
        assert_eq!(
            said(&Tunnel::Ngrok, &[failed]),
            ["failed to auth: Usage requires an authtoken. ERR_NGROK_4018"]
        );
        let ssh = Tunnel::Ssh {
            host: "h".into(),
            remote_port: None,
        };
        assert_eq!(
            said(
                &ssh,
                &[
                    "debug1: x",
                    "OpenSSH_9.2p1",
                    "Permission denied (publickey)."
                ]
            ),
            ["Permission denied (publickey)."]
        );
    }
}
