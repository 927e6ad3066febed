//! Receivers on one thread: a sink that only counts, and bare hyper doing what a receiver of CDRs cannot do without.

use std::convert::Infallible;
use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::Write as _;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use crate::Trouble;
use crate::head;

/// As many connections may wait to be accepted as the kernel allows.
const BACKLOG: u32 = 4096;

/// How many requests the sink has answered.
static ANSWERED: AtomicU64 = AtomicU64::new(0);

/// Answers everything 200, and `GET /count` with how many others it has answered.
pub fn sink() -> Result<(), Trouble> {
    serve(|stream| async {
        // That a sender has gone is nobody's fault.
        let _ = swallow(stream).await;
    })
}

async fn swallow(mut stream: TcpStream) -> Result<(), Trouble> {
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\ngot it";
    const LAST_ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 6\r\n\r\ngot it";
    const STAYING_ANSWER: &[u8] =
        b"HTTP/1.1 200 OK\r\nconnection: keep-alive\r\ncontent-length: 6\r\n\r\ngot it";
    let mut buffer: Vec<u8> = Vec::with_capacity(8192);
    loop {
        let head = loop {
            if let Some(head) = head::end(&buffer) {
                break head;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let needed = head + head::content_length(&buffer[..head]);
        while buffer.len() < needed {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        if buffer.starts_with(b"GET /count ") {
            let count = ANSWERED.load(Ordering::Relaxed).to_string();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{count}",
                count.len()
            );
            stream.write_all(answer.as_bytes()).await?;
            return Ok(());
        }
        ANSWERED.fetch_add(1, Ordering::Relaxed);
        let closes = head::closes(&buffer[..head]);
        let stays = head::asks_to_stay(&buffer[..head]);
        stream
            .write_all(if closes {
                LAST_ANSWER
            } else if stays {
                STAYING_ANSWER
            } else {
                ANSWER
            })
            .await?;
        if closes {
            return Ok(());
        }
        buffer.drain(..needed);
    }
}

/// A CDR, borrowed from its body.
#[derive(Deserialize)]
struct Cdr<'a> {
    #[serde(borrow)]
    cmiuuid: &'a str,
    #[serde(borrow)]
    call_id: &'a str,
    #[serde(borrow)]
    status: &'a str,
    #[serde(borrow)]
    user: &'a str,
    to: u64,
    time: u64,
}

/// Parses a CDR, appends its body to a file as one line by one write, and answers 200 after that.
pub fn hyper(file: &Path) -> Result<(), Trouble> {
    let file: Rc<File> = Rc::new(OpenOptions::new().create(true).append(true).open(file)?);
    serve(move |stream| {
        let file = Rc::clone(&file);
        async move {
            let service = service_fn(move |request| take(Rc::clone(&file), request));
            // That a sender has gone is nobody's fault.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        }
    })
}

async fn take(file: Rc<File>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let status = match request.into_body().collect().await {
        Ok(body) => append(&file, &body.to_bytes()),
        Err(_) => StatusCode::BAD_REQUEST,
    };
    let mut response = Response::new(Full::new(Bytes::from_static(b"got it")));
    *response.status_mut() = status;
    Ok(response)
}

fn append(mut file: &File, body: &[u8]) -> StatusCode {
    let Ok(cdr) = serde_json::from_slice::<Cdr<'_>>(body) else { return StatusCode::BAD_REQUEST };
    // What is read must not be optimised away.
    std::hint::black_box((cdr.cmiuuid, cdr.call_id, cdr.status, cdr.user, cdr.to, cdr.time));
    let mut line = Vec::with_capacity(body.len() + 1);
    line.extend_from_slice(body);
    line.push(b'\n');
    match file.write_all(&line) {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Accepts connections on a free port of the loopback interface, which it prints, until the process is ended.
fn serve<F: Future<Output = ()> + 'static>(visit: impl Fn(TcpStream) -> F) -> Result<(), Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    LocalSet::new().block_on(&runtime, async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(([127, 0, 0, 1], 0).into())?;
        let listener: TcpListener = socket.listen(BACKLOG)?;
        println!("{}", listener.local_addr()?.port());
        std::io::stdout().flush()?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::task::spawn_local(visit(stream));
        }
    })
}
