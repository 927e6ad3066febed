//! Lists the supported tunnel programs: their documented command lines, hints, and which lines of their output are
//! shown.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZero;
use std::str::FromStr;

use serde_json::Value;

use crate::net::secret::{MASK, is_secret_name, masked_url};
use crate::untrusted::{beginning, clean};

/// An empty configuration replaces the user's cloudflared configuration, whose ingress rules would answer 404 to each
/// request.
const EMPTY_FILE: &str = if cfg!(windows) { "NUL" } else { "/dev/null" };

const BORE_SERVER: &str = "bore.pub";

/// ssh runs without prompts, with keepalives, and without a shared master connection, which would outlive this process.
const SSH: &str = "ssh -N -T -v -o BatchMode=yes -o ExitOnForwardFailure=yes -o ServerAliveInterval=15 \
    -o ControlMaster=no -o ControlPath=none";

const MAX_CHARS: usize = 300;

const SSH_DEBUG: [&str; 5] = [
    "debug1: ",
    "OpenSSH_",
    "Authenticated to ",
    "Transferred: ",
    "Bytes per second: ",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tunnel {
    Cloudflared,
    Ngrok,
    Bore {
        /// The bore server; `None` is the server in the variable `BORE_SERVER`, or bore's public server.
        server: Option<String>,
    },
    Ssh {
        /// The ssh host is a name, an address or an alias in the ssh configuration, with or without `USER@`.
        host: String,
        /// The forwarded port on the ssh host; `None` lets the ssh server choose.
        remote_port: Option<u16>,
    },
    /// In the shell command line of `--tunnel-cmd`, `{port}` and `{url}` are replaced by the listener's.
    Command(String),
}

impl FromStr for Tunnel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "cloudflared" => Ok(Self::Cloudflared),
            None if text == "ngrok" => Ok(Self::Ngrok),
            None if text == "bore" => Ok(Self::Bore { server: None }),
            Some(("bore", server)) => Ok(Self::Bore {
                server: Some(host(server)?),
            }),
            Some(("ssh", place)) => ssh(place),
            _ => Err(
                "expected cloudflared, ngrok, bore, bore:SERVER, ssh:HOST or ssh:USER@HOST:PORT; \
                 --tunnel-cmd starts any other program"
                    .to_owned(),
            ),
        }
    }
}

/// Parses `[USER@]HOST[:PORT]`. The port is the forwarded port, not that of the ssh server.
fn ssh(place: &str) -> Result<Tunnel, String> {
    let (user, place) = match place.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, place),
    };
    let bracketed = place
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'));
    let (name, port) = match bracketed.or(place.split_once(':')) {
        Some((address, rest)) if bracketed.is_some() => (address, rest.strip_prefix(':')),
        Some((name, port)) => (name, Some(port)),
        None => (place, None),
    };
    let remote_port = port
        .map(str::parse::<NonZero<u16>>)
        .transpose()
        .map_err(|_| "expected a port number from 1 to 65535")?
        .map(NonZero::get);
    let name = host(name)?;
    let host = match user {
        Some(user) => format!("{}@{name}", host(user)?),
        None => name,
    };
    Ok(Tunnel::Ssh { host, remote_port })
}

/// Checks the host name of a tunnel server: `ssh` or `bore` would take a leading dash for an option.
fn host(name: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:%+".contains(c);
    if name.is_empty() {
        Err("the host is missing".to_owned())
    } else if name.starts_with('-') || !name.chars().all(plain) {
        Err("not a valid host name".to_owned())
    } else {
        Ok(name.to_owned())
    }
}

impl fmt::Display for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cloudflared => "cloudflared",
            Self::Ngrok => "ngrok",
            Self::Bore { .. } => "bore",
            Self::Ssh { .. } => "ssh",
            Self::Command(_) => "the program of --tunnel-cmd",
        })
    }
}

