//! Lends the terminal to a child's process group that reads it: a password prompt, an editor, a shell.
//!
//! The kernel stops a background group that reads the terminal. If this process is in the foreground, the child's group
//! becomes the foreground group and is continued. Until the program ends, Ctrl-C reaches that group alone, and Ctrl-Z stops
//! both. If another group is in the foreground, the program stays stopped until this process is.

#[cfg(any(target_os = "linux", target_os = "macos", target_os = "freebsd"))]
pub use here::Handoff;
#[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "freebsd")))]
pub use nowhere::Handoff;

#[cfg(any(target_os = "linux", target_os = "macos", target_os = "freebsd"))]
mod here {
    use std::convert::Infallible;
    use std::fs::File;
    use std::future::pending;
    use std::time::Duration;

    use nix::sys::signal::{SigSet, SigmaskHow, Signal as Blocked};
    use rustix::process::{
        Pid, Signal, WaitId, WaitIdOptions, getpgrp, kill_process_group, test_kill_process_group,
        waitid,
    };
    use rustix::termios::{tcgetpgrp, tcsetpgrp};
    use tokio::signal::unix::{SignalKind, signal};
    use tokio::time::sleep;

    /// A stopped group tries every 100 ms to get the terminal, because the kernel has no event for a change of the
    /// foreground group.
    const POLL: Duration = Duration::from_millis(100);

    #[derive(Debug, Default)]
    pub struct Handoff {
        to: Option<Pid>,
    }

    impl Handoff {
        /// The terminal is lent each time the group is stopped for reading it. The future is cancel-safe.
        pub async fn look_after(&mut self, group: Option<Pid>) -> Infallible {
            let (Some(group), Ok(mut changes)) = (group, signal(SignalKind::child())) else {
                return pending().await;
            };
            let go_on = || {
                let _ = kill_process_group(group, Signal::CONT);
            };
            loop {
                match why_stopped(group) {
                    Some(Signal::TTIN | Signal::TTOU) => {
                        if self.lend(group) {
                            go_on();
                        } else {
                            sleep(POLL).await;
                        }
                    }
                    Some(Signal::TSTP) if self.to.is_some() => {
                        self.end();
                        // SIGTSTP stops this process's own group until SIGCONT, as Ctrl-Z would if the terminal were not lent.
                        let _ = kill_process_group(getpgrp(), Signal::TSTP);
                        self.lend(group);
                        go_on();
                    }
                    _ => {
                        if changes.recv().await.is_none() {
                            return pending().await;
                        }
                    }
                }
            }
        }

        /// `lend` returns false if this process is not in the foreground.
        fn lend(&mut self, group: Pid) -> bool {
            let lent = File::open("/dev/tty").is_ok_and(|terminal| {
                tcgetpgrp(&terminal) == Ok(getpgrp()) && give(&terminal, group)
            });
            if lent {
                self.to = Some(group);
            }
            lent
        }

        /// The terminal is not taken back if a third group has become the foreground group.
        pub fn end(&mut self) {
            if let Some(group) = self.to.take()
                && let Ok(terminal) = File::open("/dev/tty")
                && let Ok(owner) = tcgetpgrp(&terminal)
                && (owner == group || test_kill_process_group(owner).is_err())
            {
                give(&terminal, getpgrp());
            }
        }
    }

    /// A background process that calls `tcsetpgrp` is stopped by SIGTTOU, unless the signal is blocked.
    fn give(terminal: &File, group: Pid) -> bool {
        let Ok(before) = SigSet::from(Blocked::SIGTTOU).thread_swap_mask(SigmaskHow::SIG_BLOCK)
        else {
            return false;
        };
        let given = tcsetpgrp(terminal, group).is_ok();
        let _ = before.thread_set_mask();
        given
    }

    /// The stop signal is read without reaping the program, whose exit status tokio reads.
    fn why_stopped(leader: Pid) -> Option<Signal> {
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(leader), options).ok()??;
        Signal::from_named_raw(status.stopping_signal()?)
    }
}

/// Systems other than Linux, macOS and FreeBSD lend no terminal.
#[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "freebsd")))]
mod nowhere {
    use crate::process::Pid;

    #[derive(Debug, Default)]
    pub struct Handoff;

    impl Handoff {
        pub async fn look_after(&mut self, _: Option<Pid>) -> std::convert::Infallible {
            std::future::pending().await
        }

        #[expect(clippy::unused_self, reason = "as where a terminal is lent")]
        pub fn end(&mut self) {}
    }
}
