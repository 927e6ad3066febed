//! Tests of a child's exit; `tests/it/command.rs` tests that no process is left behind.

use std::process::Stdio;

use super::*;

fn shell(supervisor: &Supervisor, script: &str) -> ProcessGroup {
    let mut command = Command::new("sh");
    supervisor
        .start(command.args(["-c", script]).stdin(Stdio::null()))
        .unwrap()
}

#[tokio::test]
async fn its_own_code_or_the_signal_is_told() {
    let supervisor = Supervisor::install();
    let ended = shell(&supervisor, "exit 7").wait().await;
    assert_eq!(
        (ended, ended.shell_code(), ended.words()),
        (
            Ended {
                code: Some(7),
                signal: None
            },
            7,
            "with 7".into()
        )
    );
    let ended = shell(&supervisor, "kill -KILL $$").wait().await;
    assert_eq!(
        (ended.code, ended.signal, ended.shell_code()),
        (None, Some(9), 137)
    );
}

#[tokio::test]
async fn a_family_that_does_not_listen_is_killed() {
    let supervisor = Supervisor::install();
    let mut group = shell(&supervisor, "trap '' TERM; while :; do sleep 100; done");
    let ended = group.end(Duration::from_millis(20)).await;
    assert_eq!(
        ended.signal.map(|signal| signal == 9 || signal == 15),
        Some(true),
        "{ended:?}"
    );
    assert!(group.is_gone());
}
