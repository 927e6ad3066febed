//! Accepts connections, spawns a task for each, and evicts connections when the table is full.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::timeout;

use super::connection::{Connection, Phase};
use super::service::serve_connection;
use super::{ConnectionError, Server};

/// After a failed `accept` the loop pauses, so that a lack of file descriptors does not make it spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that have been idle for less than 200 ms are not evicted: in a burst, their requests have not arrived
/// yet.
const MIN_IDLE: Duration = Duration::from_millis(200);

const RETRY_EVICTION: Duration = Duration::from_millis(50);

/// Limit of evicted connections that are still closing, besides the open connections. Each holds a file descriptor.
const MAX_CLOSING: usize = 8;

/// Accepts connections until the server stops, then waits for their tasks, and aborts the tasks that remain after
/// `Limits::grace`.
pub(super) async fn run(listener: TcpListener, server: Arc<Server>) {
    let (stop, grace) = (server.stop.clone(), server.limits.grace);
    let mut table = ConnectionTable {
        server,
        tasks: JoinSet::new(),
        connections: HashMap::new(),
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        never = table.accept(&listener) => match never {},
    }
    drop(listener);
    if timeout(grace, table.all_ended()).await.is_err() {
        table.tasks.abort_all();
        table.all_ended().await;
    }
}

struct ConnectionTable {
    server: Arc<Server>,
    tasks: JoinSet<()>,
    connections: HashMap<Id, Arc<Connection>>,
}

impl ConnectionTable {
    async fn accept(&mut self, listener: &TcpListener) -> Infallible {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.one_ended() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    self.make_room().await;
                    let connection = Arc::new(Connection::new(peer, Arc::clone(&self.server)));
                    let serving = serve_connection(stream, Arc::clone(&connection));
                    let id = self.tasks.spawn(serving).id();
                    self.connections.insert(id, connection);
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    // The usual cause of a failed `accept` is a lack of file descriptors, of which an eviction frees
                    // one.
                    let error = ConnectionError::NotAccepted(error.to_string());
                    (self.server.on_error)(None, error);
                    let is_full = !self.evict_one();
                    self.server.is_full.store(is_full, Ordering::Relaxed);
                    let _ = timeout(ACCEPT_PAUSE, self.one_ended()).await;
                }
            }
        }
    }

    /// Waits for a connection's task to end and reports its panic or abortion; never resolves if the table of tasks is
    /// empty.
    async fn one_ended(&mut self) {
        let Some(ended) = self.tasks.join_next_with_id().await else {
            return std::future::pending().await;
        };
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
        if let (Some(connection), Err(error)) = (self.connections.remove(&id), ended) {
            connection.report(if error.is_panic() {
                ConnectionError::Panicked
            } else {
                connection.closing_error(ConnectionError::Stopped)
            });
        }
    }

    async fn make_room(&mut self) {
        let limit = self.server.limits.connections;
        loop {
            let open = self.connections.values();
            let open = open.filter(|connection| connection.state().phase != Phase::Evicted);
            let full = open.count() >= limit;
            if full && self.evict_one() {
                continue;
            }
            self.server.is_full.store(full, Ordering::Relaxed);
            if !full && self.connections.len() < limit + MAX_CLOSING {
                return;
            }
            let _ = timeout(RETRY_EVICTION, self.one_ended()).await;
        }
    }

    /// Evicts the connection that has been idle for longest, else the connection that has stalled for longest. Returns
    /// whether an idle connection was evicted, whose slot is free at once; an unfinished request is answered first.
    fn evict_one(&self) -> bool {
        let stalling = self.server.limits.stalling;
        let waiting = self.connections.values().filter_map(|connection| {
            let (is_stalled, since) = connection.waits_for_client()?;
            let least = if is_stalled { stalling } else { MIN_IDLE };
            (since.elapsed() >= least).then_some((is_stalled, since, connection))
        });
        let longest = waiting.min_by_key(|(is_stalled, since, _)| (*is_stalled, *since));
        longest.is_some_and(|(is_stalled, _, connection)| {
            connection.evict();
            !is_stalled
        })
    }

    async fn all_ended(&mut self) {
        while !self.tasks.is_empty() {
            self.one_ended().await;
        }
    }
}

/// Returns whether `accept` failed for one connection only, so that the accept loop need not pause.
pub(super) fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
