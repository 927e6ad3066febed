//! The handler's process, which `--suite -- CMD` starts, restarts and ends.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::process::Stdio;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::error::Error;
use crate::net::Destination;
use crate::process::{Ended, GRACE, ProcessGroup, Supervisor};

/// The handler must open its port within 30 seconds, which is enough for a compiler or an application server.
const START: Duration = Duration::from_secs(30);

const PORT_POLL: Duration = Duration::from_millis(20);

/// Of the handler's output, the last 20 lines are kept, each of at most 4 KiB.
const LINES: usize = 20;
const MAX_LINE: u64 = 4 * 1024;

type Lines = Arc<Mutex<VecDeque<String>>>;

pub struct HandlerProcess {
    words: Vec<OsString>,
    destination: Destination,
    supervisor: Rc<Supervisor>,
    group: Option<ProcessGroup>,
    lines: Lines,
}

impl HandlerProcess {
    /// Starts the command and waits until it listens on the port of `destination`.
    pub async fn start(
        words: &[OsString],
        destination: &Destination,
        supervisor: Rc<Supervisor>,
    ) -> Result<Self, Error> {
        let mut process = Self {
            words: words.to_vec(),
            destination: destination.clone(),
            supervisor,
            group: None,
            lines: Lines::default(),
        };
        if process.is_listening().await {
            let port = destination.port();
            let what = format!(
                "port {port} is taken by another program: stop it, or leave out --url for a free port"
            );
            return Err(Error::Usage(what));
        }
        process.launch().await?;
        Ok(process)
    }

    async fn launch(&mut self) -> Result<(), Error> {
        let [program, arguments @ ..] = self.words.as_slice() else {
            return Ok(());
        };
        let destination = &self.destination;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("PORT", destination.port().to_string())
            .env("TELECMI_CDR_URL", destination.exact_url())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let name = program.to_string_lossy().into_owned();
        let started = self.supervisor.start(&mut command);
        let mut group = started.map_err(|source| Error::Run {
            program: name.clone(),
            source,
        })?;
        let (stdout, stderr) = group.streams();
        let stdout = keep_lines(stdout, Arc::clone(&self.lines));
        let stderr = keep_lines(stderr, Arc::clone(&self.lines));
        let readers = tokio::spawn(async { tokio::join!(stdout, stderr) });
        let listening = async {
            while !self.is_listening().await {
                sleep(PORT_POLL).await;
            }
        };
        let port = destination.port();
        let what = tokio::select! {
            () = listening => {
                self.group = Some(group);
                return Ok(());
            }
            ended = group.wait() => format!("{name} ended {} before it listened on port {port}", ended.words()),
            () = sleep(START) => format!("{name} does not listen on port {port} after {} s", START.as_secs()),
        };
        group.end(GRACE).await;
        // The streams end with the processes that hold them; a daemon may hold them for longer.
        let _ = timeout(GRACE, readers).await;
        Err(Error::Handler {
            what,
            said: self.take_output(),
        })
    }

    async fn is_listening(&self) -> bool {
        let address = (self.destination.host(), self.destination.port());
        TcpStream::connect(address).await.is_ok()
    }

    pub(super) fn supervisor(&self) -> Rc<Supervisor> {
        Rc::clone(&self.supervisor)
    }

    /// Ends what is left of the handler and starts the command again.
    pub(super) async fn restart(&mut self) -> Result<(), Error> {
        self.end().await;
        self.launch().await
    }

    /// `ended` returns how the command ended, or `None` while it runs.
    pub(super) async fn ended(&mut self) -> Option<Ended> {
        let group = self.group.as_mut()?;
        timeout(Duration::ZERO, group.wait()).await.ok()
    }

    /// `take_output` returns the last lines that the handler has printed since the previous call.
    pub(super) fn take_output(&self) -> Vec<String> {
        locked(&self.lines).drain(..).collect()
    }

    pub async fn end(&mut self) {
        if let Some(mut group) = self.group.take() {
            group.end(GRACE).await;
        }
    }
}

fn locked(lines: &Lines) -> MutexGuard<'_, VecDeque<String>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn keep_lines(stream: Option<impl AsyncRead + Unpin>, lines: Lines) {
    let Some(stream) = stream else { return };
    let mut stream = BufReader::new(stream).take(MAX_LINE);
    let mut line = Vec::new();
    while let Ok(1..) = stream.read_until(b'\n', &mut line).await {
        stream.set_limit(MAX_LINE);
        let mut lines = locked(&lines);
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
        line.clear();
    }
}
