//! One request from its incoming to its reply: decided, held back, passed on, written down at the desk, answered.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::desk::Desk;
use super::fault::Faults;
use super::forward::Forward;
use super::respond::{Decision, Outcome, ResponsePolicy};
use super::server::{IncomingRequest, Reply, RequestError};
use crate::exchange::Answer;

/// What all requests of a run meet with.
pub struct Reception {
    desk: Arc<Desk>,
    policy: ResponsePolicy,
    /// Which requests fail on purpose.
    faults: Faults,
    forward: Option<Forward>,
    /// Cancelled when the listener has to stop.
    closed: CancellationToken,
    /// How many requests are being waited with.
    waiting: watch::Sender<usize>,
    /// Where that is done: on the thread that outlasts the door.
    runtime: Handle,
}

/// A request that is being waited with, until this is dropped.
struct Waiting(Arc<Reception>);

impl Waiting {
    fn new(reception: Arc<Reception>) -> Self {
        reception.waiting.send_modify(|waiting| *waiting += 1);
        Self(reception)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.send_modify(|waiting| *waiting -= 1);
    }
}

impl Reception {
    /// A reception that writes down at this desk, until the listener is closed. Needs a runtime.
    pub fn new(
        desk: Arc<Desk>,
        policy: ResponsePolicy,
        faults: Faults,
        forward: Option<Forward>,
        closed: CancellationToken,
    ) -> Self {
        let runtime = Handle::current();
        Self {
            desk,
            policy,
            faults,
            forward,
            closed,
            waiting: watch::Sender::new(0),
            runtime,
        }
    }

    /// Receives one request: whatever happens to its connection meanwhile, it is written down.
    pub async fn receive(self: Arc<Self>, incoming: IncomingRequest) -> Reply {
        let began = self.desk.clock.elapsed();
        let decision = self.policy.decide(&incoming);
        let n = self.desk.next_arrival();
        // What has been answered already need not be waited with.
        let is_answered = matches!(incoming.error, Some(RequestError::Malformed(_)));
        let delay = if is_answered {
            Duration::ZERO
        } else {
            self.policy.delay.of(n, self.policy.seed)
        };
        // What is not even sound HTTP fails by itself.
        let fault = self
            .faults
            .strike(n, self.policy.seed)
            .filter(|_| incoming.error.is_none());
        let passes_on =
            fault.is_none() && self.forward.is_some() && decision.can_be_passed_on(&incoming);
        let decided = match fault {
            Some(fault) => fault.apply(&decision.response),
            None => Outcome::decided(&decision),
        };
        if delay.is_zero() && !passes_on {
            return self.conclude(incoming, decided, decision, began).await;
        }
        // hyper forgets about a request whose connection breaks, and so must not be the one who waits.
        let waiting = Waiting::new(Arc::clone(&self));
        // What was read from a body may be many times as large as the body: it is not waited with, but read again.
        let own_status = decision.response.status;
        drop(decision);
        let waited = self.runtime.spawn(async move {
            let reception = &waiting.0;
            reception.hold_back(delay).await;
            let outcome = match &reception.forward {
                Some(forward) if passes_on => {
                    reception.pass_on(forward, &incoming, own_status).await
                }
                _ => decided,
            };
            let decision = reception.policy.decide(&incoming);
            reception.conclude(incoming, outcome, decision, began).await
        });
        match waited.await {
            Ok(reply) => reply,
            // The door counts it, as any panic.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Reply::Close,
        }
    }

    /// Resolves when nothing is being waited with any more.
    pub async fn idle(&self) {
        // The sender is ours, so it has not gone.
        let _ = self
            .waiting
            .subscribe()
            .wait_for(|waiting| *waiting == 0)
            .await;
    }

    /// Waits, but no longer than the listener runs, so that nothing that came is lost.
    async fn hold_back(&self, delay: Duration) {
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = self.closed.cancelled() => {}
        }
    }

    async fn pass_on(
        &self,
        forward: &Forward,
        incoming: &IncomingRequest,
        own_status: u16,
    ) -> Outcome {
        let passed = forward
            .pass(&incoming.request, own_status, &self.closed)
            .await;
        let status = Some(passed.response.status);
        let answer = Answer {
            status,
            forwarded: Some(passed.forwarded),
            ..Answer::default()
        };
        Outcome {
            reply: Reply::Respond(passed.response),
            answer,
        }
    }

    fn conclude(
        &self,
        incoming: IncomingRequest,
        outcome: Outcome,
        decision: Decision,
        began: Duration,
    ) -> impl Future<Output = Reply> + Send {
        let took = self.desk.clock.elapsed().saturating_sub(began);
        self.desk.record(incoming, decision, outcome, took)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::listen::claim::Claims;
    use crate::listen::event::Ending;
    use crate::listen::wanted::Wanted;
    use crate::wire::Request;

    /// A listener that answers after an hour, and what it replied to a request within a second.
    struct Received {
        reply: Option<Reply>,
        reception: Arc<Reception>,
        desk: Arc<Desk>,
    }

    async fn received(error: Option<RequestError>) -> Received {
        let clock = Clock::start();
        let desk = Arc::new(Desk::new(
            Wanted::default(),
            Claims::default(),
            clock,
            Box::new(|_| true),
        ));
        let policy = ResponsePolicy {
            delay: "1h".parse().unwrap(),
            ..ResponsePolicy::default()
        };
        let reception = Arc::new(Reception::new(
            Arc::clone(&desk),
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
        let answer = Arc::clone(&reception).receive(incoming);
        let reply = tokio::time::timeout(Duration::from_secs(1), answer)
            .await
            .ok();
        Received {
            reply,
            reception,
            desk,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_written_down_even_if_its_connection_is_forgotten_meanwhile() {
        let received = received(None).await;
        assert_eq!(received.reply, None);
        received.reception.idle().await;
        assert_eq!(received.desk.finish(Ending::Interrupted).exchanges, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_been_answered_already_is_not_waited_with() {
        let received = received(Some(RequestError::Malformed("why".to_owned()))).await;
        assert!(received.reply.is_some());
        assert_eq!(received.desk.finish(Ending::Interrupted).exchanges, 1);
    }
}
