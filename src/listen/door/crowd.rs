//! Everybody who is inside: lets people in, and makes room when there is none.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use super::visitor::Visitor;
use super::{House, Mishap, attend};

/// How long a visitor may be idle before it has to make room. Without this, a burst of newcomers would push out those
/// of a moment ago, whose requests are still on their way.
const LEAST_IDLE: Duration = Duration::from_millis(200);

/// How many may be on their way out while others come in already. Each of them still has its file descriptor.
const MOST_LEAVING: usize = 8;

/// Everybody who is inside.
pub(super) struct Crowd {
    house: Arc<House>,
    /// One task a connection.
    tasks: JoinSet<()>,
    /// Whom each task attends to.
    visitors: HashMap<Id, Arc<Visitor>>,
}

impl Crowd {
    /// An empty house.
    pub fn new(house: Arc<House>) -> Self {
        Self { house, tasks: JoinSet::new(), visitors: HashMap::new() }
    }

    /// Lets somebody in, and has them attended to.
    pub fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        let visitor = Arc::new(Visitor::new(peer));
        let attending = attend(stream, Arc::clone(&visitor), Arc::clone(&self.house));
        let id = self.tasks.spawn(attending).id();
        self.visitors.insert(id, visitor);
    }

    /// Waits until somebody has left; for ever, if nobody is inside.
    pub async fn shrink(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(ended) => self.forget(ended),
            None => std::future::pending().await,
        }
    }

    /// Strikes somebody who has left from the list.
    fn forget(&mut self, ended: Result<(Id, ()), JoinError>) {
        let (id, panicked) = match ended {
            Ok((id, ())) => (id, false),
            Err(error) => (error.id(), error.is_panic()),
        };
        if let Some(visitor) = self.visitors.remove(&id)
            && panicked
        {
            self.house.tell(&visitor, Mishap::Panicked);
        }
    }

    /// Returns when one more may come in.
    pub async fn make_room(&mut self) {
        let places = self.house.limits.connections;
        loop {
            let full = self.staying() >= places;
            if full && self.dismiss_one() {
                continue;
            }
            if !full && self.visitors.len() < places + MOST_LEAVING {
                break;
            }
            self.house.set_crowded(full);
            tokio::select! {
                () = self.shrink() => {}
                () = sleep(LEAST_IDLE) => {}
            }
        }
        self.house.set_crowded(false);
    }

    /// How many are inside and not about to leave.
    fn staying(&self) -> usize {
        let visitors = self.visitors.values();
        visitors.filter(|visitor| !visitor.is_dismissed()).count()
    }

    /// Asks whoever has been idle for longest to leave. If nobody has been idle for long, whoever has stalled for longest
    /// is given up, which takes a moment: `false`, as if there were nobody.
    pub fn dismiss_one(&self) -> bool {
        if let Some(visitor) = self.longest(Visitor::idle_since, LEAST_IDLE) {
            visitor.dismiss();
            return true;
        }
        if let Some(visitor) = self.longest(Visitor::stalled_since, self.house.limits.stalling) {
            visitor.give_up();
        }
        false
    }

    /// Whose state has lasted longest, if that is long enough.
    fn longest(&self, since: fn(&Visitor) -> Option<Instant>, least: Duration) -> Option<&Arc<Visitor>> {
        let lasting = self.visitors.values().filter_map(|visitor| Some((since(visitor)?, visitor)));
        let (since, visitor) = lasting.min_by_key(|(since, _)| *since)?;
        (since.elapsed() >= least).then_some(visitor)
    }

    /// Waits for everybody to leave, but not for longer than the grace.
    pub async fn leave(mut self) {
        let grace = self.house.limits.grace;
        let everybody = async {
            while let Some(ended) = self.tasks.join_next_with_id().await {
                self.forget(ended);
            }
        };
        if timeout(grace, everybody).await.is_err() {
            for visitor in self.visitors.values() {
                self.house.tell(visitor, visitor.parting(Mishap::Stopped));
            }
        }
    }
}
