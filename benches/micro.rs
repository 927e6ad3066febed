//! What one CDR costs on its way through the library: made, judged, written down, shown, cleaned, related.
//!
//! `cargo bench --bench micro`, or `cargo bench --bench micro -- judge` for one group. How the program compares with
//! others is measured by `benches/compare`.

use std::time::Duration;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use serde_json::{Map, Value};
use telecmi_cdr::cdr::Shape;
use telecmi_cdr::cdr::account::{Account, AccountOptions};
use telecmi_cdr::cdr::judge::{Judgement, judge_json, judge_pairs};
use telecmi_cdr::cdr::received::Received;
use telecmi_cdr::cdr::story::{CallIds, Setting, choices};
use telecmi_cdr::cdr::text::CdrText;
use telecmi_cdr::clock::Moment;
use telecmi_cdr::listen::event::Exchange;
use telecmi_cdr::listen::relate::Relations;
use telecmi_cdr::seed::Seed;
use telecmi_cdr::send::Plan;
use telecmi_cdr::send::courier::Patience;
use telecmi_cdr::send::event::Delivery;
use telecmi_cdr::send::expect::Expectation;
use telecmi_cdr::send::pace::Rules;
use telecmi_cdr::send::pack::Step;
use telecmi_cdr::send::source::{Content, Envelope, Methods, Scenario};
use telecmi_cdr::show::received;
use telecmi_cdr::show::theme::Theme;
use telecmi_cdr::untrusted::clean;
use telecmi_cdr::wire::record::{self, Answer, Attempt};
use telecmi_cdr::wire::{Header, Request, query};

/// As TeleCMI documents it.
const DOCUMENTED: &str = include_str!("../fixtures/docs-leg-a.json");

/// As it was seen live.
const LIVE: &str = include_str!("../fixtures/live/softphone.json");

/// A body that breaks off.
const CUT_OFF: &str = include_str!("../fixtures/broken/cut-off.json");

fn main() {
    divan::main();
}

/// When everything happens.
fn moment() -> Moment {
    "2026-11-22T09:12:31.402Z".parse().expect("a moment")
}

/// The realistic mixture by one method, without end.
fn mixture(methods: Methods) -> Plan {
    let seed = Seed(1);
    let account = Account::new(&AccountOptions::default(), seed);
    let setting = Setting {
        account,
        shape: Shape::Docs,
        call_ids: CallIds::default(),
        at: moment(),
        seed,
    };
    Plan {
        content: Content::Stories(choices("mix"), setting),
        envelope: Envelope {
            target: "/webhook/cdr".to_owned(),
            methods,
            ..Envelope::default()
        },
        rounds: None,
        duration: None,
        rules: Rules::plain(seed),
        concurrency: 1,
        patience: Patience {
            retries: 0,
            interval: Duration::ZERO,
            seed,
        },
        expectation: Expectation::default(),
        compare: false,
        at: moment(),
        shown_url: String::new(),
    }
}

/// A POST of a body, as a receiver gets it.
fn post(body: &'static str) -> Request {
    let headers = [
        ("host", "127.0.0.1:8237"),
        ("content-type", "application/json"),
        ("user-agent", "telecmi-cdr/0.1.0"),
        ("accept", "*/*"),
        ("content-length", "472"),
    ];
    let headers = headers
        .map(|(name, value)| Header::new(name, value))
        .to_vec();
    Request::new("POST", "/webhook/cdr", headers, body)
}

/// The documented CDR as the receiver has written it down.
fn exchange() -> Exchange {
    let Judgement { verdict, fields } = judge_json(DOCUMENTED.as_bytes());
    Exchange {
        n: 123_456,
        received_at: moment(),
        peer: "127.0.0.1:50000".to_owned(),
        claimed: None,
        request: post(DOCUMENTED),
        verdict,
        cdr: fields,
        related: Vec::new(),
        uncounted: None,
        answer: Answer {
            status: Some(200),
            ..Answer::default()
        },
        took_ms: 0.042,
    }
}

/// The documented CDR as the sender tells of its delivery.
fn delivery() -> Delivery {
    let attempt = Attempt {
        at: moment(),
        latency: Duration::from_micros(321),
        status: Some(200),
        failure: None,
        response: None,
    };
    Delivery {
        n: 123_456,
        call: 98_765,
        scenario: Scenario::Story("agent-no-answer"),
        copy: 0,
        method: "POST".into(),
        cdr: CdrText::read(DOCUMENTED.into()),
        due: None,
        late: None,
        attempts: vec![attempt],
        ok: true,
        why: None,
    }
}

