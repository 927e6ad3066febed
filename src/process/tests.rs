//! Families under test are shells. Whether anybody is left behind is tested from outside, in `tests/it/command.rs`.

use std::process::Stdio;

use super::*;

fn shell(household: &Household, script: &str) -> Family {
    let mut command = Command::new("sh");
    household
        .start(command.args(["-c", script]).stdin(Stdio::null()))
        .unwrap()
}

#[tokio::test]
async fn its_own_code_or_the_signal_is_told() {
    let household = Household::new();
    let ended = shell(&household, "exit 7").wait().await;
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
    let ended = shell(&household, "kill -KILL $$").wait().await;
    assert_eq!(
        (ended.code, ended.signal, ended.shell_code()),
        (None, Some(9), 137)
    );
}

#[tokio::test]
async fn a_family_that_does_not_listen_is_killed() {
    let household = Household::new();
    let mut family = shell(&household, "trap '' TERM; while :; do sleep 100; done");
    let ended = family.end(Duration::from_millis(20)).await;
    assert_eq!(
        ended.signal.map(|signal| signal == 9 || signal == 15),
        Some(true),
        "{ended:?}"
    );
    assert!(family.group.is_empty());
}
