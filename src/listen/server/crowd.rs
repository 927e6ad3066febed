//! Everybody who is inside: lets people in, and makes room when there is none.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::{Id, JoinError, JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout};

use super::staff::Staff;
use super::visitor::Visitor;
use super::{ConnectionError, House, attend};

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
    visitors: HashMap<Id, Inside>,
    staff: Staff,
}

/// Somebody who is inside.
struct Inside {
    visitor: Arc<Visitor>,
    /// Who of the staff attends to it.
    place: usize,
}

impl Crowd {
    /// An empty house.
    pub fn new(house: Arc<House>) -> Self {
        let staff = Staff::new(house.limits.threads);
        Self {
            house,
            tasks: JoinSet::new(),
            visitors: HashMap::new(),
            staff,
        }
    }

    /// Lets somebody in, and has them attended to.
    pub async fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        if self.staff.is_short() {
            self.look_who_has_left().await;
        }
        let visitor = Arc::new(Visitor::new(peer));
        let house = Arc::clone(&self.house);
        let place = self.staff.assign().await;
        let task = match self.staff.elsewhere(place) {
            None => self
                .tasks
                .spawn(attend(stream, Arc::clone(&visitor), house)),
            Some(runtime) => {
                // A socket belongs to the runtime that it is registered with.
                let (stream, visitor) = (stream.into_std(), Arc::clone(&visitor));
                let attending = async move {
                    match stream.and_then(TcpStream::from_std) {
                        Ok(stream) => attend(stream, visitor, house).await,
                        Err(error) => {
                            (house.error)(None, ConnectionError::NotAccepted(error.to_string()));
                        }
                    }
                };
                self.tasks.spawn_on(attending, runtime)
            }
        };
        self.visitors.insert(task.id(), Inside { visitor, place });
    }

    /// Strikes those from the list who are just leaving: whoever comes again and again, on one connection after the other,
    /// is one visitor, and nobody need be called in for that.
    async fn look_who_has_left(&mut self) {
        yield_now().await;
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.forget(ended);
        }
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
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
        let Some(Inside { visitor, place }) = self.visitors.remove(&id) else {
            return;
        };
        self.staff.release(place);
        match ended {
            Ok(_) => {}
            Err(error) if error.is_panic() => self.house.tell(&visitor, ConnectionError::Panicked),
            Err(_) => self
                .house
                .tell(&visitor, visitor.parting(ConnectionError::Stopped)),
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
        self.visitors
            .values()
            .filter(|inside| !inside.visitor.is_dismissed())
            .count()
    }

    /// Asks whoever has been idle for longest to leave. If nobody has been idle for long, whoever has stalled for longest
    /// is given up, which takes a moment: `false`, as if there were nobody.
    pub fn dismiss_one(&self) -> bool {
        if let Some((since, visitor)) = self.longest(Visitor::idle_since, LEAST_IDLE) {
            visitor.dismiss(since);
            return true;
        }
        if let Some((since, visitor)) =
            self.longest(Visitor::stalled_since, self.house.limits.stalling)
        {
            visitor.give_up(since);
        }
        false
    }

    /// Whose state has lasted longest, if that is long enough, and since when.
    fn longest(
        &self,
        since: fn(&Visitor) -> Option<Instant>,
        least: Duration,
    ) -> Option<(Instant, &Visitor)> {
        let visitors = self.visitors.values().map(|inside| &*inside.visitor);
        let lasting = visitors.filter_map(|visitor| Some((since(visitor)?, visitor)));
        let longest = lasting.min_by_key(|(since, _)| *since);
        longest.filter(|(since, _)| since.elapsed() >= least)
    }

    /// Waits for everybody to leave, but not for longer than the grace: then they are sent away.
    pub async fn leave(mut self) {
        if timeout(self.house.limits.grace, self.empty())
            .await
            .is_err()
        {
            self.tasks.abort_all();
            // Whoever is on another thread may be in the middle of a step, which is still done, and done before the last word.
            self.empty().await;
        }
    }

    /// Waits until nobody is inside.
    async fn empty(&mut self) {
        while let Some(ended) = self.tasks.join_next_with_id().await {
            self.forget(ended);
        }
    }
}
