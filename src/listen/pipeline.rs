//! Handles one request: delay, judgement, forwarding or fault, record, reply.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::fault::{Fault, Faults};
use super::forward::{Forward, ForwardResult};
use super::recorder::Recorder;
use super::respond::{Decision, Outcome, ResponsePolicy};
use super::server::{IncomingRequest, Reply};
use crate::exchange::{Answer, Forwarded};

pub struct Pipeline {
    recorder: Arc<Recorder>,
    policy: ResponsePolicy,
    faults: Faults,
    forward: Option<Forward>,
    stop: CancellationToken,
    requests: AtomicU64,
    /// Requests that are delayed or forwarded.
    waiting: TaskTracker,
}

impl Pipeline {
    #[must_use]
    pub fn new(
        recorder: Arc<Recorder>,
        policy: ResponsePolicy,
        faults: Faults,
        forward: Option<Forward>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            recorder,
            policy,
            faults,
            forward,
            stop,
            requests: AtomicU64::new(0),
            waiting: TaskTracker::new(),
        }
    }

    /// Handles one request. It is recorded even if its connection breaks meanwhile.
    pub async fn handle(self: Arc<Self>, incoming: IncomingRequest) -> Reply {
        let began = self.recorder.clock.elapsed();
        let n = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let seed = self.policy.seed;
        let delay = if incoming.is_answered() {
            Duration::ZERO
        } else {
            self.policy.delay.of(n, seed)
        };
        let fault = self.faults.for_request(n, seed);
        let fault = fault.filter(|_| incoming.error.is_none());
        let forwards = fault.is_none() && self.forward.is_some() && is_forwardable(&incoming);
        if delay.is_zero() && !forwards {
            let decision = self.policy.decide(&incoming);
            return self.finish(incoming, decision, fault, None, began);
        }
        // A task of its own: hyper drops the future of a request whose connection breaks.
        let pipeline = Arc::clone(&self);
        let task = async move {
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = pipeline.stop.cancelled() => {}
            }
            // A request is judged after its forwarding: parsed fields take many times the memory of a body, and a handler
            // may be slow. With --strict the judgement comes first, as a refused request is not forwarded.
            let strict = pipeline.policy.strict;
            let decision = strict.then(|| pipeline.policy.decide(&incoming));
            let is_refused = decision.as_ref().is_some_and(|decision| decision.refused);
            let passed = match &pipeline.forward {
                Some(forward) if forwards && !is_refused => {
                    Some(forward.send(&incoming.request, &pipeline.stop).await)
                }
                _ => None,
            };
            let decision = decision.unwrap_or_else(|| pipeline.policy.decide(&incoming));
            pipeline.finish(incoming, decision, fault, passed, began)
        };
        match self.waiting.spawn(task).await {
            Ok(reply) => reply,
            // The connection's task panics in turn, which the server counts.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Reply::Close,
        }
    }

    /// Resolves when no request is delayed or forwarded any more.
    pub async fn idle(&self) {
        self.waiting.close();
        self.waiting.wait().await;
    }

    fn finish(
        &self,
        incoming: IncomingRequest,
        decision: Decision,
        fault: Option<Fault>,
        passed: Option<ForwardResult>,
        began: Duration,
    ) -> Reply {
        let outcome = match (fault, passed) {
            (Some(fault), _) => fault.apply(&decision.response),
            (None, Some(passed)) => forwarded(passed, decision.response.status),
            (None, None) => Outcome::decided(&decision),
        };
        let took = self.recorder.clock.elapsed().saturating_sub(began);
        self.recorder.record(incoming, decision, outcome, took)
    }
}

/// Whether a handler can be sent the request: complete and for a path. The answer to TRACE would show the sender what this
/// listener has added.
fn is_forwardable(incoming: &IncomingRequest) -> bool {
    let request = &incoming.request;
    incoming.error.is_none() && request.target.starts_with('/') && request.method != "TRACE"
}

/// The handler's answer; `own_status` is the status of the answer without `--forward-to`.
fn forwarded(passed: ForwardResult, own_status: u16) -> Outcome {
    let forwarded = Forwarded {
        instead_of: Some(own_status),
        ..passed.forwarded
    };
    let answer = Answer {
        status: Some(passed.response.status),
        forwarded: Some(forwarded),
        ..Answer::default()
    };
    Outcome {
        reply: Reply::Respond(passed.response),
        answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::listen::event::Ending;
    use crate::listen::expect::ExpectedCdrs;
    use crate::listen::server::RequestError;
    use crate::net::Request;

    /// A pipeline with a delay of an hour, and its reply to a request within a second.
    struct Handled {
        reply: Option<Reply>,
        pipeline: Arc<Pipeline>,
        recorder: Arc<Recorder>,
    }

    async fn handled(error: Option<RequestError>) -> Handled {
        let clock = Clock::start();
        let tell = Box::new(|_| true);
        let recorder = Recorder::new(ExpectedCdrs::default(), false, None, clock, tell);
        let recorder = Arc::new(recorder);
        let policy = ResponsePolicy {
            delay: "1h".parse().unwrap(),
            ..ResponsePolicy::default()
        };
        let pipeline = Arc::new(Pipeline::new(
            Arc::clone(&recorder),
            policy,
            Faults::default(),
            None,
            CancellationToken::new(),
        ));
        let incoming = IncomingRequest {
            peer: ([127, 0, 0, 1], 4000).into(),
            at: clock.now(),
            request: Request::new("GET", "/", vec![], ""),
            error,
            ambiguous_framing: false,
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
