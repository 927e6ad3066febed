//! Binds the ports of `listen`, opens its files, and prints the warnings and notes before the first request.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;

use tokio::net::TcpListener;

use crate::app::files::{self, ReadyFile};
use crate::cdr::schema;
use crate::cli::listen::ListenOptions;
use crate::error::Error;
use crate::listen::Options;
use crate::listen::capture::Capture;
use crate::listen::forward::Forward;
use crate::listen::inspector;
use crate::listen::inspector::access::Token;
use crate::net::client::ClientOptions;
use crate::net::secret::masked_url;
use crate::output::Show;
use crate::process;

pub struct Prepared {
    pub options: Options,
    pub listener: TcpListener,
    pub address: SocketAddr,
    /// The inspector's port is bound by `prepare`, and served only when the listener runs.
    pub inspector: Option<(TcpListener, Token)>,
    pub report: Option<File>,
    pub ready: Option<ReadyFile>,
}

pub async fn prepare(given: &ListenOptions, show: &mut Show) -> Result<Prepared, Error> {
    let named = [&given.ready_file, &given.report, &given.save];
    let named: Vec<&Path> = named.into_iter().flatten().map(AsRef::as_ref).collect();
    files::distinct(&named)?;
    // The ready file of an earlier run is removed before the port is bound, since a script could read the old URL.
    let ready = given.ready_file.clone().map(ReadyFile::take).transpose()?;
    let listener = bind(&given.host, given.port, "--port").await?;
    let address = listener.local_addr().map_err(Error::Start)?;
    let mut options = given.listener();
    let mut inspector = None;
    if let Some(port) = given.inspect {
        let listener = bind("127.0.0.1", port, "--inspect").await?;
        let address = listener.local_addr().map_err(Error::Start)?;
        let token = Token::fresh().map_err(Error::Start)?;
        options.inspect = Some(inspector::url(address, &token));
        inspector = Some((listener, token));
    }
    let forward = |destination| Forward::new(destination, address, &ClientOptions::default());
    options.forward = given.destination.clone().map(forward).transpose()?;
    // A forwarded request takes a second file descriptor, and the inspector's browsers need descriptors, too.
    let each = 1 + usize::from(options.forward.is_some()) + usize::from(inspector.is_some());
    options.limits = options.limits.within(process::descriptors(), each);
    if let Some(path) = &given.save {
        let (capture, warnings) = Capture::open(path, given.redact)?;
        for warning in &warnings {
            show.warn(warning);
        }
        options.capture = Some(capture);
    }
    let report = given.report.as_deref().map(files::open_report);
    options.public_url = given.public_url.as_deref().map(masked_url);
    Ok(Prepared {
        options,
        listener,
        address,
        inspector,
        report: report.transpose()?,
        ready,
    })
}

pub fn startup_notes(given: &ListenOptions, prepared: &Prepared, show: &mut Show) {
    for expected in &prepared.options.expected.fields {
        let field = &expected.field;
        if schema::documented(field).is_none() {
            show.warn(&format!("--expect {field}: {}", schema::unknown(field)));
        }
    }
    if !prepared.address.ip().is_loopback() {
        show.warn("any machine that reaches this address can send requests");
    }
    let options = &prepared.options;
    if let Some(forward) = &options.forward {
        show.remark_to_a_person(&format!("forwarding to {}", forward.destination));
    }
    if let Some(capture) = &options.capture {
        show.remark_to_a_person(&capture.purpose());
    }
    if !options.faults.are_off() {
        show.remark_to_a_person(&format!("injecting faults: {}", options.faults));
    }
    if let Some(seed) = given.drawn_seed {
        show.remark(&format!("seed {seed}: repeat this run with --seed {seed}"));
    }
}

/// An error of `bind` names the address and the flag of the port.
pub async fn bind(host: &str, port: u16, flag: &'static str) -> Result<TcpListener, Error> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = if bare.contains(':') {
        format!("[{bare}]:{port}")
    } else {
        format!("{bare}:{port}")
    };
    let bound = TcpListener::bind((bare, port)).await;
    bound.map_err(|source| Error::Bind {
        address,
        flag,
        source,
    })
}
