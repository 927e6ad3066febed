//! What one CDR costs on its way through the library: made, judged, written down, shown, cleaned, related.
//!
//! `cargo bench --bench micro`, or `cargo bench --bench micro -- judge` for names with `judge` in them. How the program
//! compares with others is measured by `benches/compare`.
//!
//! A plain `main`: benchmark crates bring a second `syn` or licences that `tests/it/dependencies.rs` refuses.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use telecmi_cdr::internals::{
    Account, AccountOptions, Answer, Attempt, CallIds, CdrText, Content, Delivery, Exchange,
    Expectation, Fields, GenerateOptions, Header, Job, Judgement, Methods, Plan, Relations,
    Request, RequestTemplate, RetryPolicy, Schedule, ScheduleOptions, Seed, Shape, Theme,
    Timestamp, choices, clean, judge_json, judge_pairs, ndjson, query, received,
};

/// As TeleCMI documents it.
const DOCUMENTED: &str = include_str!("../fixtures/docs-leg-a.json");

/// As it was seen live.
const LIVE: &str = include_str!("../fixtures/live/softphone.json");

/// A body that breaks off.
const CUT_OFF: &str = include_str!("../fixtures/broken/cut-off.json");

/// Duration of one benchmark.
const BENCH: Duration = Duration::from_millis(500);

/// Least duration of one sample, so that the clock's own cost does not count.
const SAMPLE: Duration = Duration::from_micros(500);

/// Runs the benchmarks that are named on the command line.
struct Bencher {
    filters: Vec<String>,
}

impl Bencher {
    /// Times `call`, and prints the median, fastest and slowest sample; with `bytes`, the throughput too.
    #[expect(clippy::print_stdout, reason = "the benchmark's output")]
    #[expect(clippy::disallowed_methods, reason = "no runtime, no paused clock")]
    fn bench<T>(&self, name: &str, bytes: Option<usize>, mut call: impl FnMut() -> T) {
        if !self.filters.is_empty() && !self.filters.iter().any(|filter| name.contains(filter)) {
            return;
        }
        let mut calls = 1_u32;
        let mut sample = |calls: u32| {
            let started = Instant::now();
            for _ in 0..calls {
                black_box(call());
            }
            started.elapsed()
        };
        while sample(calls) < SAMPLE {
            calls *= 2;
        }
        let started = Instant::now();
        let mut samples = Vec::new();
        while samples.is_empty() || started.elapsed() < BENCH {
            samples.push(sample(calls).as_secs_f64() / f64::from(calls));
        }
        samples.sort_by(f64::total_cmp);
        let (median, last) = (samples[samples.len() / 2], samples[samples.len() - 1]);
        let nanoseconds = [median, samples[0], last].map(|seconds| seconds * 1e9);
        let [median_ns, fastest, slowest] = nanoseconds;
        print!("{name:<28} {median_ns:>10.1} ns   {fastest:>10.1} … {slowest:>10.1}");
        match bytes.map(u32::try_from) {
            Some(Ok(bytes)) => println!("   {:>8.1} MB/s", f64::from(bytes) / median / 1e6),
            _ => println!(),
        }
    }
}

fn main() {
    // Cargo passes `--bench`.
    let filters = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'));
    let bencher = Bencher {
        filters: filters.collect(),
    };
    generate(&bencher);
    judge(&bencher);
    record_line(&bencher);
    pretty(&bencher);
    cleaning(&bencher);
    relate(&bencher);
}

/// When everything happens.
fn moment() -> Timestamp {
    "2026-11-22T09:12:31.402Z".parse().expect("a moment")
}

/// The realistic mixture by one method, without end.
fn mixture(methods: Methods) -> Plan {
    let seed = Seed(1);
    let account = Account::new(&AccountOptions::default(), seed);
    let setting = GenerateOptions {
        account,
        shape: Shape::Docs,
        call_ids: CallIds::default(),
        at: moment(),
        seed,
        with_events: false,
    };
    Plan {
        content: Content::Scenarios(choices("mix"), setting),
        template: RequestTemplate {
            target: "/webhook/cdr".to_owned(),
            methods,
            ..RequestTemplate::default()
        },
        schedule: ScheduleOptions {
            count: None,
            duration: Some(Duration::MAX),
            rate: None,
            concurrency: 1,
            speed: None,
            duplicate: 0,
            race: 1,
            shuffle: false,
            late: None,
            drop: 0.0,
        },
        retry: RetryPolicy {
            retries: 0,
            interval: Duration::ZERO,
            retry_after_max: Duration::ZERO,
            schedule: Vec::new(),
        },
        expectation: Expectation::default(),
        seed,
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
        peer: ([127, 0, 0, 1], 50_000).into(),
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
        scenario: "agent-no-answer",
        copy: 0,
        method: "POST".into(),
        cdr: serde_json::from_str::<Fields>(DOCUMENTED)
            .ok()
            .as_ref()
            .map(CdrText::from),
        due: None,
        late: None,
        attempts: vec![attempt],
        ok: true,
        why: None,
    }
}

