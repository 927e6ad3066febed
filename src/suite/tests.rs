//! Runs the suite over loopback against stub handlers, which share no code with the suite.

use std::cell::RefCell;
use std::collections::HashSet;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::event::{CaseRecord, Event, SuiteSummary};
use super::remarks::Remark;
use super::verdict::Cause;
use super::*;
use crate::error::{Exit, Stop};
use crate::net::Destination;
use crate::net::client::ClientOptions;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    NoGet,
    NoPost,
    FailsOnDuplicates,
    Dies,
    Restarts,
    OneAtATime,
    Slow,
    /// Takes 120 ms for a request, and serves several at once.
    SlowButConcurrent,
    FailsAlways,
    /// Tells an error in each 200, fails on duplicates, and is as slow as `SlowButConcurrent`.
    SlowWithErrors,
    /// Answers each GET alike, with 204.
    HealthCheck,
    /// Has a column of 32 bits for `to`.
    Int32,
    /// Refuses one CDR after 20, as a handler does that has lost its connections and gets new ones.
    RefusesOnce,
    /// Has the first CDR from an earlier run.
    HasTheFirst,
}

struct Stub {
    bug: Bug,
    seen: RefCell<HashSet<String>>,
}

async fn read(stream: &mut TcpStream) -> Option<(String, String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 || bytes.len() > 400_000 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let mut body = bytes.split_off(end + 4);
    let field = |name: &str| {
        let line = head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))?;
        Some(line.to_owned())
    };
    if field("expect").is_some() {
        stream
            .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
            .await
            .ok()?;
    }
    if field("transfer-encoding").is_some() {
        while !body.ends_with(b"0\r\n\r\n") {
            if stream.read_buf(&mut body).await.ok()? == 0 {
                return None;
            }
        }
        body = b"chunks".to_vec();
    } else if let Some(length) = field("content-length") {
        let Ok(length) = length.parse::<usize>() else {
            return Some(("bad".into(), String::new(), body));
        };
        while body.len() < length.min(1 << 20) {
            if stream.read_buf(&mut body).await.ok()? == 0 {
                return None;
            }
        }
        body.truncate(length);
    }
    let mut words = head.split(' ');
    Some((words.next()?.to_owned(), words.next()?.to_owned(), body))
}

impl Stub {
    fn answer(&self, method: &str, target: &str, body: &[u8]) -> Option<u16> {
        let id = match method {
            "get" if self.bug == Bug::NoGet => return Some(405),
            "post" if self.bug == Bug::NoPost => return Some(404),
            _ if self.bug == Bug::FailsAlways => return Some(500),
            _ if self.bug == Bug::RefusesOnce && self.seen.borrow().len() == 20 => {
                self.seen.borrow_mut().insert(String::new());
                return Some(503);
            }
            _ if self.bug == Bug::HasTheFirst && self.seen.borrow().is_empty() => {
                self.seen.borrow_mut().insert(String::new());
                return Some(500);
            }
            "post" if self.bug == Bug::Int32 => {
                let fields = serde_json::from_slice::<crate::cdr::Fields>(body).unwrap_or_default();
                let to = fields.get("to").and_then(serde_json::Value::as_u64);
                return Some(if to > Some(1 << 31) { 500 } else { 200 });
            }
            "get" if self.bug == Bug::HealthCheck => return Some(204),
            "get" => target
                .split(['?', '&'])
                .find(|pair| pair.starts_with("cmiuuid="))
                .map(str::to_owned),
            "post" if body == b"chunks" => None,
            "post" => match serde_json::from_slice(body) {
                Ok(serde_json::Value::Object(fields)) => fields
                    .get("cmiuuid")
                    .and_then(|id| id.as_str())
                    .map(|id| format!("cmiuuid={id}")),
                _ if matches!(self.bug, Bug::Dies | Bug::Restarts) => return None,
                _ => return Some(400),
            },
            _ => return Some(405),
        };
        let is_new = id.is_none_or(|id| self.seen.borrow_mut().insert(id));
        let fails = matches!(self.bug, Bug::FailsOnDuplicates | Bug::SlowWithErrors);
        Some(if fails && !is_new { 500 } else { 200 })
    }

