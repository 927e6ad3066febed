//! The connection table: one task for each connection, and eviction when the table is full.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use super::connection::{Connection, Phase};
use super::service::serve_connection;
use super::{ConnectionError, Shared};

/// Shortest idle time before eviction. Without it a burst of clients would evict one another before their requests arrive.
const MIN_IDLE: Duration = Duration::from_millis(200);

/// How often a full table is searched again for a connection to evict.
const RETRY_EVICTION: Duration = Duration::from_millis(50);

/// Evicted connections that may still be closing while others are accepted. Each holds a file descriptor.
const MAX_CLOSING: usize = 8;

pub(super) struct ConnectionTable {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
    connections: HashMap<Id, Arc<Connection>>,
}

impl ConnectionTable {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            tasks: JoinSet::new(),
            connections: HashMap::new(),
        }
    }

    pub fn insert(&mut self, stream: TcpStream, peer: SocketAddr) {
        let connection = Arc::new(Connection::new(peer));
        let serving = serve_connection(stream, Arc::clone(&connection), Arc::clone(&self.shared));
        let id = self.tasks.spawn(serving).id();
        self.connections.insert(id, connection);
    }

    /// Waits until a connection has ended; for ever, if there is none.
    pub async fn one_ended(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(ended) => self.remove(ended),
            None => std::future::pending().await,
        }
    }

    fn remove(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        match ended {
            Ok(_) => {}
            Err(error) if error.is_panic() => {
                self.shared.report(&connection, ConnectionError::Panicked);
            }
            Err(_) => {
                let error = connection.closing_error(ConnectionError::Stopped);
                self.shared.report(&connection, error);
            }
        }
    }

    /// Returns when one more connection may be accepted.
    pub async fn make_room(&mut self) {
        let limit = self.shared.limits.connections;
        loop {
            let open = self.connections.values();
            let open = open.filter(|connection| connection.state().phase != Phase::Evicted);
            let full = open.count() >= limit;
            if full && self.evict_one() {
                continue;
            }
            if !full && self.connections.len() < limit + MAX_CLOSING {
                break;
            }
            self.shared.set_full(full);
            tokio::select! {
                () = self.one_ended() => {}
                () = sleep(RETRY_EVICTION) => {}
            }
        }
        self.shared.set_full(false);
    }

    /// Closes the longest-idle connection, else evicts the one without progress for longest. True if a slot is free now;
    /// an unfinished request frees its slot when it has been answered.
    pub fn evict_one(&self) -> bool {
        if let Some((since, connection)) = self.longest(Connection::idle_since, MIN_IDLE) {
            connection.evict(since);
            return true;
        }
        let stalling = self.shared.limits.stalling;
        if let Some((since, connection)) = self.longest(Connection::stalled_since, stalling) {
            connection.evict(since);
        }
        false
    }

    fn longest(
        &self,
        since: fn(&Connection) -> Option<Instant>,
        least: Duration,
    ) -> Option<(Instant, &Connection)> {
        let connections = self.connections.values();
        connections
            .filter_map(|connection| Some((since(connection)?, &**connection)))
            .min_by_key(|(since, _)| *since)
            .filter(|(since, _)| since.elapsed() >= least)
    }

    /// Waits until all connections have ended; aborts those that outlast the grace.
    pub async fn drain(mut self) {
        let grace = self.shared.limits.grace;
        if timeout(grace, self.all_ended()).await.is_err() {
            self.tasks.abort_all();
            self.all_ended().await;
        }
    }

    async fn all_ended(&mut self) {
        while let Some(ended) = self.tasks.join_next_with_id().await {
            self.remove(ended);
        }
    }
}
