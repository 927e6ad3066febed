//! Tunnel programs that answer questions on this machine: cloudflared's metrics, ngrok's agent API.
//!
//! Their answers do not depend on what a version calls things in its log. Whichever tells first is believed.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use super::parse::{Update, origin, public};
use crate::net::Destination;
use crate::net::Request;
use crate::net::client::{Client, ClientOptions};

/// How often it is asked.
const EVERY: Duration = Duration::from_millis(200);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks cloudflared until it tells its host name; or, once that is known, until it is connected.
pub async fn cloudflared(api: SocketAddr, url_is_known: bool) -> Update {
    loop {
        if url_is_known {
            if matches!(ask(api, "/ready").await, Some((200, _))) {
                return Update::Connected;
            }
        } else if let Some((200, body)) = ask(api, "/quicktunnel").await
            && let Some(url) = quick_tunnel(&body)
        {
            return Update::Url(url);
        }
        sleep(EVERY).await;
    }
}

/// Asks ngrok until it has a tunnel to our port.
pub async fn ngrok(api: SocketAddr, local: SocketAddr) -> Update {
    loop {
        if let Some((200, body)) = ask(api, "/api/tunnels").await
            && let Some(url) = agent_tunnel(&body, local)
        {
            return Update::Url(url);
        }
        sleep(EVERY).await;
    }
}

/// `{"hostname":"…"}`, in which the name is empty at first.
fn quick_tunnel(body: &Value) -> Option<String> {
    let hostname = body
        .get("hostname")?
        .as_str()
        .filter(|name| !name.is_empty())?;
    origin(&format!("https://{hostname}"))
}

/// `{"tunnels":[{"public_url":"…","config":{"addr":"…"}}]}`: an agent may have others too.
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
    // An old agent has one of each; https is the one to register.
    urls.max_by_key(|url| url.starts_with("https:"))
}

/// One question; none of the ways it may fail matters.
async fn ask(api: SocketAddr, target: &str) -> Option<(u16, Value)> {
    let destination = Destination::parse(&format!("http://{api}/"))
        .ok()
        .filter(Destination::is_loopback)?;
    let options = ClientOptions {
        timeout: PATIENCE,
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