impl Tunnel {
    /// Returns the tunnel program and its arguments, for a listener at `local`. `metrics_port` is a free port for
    /// cloudflared's API.
    pub(super) fn command_line(&self, local: SocketAddr, metrics_port: u16) -> Vec<String> {
        let (ip, port) = (local.ip(), local.port());
        // Host names have no spaces, so that the command line can be split at spaces.
        let line = match self {
            Self::Cloudflared => format!(
                "cloudflared tunnel --config {EMPTY_FILE} --no-autoupdate --metrics 127.0.0.1:{metrics_port} \
                 --url http://{local}"
            ),
            Self::Ngrok => format!("ngrok http {local} --log stdout --log-format json"),
            Self::Bore { server } => {
                // bore reads `BORE_SERVER` only if `--to` is absent.
                let has_default = std::env::var_os("BORE_SERVER").is_some();
                let server = server.as_deref().or((!has_default).then_some(BORE_SERVER));
                let to = server.map_or(String::new(), |server| format!(" --to {server}"));
                format!("bore local {port} --local-host {ip}{to}")
            }
            // In `ssh -R`, the address `*` asks for a port on all interfaces; the server's `GatewayPorts` decides.
            Self::Ssh { host, remote_port } => {
                let remote_port = remote_port.unwrap_or(0);
                format!("{SSH} -R *:{remote_port}:{local} -- {host}")
            }
            Self::Command(line) => {
                let [shell, flag] = if cfg!(windows) {
                    ["cmd", "/C"]
                } else {
                    ["sh", "-c"]
                };
                let line = line
                    .replace("{port}", &port.to_string())
                    .replace("{url}", &format!("http://{local}"));
                return vec![shell.to_owned(), flag.to_owned(), line];
            }
        };
        line.split(' ').map(str::to_owned).collect()
    }

    pub(super) fn hint_if_missing(&self, local: SocketAddr) -> String {
        format!(
            "install {self} and put it into PATH; or open a tunnel to {local} yourself, and add --public-url URL"
        )
    }

    pub(super) fn hint(&self, local: SocketAddr) -> String {
        match self {
            Self::Cloudflared => {
                format!("to see its whole output, run: cloudflared tunnel --url http://{local}")
            }
            Self::Ngrok => {
                format!(
                    "ngrok needs an account: run ngrok config add-authtoken TOKEN; to see its \
                    whole output, run: ngrok http {local}"
                )
            }
            Self::Bore { server } => {
                let server = server.as_deref().unwrap_or(BORE_SERVER);
                format!(
                    "to see its whole output, run: bore local {} --to {server}",
                    local.port()
                )
            }
            Self::Ssh { host, remote_port } => format!(
                "ssh must connect without a prompt; to try it, run: ssh -N -R {}:{local} {host}",
                remote_port.unwrap_or(0)
            ),
            Self::Command(_) => {
                "the command must print its public URL and keep running; if it prints no URL, add \
                 --public-url"
                    .to_owned()
            }
        }
    }
}

pub(super) fn is_ssh_debug(line: &str) -> bool {
    SSH_DEBUG
        .iter()
        .any(|beginning| line.starts_with(beginning))
}

/// Returns a line of the tunnel program's output as shown: secrets masked, escaped for the terminal, shortened. Returns
/// `None` for an empty line or debug output.
pub(super) fn shown(tunnel: &Tunnel, line: &str) -> Option<String> {
    let is_noise = match tunnel {
        Tunnel::Ssh { .. } => is_ssh_debug(line),
        Tunnel::Cloudflared => line.contains("Configuration file") && line.contains("was empty"),
        _ => false,
    };
    let line = match tunnel {
        Tunnel::Ngrok => ngrok_message(line),
        _ => line.trim().to_owned(),
    };
    let line = masked(&line);
    (!is_noise && !line.is_empty()).then(|| clean(&beginning(&line, MAX_CHARS)))
}

