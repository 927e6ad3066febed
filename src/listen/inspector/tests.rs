use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;
use crate::listen::history::tests::{exchange, finished, small};
use crate::net::Destination;
use crate::net::Header;
use crate::net::client::ClientOptions;

const DEADLINE: Duration = Duration::from_secs(20);

async fn soon<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(DEADLINE, what)
        .await
        .expect("it hangs")
}

struct Stand {
    address: SocketAddr,
    token: Token,
    history: Arc<History>,
    close: CancellationToken,
    serving: JoinHandle<()>,
}

#[derive(Debug, PartialEq)]
struct Seen {
    name: String,
    id: Option<String>,
    data: Value,
}

struct Answer {
    stream: TcpStream,
    text: Vec<u8>,
}

impl Stand {
    async fn new(history: History) -> Self {
        Self::with(history, limits()).await
    }

    async fn with(history: History, limits: Limits) -> Self {
        Self::passing_to(None, history, limits).await
    }

    async fn passing_to(forward: Option<Forward>, history: History, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let token = Token::fresh().unwrap();
        let history = Arc::new(history);
        let close = CancellationToken::new();
        let url = "http://127.0.0.1:8237".to_owned();
        let about = About {
            url,
            public_url: None,
            forward,
            policy: watch::Sender::default(),
            tell: Box::new(|_| true),
        };
        let serving = serve(
            listener,
            token.clone(),
            about,
            Arc::clone(&history),
            limits,
            Clock::start(),
            close.clone(),
        );
        Self {
            address,
            token,
            history,
            close,
            serving: tokio::spawn(serving),
        }
    }

    async fn ask(&self, method: &str, target: &str, headers: &str) -> Answer {
        let headers = format!("X-Inspector-Token: {}\r\n{headers}", self.token.reveal());
        self.ask_with(method, target, &headers).await
    }

    async fn ask_with(&self, method: &str, target: &str, headers: &str) -> Answer {
        let mut stream = soon(TcpStream::connect(self.address)).await.unwrap();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n",
            self.address
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        Answer {
            stream,
            text: Vec::new(),
        }
    }

    async fn whole(&self, method: &str, target: &str, headers: &str) -> (String, Vec<u8>) {
        self.ask(method, target, &format!("Connection: close\r\n{headers}"))
            .await
            .whole()
            .await
    }

    async fn events(&self, target: &str, seen: u64) -> Vec<Seen> {
        let (head, body) = self
            .whole("GET", target, &format!("Last-Event-ID: {seen}\r\n"))
            .await;
        assert!(
            head.contains("\r\ncontent-type: text/event-stream\r\n"),
            "{head}"
        );
        events(std::str::from_utf8(&body).unwrap())
    }
}

impl Answer {
    async fn until(&mut self, said: &str) -> String {
        let mut bytes = vec![0; 64 * 1024];
        let mut searched = 0;
        while !self.text[searched..]
            .windows(said.len())
            .any(|window| window == said.as_bytes())
        {
            searched = self.text.len().saturating_sub(said.len());
            let length = soon(self.stream.read(&mut bytes)).await.unwrap();
            assert!(length > 0, "it ended before {said}");
            self.text.extend_from_slice(&bytes[..length]);
        }
        String::from_utf8_lossy(&self.text).into_owned()
    }

    async fn whole(mut self) -> (String, Vec<u8>) {
        soon(self.stream.read_to_end(&mut self.text)).await.unwrap();
        let end = self
            .text
            .windows(4)
            .position(|bytes| bytes == b"\r\n\r\n")
            .unwrap()
            + 2;
        let head = String::from_utf8(self.text[..end].to_vec()).unwrap();
        let body = &self.text[end + 2..];
        let chunked = head.contains("transfer-encoding: chunked");
        (
            head,
            if chunked {
                unchunked(body)
            } else {
                body.to_vec()
            },
        )
    }
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|line| line == b"\r\n").unwrap();
        let length =
            usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&bytes[end + 2..end + 2 + length]);
        bytes = &bytes[end + 2 + length + 2..];
    }
}

