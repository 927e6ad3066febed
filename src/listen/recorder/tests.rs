use std::fs;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;

use tempfile::TempDir;

use super::*;
use crate::listen::respond::ResponsePolicy;
use crate::net::Request;

const CDR: &str = include_str!("../../../fixtures/docs-leg-a.json");

struct Stand {
    recorder: Recorder,
    path: PathBuf,
    events: mpsc::Receiver<Event>,
    _folder: TempDir,
}

fn stand(redact: bool) -> Stand {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("calls.ndjson");
    let (tell, events) = mpsc::channel();
    let tell = Box::new(move |event| {
        let panics =
            matches!(&event, Event::Exchange(exchange, _) if exchange.request.body.0 == "panic");
        assert!(!panics, "on purpose");
        tell.send(event).is_ok()
    });
    let options = Options {
        capture: Some(Capture::open(&path, redact).unwrap().0),
        ..Options::default()
    };
    let recorder = Recorder::new(options, Clock::start(), tell);
    Stand {
        recorder,
        path,
        events,
        _folder: folder,
    }
}

impl Stand {
    fn on_file(&self) -> Vec<(u64, String)> {
        let record = |line: &str| {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            let body = record["request"]["body"]["text"].as_str().unwrap();
            (record["n"].as_u64().unwrap(), body.to_owned())
        };
        let text = fs::read_to_string(&self.path).unwrap();
        text.lines().map(record).collect()
    }

    fn told(&self) -> Vec<(u64, String)> {
        let exchange = |event| match event {
            Event::Exchange(exchange, _) => {
                Some((exchange.n, exchange.request.body.text().unwrap().to_owned()))
            }
            _ => None,
        };
        self.events.try_iter().filter_map(exchange).collect()
    }
}

fn record(recorder: &Recorder, body: &str) -> Reply {
    let incoming = IncomingRequest {
        peer: ([127, 0, 0, 1], 4000).into(),
        at: recorder.clock.now(),
        request: Request::new("POST", "/cdr", vec![], body.to_owned()),
        error: None,
    };
    let decision = ResponsePolicy::default().decide(&incoming);
    recorder.record(incoming, decision, None, None, Duration::ZERO)
}

fn is_good(reply: &Reply) -> bool {
    reply.status() == Some(200)
}

#[test]
fn an_exchange_is_on_file_before_its_answer() {
    let stand = stand(false);
    for n in 1..=3 {
        assert!(is_good(&record(&stand.recorder, &n.to_string())));
        assert_eq!(stand.on_file().last(), Some(&(n, n.to_string())));
    }
    assert_eq!(stand.told(), stand.on_file());
    assert_eq!(stand.recorder.finish(Ending::Interrupted).saved, Some(3));
}

#[test]
fn a_panic_costs_no_other_exchange_its_record() {
    let stand = stand(false);
    assert!(is_good(&record(&stand.recorder, "1")));
    let panicked = std::panic::AssertUnwindSafe(|| record(&stand.recorder, "panic"));
    assert!(std::panic::catch_unwind(panicked).is_err());
    assert!(is_good(&record(&stand.recorder, "3")));
    let told: Vec<_> = stand.told().into_iter().map(|(n, _)| n).collect();
    let on_file: Vec<_> = stand.on_file().into_iter().map(|(n, _)| n).collect();
    assert_eq!((told, on_file), (vec![1, 3], vec![1, 2, 3]));
}

#[test]
fn copies_know_each_other() {
    for redact in [false, true] {
        let stand = stand(redact);
        record(&stand.recorder, CDR);
        record(&stand.recorder, CDR);
        let text = fs::read_to_string(&stand.path).unwrap();
        let second: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(second["related"][0]["how"], "duplicate");
        let remarks = second["verdict"]["remarks"].as_array().unwrap();
        assert_eq!(remarks.last().unwrap()["code"], "duplicate", "{remarks:?}");
        // Without `--redact`, the event carries the line of the capture file.
        let Some(Event::Exchange(exchange, line)) = stand.events.try_iter().last() else {
            unreachable!()
        };
        let whole = ndjson::line("exchange", exchange.as_ref());
        assert_eq!(line.as_deref(), (!redact).then_some(&*whole));
        assert_eq!(!redact, text.ends_with(str::from_utf8(&whole).unwrap()));
    }
}

#[test]
fn threads_have_one_order() {
    const THREADS: usize = 4;
    const TURNS: usize = 200;
    let stand = stand(false);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let recorder = &stand.recorder;
            scope.spawn(move || {
                for turn in 0..TURNS {
                    assert!(is_good(&record(recorder, &format!("\"{thread}-{turn}\""))));
                }
            });
        }
    });
    let on_file = stand.on_file();
    assert_eq!(on_file, stand.told());
    let total = (THREADS * TURNS) as u64;
    assert!(on_file.iter().map(|(n, _)| *n).eq(1..=total));
    let mut bodies: Vec<_> = on_file.into_iter().map(|(_, body)| body).collect();
    bodies.sort_unstable();
    bodies.dedup();
    assert_eq!(bodies.len() as u64, total);
    let saved = stand.recorder.finish(Ending::Interrupted).saved;
    assert_eq!(saved, Some(total));
}

/// Each kind of connection error is reported at most once a second, and all errors are reported in the end.
#[tokio::test(start_paused = true)]
async fn connection_errors_are_rate_limited_and_all_told() {
    let stand = stand(false);
    let report = stand.recorder.report_errors();
    let errors = async {
        for ms in 0..2_500 {
            let error = if ms % 2 == 0 {
                ConnectionError::LooksLikeTls
            } else {
                ConnectionError::HeadCut
            };
            stand.recorder.connection_error(None, &error);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(REPORT_INTERVAL * 2).await;
    };
    tokio::select! {
        never = report => match never {},
        () = errors => {}
    }
    let counts: Vec<_> = stand
        .events
        .try_iter()
        .filter_map(|event| match event {
            Event::ConnectionErrors(errors) => Some(errors.count),
            _ => None,
        })
        .collect();
    assert_eq!(counts.iter().sum::<u64>(), 2_500);
    assert!((6..=8).contains(&counts.len()), "{counts:?}");
    let summary = stand.recorder.finish(Ending::Interrupted);
    assert_eq!(summary.malformed, 2_500);
}
