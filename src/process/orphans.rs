//! Ends descendants that have left their process group. This process is a subreaper (`PR_SET_CHILD_SUBREAPER`): the
//! kernel makes it the parent of descendants whose own parents end.
//!
//! A subreaper must also reap orphans that end by themselves: a script that stops a daemon waits until the daemon's process
//! id is gone.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{
    Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, waitpid,
};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

use super::{GRACE, KILLED, POLL, pid_of};

/// `NO_ORPHANS` holds the children that are no orphans: group leaders, and children of a shell that replaced itself by
/// this program (`exec`). The list is static, since children belong to the whole process.
static NO_ORPHANS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

fn no_orphans() -> MutexGuard<'static, Vec<Pid>> {
    NO_ORPHANS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lock on `NO_ORPHANS` is held while a group leader starts, so that the leader is never taken for an orphan.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    let mut no_orphans = no_orphans();
    let child = command.spawn()?;
    no_orphans.extend(pid_of(&child));
    Ok(child)
}

pub fn forget(leader: Pid) {
    no_orphans().retain(|pid| *pid != leader);
}

/// `adopt` must be called within a tokio runtime, in which a task reaps the orphans that end.
pub fn adopt() {
    let children = processes().filter(|process| process.parent == Some(getpid()));
    no_orphans().extend(children.map(|child| child.pid));
    if set_child_subreaper(Some(getpid())).is_ok()
        && let Ok(mut ended) = signal(SignalKind::child())
    {
        tokio::spawn(async move {
            while ended.recv().await.is_some() {
                reap();
            }
        });
    }
}

pub async fn end() {
    for (signal, time) in [(Signal::TERM, GRACE), (Signal::KILL, KILLED)] {
        let mut signalled = Vec::new();
        let ending = async {
            loop {
                reap();
                let running = running();
                if running.is_empty() {
                    return;
                }
                for pid in running {
                    if !signalled.contains(&pid) {
                        signalled.push(pid);
                        // Signalling fails if the process is gone.
                        let _ = kill_process(pid, signal);
                    }
                }
                sleep(POLL).await;
            }
        };
        if timeout(time, ending).await.is_ok() {
            return;
        }
    }
}

pub fn kill() {
    // The orphans are killed three times, since an orphan may start another process meanwhile.
    for _ in 0..3 {
        for pid in running() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

struct Process {
    pid: Pid,
    parent: Option<Pid>,
    has_ended: bool,
}

fn processes() -> impl Iterator<Item = Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        process(pid, &stat)
    })
}

/// `/proc/PID/stat` holds id, name in parentheses, state and parent. The name may contain spaces and parentheses.
fn process(pid: Pid, stat: &str) -> Option<Process> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_ascii_whitespace();
    let state = fields.next()?;
    Some(Process {
        pid,
        parent: Pid::from_raw(fields.next()?.parse().ok()?),
        has_ended: matches!(state, "Z" | "X"),
    })
}

/// Orphans that have ended are reaped here; tokio reaps the group leaders.
fn reap() {
    // The lock is held to the end of `reap`: a leader started meanwhile would be taken for an orphan.
    let no_orphans = no_orphans();
    for Process { pid, parent, .. } in processes().filter(|process| process.has_ended) {
        if parent == Some(getpid()) && !no_orphans.contains(&pid) {
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }
}

fn running() -> Vec<Pid> {
    let no_orphans = no_orphans();
    let mut processes: Vec<_> = processes().collect();
    let mut running = Vec::new();
    let mut parents = vec![getpid()];
    while let Some(parent) = parents.pop() {
        for child in processes.extract_if(.., |process| process.parent == Some(parent)) {
            if !no_orphans.contains(&child.pid) {
                parents.push(child.pid);
                running.extend((!child.has_ended).then_some(child.pid));
            }
        }
    }
    running
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_s_description_is_read_whatever_the_name() {
        let read =
            |stat| process(getpid(), stat).map(|process| (process.parent, process.has_ended));
        assert_eq!(read("7 (sleep) S 3 7 7 0"), Some((Pid::from_raw(3), false)));
        assert_eq!(read("7 (a) Z 1 (b) Z 4 7"), Some((Pid::from_raw(4), true)));
        assert_eq!(read("7 sleep"), None);
    }

    #[test]
    fn we_are_among_all_processes() {
        assert!(processes().any(|process| process.pid == getpid() && !process.has_ended));
    }
}
