//! Starts child programs, and ends them with all their descendants.
//!
//! On Unix each program leads a process group, which gets SIGTERM and, if it does not end, SIGKILL. On Linux processes that
//! left their group (daemons, `setsid`) are ended too. On other systems only the program itself is ended. A group that
//! reads the terminal becomes its foreground group.

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

/// A process group gets SIGKILL one second after SIGTERM.
pub const GRACE: Duration = Duration::from_secs(1);

/// After SIGKILL, the wait for a group is limited to one second. The kernel takes milliseconds, unless a disk hangs.
const KILLED: Duration = Duration::from_secs(1);

/// The members of a process group are checked every 10 ms, because the kernel has no event for the end of a group.
const POLL: Duration = Duration::from_millis(10);

/// On systems without Unix signals, each `Signal` kills the program.
#[cfg(not(unix))]
#[derive(Debug, Clone, Copy)]
pub enum Signal {
    INT,
    TERM,
    KILL,
}

#[cfg(not(unix))]
type Pid = u32;

pub(crate) fn descriptors() -> Option<u64> {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    None
}

/// The number of file descriptors that the runtime, the output and the first files and connections need.
#[cfg(unix)]
const NEEDED_DESCRIPTORS: usize = 24;

/// Raises the soft limit of file descriptors to the hard limit, as far as the system allows. Returns an error if too few
/// descriptors are left for the program to start.
pub(crate) fn raise_descriptors() -> io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        // macOS refuses more than 10 240; programs that use select(2) do not expect numbers of many digits.
        const MOST: u64 = 10_240;
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let most = maximum.unwrap_or(MOST).min(MOST);
        if current.is_some_and(|current| current < most) {
            let raised = Rlimit {
                current: Some(most),
                maximum,
            };
            // If the system refuses the new limit of file descriptors, the old limit stays.
            let _ = setrlimit(Resource::Nofile, raised);
        }
        let copies = (0..NEEDED_DESCRIPTORS).map(|_| rustix::io::dup(io::stderr()));
        copies.collect::<Result<Vec<_>, _>>()?;
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Ended {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
}

impl Ended {
    /// A shell reports 128 + N for a program ended by signal N. An exit code that does not fit into a byte becomes 1.
    pub(crate) fn shell_code(self) -> u8 {
        let code = self.code.or(self.signal.map(|signal| 128 + signal));
        code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
    }

    /// `Ended::words` is `with 3` or `by signal 9`, to follow "the command ended".
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

/// A dropped `Supervisor` kills the orphans that still run.
pub struct Supervisor(());

impl Supervisor {
    /// `Supervisor::install` must be called within a tokio runtime. On Linux, this process adopts orphans from then on.
    pub(crate) fn install() -> Self {
        #[cfg(target_os = "linux")]
        orphans::adopt();
        Self(())
    }

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

/// A `ProcessGroup` is a program and those of its descendants that stay in its group. A dropped `ProcessGroup` kills
/// the members that still run.
#[derive(Debug)]
pub struct ProcessGroup {
    child: Child,
    /// `id` is the leader's process id, set as long as the group may have members.
    id: Option<Pid>,
    ended: Option<Ended>,
    handoff: Handoff,
}

impl ProcessGroup {
    pub(crate) fn streams(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        (self.child.stdout.take(), self.child.stderr.take())
    }

    /// `ProcessGroup::wait` ends with the program itself; descendants may still run. The future is cancel-safe.
    pub(crate) async fn wait(&mut self) -> Ended {
        if let Some(ended) = self.ended {
            return ended;
        }
        // `Child::wait` fails only if other code has reaped the child.
        let ended = tokio::select! {
            biased;
            ended = self.child.wait() => ended.map(Ended::from).unwrap_or_default(),
            never = self.handoff.look_after(self.id) => match never {},
        };
        self.handoff.end();
        self.ended = Some(ended);
        // After the leader is reaped, the system may reuse its process id, unless the group still has members.
        self.is_gone();
        ended
    }

    /// The terminal is lent to the group again if the group reads the terminal after `take_terminal_back`.
    pub(crate) fn take_terminal_back(&mut self) {
        self.handoff.end();
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        #[cfg(unix)]
        if let Some(group) = self.id {
            // Signalling fails if the group has no members left.
            let _ = kill_process_group(group, signal);
            // A stopped process handles a signal only after SIGCONT.
            let _ = kill_process_group(group, Signal::CONT);
        }
        #[cfg(not(unix))]
        let _ = (signal, self.child.start_kill());
    }

    /// Sends SIGTERM to the group, waits up to `grace` for the members to exit, then sends SIGKILL.
    pub(crate) async fn end(&mut self, grace: Duration) -> Ended {
        self.signal(Signal::TERM);
        self.end_within(grace).await
    }

    /// Waits up to `grace` for a signalled group to exit, then kills the group.
    pub(crate) async fn end_within(&mut self, grace: Duration) -> Ended {
        if timeout(grace, self.gone()).await.is_err() {
            self.signal(Signal::KILL);
            let _ = timeout(KILLED, self.gone()).await;
        }
        self.ended.unwrap_or_default()
    }

    async fn gone(&mut self) {
        self.wait().await;
        while !self.is_gone() {
            sleep(POLL).await;
        }
    }

    /// `is_gone` must be called after the leader has been reaped: `waitpgid` would take the leader's exit status.
    fn is_gone(&mut self) -> bool {
        #[cfg(unix)]
        if let Some(group) = self.id {
            // Zombies count as members of a group until they are reaped.
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
