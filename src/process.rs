//! Child programs and everything that they start: no process outlives this one.
//!
//! On Unix each program leads a process group, which gets SIGTERM and, if it does not end, SIGKILL. On Linux processes that
//! left their group (daemons, `setsid`) are ended too. Elsewhere only the program itself is ended. A group that reads the
//! terminal is lent it.

#[cfg(target_os = "linux")]
mod orphans;
mod terminal;

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

#[cfg(unix)]
pub use rustix::process::Signal;
#[cfg(unix)]
use rustix::process::{Pid, WaitOptions, kill_process_group, test_kill_process_group, waitpgid};
use serde::Serialize;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::{sleep, timeout};

use terminal::Handoff;

/// How long programs may take to end after SIGTERM.
pub const GRACE: Duration = Duration::from_secs(1);

/// How long the system may take to end a killed process: milliseconds, unless a disk hangs.
const KILLED: Duration = Duration::from_secs(1);

/// How often a group is checked for members: there is no event for it.
const POLL: Duration = Duration::from_millis(10);

/// Any of them ends the program.
#[cfg(not(unix))]
#[derive(Debug, Clone, Copy)]
pub enum Signal {
    INT,
    TERM,
    KILL,
}

#[cfg(not(unix))]
type Pid = u32;

/// The limit of open files of this process, if there is one.
pub(crate) fn descriptors() -> Option<u64> {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    None
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Ended {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
}

impl Ended {
    /// A shell's exit code: a signal counts from 128. 1 if the number does not fit.
    pub(crate) fn shell_code(self) -> u8 {
        let code = self.code.or(self.signal.map(|signal| 128 + signal));
        code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
    }

    /// Follows "the command ended": `with 3`, `by signal 9`.
    pub(crate) fn words(self) -> String {
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

/// Starts programs, and takes in their orphans. Dropping kills the orphans that still run.
pub struct Supervisor(());

impl Supervisor {
    /// Takes in orphans from now on, where the system allows it. Needs a runtime.
    pub(crate) fn install() -> Self {
        #[cfg(target_os = "linux")]
        orphans::adopt();
        Self(())
    }

    /// Starts a program as the leader of a new group.
    #[expect(clippy::unused_self, reason = "programs need a supervisor")]
    pub fn start(&self, command: &mut Command) -> io::Result<ProcessGroup> {
        #[cfg(unix)]
        command.process_group(0);
        #[cfg(target_os = "linux")]
        let child = orphans::spawn(command)?;
        #[cfg(not(target_os = "linux"))]
        let child = command.spawn()?;
        Ok(ProcessGroup {
            id: pid_of(&child),
            child,
            ended: None,
            handoff: Handoff::default(),
        })
    }

    /// Ends the orphans, within twice the grace.
    pub async fn end(self) {
        #[cfg(target_os = "linux")]
        orphans::end().await;
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        #[cfg(target_os = "linux")]
        orphans::kill();
    }
}

/// A program and its descendants. Dropping kills those still running.
#[derive(Debug)]
pub struct ProcessGroup {
    child: Child,
    /// The leader's process id, as long as the group may have members.
    id: Option<Pid>,
    ended: Option<Ended>,
    handoff: Handoff,
}

impl ProcessGroup {
    /// The program's standard output and standard error, where they are pipes. They can be taken once.
    pub(crate) fn streams(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        (self.child.stdout.take(), self.child.stderr.take())
    }

    /// Waits until the program itself has ended; its descendants may go on. Cancel-safe.
    pub(crate) async fn wait(&mut self) -> Ended {
        if let Some(ended) = self.ended {
            return ended;
        }
        // Fails only if the child has been waited for elsewhere.
        let ended = tokio::select! {
            biased;
            ended = self.child.wait() => ended.map(Ended::from).unwrap_or_default(),
            never = self.handoff.look_after(self.id) => match never {},
        };
        self.handoff.end();
        self.ended = Some(ended);
        // From now on the system may reuse the process id, unless the group still has members.
        self.is_gone();
        ended
    }

    /// Takes the terminal back, if the group has it. The group may ask again.
    pub(crate) fn take_terminal_back(&mut self) {
        self.handoff.end();
    }

    /// Sends a signal to the whole group.
    pub(crate) fn signal(&mut self, signal: Signal) {
        #[cfg(unix)]
        if let Some(group) = self.id {
            // Fails if the group is gone.
            let _ = kill_process_group(group, signal);
            // A stopped process handles no signal.
            let _ = kill_process_group(group, Signal::CONT);
        }
        #[cfg(not(unix))]
        let _ = (signal, self.child.start_kill());
    }

    /// Ends the group: SIGTERM, and SIGKILL for members that are still there after the grace.
    pub(crate) async fn end(&mut self, grace: Duration) -> Ended {
        self.signal(Signal::TERM);
        self.end_within(grace).await
    }

    /// The same for a group that has had its signal.
    pub(crate) async fn end_within(&mut self, grace: Duration) -> Ended {
        if timeout(grace, self.gone()).await.is_err() {
            self.signal(Signal::KILL);
            let _ = timeout(KILLED, self.gone()).await;
        }
        self.ended.unwrap_or_default()
    }

    /// Waits until the group has no members.
    async fn gone(&mut self) {
        self.wait().await;
        while !self.is_gone() {
            sleep(POLL).await;
        }
    }

    /// Whether the group has no members. Only after the leader has been waited for.
    fn is_gone(&mut self) -> bool {
        #[cfg(unix)]
        if let Some(group) = self.id {
            // Orphans that have ended count as members until they are waited for.
            while let Ok(Some(_)) = waitpgid(group, WaitOptions::NOHANG) {}
            if test_kill_process_group(group).is_ok() {
                return false;
            }
        }
        self.forget();
        true
    }

    fn forget(&mut self) {
        #[cfg(target_os = "linux")]
        if let Some(leader) = self.id {
            orphans::forget(leader);
        }
        self.id = None;
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if self.ended.is_none() || !self.is_gone() {
            self.signal(Signal::KILL);
        }
        self.handoff.end();
        self.forget();
    }
}

fn pid_of(child: &Child) -> Option<Pid> {
    #[cfg(unix)]
    return Pid::from_raw(i32::try_from(child.id()?).ok()?);
    #[cfg(not(unix))]
    child.id()
}

#[cfg(unix)]
#[cfg(test)]
mod tests;