/// Parses server-sent events as the HTML standard says: CR, LF or CRLF ends a line, an empty line ends an event.
fn events(text: &str) -> Vec<Seen> {
    let lines = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut seen = Vec::new();
    for event in lines
        .split("\n\n")
        .filter(|event| !event.is_empty() && !event.starts_with(':'))
    {
        let field = |name: &str| {
            let mut lines = event.lines().filter_map(|line| {
                line.strip_prefix(name)?
                    .strip_prefix(": ")
                    .map(str::to_owned)
            });
            let first = lines.next();
            assert_eq!(lines.next(), None, "{event}");
            first
        };
        let data = serde_json::from_str(&field("data").unwrap()).unwrap();
        seen.push(Seen {
            name: field("event").unwrap(),
            id: field("id"),
            data,
        });
    }
    seen
}

fn numbers(events: &[Seen]) -> Vec<String> {
    events.iter().filter_map(|event| event.id.clone()).collect()
}

#[tokio::test]
async fn whoever_may_not_come_in_learns_nothing() {
    let stand = Stand::new(History::new(None)).await;
    stand.history.push(&small(1));
    let (address, token) = (stand.address, stand.token.reveal());
    let known = format!("X-Inspector-Token: {token}");
    let mut answers = std::collections::BTreeSet::new();
    for (method, path, headers) in [
        ("GET", "/api/events", String::new()),
        ("GET", "/api/capture", "X-Inspector-Token: 0".to_owned()),
        (
            "GET",
            "/api/exchanges/1/body",
            "Authorization: Bearer x".to_owned(),
        ),
        ("GET", "/api/exchanges/9/body", String::new()),
        ("GET", "/nowhere", String::new()),
        (
            "OPTIONS",
            "/api/capture",
            "Origin: http://evil.example".to_owned(),
        ),
        (
            "POST",
            "/api/exchanges/1/resend",
            format!("{known}\r\nOrigin: http://evil.example"),
        ),
        ("POST", "/api/exchanges/1/resend", known.clone()),
        ("GET", "/", "Sec-Fetch-Site: cross-site".to_owned()),
        ("GET", "/page.js", "X-Forwarded-For: 192.0.2.7".to_owned()),
        ("GET", "/api/capture", format!("{known}\r\nVia: 1.1 tunnel")),
        (
            "GET",
            &format!("/api/capture?token={token}#{token}"),
            String::new(),
        ),
    ] {
        let headers = if headers.is_empty() {
            headers
        } else {
            format!("{headers}\r\n")
        };
        let asked = stand
            .ask_with(method, path, &format!("{headers}Connection: close\r\n"))
            .await;
        let (head, body) = asked.whole().await;
        assert!(
            head.starts_with("HTTP/1.1 403 "),
            "{method} {path} {headers}: {head}"
        );
        assert!(
            body.is_empty() && !head.contains("access-control"),
            "{head}"
        );
        answers.insert(
            head.lines()
                .filter(|line| !line.starts_with("date: "))
                .collect::<Vec<_>>()
                .join("\n"),
        );
    }
    assert_eq!(answers.len(), 1, "{answers:?}");

    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET / HTTP/1.1\r\nHost: evil.example:{}\r\n{known}\r\nConnection: close\r\n\r\n",
        address.port()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let (head, _) = Answer {
        stream,
        text: Vec::new(),
    }
    .whole()
    .await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
}

