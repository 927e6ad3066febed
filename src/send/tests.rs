//! Tests whole runs of `send` without sockets, nearly all on tokio's paused clock.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::deliver::Transport;
use super::event::{Delivery, Event, EventSink, Summary};
use super::expect::Expectation;
use super::pace::Slot;
use super::retry::RetryPolicy;
use super::schedule::{Job, Schedule, ScheduleOptions};
use super::template::RequestTemplate;
use super::*;
use super::{Content, Methods, Origin};
use crate::cdr::Shape;
use crate::cdr::account::{Account, AccountOptions};
use crate::cdr::scenarios::{self, CallIds, GenerateOptions};
use crate::clock::{Clock, Timestamp};
use crate::error::{Exit, Stop};
use crate::exchange::CapturedRequest;
use crate::input::Item;
use crate::net::{Failure, FailureKind, Header, Phase, Request, Response};
use crate::seed::Seed;

/// A transport that records requests and answers each after a fixed time, from a list whose last answer is repeated.
struct Handler {
    answers: Vec<Result<Response, Failure>>,
    takes: Duration,
    sent: Mutex<Vec<String>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl Handler {
    fn new(answers: Vec<Result<Response, Failure>>) -> Arc<Self> {
        Arc::new(Self::answering(answers))
    }

    fn answering(answers: Vec<Result<Response, Failure>>) -> Self {
        Self {
            answers,
            takes: Duration::from_millis(10),
            sent: Mutex::default(),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
        }
    }
}

impl Transport for Arc<Handler> {
    async fn send(&self, request: &Request, _: Origin) -> Result<Response, Failure> {
        let text = request.body.text().unwrap_or_default();
        let turn = {
            let mut sent = self.sent.lock().unwrap();
            sent.push(format!("{} {} {text}", request.method, request.target));
            sent.len() - 1
        };
        let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(at_once, Ordering::SeqCst);
        tokio::time::sleep(self.takes).await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        self.answers[turn.min(self.answers.len() - 1)].clone()
    }

    async fn race(
        &self,
        request: &Request,
        origin: Origin,
        copies: usize,
    ) -> Vec<(Result<Response, Failure>, Duration)> {
        let mut raced = Vec::new();
        for _ in 0..copies {
            raced.push((self.send(request, origin).await, self.takes));
        }
        raced
    }
}

#[expect(clippy::unnecessary_wraps, reason = "an answer, like the others")]
fn ok() -> Result<Response, Failure> {
    Ok(Response::new(200, vec![], "got it"))
}

#[expect(clippy::unnecessary_wraps, reason = "an answer, like the others")]
fn status(status: u16) -> Result<Response, Failure> {
    Ok(Response::new(status, vec![], ""))
}

fn refused() -> Result<Response, Failure> {
    Err(Failure {
        phase: Phase::Connect,
        kind: FailureKind::Refused,
        text: "connection refused".to_owned(),
        hint: None,
    })
}

pub(super) fn plan(scenario: &str, rounds: u64) -> Plan {
    let seed = Seed(7);
    Plan {
        content: Content::Scenarios(
            scenarios::choices(scenario),
            GenerateOptions {
                account: Account::new(&AccountOptions::default(), seed),
                shape: Shape::Docs,
                call_ids: CallIds::Shared,
                at: Timestamp::from_epoch_ms(1_795_338_000_000).unwrap(),
                seed,
                with_events: false,
            },
        ),
        template: RequestTemplate {
            target: "/webhook/cdr?token=x".to_owned(),
            ..RequestTemplate::default()
        },
        schedule: ScheduleOptions {
            count: Some(rounds),
            duration: None,
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
            interval: Duration::from_secs(1),
            retry_after_max: Duration::from_secs(60),
            schedule: Vec::new(),
        },
        expectation: Expectation::default(),
        seed,
        at: Timestamp::from_epoch_ms(1_795_338_000_000).unwrap(),
        shown_url: "http://h/".to_owned(),
    }
}

#[derive(Clone, Default)]
struct Deliveries(Arc<Mutex<Vec<Delivery>>>, Arc<Mutex<Vec<usize>>>);

impl EventSink for Deliveries {
    async fn ready(&self) {}

