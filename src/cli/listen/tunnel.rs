//! The flags of `listen` about tunnels, and what is behind one.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use crate::listen::tunnel::Tunnel;
use crate::net::Destination;

/// The help of `--tunnel`.
const TUNNEL: &str = "Start a tunnel, show its public URL: cloudflared, ngrok, bore[:SERVER], ssh:[USER@]HOST[:PORT]";

/// The flags about tunnels.
#[derive(Debug, Args)]
#[command(next_help_heading = "Behind a tunnel")]
pub struct TunnelArgs {
    /// The tunnel program; its help has brackets that are no links.
    #[arg(long, value_name = "TUNNEL", help = TUNNEL, conflicts_with_all = ["tunnel_cmd", "public_url"])]
    tunnel: Option<Tunnel>,
    /// Start any other: a shell line with {port} or {url}; its first URL is the public one
    #[arg(long, value_name = "COMMAND", value_parser = NonEmptyStringValueParser::new())]
    tunnel_cmd: Option<String>,
    /// Show this as the public URL
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Show whom X-Forwarded-For and the like name, too
    #[arg(long)]
    pub trust_proxy: bool,
}

impl TunnelArgs {
    /// The tunnel program or command.
    pub(crate) fn kind(&self) -> Option<Tunnel> {
        let other = || self.tunnel_cmd.clone().map(Tunnel::Command);
        self.tunnel.clone().or_else(other)
    }

    /// Read here and not by clap, which would quote a value that it refuses, secret or not.
    pub(super) fn check(&mut self) -> Result<(), String> {
        if let Some(url) = &mut self.public_url {
            Destination::parse(url).map_err(|what| format!("--public-url: {what}"))?;
            *url = url.trim().to_owned();
        }
        Ok(())
    }
}
