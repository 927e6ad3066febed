//! Plants telephone numbers in requests, and checks that no redacted record contains them.

use proptest::prelude::*;
use serde_json::json;

use super::numbers::NUMBER;
use super::*;
use crate::cdr::judge::{judge_json, judge_pairs};
use crate::clock::Timestamp;
use crate::exchange::{Answer, CapturedRequest};
use crate::ndjson;
use crate::net::{Header, query};

fn exchange(request: Request) -> Exchange {
    let judgement = if request.method == "GET" {
        judge_pairs(&query::decode(request.query().unwrap_or_default()).pairs)
    } else {
        judge_json(&request.body.0)
    };
    Exchange {
        n: 12_345_678,
        received_at: Timestamp::from_epoch_ms(1_650_628_175_336).unwrap(),
        peer: ([203, 0, 113, 9], 45678).into(),
        claimed: None,
        request,
        verdict: judgement.verdict,
        cdr: judgement.fields,
        related: Vec::new(),
        uncounted: None,
        answer: Answer {
            status: Some(200),
            ..Answer::default()
        },
        took_ms: 0.5,
    }
}

fn post(body: impl Into<Vec<u8>>) -> Exchange {
    let body = body.into();
    let headers = vec![
        Header::new("Content-Type", "application/json"),
        Header::new("Content-Length", body.len().to_string()),
    ];
    exchange(Request::new("POST", "/cdr", headers, body))
}

fn line(redactor: &mut Redactor, exchange: &Exchange) -> String {
    String::from_utf8(ndjson::line("exchange", &redactor.redacted(exchange))).unwrap()
}

fn replayed(line: &str) -> Request {
    CapturedRequest::read(line).unwrap().unwrap().request
}

fn body(redactor: &mut Redactor, text: &str) -> String {
    replayed(&line(redactor, &post(text)))
        .body
        .text()
        .unwrap()
        .to_owned()
}

fn said(text: &str) -> String {
    let body = body(
        &mut Redactor::default(),
        &json!({ "note": text }).to_string(),
    );
    serde_json::from_str::<Value>(&body).unwrap()["note"]
        .as_str()
        .unwrap()
        .to_owned()
}

const CDR: &str = include_str!("../../../fixtures/docs-leg-b.json");