/// Making one call of the mixture and its requests; a call has one CDR or more.
#[divan::bench(args = ["POST", "GET"], min_time = 0.5)]
fn generate(bencher: Bencher, method: &str) {
    let plan = mixture(if method == "GET" {
        Methods::Get
    } else {
        Methods::Post
    });
    let mut batches = plan.batches();
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench_local(|| batches.next());
}

/// Judging what arrived: bytes or pairs in, verdict and fields out.
#[divan::bench_group(min_time = 0.5)]
mod judge {
    use super::{Bencher, BytesCount, CUT_OFF, DOCUMENTED, LIVE, Map, Value};
    use super::{black_box, judge_json, judge_pairs, query};

    fn body(bencher: Bencher, body: &str) {
        let bytes = body.as_bytes();
        bencher
            .counter(BytesCount::of_str(body))
            .bench(|| judge_json(black_box(bytes)));
    }

    #[divan::bench]
    fn documented(bencher: Bencher) {
        body(bencher, DOCUMENTED);
    }

    #[divan::bench]
    fn live(bencher: Bencher) {
        body(bencher, LIVE);
    }

    #[divan::bench]
    fn malformed(bencher: Bencher) {
        body(bencher, CUT_OFF);
    }

    #[divan::bench]
    fn in_a_query(bencher: Bencher) {
        let fields: Map<String, Value> = serde_json::from_str(DOCUMENTED).expect("an object");
        let query = query::encode(&fields, query::Encoding::Flat);
        bencher
            .counter(BytesCount::of_str(&query))
            .bench(|| judge_pairs(&query::decode(black_box(&query)).pairs));
    }
}

/// Writing a record as a line.
#[divan::bench_group(min_time = 0.5)]
mod record_line {
    use super::{Bencher, black_box, delivery, exchange, record};

    #[divan::bench]
    fn of_an_exchange(bencher: Bencher) {
        let exchange = exchange();
        bencher.bench(|| record::line("exchange", black_box(&exchange)));
    }

    #[divan::bench]
    fn of_a_delivery(bencher: Bencher) {
        let delivery = delivery();
        bencher.bench(|| record::line("delivery", black_box(&delivery)));
    }
}

/// The block that a person sees of a request.
#[divan::bench(args = ["plain", "coloured"], min_time = 0.5)]
fn pretty(bencher: Bencher, theme: &str) {
    let exchange = exchange();
    let theme = Theme::new(theme == "coloured");
    bencher.bench(|| received::exchange(black_box(&exchange), &theme, false));
}

/// Text of strangers, each repeated to about a kilobyte.
const STRANGERS: [(&str, &str); 3] = [
    ("ascii", "Please call back about invoice 4711. "),
    ("devanagari", "प्रिया शर्मा, कृपया वापस बुलाएँ। "),
    (
        "hostile",
        "\u{1b}[2J\u{202e}txt.exe\u{200b}\r\n\u{9b}31m\u{feff}",
    ),
];

/// Making such text harmless.
#[divan::bench(args = STRANGERS.map(|(name, _)| name), min_time = 0.5)]
fn cleaning(bencher: Bencher, name: &str) {
    let (_, text) = STRANGERS
        .into_iter()
        .find(|(known, _)| *known == name)
        .expect("one of them");
    let text = text.repeat(1024_usize.div_ceil(text.len()));
    bencher
        .counter(BytesCount::of_str(&text))
        .bench(|| clean(black_box(&text)));
}

/// Holding a CDR against the ten thousand before it, all of them others or the same once more.
#[divan::bench(args = ["others", "the_same"], min_time = 0.5)]
fn relate(bencher: Bencher, kind: &str) {
    /// More than are remembered, so that none comes back while it is known.
    const DIFFERENT: usize = 20_000;
    let plan = mixture(Methods::Post);
    let parcels = plan.batches().flatten().flat_map(Step::parcels);
    let known =
        parcels.filter_map(|parcel| Some((parcel.request, Received::from(&parcel.cdr?.fields()))));
    let mut known: Vec<_> = known.take(DIFFERENT).collect();
    let mut relations = Relations::default();
    let marks = relations.marks();
    for (request, cdr) in &known {
        relations.relate(
            0,
            moment(),
            &request.method,
            cdr,
            marks.traces(request, cdr),
        );
    }
    if kind == "the_same" {
        known.drain(..DIFFERENT - 1);
    }
    let at = moment();
    let mut again = (1..).zip(known.iter().cycle());
    bencher.bench_local(|| {
        let (n, (request, cdr)) = again.next()?;
        Some(relations.relate(n, at, &request.method, cdr, marks.traces(request, cdr)))
    });
}
