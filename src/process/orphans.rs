//! What left its group: on Linux the orphans of our programs come to us, and are ended like the rest.
//!
//! A subreaper must also wait for its orphans when they end, or scripts that stop a daemon and
//! wait for its number to vanish wait for ever.

#[cfg(target_os = "linux")]
pub use here::{Orphans, forget, start_leader};
#[cfg(not(target_os = "linux"))]
pub use nowhere::{Orphans, forget, start_leader};

#[cfg(target_os = "linux")]
mod here {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use rustix::process::{
        Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, waitpid,
    };
    use tokio::signal::unix::{SignalKind, signal};
    use tokio::task::JoinHandle;
    use tokio::time::{sleep, timeout};

    use super::super::{GRACE, KILLED, POLL};

    /// The leaders of groups. Static: children belong to the whole process.
    static LEADERS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

    fn leaders() -> MutexGuard<'static, BTreeSet<i32>> {
        LEADERS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a program so that it is never taken for an orphan, not even for a moment.
    pub fn start_leader<T>(start: impl FnOnce() -> T, number: impl FnOnce(&T) -> Option<u32>) -> T {
        let mut leaders = leaders();
        let started = start();
        leaders.extend(number(&started).and_then(|number| i32::try_from(number).ok()));
        started
    }

    /// Forgets a program that has ended, or that will not be waited for any more.
    pub fn forget(number: Option<u32>) {
        if let Some(number) = number.and_then(|number| i32::try_from(number).ok()) {
            leaders().remove(&number);
        }
    }

    /// See the module.
    pub struct Orphans {
        /// Children that were there before: a shell that became us may have had some.
        preexisting: BTreeSet<i32>,
        reaping: Option<JoinHandle<()>>,
    }

    impl Orphans {
        /// Takes in orphans from now on.
        pub fn adopt() -> Self {
            let us = getpid().as_raw_nonzero().get();
            let preexisting: BTreeSet<i32> = processes()
                .into_iter()
                .filter(|process| process.parent == us)
                .map(|process| process.pid)
                .collect();
            let taken_in = set_child_subreaper(Some(getpid())).is_ok();
            let mut ended = signal(SignalKind::child()).ok().filter(|_| taken_in);
            let start_leader = preexisting.clone();
            let reaping = ended.take().map(|mut ended| {
                tokio::spawn(async move {
                    while ended.recv().await.is_some() {
                        reap(&start_leader);
                    }
                })
            });
            Self {
                preexisting,
                reaping,
            }
        }

        /// Ends them all: SIGTERM, and SIGKILL for those that are still there after the grace.
        pub async fn end(&self) {
            for (number, grace) in [(Signal::TERM, GRACE), (Signal::KILL, KILLED)] {
                let mut signalled = BTreeSet::new();
                let signalling = async {
                    loop {
                        reap(&self.preexisting);
                        let left = left(&self.preexisting);
                        if left.is_empty() {
                            return;
                        }
                        for pid in left.into_iter().filter(|pid| signalled.insert(*pid)) {
                            tell(pid, number);
                        }
                        sleep(POLL).await;
                    }
                };
                if timeout(grace, signalling).await.is_ok() {
                    return;
                }
            }
        }

        /// Kills them all at once.
        pub fn kill(&self) {
            if let Some(reaping) = &self.reaping {
                reaping.abort();
            }
            // A process may be starting another one just now.
            for _ in 0..3 {
                for pid in left(&self.preexisting) {
                    tell(pid, Signal::KILL);
                }
            }
        }
    }

    fn tell(pid: i32, number: Signal) {
        if let Some(pid) = Pid::from_raw(pid) {
            // Fails if the process is gone.
            let _ = kill_process(pid, number);
        }
    }

    /// A process as the system describes it.
    struct Process {
        pid: i32,
        parent: i32,
        /// A zombie.
        has_ended: bool,
    }

    /// All processes that can be seen.
    fn processes() -> Vec<Process> {
        let Ok(entries) = std::fs::read_dir("/proc") else {
            return Vec::new();
        };
        let numbers = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        numbers
            .filter_map(|pid| {
                process(
                    pid,
                    &std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?,
                )
            })
            .collect()
    }

    /// Reads `/proc/N/stat`: number, name in brackets, state, parent. The name may hold anything, brackets too.
    fn process(pid: i32, stat: &str) -> Option<Process> {
        let (_, behind_name) = stat.rsplit_once(')')?;
        let mut fields = behind_name.split_ascii_whitespace();
        let state = fields.next()?;
        Some(Process {
            pid,
            parent: fields.next()?.parse().ok()?,
            has_ended: matches!(state, "Z" | "X"),
        })
    }

    /// Waits for the orphans that have ended. The leaders of groups are tokio's to wait for.
    fn reap(preexisting: &BTreeSet<i32>) {
        let us = getpid().as_raw_nonzero().get();
        // Held until the end, so that no program is started meanwhile that would be taken for an orphan.
        let leaders = leaders();
        for process in processes() {
            let ours = process.parent == us && process.has_ended;
            if ours
                && !leaders.contains(&process.pid)
                && !preexisting.contains(&process.pid)
                && let Some(pid) = Pid::from_raw(process.pid)
            {
                let _ = waitpid(Some(pid), WaitOptions::NOHANG);
            }
        }
    }

    /// Everything below us that is alive, but for groups and preexisting.
    fn left(preexisting: &BTreeSet<i32>) -> Vec<i32> {
        let leaders = leaders();
        let mut children: BTreeMap<i32, Vec<Process>> = BTreeMap::new();
        for process in processes() {
            children.entry(process.parent).or_default().push(process);
        }
        let mut left = Vec::new();
        let mut parents = vec![getpid().as_raw_nonzero().get()];
        while let Some(parent) = parents.pop() {
            for process in children.remove(&parent).into_iter().flatten() {
                if leaders.contains(&process.pid) || preexisting.contains(&process.pid) {
                    continue;
                }
                parents.push(process.pid);
                if !process.has_ended {
                    left.push(process.pid);
                }
            }
        }
        left
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_system_s_description_is_read_whatever_the_name() {
            let read = |stat| process(7, stat).map(|process| (process.parent, process.has_ended));
            assert_eq!(read("7 (sleep) S 3 7 7 0"), Some((3, false)));
            assert_eq!(read("7 (a) Z 1 (b) Z 4 7"), Some((4, true)));
            assert_eq!(read("7 sleep"), None);
        }

        #[test]
        fn we_are_among_all_processes() {
            let us = getpid().as_raw_nonzero().get();
            assert!(
                processes()
                    .iter()
                    .any(|process| process.pid == us && !process.has_ended)
            );
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod nowhere {
    /// Elsewhere orphans go to the system's first process, and their origin is lost.
    pub struct Orphans;

    impl Orphans {
        pub fn adopt() -> Self {
            Self
        }

        #[expect(clippy::unused_async, reason = "as where there is something to do")]
        pub async fn end(&self) {}

        #[expect(clippy::unused_self, reason = "as where there is something to do")]
        pub fn kill(&self) {}
    }

    /// Starts a program.
    pub fn start_leader<T>(start: impl FnOnce() -> T, _: impl FnOnce(&T) -> Option<u32>) -> T {
        start()
    }

    /// There is nothing to forget.
    pub fn forget(_: Option<u32>) {}
}
