//! The desk on real files, without a listener around it.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tempfile::TempDir;

use super::*;
use crate::listen::keep::Content;
use crate::listen::respond::ResponsePolicy;
use crate::wire::Request;

const CDR: &str = include_str!("../../../fixtures/docs-leg-a.json");

/// A desk that saves to a file in a folder of its own, and tells what is heard here.
struct Stand {
    desk: Desk,
    path: PathBuf,
    told: mpsc::Receiver<Event>,
    _folder: TempDir,
}

fn stand(content: Content) -> Stand {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("calls.ndjson");
    let (tell, told) = mpsc::channel();
    let tell = Box::new(move |event| tell.send(event).is_ok());
    let desk = Desk::new(Wanted::default(), Claims::default(), Clock::start(), tell);
    let desk = desk.keeping(Some(Keeper::open(&path, content).unwrap().0));
    Stand {
        desk,
        path,
        told,
        _folder: folder,
    }
}

impl Stand {
    fn record<'a>(&'a self, body: &str) -> impl Future<Output = Reply> + Send + use<'a> {
        record(&self.desk, body)
    }

    /// The records on file: their numbers and bodies.
    fn on_file(&self) -> Vec<(u64, String)> {
        let record = |line: &str| {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            let body = record["request"]["body"]["text"]
                .as_str()
                .unwrap()
                .to_owned();
            (record["n"].as_u64().unwrap(), body)
        };
        fs::read_to_string(&self.path)
            .unwrap()
            .lines()
            .map(record)
            .collect()
    }

    /// The exchanges told so far: their numbers and bodies.
    fn told(&self) -> Vec<(u64, String)> {
        let exchange = |event| match event {
            Event::Exchange(exchange, _) => {
                Some((exchange.n, exchange.request.body.text().unwrap().to_owned()))
            }
            _ => None,
        };
        self.told.try_iter().filter_map(exchange).collect()
    }
}

/// Records a request with such a body.
fn record<'a>(desk: &'a Desk, body: &str) -> impl Future<Output = Reply> + Send + use<'a> {
    let incoming = IncomingRequest {
        peer: ([127, 0, 0, 1], 4000).into(),
        at: desk.clock.now(),
        request: Request::new("POST", "/cdr", vec![], body.to_owned()),
        error: None,
        ambiguous_framing: false,
    };
    let decision = ResponsePolicy::default().decide(&incoming);
    let outcome = Outcome::decided(&decision);
    desk.record(incoming, decision, outcome, Duration::ZERO)
}

fn numbered(bodies: &[&str]) -> Vec<(u64, String)> {
    (1..)
        .zip(bodies.iter().map(|body| (*body).to_owned()))
        .collect()
}

fn is_good(reply: &Reply) -> bool {
    matches!(reply, Reply::Respond(response) if response.status == 200)
}

#[test]
fn what_lies_on_the_tray_is_written_down_together_and_in_order() {
    let stand = stand(Content::AsItCame);
    let [one, two, three] = ["1", "2", "3"].map(|body| stand.record(body).boxed());
    assert_eq!((stand.on_file(), stand.told()), (Vec::new(), Vec::new()));
    let (one, two, three) = on_a_runtime(async { tokio::join!(one, two, three) });
    assert!([one, two, three].iter().all(is_good));
    let expected = numbered(&["1", "2", "3"]);
    assert_eq!(
        (stand.on_file(), stand.told()),
        (expected.clone(), expected)
    );
}

#[test]
fn who_is_alone_waits_for_nobody() {
    let stand = stand(Content::AsItCame);
    let mut recorded = stand.record("1").boxed();
    // Once around for those who are ready, of whom there are none.
    assert_eq!((&mut recorded).now_or_never(), None);
    assert!(recorded.now_or_never().is_some_and(|reply| is_good(&reply)));
}