    async fn serve(self: Rc<Self>, mut stream: TcpStream) -> bool {
        let Some((method, target, body)) = read(&mut stream).await else {
            return true;
        };
        if self.bug == Bug::Slow {
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        if matches!(self.bug, Bug::SlowButConcurrent | Bug::SlowWithErrors) {
            tokio::time::sleep(Duration::from_millis(120)).await;
        }
        let Some(status) = self.answer(&method, &target, &body) else {
            return false;
        };
        let body = match self.bug {
            Bug::SlowWithErrors => r#"{"ok":false}"#,
            _ => "",
        };
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
        // The stub reads the rest of the request: closing a socket with unread bytes would reset the connection.
        let mut rest = vec![0; 64 * 1024];
        while stream.read(&mut rest).await.is_ok_and(|n| n > 0) {}
        true
    }
}

/// The stub's accept loop never returns, even after the stub has closed its listener.
async fn serve(listener: TcpListener, bug: Bug) {
    let stub = Rc::new(Stub {
        bug,
        seen: RefCell::default(),
    });
    let mut away = 0;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        if away > 0 {
            away -= 1;
            continue;
        }
        let serving = Rc::clone(&stub).serve(stream);
        if !matches!(bug, Bug::OneAtATime | Bug::Slow | Bug::Dies | Bug::Restarts) {
            tokio::task::spawn_local(serving);
        } else if !serving.await {
            if bug == Bug::Dies {
                break;
            }
            away = 1;
        }
    }
    drop(listener);
    pending::<()>().await;
}

fn at() -> Timestamp {
    Timestamp::from_epoch_ms(1_795_338_000_000).unwrap()
}

fn options(only: &[&str]) -> SuiteOptions {
    let seed = Seed(7);
    SuiteOptions {
        only: only.iter().map(|&name| name.to_owned()).collect(),
        skip: Vec::new(),
        methods: Methods::Both,
        max_latency: Duration::from_secs(10),
        seed,
        at: at(),
        account: AccountOptions::default(),
        rate: None,
        headers: Vec::new(),
        pauses: Pauses {
            settle_delay: Duration::from_millis(1),
            recovery_timeout: Duration::from_millis(800),
        },
        fuzz: 0,
        guards: Vec::new(),
        read_back: None,
        baseline: None,
        command: "telecmi-cdr send --suite".to_owned(),
        handler_command: String::new(),
    }
}

fn hasty(only: &[&str]) -> SuiteOptions {
    SuiteOptions {
        max_latency: Duration::from_millis(500),
        ..options(only)
    }
}

async fn suite(options: &SuiteOptions, bug: Bug) -> SuiteSummary {
    suite_until(options, bug, pending(), |_| {}).await
}

async fn suite_until(
    options: &SuiteOptions,
    bug: Bug,
    stop: impl Future<Output = Stop>,
    on_event: impl FnMut(Event),
) -> SuiteSummary {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let destination = Destination::parse(&format!("http://127.0.0.1:{port}/webhook/cdr")).unwrap();
    let client = ClientOptions {
        timeout: Duration::from_secs(10),
        ..ClientOptions::default()
    };
    let local = tokio::task::LocalSet::new();
    let running = local.run_until(Box::pin(async {
        let _ = rustls::crypto::ring::default_provider().install_default();
        tokio::select! {
            summary = run(options, &destination, &client, None, stop, on_event) => summary.unwrap(),
            () = serve(listener, bug) => unreachable!("a stub never ends"),
        }
    }));
    tokio::time::timeout(Duration::from_secs(30), running)
        .await
        .expect("the suite ends in time")
}

fn red(summary: &SuiteSummary) -> Vec<&'static str> {
    summary
        .records
        .iter()
        .filter(|record| record.failed())
        .map(|record| record.name)
        .collect()
}

fn record<'a>(summary: &'a SuiteSummary, name: &str) -> &'a CaseRecord {
    summary
        .records
        .iter()
        .find(|record| record.name == name)
        .expect("the case was told")
}

#[tokio::test]
async fn a_good_handler_is_green() {
    let summary = suite(&options(&[]), Bug::None).await;
    let red: Vec<_> = summary
        .records
        .iter()
        .filter(|r| !r.ok)
        .map(|r| (r.name, &r.got, &r.skipped))
        .collect();
    assert!(red.is_empty(), "{red:?}");
    assert_eq!(
        (summary.exit, summary.ok),
        (
            Exit::Success,
            cases::table()
                .filter(|case| case.missing_flag(&options(&[])).is_none())
                .count()
        )
    );
    let no_secret = |remark: &Remark| remark.text.contains("--guard");
    assert!(summary.remarks.iter().any(no_secret));
}

