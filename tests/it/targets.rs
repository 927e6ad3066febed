//! The properties that the fuzz targets in `fuzz/` and the tests check, one function a parser. A function panics if its
//! property does not hold.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use telecmi_cdr::internals::{
    Answer, CapturedRequest, Destination, Edit, Exchange, Header, IncomingRequest, Kind,
    MAX_RESPONSE_BODY, Redactor, Request, Response, ResponsePolicy, Theme, Timestamp, Tunnel,
    Update, body, clean, disturbs, edit_object, edit_pairs, header,
    input::{self, Item},
    json::{self, Document, Member},
    judge_json, judge_pairs, ndjson, program,
    query::{self, Encoding},
    read_response, reply_line, secret,
};

pub type Target = fn(&[u8]);

pub const TARGETS: [(&str, Target); 13] = [
    ("answer", answer),
    ("cleaner", cleaner),
    ("edit", edit),
    ("file", a_file),
    ("json", scanner),
    ("judge", judge),
    ("query", a_query),
    ("record", a_record),
    ("redact", redactor),
    ("reply", a_reply),
    ("response", response),
    ("text_file", a_text_file),
    ("tunnel_output", tunnel_output),
];

pub fn cleaner(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let cleaned = clean(&text);
    assert!(!cleaned.chars().any(disturbs), "{cleaned:?}");
    assert_eq!(clean(&cleaned), cleaned);
    if !text.chars().any(disturbs) {
        assert_eq!(cleaned, text);
    }
    let shown = body::lines(bytes, Theme::plain(), "");
    assert!(
        !shown.split('\n').any(|line| line.chars().any(disturbs)),
        "{shown:?}"
    );
    assert!(
        shown.lines().count() <= 101,
        "{} lines",
        shown.lines().count()
    );
    let line = ndjson::one_line(bytes);
    assert!(!line.chars().any(disturbs), "{line:?}");
    if json::check(bytes).is_ok() {
        let value = |text: &[u8]| serde_json::from_slice::<Value>(text).ok();
        assert_eq!(value(line.as_bytes()), value(bytes));
    }
    let safe = ndjson::safe_json(&text);
    assert!(!safe.chars().any(disturbs), "{safe:?}");
    assert_eq!(
        serde_json::from_str::<String>(&safe).ok().as_deref(),
        Some(&*text)
    );
}

#[derive(serde::Serialize)]
struct Holding<'a> {
    request: &'a Request,
}

pub fn a_record(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(Some(captured)) = CapturedRequest::read(text) else {
        return;
    };
    let line = ndjson::line(
        "exchange",
        &Holding {
            request: &captured.request,
        },
    );
    let line = String::from_utf8(line).expect("UTF-8");
    assert!(
        !line.trim_end_matches('\n').chars().any(disturbs),
        "{line:?}"
    );
    let again = CapturedRequest::read(&line)
        .expect("a record")
        .expect("a request");
    assert_eq!(again.request, captured.request);
}

/// A text file is UTF-8 or UTF-16, or refused with a line; no line starts with a byte order mark.
pub fn a_text_file(bytes: &[u8]) {
    match input::to_text(bytes) {
        Ok(text) => assert!(!text.split('\n').any(|line| line.starts_with('\u{feff}'))),
        Err((line, what)) => assert!(line >= 1 && !what.is_empty()),
    }
}

