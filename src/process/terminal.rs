//! The terminal, lent to a program that asks for it: a password, an editor, a shell.
//!
//! A group is a group in the background, and the system stops it when it reads the terminal. If the terminal is ours
//! then, it is lent to the group, which goes on, and whose the keys are until the program ends: Ctrl-C reaches it and
//! not us, and Ctrl-Z stops both. If another group has it, the program waits until it is ours.

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

    /// How often a group that waits for the terminal is checked: there is no event for it.
    const POLL: Duration = Duration::from_millis(100);

    /// Whether a group has the terminal from us.
    #[derive(Debug, Default)]
    pub struct Handoff {
        to: Option<Pid>,
    }

    impl Handoff {
        /// Looks after a program for as long as it runs. Looking may be given up and taken up again.
        pub async fn look_after(&mut self, head: Option<u32>) -> Infallible {
            let group = head
                .and_then(|number| i32::try_from(number).ok())
                .and_then(Pid::from_raw);
            let (Some(group), Ok(mut changes)) = (group, signal(SignalKind::child())) else {
                return pending().await;
            };
            loop {
                match why_stopped(group) {
                    Some(Signal::TTIN | Signal::TTOU) => {
                        if self.lend(group) {
                            go_on(group);
                        } else {
                            sleep(POLL).await;
                        }
                    }
                    Some(Signal::TSTP) if self.to.is_some() => {
                        self.end();
                        // As Ctrl-Z would if the terminal were not lent. We go on from here.
                        let _ = kill_process_group(getpgrp(), Signal::TSTP);
                        self.lend(group);
                        go_on(group);
                    }
                    _ => {
                        if changes.recv().await.is_none() {
                            return pending().await;
                        }
                    }
                }
            }
        }

        /// Lends the terminal to a group; false if it is not ours.
        fn lend(&mut self, group: Pid) -> bool {
            let Ok(terminal) = File::open("/dev/tty") else {
                return false;
            };
            if tcgetpgrp(&terminal).is_ok_and(|whose| whose == getpgrp()) && give(&terminal, group)
            {
                self.to = Some(group);
                return true;
            }
            false
        }

        /// Takes the terminal back, unless a third group has it by now.
        pub fn end(&mut self) {
            if let Some(group) = self.to.take()
                && let Ok(terminal) = File::open("/dev/tty")
                && let Ok(whose) = tcgetpgrp(&terminal)
                && (whose == group || test_kill_process_group(whose).is_err())
            {
                give(&terminal, getpgrp());
            }
        }
    }

    /// Gives the terminal to a group, also from the background, which stops the caller unless SIGTTOU is blocked.
    fn give(terminal: &File, group: Pid) -> bool {
        let Ok(before) = SigSet::from(Blocked::SIGTTOU).thread_swap_mask(SigmaskHow::SIG_BLOCK)
        else {
            return false;
        };
        let given = tcsetpgrp(terminal, group).is_ok();
        let _ = before.thread_set_mask();
        given
    }

    /// The signal that has stopped a program, if it is stopped. Its end is not asked for: that is tokio's to know.
    fn why_stopped(head: Pid) -> Option<Signal> {
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(head), options).ok()??;
        Signal::from_named_raw(status.stopping_signal()?)
    }

    fn go_on(group: Pid) {
        let _ = kill_process_group(group, Signal::CONT);
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "freebsd")))]
mod nowhere {
    use std::convert::Infallible;

    /// Here no terminal is lent.
    #[derive(Debug, Default)]
    pub struct Handoff;

    impl Handoff {
        pub async fn look_after(&mut self, _: Option<u32>) -> Infallible {
            std::future::pending().await
        }

        #[expect(clippy::unused_self, reason = "as where there is something to do")]
        pub fn end(&mut self) {}
    }
}
