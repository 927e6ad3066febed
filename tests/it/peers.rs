//! Stub handlers and raw clients for the tests. They share no code with the program.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, mpsc};
use std::thread;

use super::program::DEADLINE;

pub fn stub(answer: impl Into<String>) -> String {
    stub_in_turn([answer.into()])
}

/// Starts a stub that answers each connection with the next of `answers`; the last answer is repeated.
pub fn stub_in_turn<S: Into<String>>(answers: impl IntoIterator<Item = S>) -> String {
    let mut answers = answers
        .into_iter()
        .map(Into::into)
        .collect::<Vec<String>>()
        .into_iter()
        .peekable();
    visited(move || {
        let answer = answers.next().unwrap_or_default();
        if answers.peek().is_none() {
            answers = vec![answer.clone()].into_iter().peekable();
        }
        Some(answer)
    })
}

pub fn stub_of_bytes(answer: Vec<u8>) -> String {
    visited(move || Some(answer.clone()))
}

pub fn silent_stub() -> String {
    visited(|| None::<String>)
}

/// Starts a stub that answers each connection with the same bytes and returns the received requests. Without an answer,
/// connections stay open.
pub fn keeping_stub(answer: impl Into<String>) -> (String, mpsc::Receiver<String>) {
    let (keep, requests) = mpsc::channel();
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", socket.local_addr().expect("an address"));
    let answer = answer.into();
    thread::spawn(move || {
        let mut open = Vec::new();
        for stream in socket.incoming() {
            let Ok(mut stream) = stream else { break };
            let request = read_request(&mut stream);
            let _ = keep.send(String::from_utf8_lossy(&request).into_owned());
            let _ = stream.write_all(answer.as_bytes());
            if answer.is_empty() {
                open.push(stream);
            }
        }
    });
    (url, requests)
}

fn visited<B: AsRef<[u8]> + Send + 'static>(
    mut answer: impl FnMut() -> Option<B> + Send + 'static,
) -> String {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", socket.local_addr().expect("an address"));
    thread::spawn(move || {
        let mut open = Vec::new();
        for stream in socket.incoming() {
            let Ok(mut stream) = stream else { break };
            let Some(answer) = answer() else {
                open.push(stream);
                continue;
            };
            thread::spawn(move || {
                read_request(&mut stream);
                let _ = stream.write_all(answer.as_ref());
            });
        }
    });
    url
}

/// Returns an address on which nothing listens. A connected socket holds the port, so that no other test gets it.
pub fn nobody() -> String {
    static HELD: Mutex<Vec<(TcpListener, TcpStream)>> = Mutex::new(Vec::new());
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let stream =
        TcpStream::connect(socket.local_addr().expect("an address")).expect("a connection");
    let url = format!("http://{}", stream.local_addr().expect("an address"));
    HELD.lock().expect("a lock").push((socket, stream));
    url
}

pub fn answer(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[track_caller]
pub fn say(url: &str, bytes: impl AsRef<[u8]>) -> String {
    let address = url.strip_prefix("http://").expect("a plain URL");
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    stream.write_all(bytes.as_ref()).expect("written");
    let mut answer = Vec::new();
    // A listener that closes early may reset the connection; the bytes read before count.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[track_caller]
pub fn post(url: &str, headers: &str, body: impl AsRef<[u8]>) -> String {
    let body = body.as_ref();
    let mut bytes = format!(
        "POST /webhook/cdr HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    say(url, bytes)
}

#[track_caller]
pub fn post_json(url: &str, body: impl AsRef<[u8]>) -> String {
    post(url, "Content-Type: application/json\r\n", body)
}

pub fn read_request(stream: &mut TcpStream) -> Vec<u8> {
    let _ = stream.set_read_timeout(Some(DEADLINE));
    let mut seen = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&seen).to_ascii_lowercase();
        if let Some(end) = text.find("\r\n\r\n") {
            let length = text
                .split("content-length:")
                .nth(1)
                .and_then(|rest| rest.lines().next());
            let length: usize = length
                .and_then(|length| length.trim().parse().ok())
                .unwrap_or(0);
            if seen.len() >= end + 4 + length {
                return seen;
            }
        }
        match stream.read(&mut chunk) {
            Ok(n) if n > 0 => seen.extend_from_slice(&chunk[..n]),
            _ => return seen,
        }
    }
}
