//! The local APIs of tunnel programs: cloudflared's metrics and ngrok's agent API.
//!
//! The APIs are polled beside the logs, whose wording changes between versions. The first answer counts.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use super::parse::{Update, origin, public};
use crate::net::Destination;
use crate::net::Request;
use crate::net::client::{Client, ClientOptions};

const POLL_INTERVAL: Duration = Duration::from_millis(200);

const TIMEOUT: Duration = Duration::from_secs(2);

/// Polls cloudflared for its host name; or, once the URL is known, for its connection.
pub async fn cloudflared(api: SocketAddr, url_is_known: bool) -> Update {
    loop {
        if url_is_known {
            if matches!(get(api, "/ready").await, Some((200, _))) {
                return Update::Connected;
            }
        } else if let Some((200, body)) = get(api, "/quicktunnel").await
            && let Some(url) = quick_tunnel(&body)
        {
            return Update::Url(url);
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Polls ngrok for a tunnel to the listener's port.
pub async fn ngrok(api: SocketAddr, local: SocketAddr) -> Update {
    loop {
        if let Some((200, body)) = get(api, "/api/tunnels").await
            && let Some(url) = agent_tunnel(&body, local)
        {
            return Update::Url(url);
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Parses `{"hostname":"…"}`; the name is empty at first.
fn quick_tunnel(body: &Value) -> Option<String> {
    let hostname = body
        .get("hostname")?
        .as_str()
        .filter(|name| !name.is_empty())?;
    origin(&format!("https://{hostname}"))
}

/// Parses `{"tunnels":[{"public_url":"…","config":{"addr":"…"}}]}`. An agent may have tunnels to other ports.
fn agent_tunnel(body: &Value, local: SocketAddr) -> Option<String> {
    let port = format!(":{}", local.port());
    let ours = |tunnel: &&Value| {
        tunnel
            .pointer("/config/addr")
            .and_then(Value::as_str)
            .is_some_and(|addr| addr.ends_with(&port))
    };
    let urls = body.get("tunnels")?.as_array()?.iter().filter(ours);
    let urls = urls.filter_map(|tunnel| public(tunnel.get("public_url")?.as_str()?, local));
    // Old agents open one tunnel for each scheme.
    urls.max_by_key(|url| url.starts_with("https:"))
}

/// Status and JSON body of a GET. The next poll follows any failure.
async fn get(api: SocketAddr, target: &str) -> Option<(u16, Value)> {
    let destination = Destination::parse(&format!("http://{api}/"))
        .ok()
        .filter(Destination::is_loopback)?;
    let options = ClientOptions {
        timeout: TIMEOUT,
        ..ClientOptions::default()
    };
    let client = Client::new(&destination, &options).ok()?;
    let response = client
        .send(&Request::new("GET", target, Vec::new(), ""))
        .await
        .ok()?;
    Some((
        response.status,
        serde_json::from_slice(&response.body.0).unwrap_or_default(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_quick_tunnel_has_a_name_or_not_yet() {
        assert_eq!(
            quick_tunnel(&json!({"hostname": "a.example"})).as_deref(),
            Some("https://a.example")
        );
        for body in [
            json!({"hostname": ""}),
            json!({}),
            json!(null),
            json!({"hostname": "a b/"}),
        ] {
            assert_eq!(quick_tunnel(&body), None, "{body}");
        }
    }

    #[test]
    fn of_an_agent_s_tunnels_ours_is_taken() {
        let local = "127.0.0.1:8237".parse().unwrap();
        let tunnel = |url: &str, addr: &str| json!({"public_url": url, "config": {"addr": addr}});
        let of = |tunnels: Vec<Value>| agent_tunnel(&json!({"tunnels": tunnels}), local);
        assert_eq!(
            of(vec![tunnel("https://a.example", "http://localhost:80")]),
            None
        );
        let both = vec![
            tunnel("https://other.example", "http://localhost:18237"),
            tunnel("http://a.example", "http://localhost:8237"),
            tunnel("https://a.example", "http://127.0.0.1:8237"),
        ];
        assert_eq!(of(both).as_deref(), Some("https://a.example"));
        assert_eq!(agent_tunnel(&json!("x"), local), None);
    }
}