#[test]
fn whoever_goes_away_is_written_down_with_the_others() {
    let stand = stand(Content::AsItCame);
    let first = stand.record("1").boxed();
    // Asked once and dropped, as hyper does when a connection breaks; and dropped without being asked.
    assert_eq!(stand.record("2").now_or_never(), None);
    let expected = numbered(&["1", "2"]);
    assert_eq!(
        (stand.on_file(), stand.told()),
        (expected.clone(), expected)
    );
    drop(stand.record("3"));
    assert_eq!(stand.on_file(), numbered(&["1", "2", "3"]));
    // It is there already.
    assert!(is_good(&on_a_runtime(first)));
    assert_eq!(stand.desk.finish(Ending::Interrupted).saved, Some(3));
}

#[test]
fn nothing_lies_on_the_tray_at_the_end() {
    let stand = stand(Content::AsItCame);
    let recorded = stand.record(CDR).boxed();
    let summary = stand.desk.finish(Ending::Interrupted);
    assert_eq!(
        (summary.exchanges, summary.cdrs, summary.saved),
        (1, 1, Some(1))
    );
    assert!(is_good(&on_a_runtime(recorded)));
    assert_eq!(stand.on_file().len(), 1);
}

#[test]
fn what_is_much_is_written_at_once() {
    let stand = stand(Content::AsItCame);
    let little = stand.record("1").boxed();
    let much = format!("\"{}\"", "x".repeat(300_000));
    assert!(
        stand
            .record(&much)
            .now_or_never()
            .is_some_and(|reply| is_good(&reply))
    );
    assert_eq!(stand.on_file(), numbered(&["1", &much]));
    drop(little);
}

#[test]
fn copies_on_one_tray_know_each_other() {
    for content in [Content::AsItCame, Content::Redacted] {
        let stand = stand(content);
        let (one, two) = (stand.record(CDR).boxed(), stand.record(CDR).boxed());
        on_a_runtime(async { tokio::join!(one, two) });
        let text = fs::read_to_string(&stand.path).unwrap();
        let second: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(second["related"][0]["how"], "duplicate");
        let remarks = second["verdict"]["remarks"].as_array().unwrap();
        assert_eq!(remarks.last().unwrap()["code"], "duplicate", "{remarks:?}");
        // What was drafted and completed is what is written in one piece.
        let Some(Event::Exchange(exchange, line)) = stand.told.try_iter().last() else {
            unreachable!()
        };
        let whole = crate::ndjson::line("exchange", exchange.as_ref());
        assert_eq!(
            line.as_deref(),
            (content == Content::AsItCame).then_some(&*whole)
        );
        assert_eq!(
            content == Content::AsItCame,
            text.ends_with(str::from_utf8(&whole).unwrap())
        );
    }
}

/// Threads with several requests at once each, some of whom go away.
#[test]
fn threads_meet_in_one_order() {
    const THREADS: usize = 4;
    const TURNS: usize = 50;
    let stand = stand(Content::AsItCame);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let desk = &stand.desk;
            scope.spawn(move || {
                on_a_runtime(async {
                    for turn in 0..TURNS {
                        let body = |place| format!("\"{thread}-{turn}-{place}\"");
                        let recorded = join_all((0..3).map(|place| record(desk, &body(place))));
                        assert_eq!(record(desk, &body(3)).now_or_never(), None);
                        assert!(recorded.await.iter().all(is_good));
                    }
                });
            });
        }
    });
    let on_file = stand.on_file();
    assert_eq!(on_file, stand.told());
    assert!(
        on_file
            .iter()
            .map(|(n, _)| *n)
            .eq(1..=(THREADS * TURNS * 4) as u64)
    );
    let mut bodies: Vec<_> = on_file.into_iter().map(|(_, body)| body).collect();
    bodies.sort_unstable();
    bodies.dedup();
    assert_eq!(bodies.len(), THREADS * TURNS * 4);
    assert_eq!(
        stand.desk.finish(Ending::Interrupted).saved,
        Some((THREADS * TURNS * 4) as u64)
    );
}

/// Runs a future on a runtime of its own.
fn on_a_runtime<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}