/// Any answer is decoded or its compression is named, and what is shown of it harms no terminal.
pub fn a_reply(bytes: &[u8]) {
    let mut parts = bytes.splitn(3, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let headers = vec![
        Header::new("content-type", text(part())),
        Header::new("content-encoding", text(part())),
    ];
    let response = Response::new(500, headers, part().to_vec());
    match response.decoded() {
        Ok(body) => {
            let compact = body::compact_json(&body)
                .unwrap_or_default()
                .replace('\n', "");
            assert!(!compact.chars().any(disturbs), "{compact:?}");
        }
        Err(names) => assert!(!names.is_empty()),
    }
    let line = reply_line(&response).unwrap_or_default();
    assert!(!line.chars().any(disturbs), "{line:?}");
}

pub fn a_file(bytes: &[u8]) {
    match input::read(bytes, "x") {
        Ok(input) => {
            assert!(!input.items.is_empty());
            for item in &input.items {
                if let Item::Body(body) = item {
                    assert!(json::check(body).is_ok(), "{body:?}");
                }
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

pub fn scanner(bytes: &[u8]) {
    // serde_json's `IgnoredAny` checks the grammar only, without limits of depth and range.
    let theirs = std::str::from_utf8(bytes)
        .map_err(|error| error.to_string())
        .and_then(|text| {
            serde_json::from_str::<IgnoredAny>(text).map_err(|error| error.to_string())
        });
    match (json::document(bytes), theirs) {
        (Ok(document), Ok(_)) => same_members(bytes, &document),
        (Err(fault), Ok(_)) => assert_eq!(
            fault.message, "nested deeper than 127 levels",
            "refused: {bytes:?}"
        ),
        (Ok(_), Err(theirs)) => panic!("accepted, but {theirs}: {bytes:?}"),
        (Err(fault), Err(_)) => assert!(fault.line >= 1 && fault.column >= 1),
    }
}

fn same_members(bytes: &[u8], document: &Document<'_>) {
    let theirs = serde_json::from_slice::<BTreeMap<String, &RawValue>>(bytes);
    let Document::Object(members) = document else {
        return assert!(theirs.is_err());
    };
    // A `String` cannot hold half a surrogate pair in a name; of a repeated name serde_json keeps the last value.
    let Ok(theirs) = theirs else { return };
    let ours: BTreeMap<_, _> = members
        .iter()
        .map(|member| (&*member.name, member.raw))
        .collect();
    let theirs: BTreeMap<_, _> = theirs
        .iter()
        .map(|(name, raw)| (name.as_str(), raw.get()))
        .collect();
    assert_eq!(ours, theirs);
}

pub fn a_query(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let decoded = query::decode(&text);
    assert_eq!(
        decoded.pairs.len(),
        text.split('&').filter(|pair| !pair.is_empty()).count()
    );
    let fields: Map<String, Value> = decoded
        .pairs
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    let object = serde_json::to_vec(&fields).expect("JSON");
    for encoding in [Encoding::Flat, Encoding::Brackets] {
        let written = query::encode(&object, encoding);
        let read = query::decode(&written).pairs.into_iter();
        let read: Map<String, Value> = read
            .filter(|(name, value)| !(name.is_empty() && value.is_empty()))
            .map(|(n, v)| (n, v.into()))
            .collect();
        let mut expected = fields.clone();
        expected.retain(|name, value| !(name.is_empty() && value.as_str() == Some("")));
        assert_eq!(read, expected);
    }
    let (base, captured) = text.split_once('\n').unwrap_or(("", &text));
    let onto = query::onto(base, captured);
    match base.split_once('?') {
        Some((_, own)) if !own.is_empty() => {
            assert!(
                onto.split_once('?')
                    .is_some_and(|(_, query)| query.starts_with(own))
            );
        }
        _ => assert!(onto.ends_with(captured.split_once('?').map_or("", |(_, query)| query))),
    }
    assert!(query::merge(base, captured).starts_with(base));
    let masked = secret::masked_url(&text);
    assert_eq!(secret::masked_url(&masked), masked);
}

pub fn judge(bytes: &[u8]) {
    let judgement = judge_json(bytes);
    match json::document(bytes) {
        Ok(Document::Object(members)) => {
            let fields = judgement.fields.expect("fields");
            assert!(
                members
                    .iter()
                    .all(|member| fields.contains_key(&*member.name))
            );
            assert_ne!(judgement.verdict.kind, Kind::Unreadable);
        }
        _ => assert_eq!(
            (judgement.verdict.kind, judgement.fields),
            (Kind::Unreadable, None)
        ),
    }
    let pairs = query::decode(&String::from_utf8_lossy(bytes)).pairs;
    let judgement = judge_pairs(&pairs);
    assert_ne!(judgement.verdict.kind, Kind::Unreadable);
    assert!(
        judgement
            .fields
            .is_some_and(|fields| fields.len() <= pairs.len())
    );
}

pub fn answer(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (first, target) = text.split_once('\n').unwrap_or(("", &text));
    let (method, content_type) = first.split_once(' ').unwrap_or(("POST", first));
    if !method.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return;
    }
    let body = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(bytes, |at| &bytes[at + 1..]);
    let headers = vec![Header::new("content-type", content_type)];
    let target = if method == "GET" {
        format!("/{target}")
    } else {
        "/".to_owned()
    };
    let incoming = IncomingRequest {
        peer: ([127, 0, 0, 1], 9).into(),
        at: Timestamp::from_epoch_ms(0).expect("a moment"),
        request: Request::new(method, target, headers, body.to_vec()),
        error: None,
    };
    for strict in [false, true] {
        let decision = ResponsePolicy {
            strict,
            ..ResponsePolicy::default()
        }
        .decide(&incoming);
        assert!(matches!(
            decision.response.status,
            200 | 204 | 400 | 405 | 415 | 422
        ));
        let said = String::from_utf8_lossy(&decision.response.body.0);
        assert!(!said.chars().any(|c| c != '\n' && disturbs(c)), "{said:?}");
        for remark in &decision.judgement.verdict.remarks {
            assert!(!remark.text.cleaned().chars().any(disturbs));
        }
    }
}

pub fn response(bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let read = |bytes: &[u8]| runtime.block_on(read_response("GET", bytes.to_vec()));
    let whole = read(bytes);
    if let Ok(response) = &whole {
        assert!((100..1000).contains(&response.status));
        assert!(response.body.0.len() <= MAX_RESPONSE_BODY.min(bytes.len()));
    }
    for part in 1..8 {
        if let Ok(earlier) = read(&bytes[..bytes.len() * part / 8])
            && header(&earlier.headers, "content-length").is_some()
            // A `Transfer-Encoding` takes precedence over a length (RFC 9112, section 6.3).
            && header(&earlier.headers, "transfer-encoding").is_none()
        {
            assert_eq!(whole.as_ref(), Ok(&earlier), "{bytes:?}");
        }
    }
}

const PLANTED: &str = "442079460123";

fn exchange(request: Request) -> Exchange {
    let judgement = judge_json(&request.body.0);
    Exchange {
        n: 1,
        received_at: Timestamp::from_epoch_ms(0).expect("a moment"),
        peer: ([203, 0, 113, 9], 1).into(),
        claimed: None,
        request,
        verdict: judgement.verdict,
        cdr: judgement.fields,
        related: Vec::new(),
        uncounted: None,
        answer: Answer::default(),
        took_ms: 0.0,
    }
}

pub fn redactor(bytes: &[u8]) {
    let planted = [bytes, b"\n{\"to\":\"", PLANTED.as_bytes(), b"\"}"].concat();
    let target = format!(
        "/{}",
        String::from_utf8_lossy(bytes).replace(char::is_whitespace, "")
    );
    let mut redactor = Redactor::default();
    let masked = |redactor: &mut Redactor, request: &Request| {
        let line = ndjson::line("exchange", &redactor.redacted(&exchange(request.clone())));
        let line = String::from_utf8(line).expect("UTF-8");
        let request = CapturedRequest::read(&line)
            .expect("a record")
            .expect("a request")
            .request;
        (line, request)
    };
    for request in [
        Request::new("POST", "/", vec![], planted),
        Request::new(
            "GET",
            target,
            vec![Header {
                name: "x".into(),
                value: bytes.to_vec().into(),
            }],
            "",
        ),
    ] {
        let (line, once) = masked(&mut redactor, &request);
        assert!(
            !String::from_utf8_lossy(&once.body.0).ends_with(&format!("{PLANTED}\"}}")),
            "{line}"
        );
        assert_eq!(masked(&mut redactor, &once).1, once);
        let mut later = Redactor::default();
        later.resume(line.as_bytes()).expect("a line");
        assert_eq!(masked(&mut later, &once).1, once);
        let other = masked(
            &mut later,
            &Request::new("POST", "/", vec![], "{\"to\":442079460999}"),
        )
        .1;
        let other = std::str::from_utf8(&other.body.0)
            .expect("text")
            .trim_matches(|c: char| !c.is_ascii_digit())
            .to_owned();
        assert!(!line.contains(&other), "{other} stands for two: {line}");
    }
}

pub fn tunnel_output(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let local = ([127, 0, 0, 1], 8237).into();
    for tunnel in [
        "cloudflared",
        "ngrok",
        "bore",
        "ssh:h.example",
        "ssh:h.example:8080",
        "any {port}",
    ] {
        let tunnel = tunnel
            .parse()
            .unwrap_or_else(|_| Tunnel::Command(tunnel.to_owned()));
        for line in text.lines() {
            if let Some(Update::Url(url)) = program::update(&tunnel, line, local, "h.example") {
                assert!(Destination::parse(&url).is_ok(), "{url:?}");
                assert_eq!(program::origin(&url).as_deref(), Some(&*url));
                assert!(!url.chars().any(disturbs), "{url:?}");
            }
        }
    }
}

pub fn edit(bytes: &[u8]) {
    let edits = [
        Edit::set("status=answered").expect("an edit"),
        Edit::unset("leg").expect("an edit"),
    ];
    let after = edit_object(bytes, &edits);
    match (json::document(bytes), json::document(&after)) {
        (Ok(Document::Object(before)), Ok(Document::Object(after))) => {
            let status = after
                .iter()
                .find(|member| member.name == "status")
                .expect("the status");
            assert_eq!(status.raw, "\"answered\"");
            assert!(after.iter().all(|member| member.name != "leg"));
            let others = before
                .iter()
                .filter(|member| !matches!(&*member.name, "status" | "leg"));
            let same = |a: &Member<'_>, b: &Member<'_>| (&a.name, a.raw) == (&b.name, b.raw);
            assert!(
                others
                    .clone()
                    .all(|member| after.iter().any(|other| same(member, other)))
            );
            assert_eq!(after.len(), others.count() + 1);
        }
        (Ok(Document::Object(_)), other) => panic!("no longer an object: {other:?}"),
        _ => assert_eq!(after, bytes),
    }
    let text = String::from_utf8_lossy(bytes);
    let after = edit_pairs(&text, &edits, Encoding::Flat);
    assert!(
        query::decode(&after)
            .pairs
            .iter()
            .any(|(name, value)| name == "status" && value == "answered")
    );
}
