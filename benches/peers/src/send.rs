//! A raw sender: bodies from a file, in turn, again and again; as many answers read as requests written.
//!
//! The thread layout is the program's: `min(cores, concurrency)` threads, each a `current_thread` runtime with its share
//! of the connections, and one shared counter for the next request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Trouble;
use crate::head;

/// What is to be sent.
pub struct Task {
    pub address: SocketAddr,
    pub concurrency: usize,
    pub count: usize,
    pub bodies: Vec<Vec<u8>>,
    pub keep_alive: bool,
}

/// What came of it.
#[derive(Default)]
pub struct Sent {
    pub requests: u64,
    pub failures: u64,
    pub took: Duration,
}

/// What all workers share.
struct Errand {
    address: SocketAddr,
    requests: Vec<Vec<u8>>,
    keep_alive: bool,
    /// How many requests have been taken on.
    next: AtomicUsize,
    count: usize,
}

/// Sends everything.
#[expect(clippy::disallowed_methods, reason = "nothing here is tested with a clock that stands still")]
pub fn run(task: &Task) -> Result<Sent, Trouble> {
    let threads = std::thread::available_parallelism()?.get().min(task.concurrency).max(1);
    let errand = Arc::new(Errand {
        address: task.address,
        requests: task.bodies.iter().map(|body| request(task, body)).collect(),
        keep_alive: task.keep_alive,
        next: AtomicUsize::new(0),
        count: task.count,
    });
    let began = Instant::now();
    let shares: Vec<_> = (0..threads)
        .map(|thread| {
            // The first threads take what cannot be shared evenly.
            let workers = task.concurrency / threads + usize::from(thread < task.concurrency % threads);
            let errand = Arc::clone(&errand);
            std::thread::spawn(move || share(&errand, workers))
        })
        .collect();
    let mut sent = Sent::default();
    for share in shares {
        let tally = share.join().map_err(|_| "a thread panicked")??;
        sent.requests += tally.requests;
        sent.failures += tally.failures;
    }
    sent.took = began.elapsed();
    Ok(sent)
}

fn request(task: &Task, body: &[u8]) -> Vec<u8> {
    let connection = if task.keep_alive { "" } else { "connection: close\r\n" };
    let head = format!(
        "POST /webhook/cdr HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n{connection}content-length: {}\r\n\r\n",
        task.address,
        body.len(),
    );
    [head.as_bytes(), body].concat()
}

/// One thread's share.
fn share(errand: &Arc<Errand>, workers: usize) -> Result<Sent, Trouble> {
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
        let mut under_way = JoinSet::new();
        for _ in 0..workers {
            under_way.spawn(worker(Arc::clone(errand)));
        }
        let mut sent = Sent::default();
        while let Some(tally) = under_way.join_next().await {
            let tally = tally?;
            sent.requests += tally.requests;
            sent.failures += tally.failures;
        }
        Ok(sent)
    })
}

/// One connection after another, or one for all.
async fn worker(errand: Arc<Errand>) -> Sent {
    let mut sent = Sent::default();
    let mut connection = None;
    let mut buffer = Vec::with_capacity(4096);
    loop {
        let n = errand.next.fetch_add(1, Ordering::Relaxed);
        if n >= errand.count {
            return sent;
        }
        let request = &errand.requests[n % errand.requests.len()];
        match exchange(&errand, request, connection.take(), &mut buffer).await {
            Ok(stream) => {
                sent.requests += 1;
                connection = stream;
            }
            Err(_) => sent.failures += 1,
        }
    }
}

/// Sends one request and reads its answer; gives the connection, if it is used again.
async fn exchange(
    errand: &Errand,
    request: &[u8],
    connection: Option<TcpStream>,
    buffer: &mut Vec<u8>,
) -> Result<Option<TcpStream>, Trouble> {
    let mut stream = if let Some(stream) = connection {
        stream
    } else {
        let stream = TcpStream::connect(errand.address).await?;
        stream.set_nodelay(true)?;
        stream
    };
    stream.write_all(request).await?;
    buffer.clear();
    let needed = loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err("closed".into());
        }
        if let Some(head) = head::end(buffer) {
            break head + head::content_length(&buffer[..head]);
        }
    };
    while buffer.len() < needed {
        if stream.read_buf(buffer).await? == 0 {
            return Err("closed".into());
        }
    }
    if !buffer.starts_with(b"HTTP/1.1 2") {
        return Err("not accepted".into());
    }
    let is_used_again = errand.keep_alive && !head::closes(&buffer[..needed]);
    Ok(is_used_again.then_some(stream))
}
