use std::sync::mpsc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use serde_json::json;

use super::server::RequestError;
use super::*;
use crate::error::{Exit, Stop};
use crate::exchange::Exchange;
use crate::net::Request;

const DEADLINE: Duration = Duration::from_secs(20);

struct Stand {
    address: String,
    events: mpsc::Receiver<Event>,
    stop: Option<oneshot::Sender<Stop>>,
    run: JoinHandle<Summary>,
}

async fn stand(options: Options) -> Stand {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (tell, events) = mpsc::channel();
    let (stop, stopped) = oneshot::channel();
    let stopped = async { stopped.await.unwrap_or(Stop::Terminate) };
    let run = tokio::spawn(run(
        options,
        listener,
        Clock::start(),
        stopped,
        move |event| tell.send(event).is_ok(),
    ));
    Stand {
        address,
        events,
        stop: Some(stop),
        run,
    }
}

impl Stand {
    async fn post(&self, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let head = format!(
            "POST /cdr HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream
            .write_all(format!("{head}{body}").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Sends a head and reads `100 Continue`, which proves that the connection was accepted.
    async fn begin(&self) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let head = format!(
            "POST /cdr HTTP/1.1\r\nHost: h\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
            CDR.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut leave = [0; 25];
        stream.read_exact(&mut leave).await.unwrap();
        stream
    }

    async fn end(self) -> (Summary, Vec<Arc<Exchange>>) {
        let summary = tokio::time::timeout(DEADLINE, self.run)
            .await
            .unwrap()
            .unwrap();
        let exchange = |event| match event {
            Event::Exchange(exchange, _) => Some(exchange),
            _ => None,
        };
        (
            summary,
            self.events.try_iter().filter_map(exchange).collect(),
        )
    }
}

fn count(count: u64) -> ExpectedCdrs {
    ExpectedCdrs {
        count: Some(count),
        ..ExpectedCdrs::default()
    }
}

const CDR: &str = include_str!("../../fixtures/docs-leg-a.json");

#[tokio::test]
async fn it_ends_when_the_wanted_number_has_come() {
    let stand = stand(Options {
        expected: count(2),
        ..Options::default()
    })
    .await;
    assert!(stand.post(CDR).await.ends_with("got it"));
    assert!(
        stand
            .post("{\"no\":\"cdr\"}")
            .await
            .starts_with("HTTP/1.1 200 ")
    );
    assert!(stand.post(CDR).await.starts_with("HTTP/1.1 200 "));
    let (summary, exchanges) = stand.end().await;
    assert_eq!(
        (
            summary.exchanges,
            summary.cdrs,
            summary.ending,
            summary.exit
        ),
        (3, 2, Ending::Counted, Exit::Success)
    );
    assert_eq!(
        exchanges
            .iter()
            .map(|exchange| exchange.n)
            .collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(exchanges[2].related[0].n, 1);
}

#[tokio::test]
async fn what_is_held_back_when_it_must_stop_is_written_down_and_answered() {
    let policy = watch::Sender::new(ResponsePolicy {
        delay: "1h".parse().unwrap(),
        ..ResponsePolicy::default()
    });
    let mut stand = stand(Options {
        policy,
        ..Options::default()
    })
    .await;
    let stop = stand.stop.take().unwrap();
    let mut stream = stand.begin().await;
    stream.write_all(CDR.as_bytes()).await.unwrap();
    stop.send(Stop::Interrupt).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let (summary, exchanges) = stand.end().await;
    assert_eq!(
        (summary.exchanges, exchanges.len(), summary.exit),
        (1, 1, Exit::Success)
    );
}

#[tokio::test]
async fn what_is_held_back_is_written_down_once_before_the_last_word() {
    let policy = watch::Sender::new(ResponsePolicy {
        delay: "1h".parse().unwrap(),
        ..ResponsePolicy::default()
    });
    let mut stand = stand(Options {
        policy,
        ..Options::default()
    })
    .await;
    let stop = stand.stop.take().unwrap();
    let mut streams = Vec::new();
    for _ in 0..6 {
        streams.push(stand.begin().await);
    }
    for stream in &mut streams {
        stream.write_all(CDR.as_bytes()).await.unwrap();
    }
    for stream in streams.drain(3..) {
        stream.set_zero_linger().unwrap();
    }
    stop.send(Stop::Interrupt).unwrap();
    for mut stream in streams {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let summary = tokio::time::timeout(DEADLINE, &mut stand.run)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(summary.exchanges, 6);
    let events: Vec<_> = stand.events.try_iter().collect();
    let numbers: Vec<_> = events
        .iter()
        .filter_map(|event| {
            if let Event::Exchange(exchange, _) = event {
                Some(exchange.n)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    assert!(
        matches!(events.last(), Some(Event::Finished(_))),
        "{:?}",
        events.last()
    );
}

#[tokio::test]
async fn a_nuisance_gets_a_bounded_number_of_remarks() {
    let stand = stand(Options {
        expected: count(1),
        ..Options::default()
    })
    .await;
    let names: Vec<_> = (0..5_000).map(|n| format!(",\"x{n}\":0")).collect();
    let body = format!(
        "{}{}}}",
        CDR.trim_end().trim_end_matches('}'),
        names.concat()
    );
    assert!(stand.post(&body).await.starts_with("HTTP/1.1 200 "));
    let (_, exchanges) = stand.end().await;
    let remarks = &exchanges[0].verdict.remarks;
    assert_eq!(
        (remarks.len(), remarks[100].text.as_it_came()),
        (101, "and 4900 more remarks")
    );
}

fn expected(count: Option<u64>, fields: &[&str]) -> ExpectedCdrs {
    let fields = fields.iter().map(|text| text.parse().unwrap()).collect();
    ExpectedCdrs {
        count,
        fields,
        ..ExpectedCdrs::default()
    }
}

#[test]
fn a_cdr_counts_if_every_field_is_as_expected() {
    let cdr = json!({"leg": "a", "to": 442_079_460_000_u64, "custom": {"crm": [1, 2]}});
    let cdr = cdr.as_object().unwrap().clone();
    let mismatch = |fields: &[&str]| expected(None, fields).mismatch(&cdr);
    assert_eq!(mismatch(&[]), None);
    assert_eq!(
        mismatch(&["leg=a", "to=442079460000", "custom={ \"crm\": [1,2] }"]),
        None
    );
    assert_eq!(
        mismatch(&["leg=a", "to=1"]).as_deref(),
        Some("to is 442079460000, not 1")
    );
    assert_eq!(
        mismatch(&["user=x"]).as_deref(),
        Some("user is missing, not x")
    );
    assert!("leg".parse::<ExpectedField>().is_err() && "=a".parse::<ExpectedField>().is_err());
    assert_eq!("custom=a=b".parse::<ExpectedField>().unwrap().value, "a=b");
}

#[test]
fn too_few_fail_and_too_many_where_the_number_is_exact() {
    let two = expected(Some(2), &[]);
    let exits = |exact| [1, 2, 3].map(|counted| two.judge(counted, exact).code());
    assert_eq!((exits(false), exits(true)), ([1, 0, 0], [1, 0, 1]));
    let settling = ExpectedCdrs {
        settle: Duration::from_secs(1),
        ..two
    };
    assert_eq!(settling.judge(3, false), Exit::Failed);
}

#[test]
fn what_was_expected_must_come_even_if_nobody_said_how_often() {
    assert!(expected(None, &[]).is_reached(0));
    let some = expected(None, &["leg=a"]);
    assert_eq!(
        (some.judge(0, false), some.judge(5, true)),
        (Exit::Failed, Exit::Success)
    );
}

/// A pipeline that delays answers by an hour, and the reply if the pipeline returned one within a second.
struct Handled {
    reply: Option<Reply>,
    pipeline: Arc<Pipeline>,
}

impl Handled {
    fn exchanges(&self) -> u64 {
        self.pipeline.recorder.finish(Ending::Interrupted).exchanges
    }
}

async fn handled(error: Option<RequestError>) -> Handled {
    let clock = Clock::start();
    let tell = Box::new(|_| true);
    let options = Options::default();
    let set_delay = |policy: &mut ResponsePolicy| policy.delay = "1h".parse().unwrap();
    options.policy.send_modify(set_delay);
    let pipeline = Arc::new(Pipeline::new(Recorder::new(options, clock, tell)));
    let incoming = IncomingRequest {
        peer: ([127, 0, 0, 1], 4000).into(),
        at: clock.now(),
        request: Request::new("GET", "/", vec![], ""),
        error,
    };
    let reply = Arc::clone(&pipeline).handle(incoming);
    let reply = tokio::time::timeout(Duration::from_secs(1), reply).await;
    Handled {
        reply: reply.ok(),
        pipeline,
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_is_recorded_even_if_its_connection_breaks_meanwhile() {
    let handled = handled(None).await;
    assert_eq!(handled.reply, None);
    handled.pipeline.tasks.close();
    handled.pipeline.tasks.wait().await;
    assert_eq!(handled.exchanges(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_malformed_request_is_not_delayed() {
    let handled = handled(Some(RequestError::Malformed("why".to_owned()))).await;
    assert!(handled.reply.is_some());
    assert_eq!(handled.exchanges(), 1);
}
