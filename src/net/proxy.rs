//! The proxy of the environment: HTTP, HTTPS or SOCKS.

use std::error::Error;
use std::time::Duration;

use hyper::Uri;
use hyper_util::client::legacy::connect::proxy::{SocksV4, SocksV5, Tunnel};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tower::{ServiceExt as _, service_fn};

use super::connect::{Secured, dial, secure};
use super::destination::Destination;
use super::failure::{allowance, explain_at};
use super::secret::masked_url;
use super::{Failure, FailureKind, Phase};

/// The proxy for a destination from `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`. Loopback destinations have
/// no proxy.
pub(super) fn of(destination: &Destination) -> Option<Intercept> {
    among(&Matcher::from_env(), destination)
}

fn among(environment: &Matcher, destination: &Destination) -> Option<Intercept> {
    let url = destination.url.as_str().parse().ok();
    environment.intercept(&url.filter(|_| !destination.is_loopback())?)
}

/// The URL of the proxy for a destination, with its secrets masked.
pub fn proxy_in_use(destination: &Destination) -> Option<String> {
    of(destination).as_ref().map(name)
}

fn name(proxy: &Intercept) -> String {
    masked_url(proxy.uri().to_string().trim_end_matches('/'))
}

/// The environment's proxy variables with a value that is no URL of a proxy. They have no effect.
pub fn unusable_variables() -> Vec<&'static str> {
    const NAMES: &str = "HTTP_PROXY http_proxy HTTPS_PROXY https_proxy ALL_PROXY all_proxy";
    let is_unusable = |name: &&str| {
        let value = std::env::var_os(name).unwrap_or_default();
        let matcher = Matcher::builder().all(value.to_str().unwrap_or_default());
        let target = Uri::from_static("http://cdr.test/");
        !value.is_empty() && matcher.build().intercept(&target).is_none()
    };
    NAMES.split(' ').filter(is_unusable).collect()
}

fn scheme(proxy: &Uri) -> &str {
    proxy.scheme_str().unwrap_or("http")
}

pub(super) fn is_https(proxy: &Intercept) -> bool {
    scheme(proxy.uri()) == "https"
}

pub(super) fn is_socks(proxy: &Intercept) -> bool {
    scheme(proxy.uri()).starts_with("socks")
}

/// Opens a tunnel to the destination through a SOCKS proxy or, for HTTPS, through an HTTP proxy. For plain HTTP, the
/// stream of an HTTP proxy is returned without a tunnel.
pub(super) async fn tunnel(
    proxy: &Intercept,
    destination: &Destination,
    tls: Option<TlsConnector>,
) -> Result<Secured<TcpStream>, Failure> {
    let stream = connect(proxy, destination, tls).await;
    stream.map_err(|error| {
        let name = format!("the proxy {}", name(proxy));
        let text = explain_at(&*error, Phase::Connect, &name, destination).text;
        failure(if text.contains("proxy authorization required") {
            format!("{name} requires a user name and a password")
        } else if text.contains("tunnel error") {
            format!("{name} refused to connect to {}", destination.place())
        } else {
            text
        })
    })
}

pub(super) fn timed_out(proxy: &Intercept, limit: Duration) -> Failure {
    let (name, allowed) = (name(proxy), allowance(limit));
    failure(format!(
        "no connection through the proxy {name} within {allowed}"
    ))
}

fn failure(text: String) -> Failure {
    let hint = "the proxy failed, not the handler: check the proxy's URL in the environment; hosts in NO_PROXY bypass the proxy";
    Failure {
        hint: Some(hint),
        ..Failure::new(Phase::Connect, FailureKind::Proxy, text)
    }
}

async fn connect(
    proxy: &Intercept,
    destination: &Destination,
    tls: Option<TlsConnector>,
) -> Result<Secured<TcpStream>, Box<dyn Error + Send + Sync>> {
    let dial = service_fn(move |proxy: Uri| {
        let tls = tls.clone();
        async move {
            let host = proxy.host().unwrap_or_default().trim_matches(['[', ']']);
            let (port, tls) = match scheme(&proxy) {
                "http" => (80, None),
                "https" => (443, tls.as_ref()),
                _ => (1080, None),
            };
            let found = lookup_host((host, proxy.port_u16().unwrap_or(port))).await?;
            let tcp = dial(&found.collect::<Vec<_>>()).await?;
            secure(tcp, tls, host).await.map(TokioIo::new)
        }
    });
    let (uri, target) = (proxy.uri().clone(), destination.place().parse()?);
    let stream = match scheme(proxy.uri()) {
        version @ ("socks4" | "socks4a") => {
            let socks = SocksV4::new(uri, dial).local_dns(version == "socks4");
            socks.oneshot(target).await?
        }
        version @ ("socks5" | "socks5h") => {
            let mut socks = SocksV5::new(uri, dial).local_dns(version == "socks5");
            if let Some((user, password)) = proxy.raw_auth() {
                socks = socks.with_auth(user.to_owned(), password.to_owned());
            }
            socks.oneshot(target).await?
        }
        _ if destination.is_tls() => {
            let mut tunnel = Tunnel::new(uri, dial);
            if let Some(credentials) = proxy.basic_auth() {
                tunnel = tunnel.with_auth(credentials.clone());
            }
            tunnel.oneshot(target).await?
        }
        _ => dial.oneshot(uri).await?,
    };
    Ok(stream.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_come_from_the_environment_but_never_for_loopback() {
        let environment = Matcher::builder()
            .all("http://u:p@proxy.test:3128")
            .no("near.test")
            .build();
        let proxy = |url| {
            among(&environment, &Destination::parse(url).unwrap())
                .as_ref()
                .map(name)
        };
        assert_eq!(
            proxy("http://cdr.test/?token=a").as_deref(),
            Some("http://proxy.test:3128")
        );
        assert_eq!(
            proxy("https://cdr.test").as_deref(),
            Some("http://proxy.test:3128")
        );
        assert_eq!(proxy("http://near.test"), None);
        assert_eq!(proxy("http://localhost:5000"), None);
        assert_eq!(proxy("http://127.0.0.1:5000"), None);
    }
}
