//! Handles one request: delay, judgement, forwarding or fault, record, reply.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::forward::Forward;
use super::recorder::Recorder;
use super::respond::is_probe;
use super::server::{IncomingRequest, Reply};

pub struct Pipeline {
    pub recorder: Arc<Recorder>,
    pub stop: CancellationToken,
    pub requests: AtomicU64,
    pub tasks: TaskTracker,
}

impl Pipeline {
    /// Each request is handled in its own task: hyper drops the future of a request whose connection breaks, which
    /// would lose the record.
    pub async fn handle(self: Arc<Self>, incoming: IncomingRequest) -> Reply {
        let n = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let pipeline = Arc::clone(&self);
        let task = async move { pipeline.reply(incoming, n).await };
        let handled = self.tasks.spawn(task).await;
        handled.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    async fn reply(&self, incoming: IncomingRequest, n: u64) -> Reply {
        let began = self.recorder.clock.elapsed();
        let options = &self.recorder.options;
        let (policy, faults) = (&options.policy, &options.faults);
        let delay = policy.delay.of(n, policy.seed);
        // A `tokio::time::sleep` of zero takes up to one tick of the timer, 1 ms.
        if !delay.is_zero() && !incoming.is_answered() {
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = self.stop.cancelled() => {}
            }
        }
        let is_complete = incoming.error.is_none();
        let fault = faults.for_request(n, policy.seed);
        let fault = fault.filter(|_| is_complete);
        let forwards = is_complete
            && fault.is_none()
            && Forward::accepts(&incoming.request)
            && (options.forward_probes || !is_probe(&incoming.request));
        // The judgement for the record is made after forwarding: the parsed CDR fields, which take many times the
        // memory of the body, are not held while the handler answers.
        let is_refused = || policy.strict && policy.decide(&incoming).refused;
        let passed = match &options.forward {
            Some(forward) if forwards && !is_refused() => {
                Some(forward.send(&incoming.request, &self.stop).await)
            }
            _ => None,
        };
        let mut decision = policy.decide(&incoming);
        let forwarded = passed.map(|(response, mut forwarded)| {
            forwarded.instead_of = decision.reply.status();
            decision.reply.response = response;
            forwarded
        });
        decision.reply = Reply::new(decision.reply.response, fault);
        let took = self.recorder.clock.elapsed().saturating_sub(began);
        self.recorder.record(incoming, decision, forwarded, took)
    }

    pub async fn idle(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::listen::Options;
    use crate::listen::event::Ending;
    use crate::listen::server::RequestError;
    use crate::net::Request;

    /// A pipeline that delays answers by an hour, and the reply if the pipeline returned one within a second.
    struct Handled {
        reply: Option<Reply>,
        pipeline: Arc<Pipeline>,
        recorder: Arc<Recorder>,
    }

    async fn handled(error: Option<RequestError>) -> Handled {
        let clock = Clock::start();
        let tell = Box::new(|_| true);
        let mut options = Options::default();
        options.policy.delay = "1h".parse().unwrap();
        let recorder = Arc::new(Recorder::new(options, clock, tell));
        let pipeline = Arc::new(Pipeline {
            recorder: Arc::clone(&recorder),
            stop: CancellationToken::new(),
            requests: AtomicU64::new(0),
            tasks: TaskTracker::new(),
        });
        let incoming = IncomingRequest {
            peer: ([127, 0, 0, 1], 4000).into(),
            at: clock.now(),
            request: Request::new("GET", "/", vec![], ""),
            error,
        };
        let reply = Arc::clone(&pipeline).handle(incoming);
        let reply = tokio::time::timeout(Duration::from_secs(1), reply).await;
        Handled {
            reply: reply.ok(),
            pipeline,
            recorder,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_recorded_even_if_its_connection_breaks_meanwhile() {
        let handled = handled(None).await;
        assert_eq!(handled.reply, None);
        handled.pipeline.idle().await;
        assert_eq!(handled.recorder.finish(Ending::Interrupted).exchanges, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_malformed_request_is_not_delayed() {
        let handled = handled(Some(RequestError::Malformed("why".to_owned()))).await;
        assert!(handled.reply.is_some());
        assert_eq!(handled.recorder.finish(Ending::Interrupted).exchanges, 1);
    }
}
