//! Snapshots of the text that `listen` prints for a request.

use super::peers::{post_json, say};
use super::program::{fixture, masked, pretty_listener, program};

#[track_caller]
fn block(arguments: &[&str], exchange: impl FnOnce(&str)) -> String {
    let listener = pretty_listener(&[&["--count", "1", "--timeout", "20s"], arguments].concat());
    exchange(&listener.url);
    let shown = listener.running.end().stdout;
    masked(&shown)
}

fn target(query: &str) -> String {
    format!("GET /webhook/cdr?{query} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
}

const QUERY: &str = "virtual_number=440000000000&leg=a&type=cdr&appid=2222223&to=442000000000&\
    cmiuuid=15b58236-734f-4000-a5e8-78284068f5c7&status=missed&user=202_2222223&time=1650628175336&\
    direction=outbound&hangup_reason=recv_cancel";

#[test]
fn a_post() {
    let shown = block(&[], |url| drop(post_json(url, fixture("docs-leg-a.json"))));
    insta::assert_snapshot!(shown, @r#"
    TIME  #1  POST /webhook/cdr  200 · T
      outgoing missed · leg a (agent) · recv_cancel: rang out
      agent 202 of app 2222223 · caller ID 440000000000
      rang 442000000000 · by click2call
      call of 2022-04-22 11:49:35 UTC · docs payload

      {
        "virtual_number": "440000000000",
        "call_id": "c4504776-d91e-123b-29a7-56000429abc3",
        "custom": "{\"crm\":\"true\"}",
        "leg": "a",
        "type": "cdr",
        "appid": 2222223,
        "to": 442000000000,
        "cmiuuid": "15b58236-734f-4000-a5e8-78284068f5c7",
        "status": "missed",
        "user": "202_2222223",
        "time": 1650628175336,
        "direction": "outbound",
        "hangup_reason": "recv_cancel",
        "request_id": "D8qpRb27mpXEYgEdAMY6arnQ2ONAB04Y86QrfKbOWZQ",
        "extra_params": "{\"click2call\":\"true\"}"
      }

      ✓ conforms to the documented CDR

    received all expected CDRs · 1 request · 1 of 1 CDRs · 0 remarks
    "#);
}

#[test]
fn a_get() {
    let shown = block(&[], |url| drop(say(url, target(QUERY))));
    insta::assert_snapshot!(shown, @"
    TIME  #1  GET /webhook/cdr  200 · T
      outgoing missed · leg a (agent) · recv_cancel: rang out
      agent 202 of app 2222223 · caller ID 440000000000
      rang 442000000000 · not by click2call
      call of 2022-04-22 11:49:35 UTC · docs payload

      virtual_number = 440000000000
      leg            = a
      type           = cdr
      appid          = 2222223
      to             = 442000000000
      cmiuuid        = 15b58236-734f-4000-a5e8-78284068f5c7
      status         = missed
      user           = 202_2222223
      time           = 1650628175336
      direction      = outbound
      hangup_reason  = recv_cancel

      ! call_id: not there
      ! custom: not there

    received all expected CDRs · 1 request · 1 of 1 CDRs · 2 remarks
    ");
}

#[test]
fn a_cdr_with_much_to_remark_on() {
    let shown = block(&[], |url| {
        drop(post_json(url, fixture("broken/odd-values.json")));
    });
    insta::assert_snapshot!(shown, @r#"
    TIME  #1  POST /webhook/cdr  200 · T
      outgoing missed · sent_bye: hung up here
      user 202 · caller ID +440000000000
      rang 442000000000 · by click2call
      call of 2022-04-22 11:49:35 UTC · docs payload

      {
        "virtual_number": "+440000000000",
        "call_id": "c4504776-d91e-123b-29a7-56000429abc3",
        "custom": "{\"crm\":\"true\"}",
        "leg": "c",
        "type": "cdr",
        "appid": 2222223,
        "to": 442000000000,
        "cmiuuid": "15b58236",
        "status": "missed",
        "user": "202",
        "time": 1650628175336,
        "direction": "outbound",
        "hangup_reason": "sent_bye",
        "request_id": "D8qpRb27mpXEYgEdAMY6arnQ2ONAB04Y86QrfKbOWZQ",
        "extra_params": "{\"click2call\":\"true\"}"
      }

      ! virtual_number: has a plus sign; TeleCMI sends digits only
      ! leg: `c`; the documented values are `a` and `b`
      ! cmiuuid: `15b58236`; documented as a UUID
      ! user: `202`; documented as <extension>_<appid>
      ! hangup_reason: `sent_bye` needs an answered call; a missed leg ends in recv_cancel or sent_reject

    received all expected CDRs · 1 request · 1 of 1 CDRs · 5 remarks
    "#);
}

#[test]
fn a_javascript_literal() {
    let shown = block(&[], |url| {
        post_json(url, "{\nleg: 'a',\n}");
        post_json(url, fixture("legacy.json"));
    });
    let (first, _) = shown.split_once("\n\nTIME").expect("two blocks");
    insta::assert_snapshot!(first, @"
    TIME  #1  POST /webhook/cdr  400 · T
      unreadable

      {
      leg: 'a',
      }

      ! a JavaScript literal, not JSON: expected a name in double quotes at line 2 column 1
    ");
}

#[test]
fn hostile_text_is_made_harmless_and_lines_cannot_be_forged() {
    let body = "{\"type\":\"cdr\",\"direction\":\"outbound\",\"status\":\"missed\",\"leg\":\"a\",\
        \"user\":\"202_\\u001b[31m\u{202e}\",\"hangup_reason\":\"x\\n00:00:00.000  #9  POST /forged\"}";
    let shown = block(&[], |url| drop(post_json(url, body)));
    assert!(
        !shown
            .chars()
            .any(|c| c != '\n' && telecmi_cdr::internals::disturbs(c)),
        "{shown:?}"
    );
    assert!(
        !shown.lines().any(|line| line.starts_with("00:00")),
        "{shown}"
    );
    assert!(shown.contains(r"202 of app \u{1b}[31m\u{202e}"), "{shown}");
}

#[test]
fn secrets_are_masked() {
    let shown = block(&["--verbose"], |url| {
        let query = format!("token=hush&{QUERY}");
        let head = target(&query).replace(
            "Host: h\r\n",
            "Host: h\r\nAuthorization: Bearer hush\r\nX-Trace: 7\r\n",
        );
        say(url, head);
    });
    assert!(!shown.contains("hush"), "{shown}");
    insta::assert_snapshot!(shown.lines().take(12).collect::<Vec<_>>().join("\n"), @"
    TIME  #1  GET /webhook/cdr  200 · T
      outgoing missed · leg a (agent) · recv_cancel: rang out
      agent 202 of app 2222223 · caller ID 440000000000
      rang 442000000000 · not by click2call
      call of 2022-04-22 11:49:35 UTC · docs payload
      from 127.0.0.1:PORT · HTTP/1.1 · 0 bytes
      Host: h
      Authorization: ***
      X-Trace: 7
      Connection: close

      token          = ***
    ");
    let posted = block(&[], |url| {
        let body = String::from_utf8(fixture("docs-leg-a.json")).expect("UTF-8");
        say(
            url,
            format!(
                "POST /cdr?token=hush HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ),
        );
    });
    assert!(
        posted.starts_with("TIME  #1  POST /cdr?token=***  200 · T\n"),
        "{posted}"
    );
}

#[test]
fn a_long_body_is_cut() {
    let long = format!("[{}1]", "1,".repeat(3_000));
    let shown = block(&[], |url| {
        post_json(url, &long);
        post_json(url, fixture("legacy.json"));
    });
    assert!(shown.contains("more bytes"), "{shown}");
    assert!(shown.lines().count() < 150, "{}", shown.lines().count());
}

#[test]
fn colour_follows_flag_then_environment_then_terminal() {
    let coloured = |arguments: &[&str], environment: &[(&str, &str)]| {
        let fixed = ["listen", "--port", "0", "--timeout", "10ms"];
        let program = program(fixed.iter().chain(arguments));
        let program = environment
            .iter()
            .fold(program, |program, (name, value)| program.env(name, value));
        let ended = program.run().expect(0);
        let streams = [&ended.stdout, &ended.stderr].map(|stream| stream.contains("\u{1b}["));
        assert_eq!(streams[0], streams[1], "{}", ended.whole());
        streams[0]
    };
    assert!(!coloured(&[], &[]));
    assert!(coloured(&["--color", "always"], &[("NO_COLOR", "1")]));
    assert!(!coloured(&["--color", "never"], &[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(
        &[],
        &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]
    ));
    assert!(!coloured(&[], &[("CLICOLOR_FORCE", "0")]));
    assert!(coloured(&[], &[("CLICOLOR_FORCE", "1")]));
    assert!(coloured(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "")]));
}