#[test]
fn the_documented_cdr_keeps_its_sense() {
    insta::assert_snapshot!(body(&mut Redactor::default(), CDR), @r#"{"virtual_number":"910000000001","call_id":"c4504776-d91e-123b-29a7-56000429abc3","custom":"{\"crm\":\"true\"}","leg":"b","type":"cdr","appid":1000001,"to":910000000002,"cmiuuid":"7686c396-ecdf-436d-9633-94c307f093e7","status":"missed","user":"202_1000001","time":1650628237610,"direction":"outbound","hangup_reason":"sent_reject","request_id":"bsGsOLY9QBUc6URW5olXiGmO58cDH6X3VetRFjZjfKS","extra_params":"{\"click2call\":\"true\"}"}"#);
}

#[test]
fn the_live_cdr_keeps_its_types() {
    let live = include_str!("../../../fixtures/live/leg-b.json");
    insta::assert_snapshot!(body(&mut Redactor::default(), live), @r#"{"virtual_number":910000000012,"call_id":"0f9d4e1a-6101-1240-3c8a-560004290001","custom":"false","leg":"b","type":"cdr","appid":1000001,"to":910000000003,"cmiuuid":"3f0e8a1c-9d55-4b1e-8a66-2d1f5c7e9b10","status":"missed","user":"1001_1000001","time":1790246844496,"direction":"outbound","hangup_reason":"recv_cancel","request_id":"0000000000000000000000000000000000000000001","extra_params":{"callCode":"CODE1"}}"#);
}

#[test]
fn a_query_is_masked_through_its_escapes() {
    let target = "/cdr?token=SECRET&virtual_number=%2B440000000000&user=202_2222223&appid=2222223&to=442000000001\
                  &custom=%7B%22phone%22%3A%2212345%22%2C%22n%22%3A%22442000000001%22%7D&extra_params[alt]=%5Cn91987654321\
                  &x=%252291987654321%2522&extra_params[api_key]=SECRET&time=1650628237610";
    let mut redactor = Redactor::default();
    let line = line(
        &mut redactor,
        &exchange(Request::new("GET", target, vec![], "")),
    );
    assert!(!line.contains("SECRET"), "{line}");
    insta::assert_snapshot!(replayed(&line).target, @"/cdr?token=***&virtual_number=%2B910000000001&user=202_1000001&appid=1000001&to=910000000002&custom=%7B%22phone%22%3A%22910000000003%22%2C%22n%22%3A%22910000000002%22%7D&extra_params[alt]=%5Cn910000000004&x=%2522910000000004%2522&extra_params[api_key]=***&time=1650628237610");
    let cdr: Value = serde_json::from_str::<Value>(&line).unwrap()["cdr"].clone();
    insta::assert_snapshot!(cdr.to_string(), @r#"{"token":"***","virtual_number":"+910000000001","user":"202_1000001","appid":1000001,"to":910000000002,"custom":"{\"phone\":\"910000000003\",\"n\":\"910000000002\"}","extra_params":{"alt":"\\n910000000004","api_key":"***"},"x":"%22910000000004%22","time":1650628237610}"#);
}

#[test]
fn numbers_are_found_by_their_looks() {
    let texts = [
        "call 9876543210 or 98765432, not 9876543",
        "+44 20 7946 0000, +91-98765-43210 and +1 (202) 555-0123",
        "x9876543210y but x98765432y",
        "202_98765432 and 100%98765432",
        "12345678901234567890",
        "9876543210123 is none of 1650628175336, 1650628175 and 20261122091231",
        "c4504776-d91e-123b-29a7-560004291234 and 15b58236-7340-4000-9528-782840681577.",
        "D8qpRb27mpXEYgEdAMY6arnQ2O1234567890fKbOWZQ",
        "2026-11-22T09:12:31.402Z, 20261122, 127.0.0.1:40000, 192.168.100.100",
        "910000000001 is a mask, 9100000000 is none",
        "cut 98765…",
    ];
    let said: Vec<_> = texts.into_iter().map(said).collect();
    insta::assert_snapshot!(said.join("\n"), @"
    call 910000000001 or 910000000002, not 9876543
    +910000000001, +910000000002 and +910000000003
    x910000000001y but x98765432y
    202_910000000001 and 100%910000000001
    910000000001
    910000000001 is none of 1650628175336, 1650628175 and 20261122091231
    c4504776-d91e-123b-29a7-560004291234 and 15b58236-7340-4000-9528-782840681577.
    D8qpRb27mpXEYgEdAMY6arnQ2O1234567890fKbOWZQ
    2026-11-22T09:12:31.402Z, 20261122, 127.0.0.1:40000, 192.168.100.100
    910000000001 is a mask, 910000000002 is none
    cut 910000000001…
    ");
}

#[test]
fn a_number_in_its_field_is_known_everywhere() {
    for (planted, elsewhere) in [
        (r#""to":12345"#, r#""custom":"x12345y""#),
        (r#""phone":"12-345""#, r#""note":"12-345""#),
        (r#""customer_number":"9876543""#, r#""note":"[9876543]""#),
        (
            r#""caller_id":"+91 98765 43210""#,
            r#""note":"919876543210""#,
        ),
        (r#""custom":"{\"mobile\":\"54321\"}""#, r#""note":"54321""#),
        (r#""custom":"{\\\"mobile\\\": 54321}""#, r#""54321":1"#),
        (r#""to":"\u0035\u0034321""#, r#""note":"54321""#),
        (r#""to":9.1987654321e11"#, r#""note":"91987654321""#),
    ] {
        let text = format!("{{{planted},{elsewhere}}}");
        let masked = body(&mut Redactor::default(), &text);
        assert_eq!(
            masked.matches("910000000001").count(),
            2,
            "{text} became {masked}"
        );
        let line = line(&mut Redactor::default(), &post(text.clone()));
        for trace in [
            "12345",
            "12-345",
            "9876543",
            "54321",
            "98765 43210",
            "1987654321",
        ] {
            let line = line.replace("12345678", "");
            assert!(!line.contains(trace), "{trace} in {line}");
        }
    }
}

#[test]
fn a_known_number_within_more_digits_is_masked_with_them() {
    // Without the known number, `1919876543210` would count as milliseconds since 1970.
    let masked = body(
        &mut Redactor::default(),
        r#"{"to":919876543210,"note":"1919876543210 1919876543211"}"#,
    );
    assert_eq!(
        masked,
        r#"{"to":910000000001,"note":"910000000002 1919876543211"}"#
    );
    // A number without its country code gets a pseudonym of its own.
    let masked = body(
        &mut Redactor::default(),
        r#"{"to":919876543210,"note":"98765 43210, 98765 43211"}"#,
    );
    assert_eq!(
        masked,
        r#"{"to":910000000001,"note":"910000000002, 98765 43211"}"#
    );
}

#[test]
fn a_word_with_a_known_number_is_no_request_id() {
    for word in [
        "91987654321012xOneWordOfFortyThree123456789",
        "123456789xOneWordOfFortyThree91987654321012",
    ] {
        let text = format!(r#"{{"to":91987654321012,"note":"{word}"}}"#);
        let masked = body(&mut Redactor::default(), &text);
        assert!(!masked.contains("123456789"), "{masked}");
        // A second redaction changes nothing.
        assert_eq!(body(&mut Redactor::default(), &masked), masked);
    }
}

#[test]
fn app_ids_are_replaced_wherever_they_stand_alone() {
    let mut redactor = Redactor::default();
    let first = r#"{"appid":2222223,"user":"202_2222223","filename":"165_2222223.mp3","x":"a2222223 22222234 2222223"}"#;
    insta::assert_snapshot!(body(&mut redactor, first), @r#"{"appid":1000001,"user":"202_1000001","filename":"165_1000001.mp3","x":"a2222223 910000000001 1000001"}"#);
    // A known app id is replaced outside its fields too; another app id gets another pseudonym.
    insta::assert_snapshot!(body(&mut redactor, r#"{"path":"/hook/2222223","user":"1001_33333334"}"#), @r#"{"path":"/hook/1000001","user":"1001_1000002"}"#);
}

#[test]
fn other_forms_than_json_are_masked_too() {
    let mut redactor = Redactor::default();
    for text in [
        "to: '12345', from = 12345",
        "<to>12345</to>",
        "--x\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\n12345\r\n--x--",
        "\"to\":\"12345\" {",
    ] {
        let masked = body(&mut redactor, text);
        assert!(
            masked.contains("910000000001") && !masked.contains("12345"),
            "{masked}"
        );
    }
    let form = vec![Header::new(
        "Content-Type",
        "application/x-www-form-urlencoded",
    )];
    let form = exchange(Request::new(
        "POST",
        "/",
        form,
        "to=%2B44+20+7946+0000&x=%22442079460000%22&appid=2222223",
    ));
    let line = line(&mut redactor, &form);
    insta::assert_snapshot!(replayed(&line).body.text().unwrap(), @"to=%2B910000000002&x=%22910000000002%22&appid=1000001");
}

#[test]
fn a_body_that_is_not_plain_text_is_left_out() {
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\xabV*\xc9W\xb2".to_vec();
    let part = "--b\r\nContent-Transfer-Encoding: base64\r\n\r\nOTE5ODc2NTQzMjEw\r\n--b--";
    for (header, body) in [
        (("Content-Encoding", "gzip"), b"to=919876543".to_vec()),
        (("Transfer-Encoding", "gzip, chunked"), gzip.clone()),
        (("Content-Type", "application/json"), gzip),
        (
            ("Content-Type", "multipart/form-data; boundary=b"),
            part.into(),
        ),
        (
            ("Content-Type", "text/plain"),
            b"\xff\"to\":9876543210\xff".to_vec(),
        ),
        (
            ("Content-Transfer-Encoding", "quoted-printable"),
            b"to=3D=39876543210".to_vec(),
        ),
        (
            ("Content-Type", "application/json"),
            b"eyJ0byI6OTE5ODc2NTQzMjEwfQ==\r\n".to_vec(),
        ),
        (
            ("Content-Type", "application/json"),
            br#"{"x":"data:text/plain;base64,OTE5ODc2NTQzMjEw"}"#.to_vec(),
        ),
        (
            ("Content-Type", "text/plain"),
            b"9\x008\x007\x006\x005\x004\x003\x002\x00".to_vec(),
        ),
    ] {
        let headers = vec![
            Header::new(header.0, header.1),
            Header::new("Content-Length", body.len().to_string()),
        ];
        let size = body.len() as u64;
        let line = line(
            &mut Redactor::default(),
            &exchange(Request::new("POST", "/", headers, body)),
        );
        let request = replayed(&line);
        assert_eq!(
            (request.body.len(), request.size, request.complete),
            (0, size, false),
            "{header:?}"
        );
        assert!(
            line.contains(r#""omitted":"the body is not plain text""#),
            "{line}"
        );
    }
}

#[test]
fn a_number_is_found_in_any_digits_and_spacing() {
    for written in [
        "+91\u{a0}98765\u{a0}43210",
        "+91 98765\u{2013}43210",
        "+91\u{202f}98765\u{2011}43210",
        "+91\u{200b}98765\u{200b}43210",
        "+91\t98765.43210",
        "\u{ff0b}\u{ff19}\u{ff11}\u{ff19}\u{ff18}\u{ff17}\u{ff16}\u{ff15}\u{ff14}\u{ff13}\u{ff12}\u{ff11}\u{ff10}",
        "\u{669}\u{661}\u{669}\u{668}\u{667}\u{666}\u{665}\u{664}\u{663}\u{662}\u{661}\u{660}",
        "\u{96f}\u{967}\u{96f}\u{96e}\u{96d}\u{96c}\u{96b}\u{96a}\u{969}\u{968}\u{967}\u{966}",
        "\u{1b59}\u{1b51}\u{1b59}\u{1b58}\u{1b57}\u{1b56}\u{1b55}\u{1b54}\u{1b53}\u{1b52}\u{1b51}\u{1b50}",
        "%D9%A9%D9%A1%D9%A9%D9%A8%D9%A7%D9%A6%D9%A5%D9%A4%D9%A3%D9%A2%D9%A1%D9%A0",
        "\u{2079}\u{b9}\u{2079}\u{2078}\u{2077}\u{2076}\u{2075}\u{2074}\u{b3}\u{b2}\u{b9}\u{2070}",
        "\u{2468}\u{2460}\u{2468}\u{2467}\u{2466}\u{2465}\u{2464}\u{2463}\u{2462}\u{2461}\u{2460}\u{24ea}",
        "+91~98765|43210",
        "+91*98765'43210",
        "+91\u{66c}98765\u{66c}43210",
        "+91&nbsp;98765&nbsp;43210",
        "+91&#160;98765&#xa0;43210",
        "+91\n98765\r\n43210",
        "+91, 98765, 43210",
        "+91 98765<wbr>43210",
        "+9 1 9 8 7 6 5 4 3 2 1 0",
        "x919876543210x",
    ] {
        let masked = body(
            &mut Redactor::default(),
            &json!({ "note": written, "to": 919_876_543_210_u64 }).to_string(),
        );
        let plain = masked.replace(['+', 'x', '\u{ff0b}'], "");
        assert_eq!(
            plain, r#"{"note":"910000000001","to":910000000001}"#,
            "{written}"
        );
        let alone = said(written);
        assert_eq!(
            alone.trim_matches(['+', 'x', '\u{ff0b}']),
            "910000000001",
            "{written}"
        );
    }
    assert_eq!(said("x919876543x"), "x910000000001x");
    for plus in ["&#43;", "&#x2B;", "&plus;"] {
        let written = format!("{plus}91 98765-43210");
        assert_eq!(said(&written), format!("{plus}910000000001"));
    }
    let mut redactor = Redactor::default();
    body(&mut redactor, r#"{"to":919876543210}"#);
    let later = r#"{"note":"91:98765:43210 91_98765_43210 919,876,543,210"}"#;
    let masked = body(&mut redactor, later);
    assert_eq!(masked.matches("910000000001").count(), 3, "{masked}");
    let masked = body(&mut redactor, "to=09876543210&token[0]=98765_43210");
    assert_eq!(masked, "to=910000000002&token[910000000002***");
    let escaped = body(&mut Redactor::default(), r#"{"note":"+91\/98765\/43210"}"#);
    assert_eq!(escaped, r#"{"note":"+910000000001"}"#);
}

#[test]
fn half_a_number_at_the_end_of_half_a_body_is_masked() {
    let mut request = Request::new("POST", "/", vec![], r#"{"x":"98765"#);
    request.complete = false;
    let line = line(&mut Redactor::default(), &exchange(request));
    assert_eq!(replayed(&line).body.text(), Some(r#"{"x":"910000000001"#));
}

#[test]
fn values_with_secret_names_are_masked_in_bodies() {
    for (sent, masked) in [
        (
            r#"{"token":"s3 cr&t","leg":"a"}"#,
            r#"{"token":"***","leg":"a"}"#,
        ),
        (
            r#"{"a":[{"apiKey" : "x"}]}"#,
            r#"{"a":[{"apiKey" : "***"}]}"#,
        ),
        (
            r#"{"password":"","pin":1234}"#,
            r#"{"password":"","pin":0}"#,
        ),
        (
            r#"{"secrets":["x"],"key":{"a":1}}"#,
            r#"{"secrets":["***"],"key":{"a":0}}"#,
        ),
        (
            r#"{"password":{"old":"x","new":["y",{"hash":true}]},"leg":"a"}"#,
            r#"{"password":{"old":"***","new":["***",{"hash":0}]},"leg":"a"}"#,
        ),
        (
            r#"{"custom":"{\"auth\":[\"x\",\"y\"]}","leg":"a"}"#,
            r#"{"custom":"{\"auth\":[\"***\",\"***\"]}","leg":"a"}"#,
        ),
        (
            r#"{"p\u0061ssword":"x","p\u0061\u0073\u0073":{"a":"y"},"pin":1.5}"#,
            r#"{"p\u0061ssword":"***","p\u0061\u0073\u0073":{"a":"***"},"pin":0}"#,
        ),
        (
            "p%61ssword=x&%74oken=y&leg=a&key=[z&leg=b",
            "p%61ssword=***&%74oken=***&leg=a&key=[***&leg=b",
        ),
        (
            "Authorization: Bearer x\nleg: a",
            "Authorization: ***\nleg: a",
        ),
        (
            r#"{"custom":"{\"auth_token\":\"x y\"}"}"#,
            r#"{"custom":"{\"auth_token\":\"***\"}"}"#,
        ),
        (
            "{\"custom\":\"token\",\n\"leg\":\"a\"}",
            "{\"custom\":\"token\",\n\"leg\":\"a\"}",
        ),
        ("{secret: 'x', leg: 'a'}", "{secret: '***', leg: 'a'}"),
        (
            "token=x%20y&leg=a&data[sig]=x",
            "token=***&leg=a&data[sig]=***",
        ),
        ("<token>x</token>", "<token>***</token>"),
        (
            "<user pin='x' api-key=\"y z\" id=\"7\"/>",
            "<user pin='***' api-key=\"***\" id=\"7\"/>",
        ),
        (
            "--b\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\nx\r\n--b--",
            "--b\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\n***\r\n--b--",
        ),
        (
            "--b\r\nContent-Disposition: form-data; name=\"p%61ss\"\r\nContent-Type: text/plain\r\n\r\nx \"y\"\r\nz\r\n--b--",
            "--b\r\nContent-Disposition: form-data; name=\"p%61ss\"\r\nContent-Type: text/plain\r\n\r\n***\r\n--b--",
        ),
    ] {
        let mut redactor = Redactor::default();
        assert_eq!(body(&mut redactor, sent), masked);
        assert_eq!(body(&mut redactor, masked), masked);
    }
    let record = line(
        &mut Redactor::default(),
        &post(r#"{"token":"s3cret","x":{"otp":"s3cret"},"y":[[{"pin":"s3cret"}]]}"#),
    );
    assert!(!record.contains("s3cret"), "{record}");
}

#[test]
fn lengths_fit_and_secrets_go() {
    let mut exchange = post(r#"{"to":98765432}"#);
    exchange.request.target = "/hook/98765432?token=SECRET".to_owned();
    exchange
        .request
        .headers
        .push(Header::new("Authorization", "Bearer SECRET"));
    exchange
        .request
        .headers
        .push(Header::new("X-Number", "54321"));
    exchange.request.headers.push(Header::new(
        "Referer",
        "https://h.test/?sig=SECRET&n=98765432",
    ));
    let line = line(&mut Redactor::default(), &exchange);
    assert!(!line.contains("SECRET"), "{line}");
    let request = replayed(&line);
    assert_eq!(request.target, "/hook/910000000001?token=***");
    assert_eq!(
        header(&request.headers, "content-length").unwrap(),
        request.body.len().to_string()
    );
    assert_eq!(request.size, request.body.len() as u64);
    assert_eq!(
        header(&request.headers, "x-number").unwrap(),
        "910000000002"
    );
    assert_eq!(
        header(&request.headers, "referer").unwrap(),
        "https://h.test/?sig=***&n=910000000001"
    );
    let record: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&record["n"], &record["peer"]),
        (&json!(12_345_678), &json!("203.0.113.9:45678"))
    );
    assert_eq!(
        (&record["received_at"], &record["took_ms"]),
        (&json!("2022-04-22T11:49:35.336Z"), &json!(0.5))
    );
}

#[test]
fn remarks_and_other_words_of_ours_are_masked() {
    let mut exchange = post(
        r#"{"virtual_number":"+919876543210","call_id":1,"leg":"919876543210","appid":1,"919876543210":1}"#,
    );
    exchange.claimed = Some("919876543210".to_owned());
    exchange.request.method = "M919876543210".into();
    let line = line(&mut Redactor::default(), &exchange);
    assert!(
        !line.contains("9876543210") && line.matches("910000000001").count() >= 8,
        "{line}"
    );
}

#[test]
fn masks_go_on_where_a_file_ends() {
    let mut redactor = Redactor::default();
    redactor
        .resume(&b"{\"to\":910000000001,\"x\":\"%22910000000002\",\"appid\":1000001} 910000012"[..])
        .unwrap();
    assert_eq!(
        body(&mut redactor, r#"{"to":98765432,"appid":2222223}"#),
        r#"{"to":910000000003,"appid":1000002}"#
    );
    // The pseudonyms in a request are reserved before the numbers of that request get theirs.
    assert_eq!(
        body(
            &mut redactor,
            r#"{"x":98765433,"y":98765434,"to":910000000004}"#
        ),
        r#"{"x":910000000005,"y":910000000006,"to":910000000004}"#
    );
}

fn resumed(lines: &str) -> Redactor {
    let mut redactor = Redactor::default();
    redactor.resume(lines.as_bytes()).unwrap();
    redactor
}

#[test]
fn after_999_app_ids_their_masks_are_found_again() {
    let mut redactor = Redactor::default();
    let many: Vec<_> = (5_000_000..5_001_002)
        .map(|app| json!({ "appid": app }).to_string())
        .collect();
    let first = line(&mut redactor, &post(many.join("\n")));
    for mask in ["1000999}", "10001000}", "10001002}"] {
        assert!(
            replayed(&first).body.text().unwrap().contains(mask),
            "{mask}"
        );
    }
    let mut later = resumed(&first);
    assert_eq!(
        body(&mut later, r#"{"appid":7000001}"#),
        r#"{"appid":10001003}"#
    );
    assert_eq!(
        body(&mut later, r#"{"appid":10001000,"x":10001000}"#),
        r#"{"appid":10001000,"x":10001000}"#
    );
}

#[test]
fn a_mask_from_outside_is_passed_over_alone() {
    let mut redactor = Redactor::default();
    let first = body(&mut redactor, r#"{"x":910000099999999,"to":98765431}"#);
    assert_eq!(first, r#"{"x":910000099999999,"to":910000000001}"#);
    let mut later = resumed(&format!("{first} 1000002 1999999 910000099999998"));
    let second = body(
        &mut later,
        r#"{"to":98765432,"appid":7000001,"user":"1_7000002"}"#,
    );
    assert_eq!(
        second,
        r#"{"to":910000000002,"appid":1000001,"user":"1_1000003"}"#
    );
}

#[test]
fn an_app_id_that_only_looks_like_a_mask_is_masked() {
    let mut redactor = Redactor::default();
    assert_eq!(
        body(&mut redactor, r#"{"appid":1000002}"#),
        r#"{"appid":1000001}"#
    );
    assert_eq!(
        body(&mut redactor, r#"{"appid":7000001}"#),
        r#"{"appid":1000003}"#
    );
    assert_eq!(
        body(&mut redactor, r#"{"appid":1000002}"#),
        r#"{"appid":1000001}"#
    );
    let both = body(
        &mut Redactor::default(),
        r#"{"appid":10000,"user":"1_1000001"}"#,
    );
    assert_eq!(both, r#"{"appid":1000002,"user":"1_1000001"}"#);
}

#[test]
fn when_no_mask_is_left_the_last_one_says_so_and_stays_short() {
    let mut redactor = Redactor::default();
    redactor.resume(&b"910000000001"[..]).unwrap();
    redactor.numbers.skip_to_the_last();
    redactor.apps.skip_to_the_last();
    let text = r#"{"appid":7000001,"to":98765431} {"appid":7000002,"to":98765432} {"appid":7000003,"to":98765433}"#;
    assert_eq!(
        body(&mut redactor, text),
        r#"{"appid":100099999,"to":910000099999999} {"appid":1000000,"to":910000000000} {"appid":1000000,"to":910000000000}"#
    );
}

#[test]
fn memory_is_bounded() {
    let mut redactor = Redactor::default();
    body(
        &mut redactor,
        &format!("{{\"to\":\"{}\"}}", "7".repeat(100_000)),
    );
    assert_eq!(redactor.numbers.given(), 0);
}

#[test]
fn a_mask_beside_other_digits_stays() {
    for (text, masked) in [
        ("appid=10000 +7_10000", "appid=1000001 +7_1000001"),
        ("appid=+10000_", "appid=+1000001_"),
        ("to=9100000 16506281", "to=910000000001"),
        ("to=9100000 +16506281", "to=910000000001 +910000000002"),
    ] {
        assert_eq!(body(&mut Redactor::default(), text), masked);
        assert_eq!(body(&mut Redactor::default(), masked), masked);
    }
}

#[test]
fn a_second_redaction_changes_nothing() {
    for text in [
        r#"{"appid":10000,"x":"[+91 987_10000pid"}"#,
        r#"{"appid":10000,9"10000019"}"#,
        r#"{"appid":"%2098765"}"#,
        r#"{"appid":"%202222223"}"#,
        r#"token={"to":"+91 98765 43210",<10000"#,
        r#"token="to":+"#,
        r#""password":"">{token=>"#,
        "token=\u{a0}\\<to>",
        "token=/<to>",
        "token=</to>&#43;",
        "7-9$01000000 a7-&$0%00000000 0",
    ] {
        let form = Header::new("Content-Type", "application/x-www-form-urlencoded");
        let target = format!("/{}", text.replace(char::is_whitespace, ""));
        for request in [
            Request::new("POST", "/", vec![], text),
            Request::new("POST", "/", vec![form], text),
            Request::new("GET", target, vec![Header::new("x", text)], ""),
        ] {
            let mut redactor = Redactor::default();
            let first = line(&mut redactor, &exchange(request));
            let once = replayed(&first);
            for redactor in [&mut redactor, &mut resumed(&first)] {
                let again = replayed(&line(redactor, &exchange(once.clone())));
                assert_eq!(again, once, "{text}");
            }
        }
    }
}

/// This test takes minutes if the decoding time is quadratic in the length of the body.
#[test]
fn a_long_run_of_escapes_is_decoded_once() {
    for escape in ["\\", "%25", "%5C"] {
        line(&mut Redactor::default(), &post(escape.repeat(20_000)));
    }
}

#[test]
fn every_fixture_is_judged_as_before() {
    for (name, text) in [
        (
            "docs-leg-a",
            include_str!("../../../fixtures/docs-leg-a.json"),
        ),
        ("docs-leg-b", CDR),
        (
            "answered",
            include_str!("../../../fixtures/answered-leg-a.json"),
        ),
        ("legacy", include_str!("../../../fixtures/legacy.json")),
        ("live", include_str!("../../../fixtures/live/leg-b.json")),
        (
            "softphone",
            include_str!("../../../fixtures/live/softphone.json"),
        ),
        (
            "custom none",
            include_str!("../../../fixtures/live/custom-none.json"),
        ),
        (
            "retyped",
            include_str!("../../../fixtures/broken/retyped.json"),
        ),
        (
            "odd values",
            include_str!("../../../fixtures/broken/odd-values.json"),
        ),
        (
            "incoming",
            include_str!("../../../fixtures/broken/incoming-missed.json"),
        ),
        (
            "another account",
            include_str!("../../../fixtures/broken/another-account.json"),
        ),
        (
            "REST",
            include_str!("../../../fixtures/broken/rest-record.json"),
        ),
        (
            "event",
            include_str!("../../../fixtures/broken/live-event.json"),
        ),
    ] {
        let before = judge_json(text.as_bytes()).verdict;
        let after = judge_json(body(&mut Redactor::default(), text).as_bytes()).verdict;
        assert_eq!(
            (before.kind, before.generation, before.leg),
            (after.kind, after.generation, after.leg),
            "{name}"
        );
        let codes = |verdict: &crate::cdr::judge::Verdict| {
            verdict
                .remarks
                .iter()
                .map(|remark| (remark.code, remark.field.clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(codes(&before), codes(&after), "{name}");
    }
}

const PLACES: [&str; 14] = [
    r#"{"to":{}}"#,
    r#"{"virtual_number":"{}","custom":"{\"a\":\"{}\"}"}"#,
    r#"{"note":"{}"}"#,
    r#"{"note":"call +{}, please"}"#,
    r#"{"note":"a\n{}\tb"}"#,
    r#"{"extra_params":{"x":[1,{},"{}"]}}"#,
    r#"{"custom":"{\\\"deep\\\":\\\"{}\\\"}"}"#,
    r#"{"{}":"_{}_"}"#,
    "{to: '{}', from: {}}",
    "/cdr?to={}&x=%22{}%22",
    "/hook/{}/x?custom=%7B%22a%22%3A%22{}%22%7D&appid=2222223",
    "/cdr?a=+{}+&b=%2B{}&leg={}&%7B{}=1",
    "/cdr?virtual_number={}&status={}&time={}",
    "not JSON ({}) at all; {}",
];

fn masks(lines: &str) -> std::collections::BTreeSet<String> {
    let mut masks = std::collections::BTreeSet::new();
    for line in lines.lines() {
        let body = replayed(line).body.0;
        for text in [line, &String::from_utf8_lossy(&body)] {
            let places = text
                .match_indices(NUMBER.prefix)
                .map(|(place, _)| &text[place..]);
            masks.extend(places.map(|rest| {
                rest.chars()
                    .take_while(char::is_ascii_digit)
                    .collect::<String>()
            }));
        }
    }
    masks
}

fn planted(place: &str, number: &str) -> Exchange {
    let text = place.replace("{}", number);
    if text.starts_with('/') {
        exchange(Request::new("GET", text, vec![], ""))
    } else {
        post(text)
    }
}

fn number() -> impl Strategy<Value = String> {
    "[2-8][0-9]{7,14}".prop_filter("a date", |digits| !TIME.is_match(digits))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn no_planted_number_survives(number in number(), place in prop::sample::select(PLACES.to_vec())) {
        let mut redactor = Redactor::default();
        let once = planted(place, &number);
        let masked = line(&mut redactor, &once);
        prop_assert!(!masked.contains(&number), "{}", masked);
        // A number keeps its pseudonym in the next exchange.
        prop_assert!(masked.contains("910000000001") && !masked.contains("910000000002"), "{}", masked);
        prop_assert_eq!(&line(&mut redactor, &once), &masked);
        let again = exchange(replayed(&masked));
        prop_assert_eq!(replayed(&line(&mut redactor, &again)), again.request.clone());
        prop_assert_eq!(replayed(&line(&mut Redactor::default(), &again)), again.request);
    }

    #[test]
    fn numbers_that_differ_have_masks_that_differ(numbers in prop::collection::btree_set(number(), 1..6)) {
        let mut redactor = Redactor::default();
        let masks: std::collections::BTreeSet<_> =
            numbers.iter().map(|number| body(&mut redactor, &format!("{{\"to\":{number}}}"))).collect();
        prop_assert_eq!(masks.len(), numbers.len());
    }

    #[test]
    fn no_mask_stands_for_two_after_a_resume(
        first in prop::collection::btree_set(number(), 1..5),
        second in prop::collection::btree_set(number(), 1..5),
        place in prop::sample::select(PLACES.to_vec()),
        odd in prop::sample::select(vec!["910000099999999", "910000000003", "1000003", "1999999", "9100000100000000"]),
    ) {
        let mut redactor = Redactor::default();
        let mut file = line(&mut redactor, &post(odd));
        file.extend(first.iter().map(|number| line(&mut redactor, &planted(place, number))));
        file += &line(&mut redactor, &post(b"\xff 98765432109 \xff".to_vec()));
        let given = masks(&file);
        let mut redactor = resumed(&file);
        let second: Vec<_> = second.difference(&first).collect();
        let lines: String = second.iter().map(|number| line(&mut redactor, &planted(place, number))).collect();
        let later = masks(&lines);
        prop_assert!(given.is_disjoint(&later), "{:?} {:?}", given, later);
        prop_assert_eq!(later.len(), second.len());
    }

    #[test]
    fn no_text_is_too_odd(text in r#"([0-9]{1,12}|[+%\\_a-f(){}"': ./…-]|to|user|\\u00|%2|%25){0,40}"#) {
        let mut redactor = Redactor::default();
        let once = replayed(&line(&mut redactor, &post(text)));
        let again = replayed(&line(&mut redactor, &exchange(once.clone())));
        prop_assert_eq!(&again.body.text(), &once.body.text());
    }

    #[test]
    fn what_is_redacted_twice_does_not_change(
        text in r#"(((appid=[+]?|user=7_|[+]7_)(10000|2222223)|(to=|"from":")?[+ ]?(9100000|91000000?1)?[2-9][0-9]{0,8}|to=9100000)[ ,+"-]){1,6}"#,
        is_form in any::<bool>(),
    ) {
        let content_type = if is_form { "application/x-www-form-urlencoded" } else { "text/plain" };
        let headers = vec![Header::new("Content-Type", content_type)];
        let text = exchange(Request::new("POST", "/", headers, text));
        let once = replayed(&line(&mut Redactor::default(), &text));
        let again = replayed(&line(&mut Redactor::default(), &exchange(once.clone())));
        prop_assert_eq!(again.body.text(), once.body.text());
    }

    #[test]
    fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut exchange = post(bytes.clone());
        exchange.request.target = String::from_utf8_lossy(&bytes).into_owned();
        line(&mut Redactor::default(), &exchange);
    }
}