#[tokio::test]
async fn a_handler_without_get_is_told_once() {
    let summary = suite(&options(&["accepts", "idempotent", "get-*"]), Bug::NoGet).await;
    assert_eq!(red(&summary), ["get-is-accepted"]);
    assert!(summary.skipped > 20);
    let skipped = record(&summary, "get-legacy");
    assert_eq!(
        skipped.skipped.as_deref(),
        Some("no good CDR is taken by GET, see get-is-accepted")
    );
    assert!(
        record(&summary, "duplicate-by-the-other-method")
            .skipped
            .is_some()
    );
}

#[tokio::test]
async fn a_handler_without_post_is_told_once_and_asked_by_get() {
    let summary = suite(&options(&["accepts", "get-*", "options"]), Bug::NoPost).await;
    assert_eq!(red(&summary), ["post-is-accepted"]);
    assert!(record(&summary, "get-legacy").ok && record(&summary, "options").ok);
}

#[tokio::test]
async fn a_probe_that_nobody_asked_for_is_told_only_if_it_fails() {
    let names = |summary: &SuiteSummary| summary.records.iter().map(|r| r.name).collect::<Vec<_>>();
    let fine = suite(&options(&["get-legacy"]), Bug::None).await;
    assert_eq!(names(&fine), ["get-legacy"]);
    let failed = suite(&options(&["get-legacy"]), Bug::NoGet).await;
    assert_eq!(names(&failed), ["get-is-accepted", "get-legacy"]);
    assert_eq!(failed.exit, Exit::Failed);
    let unrelated = suite(&options(&["post-legacy"]), Bug::NoGet).await;
    assert_eq!(
        (names(&unrelated), unrelated.exit),
        (vec!["post-legacy"], Exit::Success)
    );
}

#[tokio::test]
async fn a_handler_that_takes_nothing_is_two_findings() {
    let summary = suite(&options(&[]), Bug::FailsAlways).await;
    assert_eq!(red(&summary), ["post-is-accepted", "get-is-accepted"]);
    assert_eq!((summary.ok, summary.exit), (0, Exit::Failed));
}

#[tokio::test]
async fn the_case_that_killed_the_handler_is_the_red_one() {
    let summary = suite(
        &options(&["post-legacy", "empty-object", "null", "number", "prompt"]),
        Bug::Dies,
    )
    .await;
    assert_eq!(red(&summary), ["null"]);
    let killer = record(&summary, "null");
    assert_eq!(killer.cause, Some(Cause::Stopped));
    assert!(killer.got.contains("did not come back"), "{}", killer.got);
    let reason = record(&summary, "twenty-at-once").skipped.as_deref();
    assert_eq!(reason, Some("the handler is down since null"));
    assert_eq!(
        killer.repeat.as_deref(),
        Some("telecmi-cdr send --suite --only null --seed 7 --at 2026-11-22T09:00:00.000Z")
    );
}

#[tokio::test]
async fn a_handler_that_comes_back_is_asked_on() {
    let summary = suite(&options(&["null", "empty-object", "text"]), Bug::Restarts).await;
    assert_eq!(red(&summary), ["null", "text"]);
    assert!(record(&summary, "null").got.contains("it was back"));
    assert!(record(&summary, "empty-object").ok);
}

#[tokio::test]
async fn one_stalled_client_must_not_block_everybody() {
    let names = [
        "stalled-body",
        "cut-short",
        "nothing-but-a-connection",
        "beside-an-idle-connection",
    ];
    let summary = suite(&hasty(&names), Bug::OneAtATime).await;
    assert_eq!(
        red(&summary),
        [
            "stalled-body",
            "nothing-but-a-connection",
            "beside-an-idle-connection"
        ]
    );
    assert!(record(&summary, "stalled-body").got.contains("meanwhile"));
    assert!(
        summary
            .records
            .iter()
            .all(|record| record.ok || record.cause == Some(Cause::Blocked))
    );
}

#[tokio::test]
async fn duplicates_that_fail_are_found_and_nothing_else() {
    let summary = suite(&options(&["idempotent", "accepts"]), Bug::FailsOnDuplicates).await;
    assert!(
        summary
            .records
            .iter()
            .all(|record| record.ok == (record.family != Family::Idempotent))
    );
    assert_eq!(
        record(&summary, "duplicate").got,
        "200 OK, then 500 Internal Server Error"
    );
    assert_eq!(
        record(&summary, "duplicate").cause,
        Some(Cause::ServerError)
    );
}

