//! Programs that we start, and everything they start in turn: none of it outlives us.
//!
//! In: a command. Out: how it ended. On Unix each program leads a process group of its own, which gets SIGTERM and, if
//! it does not end, SIGKILL. On Linux what left that group (daemons, `setsid`) is found too, because orphans come to
//! us. Elsewhere only the program itself is ended. A group that reads the terminal is lent it.

mod orphans;
mod terminal;

use std::io;
use std::num::NonZero;
use std::process::ExitStatus;
use std::time::Duration;

use serde::Serialize;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use orphans::Orphans;
use terminal::Handoff;

/// How long programs may take to end after SIGTERM.
pub const GRACE: Duration = Duration::from_secs(1);

/// How long the system may take to end a killed process: milliseconds, unless a disk hangs.
const KILLED: Duration = Duration::from_secs(1);

/// How often a group is checked for members: there is no event for it.
const POLL: Duration = Duration::from_millis(10);

/// A signal for a process group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
}

/// The limit of open files of this process, if there is one.
#[cfg(unix)]
#[must_use]
pub fn descriptors() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// The limit of open files of this process, unknown here.
#[cfg(not(unix))]
#[must_use]
pub fn descriptors() -> Option<u64> {
    None
}

/// How many processors this process may use. A dozen system calls.
#[must_use]
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// The signal for a file that has become longer than the user allows. Once it is caught, the write fails instead.
#[cfg(unix)]
pub const FILE_TOO_LONG: i32 = rustix::process::Signal::XFSZ.as_raw();

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Ended {
    /// Its own exit code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The signal that ended it instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
}

impl Ended {
    /// The code that a shell would give for this: a signal counts from 128. What fits no exit code is 1.
    #[must_use]
    pub fn shell_code(self) -> u8 {
        let code = self
            .code
            .or(self.signal.map(|signal| 128 + signal))
            .unwrap_or(1);
        u8::try_from(code).unwrap_or(1)
    }

    /// In words that follow "it ended": `with 3`, `by signal 9`.
    #[must_use]
    pub fn words(self) -> String {
        match (self.code, self.signal) {
            (Some(code), _) => format!("with {code}"),
            (None, Some(signal)) => format!("by signal {signal}"),
            (None, None) => "somehow".to_owned(),
        }
    }
}

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Self {
        #[cfg(unix)]
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        #[cfg(not(unix))]
        let signal = None;
        Self {
            code: status.code(),
            signal,
        }
    }
}

/// All programs this process has started. Dropping kills those still running.
pub struct Supervisor {
    orphans: Orphans,
}

impl Supervisor {
    /// Takes in orphans from now on, where the system allows it. Needs a runtime.
    #[must_use]
    pub fn new() -> Self {
        Self {
            orphans: Orphans::adopt(),
        }
    }

    /// Starts a program at the head of a group of its own.
    pub fn start(&self, command: &mut Command) -> io::Result<ProcessGroup> {
        #[cfg(unix)]
        command.process_group(0);
        let child = orphans::start_leader(
            || command.spawn(),
            |child| child.as_ref().ok().and_then(Child::id),
        )?;
        Ok(ProcessGroup {
            members: Members::of(&child),
            pid: child.id(),
            child,
            ended: None,
            handoff: Handoff::default(),
        })
    }

    /// Ends what left its group. That takes at most twice the grace.
    pub async fn end(self) {
        self.orphans.end().await;
    }
}

impl Default for Supervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.orphans.kill();
    }
}

/// A program and its descendants. Dropping kills those still running.
#[derive(Debug)]
pub struct ProcessGroup {
    child: Child,
    pid: Option<u32>,
    members: Members,
    ended: Option<Ended>,
    handoff: Handoff,
}

impl ProcessGroup {
    /// The program's standard output and standard error, where they are pipes. They can be taken once.
    pub fn streams(
        &mut self,
    ) -> (
        Option<tokio::process::ChildStdout>,
        Option<tokio::process::ChildStderr>,
    ) {
        (self.child.stdout.take(), self.child.stderr.take())
    }

    /// Waits until the program itself has ended; its descendants may go on. Cancel-safe.
    pub async fn wait(&mut self) -> Ended {
        if let Some(ended) = self.ended {
            return ended;
        }
        // Fails only if the child has been waited for elsewhere.
        let ended = tokio::select! {
            biased;
            ended = self.child.wait() => ended.map(Ended::from).unwrap_or_default(),
            never = self.handoff.look_after(self.pid) => match never {},
        };
        self.handoff.end();
        self.ended = Some(ended);
        // From now on the system may reuse the process id, unless the group still has members.
        self.members.is_empty();
        ended
    }

    /// Takes the terminal back, if the group has asked for it and needs it no more. It may ask again.
    pub fn take_terminal_back(&mut self) {
        self.handoff.end();
    }

    /// Sends a signal to the whole group.
    pub fn signal(&mut self, signal: Signal) {
        self.members.signal(signal, &mut self.child);
    }

    /// Ends the group: SIGTERM, and SIGKILL for what is still there after the grace.
    pub async fn end(&mut self, grace: Duration) -> Ended {
        self.signal(Signal::Terminate);
        self.end_within(grace).await
    }

    /// The same for a group that has had its signal.
    pub async fn end_within(&mut self, grace: Duration) -> Ended {
        if timeout(grace, self.gone()).await.is_err() {
            self.signal(Signal::Kill);
            let _ = timeout(KILLED, self.gone()).await;
        }
        self.ended.unwrap_or_default()
    }

    /// Waits until the group has no members.
    async fn gone(&mut self) {
        self.wait().await;
        while !self.members.is_empty() {
            sleep(POLL).await;
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if self.ended.is_none() || !self.members.is_empty() {
            self.signal(Signal::Kill);
        }
        self.handoff.end();
        orphans::forget(self.pid);
    }
}

/// The group's id, as long as it may have members.
#[cfg(unix)]
#[derive(Debug)]
struct Members(Option<rustix::process::Pid>);

#[cfg(unix)]
impl Members {
    fn of(child: &Child) -> Self {
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        Self(pid.and_then(rustix::process::Pid::from_raw))
    }

    fn signal(&self, signal: Signal, _: &mut Child) {
        use rustix::process::Signal as Number;
        let number = match signal {
            Signal::Interrupt => Number::INT,
            Signal::Terminate => Number::TERM,
            Signal::Kill => Number::KILL,
        };
        if let Some(group) = self.0 {
            // Fails if the group is gone, which is as good.
            let _ = rustix::process::kill_process_group(group, number);
            // A stopped process handles no signal.
            let _ = rustix::process::kill_process_group(group, Number::CONT);
        }
    }

    /// Whether the group is gone. Only after the leader has been waited for, which tokio does.
    fn is_empty(&mut self) -> bool {
        use rustix::process::{WaitOptions, test_kill_process_group, waitpgid};
        let Some(group) = self.0 else { return true };
        // Orphans of ours that have ended still count as members until they are waited for.
        while let Ok(Some(_)) = waitpgid(group, WaitOptions::NOHANG) {}
        let empty = test_kill_process_group(group).is_err();
        if empty {
            self.0 = None;
        }
        empty
    }
}

/// Without process groups a group is the program alone.
#[cfg(not(unix))]
#[derive(Debug)]
struct Members;

#[cfg(not(unix))]
impl Members {
    fn of(_: &Child) -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "where there are groups, this is one")]
    fn signal(&self, _: Signal, child: &mut Child) {
        let _ = child.start_kill();
    }

    #[expect(clippy::unused_self, reason = "where there are groups, this is one")]
    fn is_empty(&mut self) -> bool {
        true
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests;
