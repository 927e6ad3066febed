//! The supported tunnel programs: their documented command lines and hints, which lines of their output are shown, and
//! what the output means.
//!
//! Tunnel programs print other URLs beside the public one, so that each program has patterns of its own.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZero;
use std::str::FromStr;

use serde_json::Value;

use crate::listen::redact::hide_secrets;
use crate::net::Destination;
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
    let (user, place) = place.split_at(place.rfind('@').map_or(0, |at| at + 1));
    let bracketed = place.strip_prefix('[').unwrap_or_default();
    let (name, port) = match (bracketed.split_once(']'), place.split_once(':')) {
        (Some((address, rest)), _) => (address, rest.strip_prefix(':')),
        (None, Some((name, port))) => (name, Some(port)),
        (None, None) => (place, None),
    };
    let remote_port = port.map(str::parse::<NonZero<u16>>).transpose();
    let remote_port = remote_port.map_err(|_| "expected a port number from 1 to 65535")?;
    if let Some(user) = user.strip_suffix('@') {
        host(user)?;
    }
    Ok(Tunnel::Ssh {
        host: format!("{user}{}", host(name)?),
        remote_port: remote_port.map(NonZero::get),
    })
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
    /// Returns the tunnel program and its arguments, for a listener at `local`.
    pub(super) fn command_line(&self, local: SocketAddr) -> Vec<String> {
        let (ip, port) = (local.ip(), local.port());
        // Host names have no spaces, so that the command line can be split at spaces.
        let line = match self {
            Self::Cloudflared => format!(
                "cloudflared tunnel --config {EMPTY_FILE} --no-autoupdate --loglevel info --url http://{local}"
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
                let line = line.replace("{port}", &port.to_string());
                let line = line.replace("{url}", &format!("http://{local}"));
                let shell = if cfg!(windows) { "cmd /C" } else { "sh -c" };
                let words = shell.split(' ').map(str::to_owned);
                return words.chain([line]).collect();
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
        let try_it = "to see its whole output, run:";
        match self {
            Self::Cloudflared => format!("{try_it} cloudflared tunnel --url http://{local}"),
            Self::Ngrok => {
                let account = "ngrok needs an account: run ngrok config add-authtoken TOKEN";
                format!("{account}; {try_it} ngrok http {local}")
            }
            Self::Bore { server } => {
                let server = server.as_deref().unwrap_or(BORE_SERVER);
                format!("{try_it} bore local {} --to {server}", local.port())
            }
            Self::Ssh { host, remote_port } => format!(
                "ssh must connect without a prompt; to try it, run: ssh -N -R {}:{local} {host}",
                remote_port.unwrap_or(0)
            ),
            Self::Command(_) => "the command must print its public URL and keep running; if it \
                prints no URL, add --public-url"
                .to_owned(),
        }
    }
}

pub(super) fn is_ssh_debug(line: &str) -> bool {
    SSH_DEBUG.iter().any(|start| line.starts_with(start))
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
    (!is_noise && !line.is_empty()).then(|| clean(&beginning(&line, MAX_CHARS)).into_owned())
}

/// Returns the message and error of a record in ngrok's log, and any other line unchanged.
fn ngrok_message(line: &str) -> String {
    let Ok(Value::Object(record)) = serde_json::from_str(line) else {
        return line.trim().to_owned();
    };
    let texts = ["msg", "err"].map(|name| record.get(name)?.as_str());
    let mut texts: Vec<_> = texts.into_iter().flatten().collect();
    texts.retain(|text| !matches!(*text, "" | "<nil>"));
    // Texts of ngrok's errors contain line breaks.
    let said = texts.join(": ");
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Masks secrets in JSON, in URLs, after `name=` and after `name:`.
fn masked(line: &str) -> String {
    let mut record = serde_json::from_str(line).unwrap_or(Value::Null);
    hide_secrets("", &mut record);
    let text = record.to_string();
    let line = if record.is_object() { &text } else { line };
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

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    Url(String),
    Connected,
}

/// Parses a line of a tunnel program's output. `local` is the listener's address, `host` the host of an ssh tunnel.
pub fn update(tunnel: &Tunnel, line: &str, local: SocketAddr, host: &str) -> Option<Update> {
    let first_public = || urls(line).find_map(|url| public(url, local));
    let url = match tunnel {
        Tunnel::Cloudflared if line.contains("Registered tunnel connection") => {
            return Some(Update::Connected);
        }
        Tunnel::Cloudflared => urls(line).find_map(quick_tunnel),
        Tunnel::Ngrok => ngrok(&serde_json::from_str(line).ok()?),
        Tunnel::Bore { .. } => {
            let place = line.split_once("listening at ")?.1;
            let is_end = |c: char| c.is_whitespace() || c.is_control();
            let place = place.split(is_end).next()?;
            place.rsplit_once(':')?.1.parse::<u16>().ok()?;
            public(&format!("http://{place}"), local)
        }
        Tunnel::Ssh { remote_port, .. } => {
            let port = if let Some(rest) = line.strip_prefix("Allocated port ") {
                rest.split_once(" for remote forward to ")?.0.parse().ok()
            } else if line.starts_with("debug1: remote forward success for: listen ") {
                *remote_port
            } else if is_ssh_debug(line) {
                None
            } else {
                return first_public().map(Update::Url);
            };
            let port = port?;
            let is_ipv6 = host.contains(':');
            origin(&if is_ipv6 {
                format!("http://[{host}]:{port}")
            } else {
                format!("http://{host}:{port}")
            })
        }
        Tunnel::Command(_) => first_public(),
    };
    url.map(Update::Url)
}

/// The URL of a Cloudflare quick tunnel is `https://NAME.trycloudflare.com`; the name `api` belongs to the service that
/// creates quick tunnels.
fn quick_tunnel(url: &str) -> Option<String> {
    let destination = Destination::parse(url).ok()?;
    let host = destination.host();
    let name = host.strip_suffix(".trycloudflare.com")?;
    (destination.is_tls() && !name.is_empty() && name != "api").then(|| format!("https://{host}"))
}

/// The record of ngrok's log that has the public URL: `{"msg":"started tunnel","url":"…"}`.
fn ngrok(record: &Value) -> Option<String> {
    let text = |name: &str| record.get(name).and_then(Value::as_str);
    text("url")
        .filter(|_| text("msg") == Some("started tunnel"))
        .and_then(origin)
}

fn public(url: &str, local: SocketAddr) -> Option<String> {
    let destination = Destination::parse(url).ok()?;
    let is_ours = destination.is_loopback() && destination.port() == local.port();
    if is_ours { None } else { origin(url) }
}

pub fn origin(url: &str) -> Option<String> {
    Some(Destination::parse(url).ok()?.origin())
}

fn urls(line: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| c.is_whitespace() || c.is_control() || "\"'`<>|()[]{}\\".contains(c);
    let lower = line.to_ascii_lowercase();
    let starts: Vec<_> = lower.match_indices("http").map(|(at, _)| at).collect();
    starts.into_iter().map(move |start| {
        let url = line[start..].split(ends).next().unwrap_or_default();
        url.trim_end_matches(['.', ',', ';', ':', '!'])
    })
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
                .command_line(local)
                .join(" ")
        };
        assert_eq!(
            line("cloudflared"),
            format!(
                "cloudflared tunnel --config {EMPTY_FILE} --no-autoupdate --loglevel info --url http://127.0.0.1:8237"
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
        let own = Tunnel::Command("x {port} {url} {port}".into()).command_line(local);
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
            (
                r#"{"lvl":"info","authtoken":"2a b","u":[{"pin":7}],"url":"https://h.example/?token=abc"}"#,
                r#"{"lvl":"info","authtoken":"***","u":[{"pin":"***"}],"url":"https://h.example/?token=***"#,
            ),
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

    fn parsed(tunnel: &str, line: &str) -> Option<Update> {
        let tunnel = match tunnel.parse() {
            Ok(tunnel) => tunnel,
            Err(_) => Tunnel::Command(tunnel.to_owned()),
        };
        update(
            &tunnel,
            line,
            "127.0.0.1:8237".parse().unwrap(),
            "h.example",
        )
    }

    fn url(text: &str) -> Update {
        Update::Url(text.to_owned())
    }

    #[test]
    fn cloudflared_draws_a_box_around_its_url() {
        let parsed = |line| parsed("cloudflared", line);
        assert_eq!(
            parsed("2026-01-16T08:32:58Z INF |  https://oak-pine-elm.trycloudflare.com      |"),
            Some(url("https://oak-pine-elm.trycloudflare.com"))
        );
        assert_eq!(
            parsed("2026-08-05T04:27:02Z INF Registered tunnel connection connIndex=0 event=0"),
            Some(Update::Connected)
        );
        for line in [
            "INF Requesting new quick Tunnel on trycloudflare.com...",
            "failed to request quick Tunnel: Post \"https://api.trycloudflare.com/tunnel\": dial tcp: no such host",
            "see https://developers.cloudflare.com/cloudflare-one/connections/connect-apps",
            "INF Settings: map[no-autoupdate:true url:http://127.0.0.1:8237]",
            "https://.trycloudflare.com http://x.trycloudflare.com https://x.trycloudflare.com.evil.example",
        ] {
            assert_eq!(parsed(line), None, "{line}");
        }
    }

    #[test]
    fn ngrok_logs_records() {
        let parsed = |line| parsed("ngrok", line);
        let started = r#"{"addr":"http://127.0.0.1:8237","lvl":"info","msg":"started tunnel","url":"https://ab12.example"}"#;
        assert_eq!(parsed(started), Some(url("https://ab12.example")));
        for line in [
            r#"{"msg":"started tunnel","url":"tcp://0.tcp.example:1"}"#,
            r#"{"msg":"other","url":"https://ab12.example"}"#,
            "https://ab12.example",
            r#"{"msg":7}"#,
        ] {
            assert_eq!(parsed(line), None, "{line}");
        }
    }

    #[test]
    fn bore_listens_at_a_port_of_its_server() {
        let parsed = |line| parsed("bore", line);
        assert_eq!(
            parsed("2026-07-17T12:00:00Z  INFO bore_cli::client: listening at bore.pub:35429"),
            Some(url("http://bore.pub:35429"))
        );
        assert_eq!(
            parsed("\u{1b}[2mbore_cli::client\u{1b}[0m: listening at b.example:1\u{1b}[0m"),
            Some(url("http://b.example:1"))
        );
        assert_eq!(parsed("listening at bore.pub:many"), None);
        assert_eq!(parsed("listening at 127.0.0.1:8237"), None, "our own");
    }

    #[test]
    fn ssh_tells_the_port_or_what_the_server_says() {
        assert_eq!(
            parsed(
                "ssh:h",
                "Allocated port 40123 for remote forward to 127.0.0.1:8237"
            ),
            Some(url("http://h.example:40123"))
        );
        assert_eq!(
            parsed(
                "ssh:h",
                "Allocated port 99999 for remote forward to 127.0.0.1:8237"
            ),
            None
        );
        let success = "debug1: remote forward success for: listen :8080, connect 127.0.0.1:8237";
        assert_eq!(
            (parsed("ssh:h", success), parsed("ssh:h:8080", success)),
            (None, Some(url("http://h.example:8080")))
        );
        assert_eq!(parsed("ssh:h:80", success), Some(url("http://h.example")));
        assert_eq!(
            parsed("ssh:h", "abc.example tunneled, https://abc.example"),
            Some(url("https://abc.example"))
        );
        assert_eq!(
            parsed("ssh:h", "debug1: see https://www.openssh.example/"),
            None
        );
    }

    #[test]
    fn any_other_program_prints_its_url_first() {
        let parsed = |line| parsed("prog {port}", line);
        assert_eq!(
            parsed("your url is: https://abc.example."),
            Some(url("https://abc.example"))
        );
        assert_eq!(
            parsed("http://127.0.0.1:8237 -> \"https://abc.example/x?y\","),
            Some(url("https://abc.example"))
        );
        assert_eq!(
            parsed("forwarding http://localhost:8237, http://0.0.0.0:8237 and xhttp://[::1]:8237"),
            None
        );
        assert_eq!(
            parsed("(http://127.0.0.1:9)"),
            Some(url("http://127.0.0.1:9"))
        );
        assert_eq!(
            parsed("http://  https:// :// http://\u{1b}[31m ftp://h.example"),
            None
        );
        assert_eq!(parsed("at https:///x, https:////x or http://\\x"), None);
    }
}
