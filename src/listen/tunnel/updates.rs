//! Parses the output of a tunnel program, and the responses of its local API.
//!
//! Tunnel programs print other URLs beside the public one, so that each program has patterns of its own.

use std::net::SocketAddr;

use serde_json::Value;

use super::program::{Tunnel, is_ssh_debug};
use crate::net::Destination;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    Url(String),
    Connected,
    Api(SocketAddr),
}

/// Parses a line of a tunnel program's output. `local` is the listener's address, `host` the host of an ssh tunnel.
pub fn update(tunnel: &Tunnel, line: &str, local: SocketAddr, host: &str) -> Option<Update> {
    let first_public = || urls(line).find_map(|url| public(url, local));
    let url = match tunnel {
        Tunnel::Cloudflared if line.contains("Registered tunnel connection") => {
            return Some(Update::Connected);
        }
        Tunnel::Cloudflared => urls(line).find_map(quick_tunnel),
        Tunnel::Ngrok => return ngrok(&serde_json::from_str(line).ok()?),
        Tunnel::Bore { .. } => {
            let place = line.split_once("listening at ")?.1;
            let place = place
                .split(|c: char| c.is_whitespace() || c.is_control())
                .next()?;
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
            let brackets = if host.contains(':') {
                ["[", "]"]
            } else {
                [""; 2]
            };
            origin(&format!(
                "http://{}{host}{}:{}",
                brackets[0], brackets[1], port?
            ))
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

fn ngrok(record: &Value) -> Option<Update> {
    let text = |name: &str| record.get(name).and_then(Value::as_str);
    match text("msg")? {
        "started tunnel" => text("url").and_then(origin).map(Update::Url),
        "starting web service" => text("addr")?.parse().ok().map(Update::Api),
        _ => None,
    }
}

/// Parses `{"hostname":"…"}` of cloudflared's API; the host name is empty until the tunnel has one.
pub(super) fn cloudflared_api(body: &Value) -> Option<Update> {
    let hostname = body.get("hostname")?.as_str()?;
    origin(&format!("https://{hostname}")).map(Update::Url)
}

/// Parses `{"tunnels":[{"public_url":"…","config":{"addr":"…"}}]}` of ngrok's API. An ngrok agent may have tunnels to
/// other ports.
pub(super) fn ngrok_api(body: &Value, local: SocketAddr) -> Option<Update> {
    let port = format!(":{}", local.port());
    let urls = body
        .get("tunnels")?
        .as_array()?
        .iter()
        .filter_map(|tunnel| {
            let addr = tunnel.pointer("/config/addr")?.as_str()?;
            let url = tunnel.get("public_url")?.as_str()?;
            addr.ends_with(&port).then(|| public(url, local))?
        });
    // Old ngrok agents open one tunnel for http and one for https.
    urls.max_by_key(|url| url.starts_with("https:"))
        .map(Update::Url)
}

fn public(url: &str, local: SocketAddr) -> Option<String> {
    let destination = Destination::parse(url).ok()?;
    let is_ours = destination.is_loopback() && destination.port() == local.port();
    if is_ours { None } else { origin(url) }
}

pub fn origin(url: &str) -> Option<String> {
    let destination = Destination::parse(url).ok()?;
    let scheme = if destination.is_tls() {
        "https"
    } else {
        "http"
    };
    Some(format!("{scheme}://{}", destination.authority()))
}

fn urls(line: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| c.is_whitespace() || c.is_control() || "\"'`<>|()[]{}\\".contains(c);
    line.match_indices("http").map(move |(start, _)| {
        let url = line[start..].split(ends).next().unwrap_or_default();
        url.trim_end_matches(['.', ',', ';', ':', '!'])
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
        let web =
            r#"{"addr":"127.0.0.1:4040","lvl":"info","msg":"starting web service","obj":"web"}"#;
        assert_eq!(
            parsed(web),
            Some(Update::Api("127.0.0.1:4040".parse().unwrap()))
        );
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

    #[test]
    fn a_quick_tunnel_has_a_name_or_not_yet() {
        assert_eq!(
            cloudflared_api(&json!({"hostname": "a.example"})),
            Some(url("https://a.example"))
        );
        for body in [
            json!({"hostname": ""}),
            json!({}),
            json!(null),
            json!({"hostname": "a b/"}),
        ] {
            assert_eq!(cloudflared_api(&body), None, "{body}");
        }
    }

    #[test]
    fn of_an_agent_s_tunnels_ours_is_taken() {
        let local = "127.0.0.1:8237".parse().unwrap();
        let tunnel = |url: &str, addr: &str| json!({"public_url": url, "config": {"addr": addr}});
        let of = |tunnels: Vec<Value>| ngrok_api(&json!({"tunnels": tunnels}), local);
        assert_eq!(
            of(vec![tunnel("https://a.example", "http://localhost:80")]),
            None
        );
        let both = vec![
            tunnel("https://other.example", "http://localhost:18237"),
            tunnel("http://a.example", "http://localhost:8237"),
            tunnel("https://a.example", "http://127.0.0.1:8237"),
        ];
        assert_eq!(of(both), Some(url("https://a.example")));
        assert_eq!(ngrok_api(&json!("x"), local), None);
    }
}