/// Returns the message and error of a record in ngrok's log, and any other line unchanged.
fn ngrok_message(line: &str) -> String {
    let Ok(Value::Object(record)) = serde_json::from_str(line) else {
        return line.trim().to_owned();
    };
    let texts =
        ["msg", "err"].map(|name| record.get(name).and_then(Value::as_str).unwrap_or_default());
    let said: Vec<_> = texts
        .into_iter()
        .filter(|text| !matches!(*text, "" | "<nil>"))
        .collect();
    // Texts of ngrok's errors contain line breaks.
    said.join(": ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// Masks secrets in URLs, after `name=` and after `name:`.
fn masked(line: &str) -> String {
    let mut secret_follows = false;
    let mask = |word: &str| {
        if word.is_empty() {
            return String::new();
        }
        let (name, value) = word.split_once(['=', ':']).unwrap_or((word, ""));
        let bare_name = name.trim_matches(['"', '\'', '-']);
        let is_name = bare_name
            .chars()
            .all(|c| c.is_alphanumeric() || "-_.".contains(c));
        let is_secret = is_name && is_secret_name(bare_name);
        let ends_in_name = is_secret && value.is_empty() && word.len() > name.len();
        let follows_name = std::mem::replace(&mut secret_follows, ends_in_name);
        // In `token: is missing` the next word is no token: tokens are longer or have digits.
        let may_be_token = word.len() >= 20 || word.contains(|c: char| c.is_ascii_digit());
        if follows_name && may_be_token {
            MASK.to_owned()
        } else if is_secret && !value.is_empty() {
            format!("{}{MASK}", &word[..=name.len()])
        } else if word.contains("://") || word.contains(['?', '&']) {
            masked_url(word)
        } else {
            word.to_owned()
        }
    };
    line.split(' ').map(mask).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tunnels_are_named_as_documented() {
        for (text, tunnel) in [
            ("cloudflared", Tunnel::Cloudflared),
            ("ngrok", Tunnel::Ngrok),
            ("bore", Tunnel::Bore { server: None }),
            (
                "bore:bore.example",
                Tunnel::Bore {
                    server: Some("bore.example".into()),
                },
            ),
            (
                "ssh:h.example",
                Tunnel::Ssh {
                    host: "h.example".into(),
                    remote_port: None,
                },
            ),
            (
                "ssh:me@h.example:80",
                Tunnel::Ssh {
                    host: "me@h.example".into(),
                    remote_port: Some(80),
                },
            ),
            (
                "ssh:[2001:db8::1]:81",
                Tunnel::Ssh {
                    host: "2001:db8::1".into(),
                    remote_port: Some(81),
                },
            ),
            (
                "ssh:me@[::1]",
                Tunnel::Ssh {
                    host: "me@::1".into(),
                    remote_port: None,
                },
            ),
        ] {
            assert_eq!(text.parse(), Ok(tunnel), "{text}");
        }
    }

    #[test]
    fn what_could_be_an_option_or_a_script_is_no_host() {
        for text in [
            "",
            "ssh",
            "ssh:",
            "ssh:-oProxyCommand=x",
            "ssh:-l@h",
            "ssh:h:0",
            "ssh:h:x",
            "ssh:h:99999",
            "ssh:a b",
            "ssh:a;b",
            "bore:",
            "bore:--secret",
            "ngrok:x",
            "localtunnel",
        ] {
            assert!(text.parse::<Tunnel>().is_err(), "{text}");
        }
    }

    #[test]
    fn each_is_started_as_its_documentation_says() {
        let local = "127.0.0.1:8237".parse().unwrap();
        let line = |tunnel: &str| {
            tunnel
                .parse::<Tunnel>()
                .unwrap()
                .command_line(local, 9)
                .join(" ")
        };
        assert_eq!(
            line("cloudflared"),
            format!(
                "cloudflared tunnel --config {EMPTY_FILE} --no-autoupdate --metrics 127.0.0.1:9 --url http://127.0.0.1:8237"
            )
        );
        assert_eq!(
            line("ngrok"),
            "ngrok http 127.0.0.1:8237 --log stdout --log-format json"
        );
        assert_eq!(
            line("bore:b.example"),
            "bore local 8237 --local-host 127.0.0.1 --to b.example"
        );
        assert!(
            line("ssh:me@h").ends_with(" -R *:0:127.0.0.1:8237 -- me@h"),
            "{}",
            line("ssh:me@h")
        );
        assert!(line("ssh:h:80").contains(" -R *:80:127.0.0.1:8237 "));
        let own = Tunnel::Command("x {port} {url} {port}".into()).command_line(local, 9);
        assert_eq!(own[2], "x 8237 http://127.0.0.1:8237 8237");
    }

    fn all_shown(tunnel: &Tunnel, lines: &[&str]) -> Vec<String> {
        lines
            .iter()
            .filter_map(|line| shown(tunnel, line))
            .collect()
    }

    #[test]
    fn hostile_words_are_harmless_and_long_ones_cut() {
        let words = all_shown(
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
            all_shown(&Tunnel::Ngrok, &[failed]),
            ["failed to auth: Usage requires an authtoken. ERR_NGROK_4018"]
        );
        let ssh = Tunnel::Ssh {
            host: "h".into(),
            remote_port: None,
        };
        assert_eq!(
            all_shown(
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