#[tokio::test]
async fn every_answer_says_how_it_may_be_used() {
    let stand = Stand::new(History::new(None)).await;
    stand.history.push(&small(1));
    for (method, path, status) in [
        ("GET", "/", 200),
        ("GET", "/page.css", 200),
        ("GET", "/page.js", 200),
        ("GET", "/api/events?wait=0", 200),
        ("GET", "/api/capture", 200),
        ("GET", "/api/exchanges/1/body", 200),
        ("GET", "/api/exchanges/1/curl", 200),
        ("GET", "/api/exchanges/2/body", 404),
        ("GET", "/api/exchanges/2/curl", 404),
        ("GET", "/api/events?wait=soon", 400),
        ("GET", "/elsewhere", 404),
        ("HEAD", "/", 405),
        ("OPTIONS", "/api/events", 405),
        ("DELETE", "/api/capture", 405),
    ] {
        let (head, body) = stand.whole(method, path, "").await;
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{method} {path}: {head}"
        );
        for (name, value) in routes::SAFETY {
            assert!(
                head.contains(&format!("\r\n{name}: {value}\r\n")),
                "{path}: {head}"
            );
        }
        assert!(!head.contains("access-control"), "{head}");
        assert!(!String::from_utf8_lossy(&body).contains(stand.token.reveal()));
    }
    let (head, _) = stand
        .whole("POST", "/", "Content-Length: 3\r\n\r\nabc")
        .await;
    assert!(head.starts_with("HTTP/1.1 405 "), "{head}");
    for (body, status) in [
        ("Content-Length: 3\r\n\r\nabc", 400),
        ("Content-Length: 1048577\r\n\r\nabc", 413),
        ("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 413),
    ] {
        let own = format!("Origin: http://{}\r\n{body}", stand.address);
        let (head, _) = stand.whole("POST", "/api/exchanges/1/resend", &own).await;
        let expected = format!("HTTP/1.1 {status} ");
        assert!(head.starts_with(&expected), "{head}");
    }
}

#[tokio::test]
async fn exchanges_are_told_once_and_downloads_are_what_came() {
    let stand = Stand::new(History::new(None)).await;
    for n in 1..=3 {
        stand.history.push(&exchange(
            n,
            Request::new("POST", "/?token=hush", vec![], format!("\u{ff}{n}")),
        ));
    }
    let told = stand.events("/api/events?wait=0", 1).await;
    assert_eq!(
        (told[0].name.as_str(), numbers(&told)),
        ("hello", vec!["2".to_owned(), "3".to_owned()])
    );
    let hello = &told[0].data;
    for (name, value) in [
        ("v", 1),
        ("newest", 3),
        ("oldest_kept", 1),
        ("most_exchanges", 1000),
    ] {
        assert_eq!(hello[name], value, "{hello}");
    }
    assert_eq!(hello["url"], "http://127.0.0.1:8237");
    assert_eq!(told[1].data["exchange"]["request"]["target"], "/?token=***");
    assert_eq!(told[1].data["meaning"], "unreadable");
    assert_eq!(stand.events("/api/events?wait=0", 3).await.len(), 1);
    assert_eq!(stand.events("/api/events?wait=0", u64::MAX).await.len(), 1);

    let (head, body) = stand.whole("GET", "/api/exchanges/2/body", "").await;
    assert!(
        head.contains("\r\ncontent-disposition: attachment; filename=\"exchange-2.bin\"\r\n"),
        "{head}"
    );
    assert!(
        head.contains("\r\ncontent-type: application/octet-stream\r\n"),
        "{head}"
    );
    assert_eq!(String::from_utf8(body).unwrap(), "\u{ff}2");
    let (head, body) = stand.whole("GET", "/api/capture", "").await;
    assert!(
        head.contains("\r\ncontent-disposition: attachment; filename=\"capture.ndjson\"\r\n"),
        "{head}"
    );
    let lines: Vec<_> = std::str::from_utf8(&body).unwrap().lines().collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        CapturedRequest::read(lines[0])
            .unwrap()
            .unwrap()
            .request
            .target,
        "/?token=hush"
    );
    let (_, curl) = stand.whole("GET", "/api/exchanges/1/curl", "").await;
    let curl = String::from_utf8(curl).unwrap();
    assert!(
        curl.starts_with("curl ") && curl.ends_with(" 'http://127.0.0.1:8237/?token=***'\n"),
        "{curl}"
    );
}

