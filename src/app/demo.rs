//! `send --demo`: a receiver on a free loopback port and a sender to it, in one output, so that both sides are seen.

use std::sync::Arc;

use tokio::sync::{Notify, oneshot};

use super::receive::bind;
use super::signals::Signals;
use super::transmit::{HttpTransport, prepare, transport};
use super::{after_output, could_not_start, end, send_output, stop};
use crate::cli::send::SendOptions;
use crate::clock::Clock;
use crate::error::{Error, Exit, Stop};
use crate::net::Destination;
use crate::output::{Show, queue};
use crate::{listen, send};

/// Runs both modes against each other.
pub async fn run(options: &SendOptions) -> Exit {
    let mut show = match send_output(options, Some(options.command.clone())) {
        Ok(show) => show,
        Err(exit) => return exit,
    };
    match both(options, &mut show).await {
        Ok(prepared) => meet(prepared, show, options.output_options.ndjson()).await,
        Err(error) => could_not_start(&mut show, &error),
    }
}

type Both = (tokio::net::TcpListener, send::Plan, HttpTransport, Clock);

/// Prepares both sides.
async fn both(options: &SendOptions, show: &mut Show) -> Result<Both, Error> {
    let clock = Clock::start();
    let listener = bind("127.0.0.1", 0, "--port").await?;
    let address = listener.local_addr().map_err(Error::Start)?;
    let destination =
        Destination::parse(&format!("http://{address}/webhook/cdr")).map_err(Error::Usage)?;
    let plan = prepare(options, &destination, clock, show)?;
    let transport = transport(options, &destination, show)?;
    Ok((listener, plan, transport, clock))
}

/// Lets both sides run until the sender is done.
async fn meet((listener, plan, transport, clock): Both, show: Show, records: bool) -> Exit {
    let mut signals = Signals::new();
    let state = show.state();
    let (output, thread) = queue::start(show);
    let (done, sender_is_done) = oneshot::channel::<()>();
    let ready = Arc::new(Notify::new());
    let receiver = {
        let (output, ready) = (output.clone(), Arc::clone(&ready));
        // The sender's summary says it all; only programs get both.
        let tell = move |event| {
            if matches!(event, listen::event::Event::Listening(_)) {
                ready.notify_one();
            }
            let superfluous = !records && matches!(event, listen::event::Event::Finished(_));
            superfluous || output.received(event)
        };
        let stop = async {
            // Either way the sender needs no receiver any more.
            let _ = sender_is_done.await;
            Stop::Interrupt
        };
        tokio::spawn(listen::run(
            listen::Options::default(),
            listener,
            clock,
            stop,
            tell,
        ))
    };
    let stopping = stop(signals.clone(), state.clone());
    let run = async {
        // In this order a reader understands it.
        ready.notified().await;
        let plan = Arc::new(plan);
        let summary = send::run(&plan, transport, clock, stopping, output).await;
        drop(done);
        let well_received = receiver
            .await
            .is_ok_and(|summary| summary.exit == Exit::Success);
        if well_received {
            summary.exit
        } else {
            Exit::Failed
        }
    };
    let exit = tokio::select! {
        exit = run => exit,
        at_once = signals.second() => return at_once.exit(),
    };
    end(exit, thread, signals, |show| {
        show.remark(
            "next, your own handler: telecmi-cdr send --url http://localhost:5000/webhook/cdr",
        );
        after_output(exit, &state, show)
    })
    .await
}