    fn send(&self, event: Event) {
        if let Event::Stopping(calls) = event {
            self.1.lock().unwrap().push(calls);
        }
    }

    fn delivered(&self, delivery: Delivery) {
        self.0.lock().unwrap().push(delivery);
    }
}

async fn deliver(plan: &Plan, handler: &Arc<Handler>) -> (Vec<Delivery>, Summary) {
    stopped_after(plan, handler, std::future::pending()).await
}

async fn stopped_after(
    plan: &Plan,
    handler: &Arc<Handler>,
    stop: impl Future<Output = Stop>,
) -> (Vec<Delivery>, Summary) {
    let clock = Clock::at(Timestamp::from_epoch_ms(1_795_338_000_000).unwrap());
    by_clock(clock, plan, handler, stop).await
}

async fn by_clock(
    clock: Clock,
    plan: &Plan,
    handler: &Arc<Handler>,
    stop: impl Future<Output = Stop>,
) -> (Vec<Delivery>, Summary) {
    let deliveries = Deliveries::default();
    let plan = Arc::new(plan.clone());
    let summary = run(&plan, Arc::clone(handler), clock, stop, deliveries.clone()).await;
    let deliveries = std::mem::take(&mut *deliveries.0.lock().unwrap());
    (deliveries, summary)
}

#[tokio::test(start_paused = true)]
async fn both_methods_carry_the_same_cdr() {
    let handler = Handler::new(vec![ok()]);
    let mut plan = plan("customer-no-answer", 1);
    plan.template.methods = Methods::Both;
    let (deliveries, summary) = deliver(&plan, &handler).await;
    let methods: Vec<_> = deliveries
        .iter()
        .map(|delivery| &*delivery.method)
        .collect();
    assert_eq!(methods, ["POST", "GET", "POST", "GET"]);
    assert_eq!(deliveries[0].cdr, deliveries[1].cdr);
    assert_eq!(
        (summary.deliveries, summary.planned, summary.exit),
        (4, Some(4), Exit::Success)
    );
    assert!(
        handler.sent.lock().unwrap()[1].starts_with("GET /webhook/cdr?token=x&virtual_number=")
    );
}

#[tokio::test(start_paused = true)]
async fn concurrency_changes_neither_bytes_nor_order_within_a_call() {
    let sent = async |concurrency| {
        let handler = Handler::new(vec![ok()]);
        let mut plan = plan("mix", 200);
        plan.schedule.concurrency = concurrency;
        let (mut deliveries, _) = deliver(&plan, &handler).await;
        assert_eq!(handler.most_at_once.load(Ordering::SeqCst), concurrency);
        let legs_in_order = deliveries
            .windows(2)
            .all(|pair| pair[0].call != pair[1].call || pair[0].n < pair[1].n);
        assert!(concurrency > 1 || legs_in_order);
        deliveries.sort_by_key(|delivery| delivery.n);
        deliveries
            .into_iter()
            .map(|delivery| (delivery.n, delivery.call, delivery.cdr))
            .collect::<Vec<_>>()
    };
    let one = sent(1).await;
    assert_eq!(one, sent(16).await);
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept_by_an_absolute_schedule() {
    let handler = Handler::new(vec![ok()]);
    let mut plan = plan("agent-no-answer", 101);
    plan.schedule.rate = Some(10.0);
    let (deliveries, summary) = deliver(&plan, &handler).await;
    assert_eq!(deliveries[100].due, Some(Duration::from_secs(10)));
    assert!(
        deliveries
            .iter()
            .all(|delivery| delivery.late.unwrap() < Duration::from_millis(2))
    );
    assert_eq!(summary.elapsed.as_millis() / 20, 10_010 / 20);
}

#[tokio::test(start_paused = true)]
async fn a_slow_handler_makes_deliveries_late_and_they_say_so() {
    let handler = Arc::new(Handler {
        takes: Duration::from_millis(300),
        ..Handler::answering(vec![ok()])
    });
    let mut plan = plan("agent-no-answer", 5);
    plan.schedule.rate = Some(10.0);
    let (deliveries, summary) = deliver(&plan, &handler).await;
    assert!(deliveries[4].late.unwrap() >= Duration::from_millis(800));
    assert!(summary.lateness_ms.unwrap().max >= 800.0);
}

#[tokio::test(start_paused = true)]
async fn trouble_that_passes_is_tried_again_and_every_attempt_is_told() {
    let handler = Handler::new(vec![refused(), status(503), ok()]);
    let mut plan = plan("agent-no-answer", 1);
    plan.retry.retries = 5;
    let (deliveries, _) = deliver(&plan, &handler).await;
    assert!(deliveries[0].ok);
    assert_eq!(deliveries[0].attempts.len(), 3);
    let waited = deliveries[0].attempts[2]
        .at
        .since(deliveries[0].attempts[1].at);
    assert!(
        (Duration::from_secs(1)..=Duration::from_millis(2_020)).contains(&waited),
        "{waited:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_long_interval_is_kept() {
    let handler = Handler::new(vec![refused(), ok()]);
    let mut plan = plan("agent-no-answer", 1);
    plan.retry.retries = 1;
    plan.retry.interval = Duration::from_secs(3_600);
    let (_, summary) = deliver(&plan, &handler).await;
    assert!(summary.elapsed > Duration::from_secs(1_800));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_answer_is_not_tried_again() {
    let handler = Handler::new(vec![status(404), ok()]);
    let mut plan = plan("agent-no-answer", 1);
    plan.retry.retries = 5;
    let (deliveries, summary) = deliver(&plan, &handler).await;
    assert_eq!(deliveries[0].why.as_deref(), Some("answered 404 Not Found"));
    assert_eq!(
        (deliveries[0].attempts.len(), summary.exit),
        (1, Exit::Failed)
    );
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_obeyed() {
    let later = Ok(Response::new(
        429,
        vec![Header::new("Retry-After", "7")],
        "",
    ));
    let handler = Handler::new(vec![later, ok()]);
    let mut plan = plan("agent-no-answer", 1);
    plan.retry.retries = 1;
    let (deliveries, _) = deliver(&plan, &handler).await;
    let waited = deliveries[0].attempts[1]
        .at
        .since(deliveries[0].attempts[0].at);
    assert!(
        (Duration::from_secs(7)..Duration::from_millis(7_050)).contains(&waited),
        "{waited:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_schedule_says_the_wait_before_each_attempt() {
    let busy = || {
        Ok(Response::new(
            503,
            vec![Header::new("Retry-After", "7")],
            "",
        ))
    };
    let handler = Handler::new(vec![busy(), busy(), busy(), ok()]);
    let mut plan = plan("agent-no-answer", 1);
    let minutes = [1, 5, 10, 15];
    plan.retry.schedule = minutes
        .map(|minutes| Duration::from_secs(60 * minutes))
        .to_vec();
    plan.schedule.speed = Some(1.0);
    let began = tokio::time::Instant::now();
    let (deliveries, _) = deliver(&plan, &handler).await;
    let attempts = &deliveries[0].attempts;
    let waited = attempts
        .windows(2)
        .map(|two| two[1].at.since(two[0].at).as_secs() / 60);
    assert_eq!(waited.collect::<Vec<_>>(), minutes[1..]);
    assert_eq!(began.elapsed().as_secs() / 60, minutes.iter().sum::<u64>());
}

#[tokio::test(start_paused = true)]
async fn the_storys_gaps_pass_at_the_given_speed() {
    let gap = async |speed| {
        let handler = Handler::new(vec![ok()]);
        let mut plan = plan("followme-ghost", 1);
        plan.schedule.speed = speed;
        let (deliveries, _) = deliver(&plan, &handler).await;
        deliveries[1].attempts[0]
            .at
            .since(deliveries[0].attempts[0].at)
    };
    assert!(gap(None).await < Duration::from_millis(20));
    let (real, tenth) = (gap(Some(1.0)).await, gap(Some(10.0)).await);
    assert!(
        (Duration::from_secs(10)..Duration::from_secs(41)).contains(&real),
        "{real:?}"
    );
    assert!(tenth < real.div_f64(9.0), "{tenth:?}");
}

fn capture(times: &[i64], rounds: u64) -> Plan {
    let item = |ms: &i64| {
        let at = Timestamp::from_epoch_ms(1_650_628_175_336 + ms);
        let request = Request::new("POST", format!("/{ms}"), vec![], "");
        Item::Captured(String::new(), Box::new(CapturedRequest { request, at }))
    };
    let content = Content::File(times.iter().map(item).collect());
    let template = RequestTemplate {
        target: "/".to_owned(),
        ..RequestTemplate::default()
    };
    Plan {
        content,
        template,
        ..plan("agent-no-answer", rounds)
    }
}

async fn schedule(plan: &Plan, handler: &Arc<Handler>) -> Vec<Option<(u128, u128)>> {
    let (deliveries, _) = deliver(plan, handler).await;
    let times = deliveries
        .iter()
        .map(|delivery| delivery.due.zip(delivery.late));
    times
        .map(|times| times.map(|(due, late)| (due.as_millis(), late.as_millis())))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_capture_keeps_its_rhythm() {
    let times = [0, 2_000, 1_000, 5_000];
    let at_speed = async |speed| {
        let mut plan = capture(&times, 1);
        plan.schedule.speed = speed;
        let due = schedule(&plan, &Handler::new(vec![ok()])).await;
        due.into_iter()
            .map(|due| due.map(|(due, late)| (due, late / 20)))
            .collect::<Vec<_>>()
    };
    assert_eq!(at_speed(None).await, [None; 4]);
    assert_eq!(
        at_speed(Some(1.0)).await,
        [0, 2_000, 2_000, 5_000].map(|due| Some((due, 0)))
    );
    assert_eq!(
        at_speed(Some(10.0)).await,
        [0, 200, 200, 500].map(|due| Some((due, 0)))
    );
    assert_eq!(
        at_speed(Some(0.5)).await,
        [0, 4_000, 4_000, 10_000].map(|due| Some((due, 0)))
    );
}

#[tokio::test(start_paused = true)]
async fn the_first_wait_of_a_retry_schedule_makes_no_delivery_late() {
    let mut plan = plan("agent-no-answer", 2);
    plan.schedule.rate = Some(0.1);
    plan.schedule.speed = Some(1.0);
    plan.retry.schedule = vec![Duration::from_secs(5)];
    let due = schedule(&plan, &Handler::new(vec![ok()])).await;
    let due: Vec<_> = due.into_iter().flatten().collect();
    assert_eq!(
        due.iter().map(|(due, _)| *due).collect::<Vec<_>>(),
        [0, 10_000]
    );
    assert!(due.iter().all(|(_, late)| *late < 20), "{due:?}");
}

#[tokio::test(start_paused = true)]
async fn rounds_of_a_capture_follow_one_another_and_late_ones_say_so() {
    let mut plan = capture(&[0, 100, 200], 2);
    plan.schedule.speed = Some(1.0);
    let handler = Handler {
        takes: Duration::from_millis(150),
        ..Handler::answering(vec![ok()])
    };
    let handler = Arc::new(handler);
    let due = schedule(&plan, &handler).await;
    assert_eq!(
        due.iter().map(|due| due.unwrap().0).collect::<Vec<_>>(),
        [0, 100, 200, 200, 300, 400]
    );
    assert!(
        due.iter().skip(1).all(|due| due.unwrap().1 >= 50),
        "{due:?}"
    );
    assert!(due[5].unwrap().1 >= 350, "{due:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rate_holds_for_what_comes_after_a_pause_too() {
    let mut plan = capture(&[0, 0, 10_000, 10_000, 10_000], 1);
    plan.schedule.speed = Some(1.0);
    plan.schedule.rate = Some(10.0);
    let due = schedule(&plan, &Handler::new(vec![ok()])).await;
    let due: Vec<_> = due.iter().map(|due| due.unwrap().0).collect();
    assert_eq!(due, [0, 100, 10_000, 10_100, 10_200]);
}

#[tokio::test(start_paused = true)]
async fn times_as_far_apart_as_can_be_are_survived() {
    let mut plan = capture(&[-1_650_628_175_336, 251_751_672_624_663], 1_000_000);
    plan.schedule.speed = Some(0.001);
    plan.schedule.duration = Some(Duration::from_secs(1));
    plan.schedule.concurrency = 3;
    assert_eq!(deliver(&plan, &Handler::new(vec![ok()])).await.0.len(), 1);
    assert_eq!(Schedule::new(Arc::new(plan)).take(10_000).count(), 10_000);
}

#[tokio::test(start_paused = true)]
async fn when_stopped_nothing_new_leaves_and_the_rest_is_finished() {
    let handler = Handler::new(vec![ok()]);
    let plan = plan("agent-no-answer", 100);
    let stop = async {
        tokio::time::sleep(Duration::from_millis(365)).await;
        Stop::Interrupt
    };
    let (deliveries, summary) = stopped_after(&plan, &handler, stop).await;
    assert!(
        (33..=37).contains(&deliveries.len()),
        "{}",
        deliveries.len()
    );
    assert_eq!(
        (summary.exit, summary.planned),
        (Exit::Interrupted, Some(100))
    );
    assert_eq!(deliveries.len(), handler.sent.lock().unwrap().len());
}

#[tokio::test(start_paused = true)]
async fn when_stopped_only_calls_in_flight_are_announced() {
    for (takes, announced) in [(10, vec![]), (900, vec![2])] {
        let handler = Arc::new(Handler {
            takes: Duration::from_millis(takes),
            ..Handler::answering(vec![ok()])
        });
        let mut plan = plan("agent-no-answer", 100);
        (plan.schedule.rate, plan.schedule.concurrency) = (Some(3.0), 70);
        let stop = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            Stop::Interrupt
        };
        let (clock, events) = (Clock::start(), Deliveries::default());
        run(&Arc::new(plan), handler, clock, stop, events.clone()).await;
        assert_eq!(*events.1.lock().unwrap(), announced);
    }
}

#[tokio::test(start_paused = true)]
async fn a_duration_ends_an_endless_run() {
    let handler = Handler::new(vec![ok()]);
    let mut plan = plan("mix", 1);
    (plan.schedule.count, plan.schedule.duration) = (None, Some(Duration::from_secs(2)));
    let (_, summary) = deliver(&plan, &handler).await;
    assert_eq!(summary.exit, Exit::Success);
    assert!(
        (150..=210).contains(&summary.deliveries),
        "{}",
        summary.deliveries
    );
    assert!(summary.elapsed <= Duration::from_millis(2_050));
}

#[tokio::test(start_paused = true)]
async fn compared_answers_must_agree() {
    let handler = Handler::new(vec![ok(), status(405)]);
    let mut plan = plan("agent-no-answer", 1);
    plan.template.methods = Methods::Both;
    plan.expectation.statuses = "100-599".parse().unwrap();
    plan.expectation.compare = true;
    let (deliveries, _) = deliver(&plan, &handler).await;
    assert_eq!(
        (deliveries[0].ok, deliveries[1].why.as_deref()),
        (true, Some("POST was answered with 200, GET with 405"))
    );
}

#[tokio::test(start_paused = true)]
async fn compressed_answers_are_compared_as_text() {
    let compressed = |level| {
        let mut body = GzEncoder::new(Vec::new(), Compression::new(level));
        body.write_all(&[b'a'; 100]).unwrap();
        let coding = vec![Header::new("Content-Encoding", "gzip")];
        Ok(Response::new(200, coding, body.finish().unwrap()))
    };
    let handler = Handler::new(vec![compressed(0), compressed(9)]);
    let mut plan = plan("agent-no-answer", 1);
    plan.template.methods = Methods::Both;
    plan.expectation.compare = true;
    let (deliveries, _) = deliver(&plan, &handler).await;
    assert_eq!(deliveries[1].why, None);
}

#[tokio::test(start_paused = true)]
async fn every_get_is_compared_with_the_post_of_the_same_copy() {
    for (duplicate, race) in [(0, 2), (1, 1)] {
        let handler = Handler::new(vec![ok(), status(204), ok(), ok()]);
        let mut plan = plan("agent-no-answer", 1);
        plan.template.methods = Methods::Both;
        plan.schedule.duplicate = duplicate;
        plan.schedule.race = race;
        plan.expectation.compare = true;
        let (deliveries, _) = deliver(&plan, &handler).await;
        let told: Vec<_> = deliveries
            .iter()
            .map(|delivery| (&*delivery.method, delivery.why.as_deref()))
            .collect();
        let differ = Some("POST was answered with 204, GET with 200");
        let expected = [
            ("POST", None),
            ("POST", None),
            ("GET", None),
            ("GET", differ),
        ];
        assert_eq!(told, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_compared_is_dropped_with_its_counterpart() {
    let handler = Handler::new(vec![ok()]);
    let mut plan = plan("mix", 100);
    plan.template.methods = Methods::Both;
    plan.schedule.drop = 0.5;
    plan.schedule.duplicate = 1;
    plan.expectation.compare = true;
    let (deliveries, summary) = deliver(&plan, &handler).await;
    let by_method = |method| {
        let by = deliveries
            .iter()
            .filter(|delivery| delivery.method == method);
        by.map(|delivery| (delivery.call, delivery.copy, delivery.cdr.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(by_method("POST"), by_method("GET"));
    assert!(summary.dropped > 50);
}

#[tokio::test(start_paused = true)]
async fn copies_of_a_race_are_told_one_by_one() {
    let handler = Handler::new(vec![ok(), status(500), ok()]);
    let mut plan = plan("agent-no-answer", 1);
    plan.schedule.race = 3;
    let (deliveries, summary) = deliver(&plan, &handler).await;
    let told: Vec<_> = deliveries
        .iter()
        .map(|delivery| (delivery.n, delivery.copy, delivery.ok))
        .collect();
    assert_eq!(told, [(1, 0, true), (2, 1, false), (3, 2, true)]);
    assert_eq!((summary.planned, summary.failed), (Some(3), 1));
}

#[test]
fn what_leaves_in_another_order_is_the_same() {
    let mut plan = plan("mix", 50);
    plan.template.methods = Methods::Both;
    plan.schedule = ScheduleOptions {
        duplicate: 2,
        race: 3,
        speed: Some(1.0),
        ..plan.schedule
    };
    let made = |schedule| {
        let plan = Plan {
            schedule,
            ..plan.clone()
        };
        let jobs = Schedule::new(Arc::new(plan))
            .flatten()
            .flat_map(Job::each_copy);
        let made = |job: Job| {
            let Slot { call, copy, .. } = job.slot;
            let Job {
                cdr,
                request,
                origin,
                ..
            } = job;
            format!("{call} {copy} {cdr:?} {request:?} {origin:?}")
        };
        let mut made: Vec<_> = jobs.map(made).collect();
        made.sort();
        made
    };
    let in_order = made(plan.schedule);
    assert!(in_order.len() > 50 * 2 * 5);
    assert_eq!(
        made(ScheduleOptions {
            shuffle: true,
            ..plan.schedule
        }),
        in_order
    );
    assert_eq!(
        made(ScheduleOptions {
            late: Some(Duration::from_secs(5)),
            ..plan.schedule
        }),
        in_order
    );
}

#[tokio::test]
async fn the_machines_time_is_kept_and_waits_for_it_end_when_stopped() {
    let handler = Arc::new(Handler {
        takes: Duration::ZERO,
        ..Handler::answering(vec![ok()])
    });
    let mut plan = capture(&[0, 2, 4, 3_600_000], 1);
    plan.schedule.speed = Some(1.0);
    plan.schedule.concurrency = 4;
    let stop = async {
        while handler.sent.lock().unwrap().len() < 3 {
            tokio::task::yield_now().await;
        }
        Stop::Interrupt
    };
    let (mut deliveries, summary) = by_clock(Clock::start(), &plan, &handler, stop).await;
    deliveries.sort_by_key(|delivery| delivery.n);
    let due: Vec<_> = deliveries
        .iter()
        .map(|delivery| delivery.due.unwrap().as_millis())
        .collect();
    assert_eq!(due, [0, 2, 4]);
    assert_eq!(summary.exit, Exit::Interrupted);
}