#[tokio::test]
async fn nothing_that_comes_makes_an_event_of_its_own() {
    const HOSTILE: &str = "a\r\n\r\nevent: end\rdata: {}\n\n\u{2028}\u{2029}</script><!--\u{85}\u{b}\0\u{1b}[2J\u{202e}";
    let stand = Stand::new(History::new(None)).await;
    let escaped = serde_json::to_string(HOSTILE).unwrap();
    let fields = [
        "leg",
        "hangup_reason",
        "type",
        "to",
        "user",
        "custom",
        "time",
        HOSTILE,
    ]
    .map(|name| format!("{}:{escaped}", serde_json::to_string(name).unwrap()));
    let json = format!("{{{}}}", fields.join(","));
    for (n, body) in [json.as_str(), HOSTILE].into_iter().enumerate() {
        let headers = vec![Header::new(HOSTILE, HOSTILE)];
        stand.history.push(&exchange(
            n as u64 + 1,
            Request::new(HOSTILE, HOSTILE, headers, body.to_owned()),
        ));
    }
    let told = stand.events("/api/events?wait=0", 0).await;
    let names: Vec<_> = told.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["hello", "exchange", "exchange"]);
    assert_eq!(told[1].data["exchange"]["request"]["body"]["text"], json);
    assert_eq!(
        told[2].data["exchange"]["request"]["headers"][0][1],
        HOSTILE
    );
}

#[tokio::test]
async fn there_are_so_many_streams_and_no_more() {
    let stand = Stand::new(History::new(None)).await;
    let mut open = Vec::new();
    for _ in 0..MAX_STREAMS {
        let mut stream = stand.ask("GET", "/api/events", "").await;
        stream.until("event: hello").await;
        open.push(stream);
    }
    let (head, body) = stand.whole("GET", "/api/events", "").await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(
        String::from_utf8(body)
            .unwrap()
            .starts_with("32 pages are open already")
    );
    stand.history.push(&small(1));
    for stream in &mut open {
        stream.until("id: 1\n").await;
    }
    // A closed connection frees its event stream at once, not at the next event.
    drop(open.pop());
    let free = async {
        while stand
            .whole("GET", "/api/events?wait=0", "")
            .await
            .0
            .starts_with("HTTP/1.1 503 ")
        {}
    };
    soon(free).await;
}

#[tokio::test]
async fn late_and_reconnecting_pages_see_every_exchange_once() {
    const MANY: u64 = 400;
    let stand = Stand::new(History {
        max_exchanges: 1000,
        ..History::new(None)
    })
    .await;
    let history = Arc::clone(&stand.history);
    let load = tokio::spawn(async move {
        for n in 1..=MANY {
            history.push(&small(n));
            tokio::task::yield_now().await;
        }
    });
    let all: Vec<_> = (1..=MANY).map(|n| n.to_string()).collect();
    let mut seen: Vec<String> = Vec::new();
    while seen.len() < all.len() {
        let last = seen.last().cloned().unwrap_or_else(|| "0".to_owned());
        let mut stream = stand
            .ask("GET", "/api/events", &format!("Last-Event-ID: {last}\r\n"))
            .await;
        let next = format!("id: {}\n", last.parse::<u64>().unwrap() + 1);
        let text = stream.until(&next).await;
        let text = &text[text.find("event: hello").unwrap()..];
        let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
        let told = whole
            .split("\n\n")
            .filter_map(|event| event.split("\nid: ").nth(1));
        seen.extend(told.map(|event| event.lines().next().unwrap().to_owned()));
    }
    load.await.unwrap();
    assert_eq!(seen, all);
    assert_eq!(numbers(&stand.events("/api/events?wait=0", 0).await), all);
}

#[tokio::test]
async fn what_is_forgotten_is_told() {
    let stand = Stand::new(History {
        max_exchanges: 2,
        ..History::new(None)
    })
    .await;
    let mut stream = stand.ask("GET", "/api/events", "").await;
    stream.until("\"oldest_kept\":1").await;
    (1..=3).for_each(|n| stand.history.push(&small(n)));
    let text = stream.until("id: 3\n").await;
    assert!(
        text.contains("event: forgotten\ndata: {\"oldest_kept\":2}\n\n"),
        "{text}"
    );
    assert!(!text.contains("id: 1\n"), "{text}");
    let told = stand.events("/api/events?wait=0", 0).await;
    assert_eq!(
        (&told[0].data["oldest_kept"], numbers(&told).len()),
        (&2.into(), 2)
    );
}