#[tokio::test]
async fn a_slow_handler_is_slow_and_not_dead() {
    let summary = suite(&hasty(&["twenty-at-once", "post-legacy"]), Bug::Slow).await;
    assert_eq!(red(&summary), ["twenty-at-once"]);
    assert_eq!(record(&summary, "twenty-at-once").cause, Some(Cause::Slow));
}

#[tokio::test]
async fn a_refused_cdr_is_explained_by_one_field() {
    let summary = suite(&options(&["post-is-accepted"]), Bug::Int32).await;
    let takes = record(&summary, "post-is-accepted").takes.as_deref();
    assert_eq!(
        takes,
        Some("accepted when `to` is below 2 147 483 648 or a text")
    );
}

#[tokio::test]
async fn a_refused_cdr_is_explained_by_an_earlier_run() {
    let summary = suite(&options(&["post-is-accepted"]), Bug::HasTheFirst).await;
    let takes = record(&summary, "post-is-accepted").takes.as_deref();
    assert!(
        takes.is_some_and(|takes| takes.starts_with("accepted when it is of another call;")),
        "{takes:?}"
    );
}

#[tokio::test]
async fn a_case_that_passes_by_itself_is_not_blamed_alone() {
    let summary = suite(&options(&["accepts"]), Bug::RefusesOnce).await;
    let failed = summary.records.iter().find(|record| record.failed());
    let failed = failed.expect("a case");
    assert_eq!(failed.cause, Some(Cause::Refusing), "{}", failed.got);
    assert!(
        failed.got.contains("not by this case alone"),
        "{}",
        failed.got
    );
    assert!(
        !failed
            .repeat
            .as_deref()
            .unwrap_or("--only")
            .contains("--only")
    );
    assert_eq!(failed.then.as_ref().and_then(|then| then.status), Some(503));
}

#[tokio::test]
async fn a_slow_handler_that_serves_several_is_asked_side_by_side() {
    let summary = suite(&options(&["tolerant"]), Bug::SlowButConcurrent).await;
    assert_eq!(red(&summary), [""; 0]);
    let in_a_row = Duration::from_millis(120) * u32::try_from(summary.cases).unwrap();
    assert!(summary.elapsed < in_a_row / 2, "{:?}", summary.elapsed);
}

#[tokio::test(start_paused = true)]
async fn a_burst_waits_for_as_many_places_as_it_has_requests() {
    let limiter = deliver::RateLimiter::new(Some(10.0));
    let began = tokio::time::Instant::now();
    for (burst, due) in [(1, 100), (20, 2_100), (1, 4_100)] {
        limiter.wait(burst).await;
        let elapsed = began.elapsed().as_millis();
        assert!((due..due + 5).contains(&elapsed), "{elapsed}");
    }
    assert_eq!(limiter.requests.get(), 22);
}

#[tokio::test]
async fn remarks_fail_no_run() {
    let names = [
        "get-is-accepted",
        "get-without-parameters",
        "post-is-accepted",
        "to-as-text",
    ];
    let summary = suite(&options(&names), Bug::HealthCheck).await;
    assert_eq!((summary.exit, summary.remarks.len()), (Exit::Success, 1));
    assert!(
        summary.remarks[0].text.contains("health check"),
        "{:?}",
        summary.remarks
    );
}

#[tokio::test]
async fn a_case_that_runs_again_by_itself_is_remarked_once() {
    let names = ["post-is-accepted", "duplicate", "live-duplicate"];
    let summary = suite(&options(&names), Bug::SlowWithErrors).await;
    assert_eq!(red(&summary), names[1..]);
    let mut remarks = summary.remarks.iter();
    let remark = remarks.find(|remark| remark.text.contains("tells of an error"));
    assert_eq!(remark.expect("a remark").cases, names);
}

#[tokio::test]
async fn nobody_there_is_one_finding() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let destination =
        Destination::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let (options, client) = (options(&[]), ClientOptions::default());
    let summary = run(&options, &destination, &client, None, pending(), |_| {})
        .await
        .unwrap();
    assert_eq!(
        (red(&summary), summary.cases, summary.exit),
        (vec!["post-is-accepted"], 1, Exit::Failed)
    );
    assert_eq!(summary.records[0].cause, Some(Cause::Unreachable));
}

