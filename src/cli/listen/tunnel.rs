//! The flags of `listen` about tunnels, and what is behind one.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use crate::listen::tunnel::Tunnel;
use crate::net::client::Destination;

/// The help of `--tunnel`.
const TUNNEL: &str = "Start a tunnel, show its public URL: cloudflared, ngrok, bore[:SERVER], ssh:[USER@]HOST[:PORT]";

/// The flags about tunnels.
#[derive(Debug, Args)]
#[command(next_help_heading = "Behind a tunnel")]
pub(super) struct TunnelArgs {
    /// The tunnel program; its help has brackets that are no links.
    #[arg(long, value_name = "TUNNEL", help = TUNNEL, conflicts_with_all = ["tunnel_cmd", "public_url"])]
    tunnel: Option<Tunnel>,
    /// Start any other: a shell line with {port} or {url}; its first URL is the public one
    #[arg(long, value_name = "COMMAND", value_parser = NonEmptyStringValueParser::new())]
    tunnel_cmd: Option<String>,
    /// Show this as the public URL
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Show whom X-Forwarded-For and the like name, too
    #[arg(long)]
    trust_proxy: bool,
}

impl TunnelArgs {
    pub(super) fn tunnel(&self) -> Option<Tunnel> {
        let other = || self.tunnel_cmd.clone().map(Tunnel::Command);
        self.tunnel.clone().or_else(other)
    }

    /// Read here and not by clap, which would quote a value that it refuses, secret or not.
    pub(super) fn public_url(&self) -> Result<Option<String>, String> {
        let read = |url: &String| match Destination::parse(url) {
            Ok(_) => Ok(url.trim().to_owned()),
            Err(what) => Err(format!("--public-url: {what}")),
        };
        self.public_url.as_ref().map(read).transpose()
    }

    pub(super) fn trusts_proxy(&self) -> bool {
        self.trust_proxy
    }
}