#[tokio::test]
async fn streams_end_when_the_listener_does() {
    let stand = Stand::new(History::new(None)).await;
    let mut reading = stand.ask("GET", "/api/events", "").await;
    reading.until("event: hello").await;
    // A client that does not read its event stream must not delay the end of the inspector.
    let body = "x".repeat(1024 * 1024);
    let stalled = stand.ask("GET", "/api/events", "").await;
    for n in 1..=8 {
        stand.history.push(&exchange(
            n,
            Request::new("POST", "/", vec![], body.clone()),
        ));
    }
    reading.until("id: 8\n").await;
    stand.history.push(&finished());
    reading.until("event: end\ndata: {}\n\n").await;
    stand.close.cancel();
    let began = tokio::time::Instant::now();
    soon(stand.serving).await.unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    drop(stalled);
}

#[tokio::test]
async fn whoever_does_not_read_is_cut_off() {
    let patience = Duration::from_millis(100);
    let stand = Stand::with(
        History::new(None),
        Limits {
            write_timeout: patience,
            ..limits()
        },
    )
    .await;
    let is_watched = || stand.history.ring.receiver_count() > 0;
    let stalled = stand.ask("GET", "/api/events", "").await;
    while !is_watched() {
        tokio::task::yield_now().await;
    }
    let body = "x".repeat(1024 * 1024);
    for n in 1..=8 {
        stand.history.push(&exchange(
            n,
            Request::new("POST", "/", vec![], body.clone()),
        ));
    }
    let cut = async {
        while is_watched() {
            tokio::task::yield_now().await;
        }
    };
    soon(cut).await;
    assert_eq!(numbers(&stand.events("/api/events?wait=0", 7).await), ["8"]);
    drop(stalled);
}

#[tokio::test]
async fn without_a_handler_nothing_is_sent_again() {
    let stand = Stand::new(History::new(None)).await;
    stand.history.push(&small(1));
    let own = format!("Origin: http://{}\r\nContent-Length: 0\r\n", stand.address);
    let (head, body) = stand.whole("POST", "/api/exchanges/1/resend", &own).await;
    assert!(head.starts_with("HTTP/1.1 409 "), "{head}");
    assert!(String::from_utf8(body).unwrap().contains("--forward-to"));
    let (head, _) = stand.whole("POST", "/api/exchanges/2/resend", &own).await;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
}

#[tokio::test]
async fn only_so_much_is_sent_again_at_once() {
    let handler = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", handler.local_addr().unwrap());
    let destination = Destination::parse(&url).unwrap();
    let listening = "127.0.0.1:8237".parse().unwrap();
    let forward = Forward::new(destination, listening, &ClientOptions::default()).unwrap();
    let stand = Stand::passing_to(Some(forward), History::new(None), limits()).await;
    stand.history.push(&small(1));
    let own = format!("Origin: http://{}\r\nContent-Length: 0\r\n", stand.address);
    let mut waiting = Vec::new();
    for _ in 0..MAX_RESENDS {
        let asked = stand.ask("POST", "/api/exchanges/1/resend", &own).await;
        waiting.push((asked, soon(handler.accept()).await.unwrap()));
    }
    let (head, body) = stand.whole("POST", "/api/exchanges/1/resend", &own).await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(
        String::from_utf8(body)
            .unwrap()
            .starts_with("8 requests are being sent already")
    );
}

#[tokio::test]
async fn what_did_not_come_whole_is_not_made_into_something_else() {
    let stand = Stand::new(History::new(None)).await;
    let request = Request {
        complete: false,
        size: 100,
        ..Request::new("POST", "/", vec![], "cut")
    };
    stand.history.push(&exchange(1, request));
    let (head, _) = stand.whole("GET", "/api/exchanges/1/curl", "").await;
    assert!(head.starts_with("HTTP/1.1 409 "), "{head}");
}

#[test]
fn no_two_tokens_are_the_same() {
    let tokens: std::collections::BTreeSet<_> = (0..100)
        .map(|_| Token::fresh().unwrap().reveal().to_owned())
        .collect();
    assert_eq!(tokens.len(), 100);
    assert!(tokens.iter().all(|token| token.len() == 32), "{tokens:?}");
}
