//! Asks a URL or a program what is stored of a CDR.

use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use percent_encoding::utf8_percent_encode;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::time::timeout;

use super::{KEYS, SentCdr};
use crate::net::client::{Client, MAX_RESPONSE_BODY};
use crate::net::query::ESCAPED;
use crate::net::{Destination, Request};
use crate::process::{GRACE, Supervisor};

pub enum Asker {
    Url(Box<Client>, Box<Destination>),
    Command(Vec<String>, Rc<Supervisor>, Duration),
}

impl Asker {
    /// Returns what is stored of a CDR, empty for 404 and 410.
    pub async fn ask(&self, cdr: &SentCdr) -> Result<String, String> {
        match self {
            Self::Url(client, url) => {
                let keys = KEYS.map(|name| (name, cdr.value(name)));
                let is_asked = |(name, _): &&(&str, _)| url.target().contains(&place(name));
                let asked: Vec<_> = keys.iter().filter(is_asked).collect();
                if !asked.is_empty() && asked.iter().all(|(_, value)| value.is_empty()) {
                    return Ok(String::new());
                }
                let encoded = keys
                    .map(|(name, value)| (name, utf8_percent_encode(&value, ESCAPED).to_string()));
                let target = fill(url.target(), &encoded);
                let request = Request::new("GET", target, Vec::new(), "");
                let response = client.send(&request).await;
                let response = response.map_err(|failure| failure.text)?;
                let text = response.decoded();
                let text = text.map_err(|names| format!("{} answered in {names}", url.masked));
                match response.status {
                    200..300 => Ok(String::from_utf8_lossy(&text?).into_owned()),
                    404 | 410 => Ok(String::new()),
                    status => Err(format!("{} answered {status}", url.masked)),
                }
            }
            Self::Command(words, supervisor, limit) => {
                // A process argument and a variable hold no NUL.
                let keys = KEYS.map(|name| (name, cdr.value(name).replace('\0', "")));
                let words: Vec<String> = words.iter().map(|word| fill(word, &keys)).collect();
                let variables =
                    keys.map(|(name, value)| (format!("CDR_{}", name.to_uppercase()), value));
                let mut command = Command::new(&words[0]);
                command.args(&words[1..]).envs(variables);
                let ended = timeout(*limit, run(&mut command, supervisor)).await;
                let output = ended.unwrap_or_else(|_| Err("still runs".to_owned()));
                output.map_err(|what| format!("{} {what}", words[0]))
            }
        }
    }
}

fn place(name: &str) -> String {
    format!("{{{name}}}")
}

fn fill(template: &str, keys: &[(&str, String)]) -> String {
    let filled = |text: String, (name, value): &(&str, String)| text.replace(&place(name), value);
    keys.iter().fold(template.to_owned(), filled)
}

async fn run(command: &mut Command, supervisor: &Supervisor) -> Result<String, String> {
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let group = supervisor.start(command);
    let mut group = group.map_err(|error| format!("cannot be run: {error}"))?;
    let (stdout, stderr) = group.streams();
    let (output, said) = tokio::join!(read(stdout), read(stderr));
    let ended = group.wait().await;
    group.end(GRACE).await;
    if ended.code == Some(0) {
        return Ok(output);
    }
    let last = said.lines().last();
    let last = last.map_or(String::new(), |line| format!(": {line}"));
    Err(format!("ended {}{last}", ended.words()))
}

async fn read(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        let mut stream = stream.take(MAX_RESPONSE_BODY as u64);
        // The bytes that were read before an error are used.
        let _ = stream.read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