#[tokio::test]
async fn any_order_gives_the_same_verdicts() {
    let mut names = vec![
        "post-docs-leg-a",
        "get-docs-leg-a",
        "documented-pair",
        "duplicate",
        "late-duplicate",
        "race",
    ];
    let verdicts = |summary: SuiteSummary| {
        let mut verdicts: Vec<_> = summary
            .records
            .into_iter()
            .map(|r| (r.name, r.ok, r.got, r.cause))
            .collect();
        verdicts.sort_by_key(|verdict| verdict.0);
        verdicts
    };
    let mut runs = Vec::new();
    for _ in 0..2 {
        let mut run = Vec::new();
        // Each case is run alone, since the table fixes the order within a run.
        for name in &names {
            run.extend(verdicts(
                suite(&options(&[name]), Bug::FailsOnDuplicates).await,
            ));
        }
        run.sort_by_key(|verdict| verdict.0);
        runs.push(run);
        names.reverse();
    }
    runs.push(verdicts(
        suite(&options(&names), Bug::FailsOnDuplicates).await,
    ));
    assert_eq!(runs[0], runs[1]);
    assert_eq!(runs[0], runs[2]);
}

#[tokio::test]
async fn a_stop_ends_it_and_the_summary_is_told() {
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let mut stop = Some(stop);
    let events = RefCell::new(Vec::new());
    let on_event = |event: Event| {
        if let Event::Case(_) = &event
            && let Some(stop) = stop.take()
        {
            let _ = stop.send(Stop::Interrupt);
        }
        events.borrow_mut().push(event);
    };
    let stopped = async { stopped.await.unwrap_or(Stop::Terminate) };
    let summary = suite_until(&options(&["accepts"]), Bug::None, stopped, on_event).await;
    assert_eq!(summary.exit, Exit::Interrupted);
    assert!(summary.cases < 5);
    assert!(matches!(events.borrow().last(), Some(Event::Finished(_))));
}

fn bytes(seed: Seed, at: Timestamp) -> Vec<(&'static str, String)> {
    let options = SuiteOptions {
        seed,
        at,
        ..options(&[])
    };
    let destination = Destination::parse("http://127.0.0.1:5000/webhook/cdr").unwrap();
    let case = |case: &'static Case| {
        let source = requests::CaseRequests::new(case, &options, &destination);
        let requests = source.requests(case);
        let script = match case.delivery {
            CaseDelivery::Raw(script) => Some(script.steps(&requests[0], &destination)),
            _ => None,
        };
        (
            case.name,
            format!(
                "{requests:?} {script:?} {:?}",
                source.liveness_check(1, CaseMethod::Post)
            ),
        )
    };
    cases::table().map(case).collect()
}

#[test]
fn the_same_seed_and_time_are_the_same_bytes() {
    let first = bytes(Seed(7), at());
    assert_eq!(first, bytes(Seed(7), at()));
    let other = bytes(Seed(8), at());
    assert!(
        first.iter().zip(&other).all(|(one, other)| one != other),
        "afterwards differs at least"
    );
}

/// If two cases shared an identifier, the verdict on one case could depend on the other.
#[test]
fn no_two_cases_share_an_identifier() {
    let options = options(&[]);
    let destination = Destination::parse("http://127.0.0.1:5000/webhook/cdr").unwrap();
    let mut owners = std::collections::HashMap::new();
    for case in cases::table() {
        let source = requests::CaseRequests::new(case, &options, &destination);
        let mut requests = source.requests(case);
        requests.extend((0..12).map(|n| source.liveness_check(n, CaseMethod::Post)));
        for request in &requests {
            let Ok(fields) = serde_json::from_slice::<crate::cdr::Fields>(&request.body.0) else {
                continue;
            };
            for name in ["cmiuuid", "call_id", "request_id", "conversation_uuid"] {
                let Some(id) = fields
                    .get(name)
                    .and_then(|id| id.as_str())
                    .filter(|id| id.len() > 8)
                else {
                    continue;
                };
                let owner = *owners.entry(id.to_owned()).or_insert(case.name);
                assert_eq!(owner, case.name, "{name} {id}");
            }
        }
    }
    assert!(owners.len() > 1_000);
}