/// Making one call of the mixture and its requests; a call has one CDR or more.
fn generate(bencher: &Bencher) {
    for (name, methods) in [("POST", Methods::Post), ("GET", Methods::Get)] {
        let plan = mixture(methods);
        let mut jobs = Schedule::new(Arc::new(plan));
        bencher.bench(&format!("generate {name}"), None, || jobs.next());
    }
}

/// Judging what arrived: bytes or pairs in, verdict and fields out.
fn judge(bencher: &Bencher) {
    for (name, body) in [
        ("documented", DOCUMENTED),
        ("live", LIVE),
        ("malformed", CUT_OFF),
    ] {
        bencher.bench(&format!("judge {name}"), Some(body.len()), || {
            judge_json(black_box(body.as_bytes()))
        });
    }
    let query = query::encode(DOCUMENTED.as_bytes(), query::Encoding::Flat);
    bencher.bench("judge in_a_query", Some(query.len()), || {
        judge_pairs(&query::decode(black_box(&query)).pairs)
    });
}

/// Writing a record as a line.
fn record_line(bencher: &Bencher) {
    let (exchange, delivery) = (exchange(), delivery());
    bencher.bench("record_line of_an_exchange", None, || {
        ndjson::line("exchange", black_box(&exchange))
    });
    bencher.bench("record_line of_a_delivery", None, || {
        ndjson::line("delivery", black_box(&delivery))
    });
}

/// The block that a person sees of a request.
fn pretty(bencher: &Bencher) {
    let exchange = exchange();
    for (name, coloured) in [("plain", false), ("coloured", true)] {
        let theme = Theme::new(coloured);
        bencher.bench(&format!("pretty {name}"), None, || {
            received::exchange(black_box(&exchange), theme, false)
        });
    }
}

/// Making untrusted text safe for a terminal; each text is repeated to about a kilobyte.
fn cleaning(bencher: &Bencher) {
    for (name, text) in [
        ("ascii", "Please call back about invoice 4711. "),
        ("devanagari", "प्रिया शर्मा, कृपया वापस बुलाएँ। "),
        (
            "hostile",
            "\u{1b}[2J\u{202e}txt.exe\u{200b}\r\n\u{9b}31m\u{feff}",
        ),
    ] {
        let text = text.repeat(1024_usize.div_ceil(text.len()));
        bencher.bench(&format!("cleaning {name}"), Some(text.len()), || {
            clean(black_box(&text))
        });
    }
}

/// Holding a CDR against the ten thousand before it, all of them others or the same once more.
fn relate(bencher: &Bencher) {
    /// More than are remembered, so that none comes back while it is known.
    const DIFFERENT: usize = 20_000;
    let plan = mixture(Methods::Post);
    let jobs = Schedule::new(Arc::new(plan))
        .flatten()
        .flat_map(Job::each_copy);
    let fields =
        |cdr: CdrText| serde_json::from_slice::<Fields>(cdr.as_bytes()).expect("an object");
    let known = jobs.filter_map(|job| Some((job.request, fields(job.cdr?))));
    let known: Vec<_> = known.take(DIFFERENT).collect();
    for (name, repeated) in [
        ("others", known.as_slice()),
        ("the_same", &known[DIFFERENT - 1..]),
    ] {
        let mut relations = Relations::default();
        let mut relate = |n, (request, cdr): &(Arc<Request>, Fields)| {
            relations.relate(n, moment(), request, Some(cdr))
        };
        for pair in &known {
            relate(0, pair);
        }
        let mut again = (1..).zip(repeated.iter().cycle());
        bencher.bench(&format!("relate {name}"), None, || {
            let (n, pair) = again.next()?;
            Some(relate(n, pair))
        });
    }
}
