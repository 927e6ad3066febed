//! Tests of `--tunnel-cmd`. `tests/it/tunnel.rs` tests the tunnel programs that are found by name.

use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

async fn opened(line: &str, wait: Option<Duration>) -> Result<Open, Error> {
    let supervisor = Supervisor::install();
    let local = "127.0.0.1:8237".parse().unwrap();
    timeout(
        DEADLINE,
        open(
            &supervisor,
            &Tunnel::Command(line.to_owned()),
            local,
            wait,
            |_| {},
        ),
    )
    .await
    .unwrap()
}

async fn failed(line: &str) -> (String, Vec<String>) {
    match opened(line, Some(DEADLINE)).await.err().unwrap() {
        Error::Tunnel { what, said, .. } => (what, said),
        error => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn a_url_on_either_stream_opens_it_and_its_end_is_told() {
    for stream in [1, 2] {
        let held = tempfile::NamedTempFile::new().unwrap();
        let line = format!(
            "echo to {{url}} >&{stream}; echo at https://abc.example >&{stream}; \
             while [ -e {} ]; do sleep 0.01; done; exit 3",
            held.path().display()
        );
        let mut open = opened(&line, Some(DEADLINE)).await.ok().unwrap();
        assert_eq!(open.public_url.as_deref(), Some("https://abc.example"));
        drop(held);
        let end = timeout(DEADLINE, open.ended(|_| {})).await.unwrap();
        let words = "the tunnel ended with 3: to http://127.0.0.1:8237 / at https://abc.example";
        assert_eq!(end, words);
    }
}

#[tokio::test]
async fn a_url_is_found_in_json_and_in_capitals() {
    for said in [
        r#"{"url":"https:\/\/abc.example\/x"}"#,
        r#"{"log":"{\"url\":\"https:\\/\\/abc.example\"}"}"#,
        "HTTPS://ABC.example",
        "https://a..b https://... https://abc.example",
    ] {
        let line = format!("printf '%s\\n' '{said}'; sleep 1000");
        let mut open = opened(&line, Some(DEADLINE)).await.ok().unwrap();
        assert_eq!(
            open.public_url.as_deref(),
            Some("https://abc.example"),
            "{said}"
        );
        open.close().await;
    }
}

#[tokio::test]
async fn an_end_before_the_url_is_told_with_the_last_words() {
    let (what, said) = failed("echo first; printf 'no newline' >&2; exit 7").await;
    assert_eq!(
        what,
        "the program of --tunnel-cmd ended with 7 before it printed its public URL"
    );
    assert_eq!(said.len(), 2);
    assert!(said.contains(&"no newline".to_owned()), "{said:?}");
}

#[tokio::test]
async fn only_the_last_lines_are_kept() {
    let (_, said) = failed("i=0; while [ $i -lt 100 ]; do echo $i; i=$((i+1)); done; exit 7").await;
    assert_eq!(
        (said.len(), said[0].as_str(), said[11].as_str()),
        (12, "88", "99")
    );
}

#[tokio::test]
async fn a_program_that_tells_no_url_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("number").display().to_string();
    let line = format!("echo $$ >{place}.new; mv {place}.new {place}; exec sleep 1000");
    let tunnel = Tunnel::Command(line);
    // The supervisor is dropped after the check, since dropping a supervisor kills its programs too.
    let supervisor = Supervisor::install();
    let local = "127.0.0.1:8237".parse().unwrap();
    let mut short = Duration::from_millis(50);
    let number = loop {
        let opening = open(&supervisor, &tunnel, local, Some(short), |_| {});
        let error = timeout(DEADLINE, opening).await.unwrap().err().unwrap();
        let expected = format!(
            "the program of --tunnel-cmd has printed no public URL within {} s",
            short.as_secs()
        );
        assert_eq!(error.to_string(), expected);
        // On a slow machine the tunnel program may be killed before its process id is written.
        match std::fs::read_to_string(&place) {
            Ok(number) => break number,
            Err(_) => short *= 2,
        }
        assert!(short < DEADLINE, "it was never there");
    };
    let number = rustix::process::Pid::from_raw(number.trim().parse().unwrap()).unwrap();
    assert!(
        rustix::process::test_kill_process(number).is_err(),
        "{number:?} was left behind"
    );
}

#[tokio::test]
async fn a_known_url_is_not_waited_for() {
    let mut open = opened("sleep 1000", None).await.ok().unwrap();
    assert_eq!(open.public_url, None);
    timeout(DEADLINE, open.close()).await.unwrap();
}

#[tokio::test]
async fn much_output_holds_nobody_up() {
    let line = "i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done; head -c 100000 /dev/zero; echo; \
                echo https://abc.example; sleep 1000";
    let mut open = opened(line, Some(DEADLINE)).await.ok().unwrap();
    assert_eq!(open.public_url.as_deref(), Some("https://abc.example"));
    timeout(DEADLINE, open.close()).await.unwrap();
}
