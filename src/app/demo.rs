//! `send --demo`: runs a listener on a free loopback port and a sender to it, with one output for both.

use std::sync::Arc;

use tokio::sync::{Notify, oneshot};

use super::Session;
use super::receive::bind;
use super::signals::Signals;
use super::transmit::{prepare, send_output, transport};
use crate::cli::send::SendOptions;
use crate::clock::Clock;
use crate::error::{Error, Exit, Stop};
use crate::listen::event::Event;
use crate::net::Destination;
use crate::{listen, send};

pub async fn run(options: &SendOptions) -> Result<Exit, Error> {
    let mut show = send_output(options, Some(options.repeat.clone()))?;
    let clock = Clock::start();
    let listener = bind("127.0.0.1", 0, "--port").await?;
    let address = listener.local_addr().map_err(Error::Start)?;
    let destination =
        Destination::parse(&format!("http://{address}/webhook/cdr")).map_err(Error::Usage)?;
    let plan = Arc::new(prepare(options, &destination, clock, &mut show)?);
    let transport = transport(options, &destination, &mut show)?;

    let (output, session) = Session::start(show, Signals::new(false));
    let (done, sender_is_done) = oneshot::channel::<()>();
    let ready = Arc::new(Notify::new());
    let tell = {
        let (output, ready) = (output.clone(), Arc::clone(&ready));
        let records = options.output_options.ndjson();
        move |event| match event {
            // Text output of `send --demo` shows the sender's summary only, NDJSON output also the listener's.
            Event::Finished(_) if !records => true,
            event => {
                if matches!(event, Event::Listening(_)) {
                    ready.notify_one();
                }
                output.received(event)
            }
        }
    };
    let stop_receiver = async {
        let _ = sender_is_done.await;
        Stop::Interrupt
    };
    let options = listen::Options::default();
    let receiver = tokio::spawn(listen::run(options, listener, clock, stop_receiver, tell));
    let stop = session.stop();
    let run = async move {
        ready.notified().await;
        let summary = send::run(&plan, transport, clock, stop, output.clone()).await;
        drop(done);
        let received = receiver.await;
        output.push(0, |show| {
            let next = "to test your own handler: telecmi-cdr send --url \
                 http://localhost:5000/webhook/cdr";
            show.remark(next);
        });
        match received {
            Ok(received) if received.exit == Exit::Success => summary.exit,
            _ => Exit::Failed,
        }
    };
    Ok(session.finish(run).await)
}
