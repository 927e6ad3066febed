//! Explains a response: the one line of its body that says what went wrong, and what to do about it. The line is the
//! exception out of a framework's error page, the message of a JSON object, else the title or the first line.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex_lite::{Captures, Regex};
use serde_json::Value;

use crate::json;
use crate::net::{CLOSED_EARLY, Failure, FailureKind as Kind, Phase, Response, header};
use crate::untrusted::{beginning, clean, pattern};

/// At most this many characters of a line are shown.
const MAX_CHARS: usize = 160;

/// At most this many bytes of a body are searched.
const MAX_BYTES: usize = 64 * 1024;

/// At most this many validation errors of a JSON body are joined.
const MAX_ERRORS: usize = 3;

/// Members of a JSON object that hold a message, by priority.
#[rustfmt::skip]
pub(super) const MESSAGES: [&str; 13] = [
    "exception", "detail", "details", "ExceptionMessage", "errorMessage", "message", "msg", "error", "errors", "err",
    "description", "reason", "title",
];

/// An exception's name and message, as Python, JavaScript, PHP, Ruby and Java write them.
static EXCEPTION: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:PHP )?(?:(?:[\w.$:\\]*(?:Error|Exception|Invalid\w+|DoesNotExist|DisallowedHost))|Fatal error|Parse error): \S",
    )
});

/// The heading of an error page that names an exception and a place; the next block is the message (Django, Sinatra,
/// Rails, Phoenix, Spring).
static HEADING: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:([\w.:]+) (?:at (?:[A-Z]+ )?/\S*|in [\w:]+#\w+)|(Routing Error)|There was an unexpected error \(type=([^,]+), status=\d+\)\.)$",
    )
});

static INVISIBLE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?is)<!--.*?-->|<script\b.*?</script>|<style\b.*?</style>|<title\b.*?</title>")
});
/// An error that a page passes to its script as JSON (Next.js, Vite).
static SCRIPT_ERROR: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"(?:"name":("[^"\\]*"),"source":"[^"]*",)?"message":("(?:[^"\\]|\\.)*"),"stack":""#)
});
static TITLE: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?is)<title[^>]*>(.*?)</title>"));
static BLOCK_TAG: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)</?(?:p|h[1-6]|div|pre|br|li|ul|tr|td|th|table|body|html|head|header|section|blockquote)\b[^>]*>",
    )
});
/// Preformatted text keeps its lines, so that the exception behind a stack trace is found.
static PREFORMATTED: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?is)<pre\b.*?</pre>"));
static CELL_END: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)</(?:t[dh]|dt)>\s*<(?:t[dh]|dd)\b[^>]*>"));
static ROW_END: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)</(?:tr|dd|li|table|[du]l|h[1-6])>"));
static TAG: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?s)<[/a-zA-Z!][^>]*>"));
static ENTITY: LazyLock<Regex> = LazyLock::new(|| pattern(r"&(#[xX]?[0-9a-fA-F]+|[a-zA-Z]+);"));

/// Returns the line of a response body that matters, safe for a terminal; `None` for a body without text.
pub fn reply_line(response: &Response) -> Option<String> {
    let body = response.decoded().ok()?;
    let text = String::from_utf8_lossy(&body[..body.len().min(MAX_BYTES)]);
    let line = match serde_json::from_str::<Value>(&text) {
        Ok(json) => message(&json).unwrap_or_else(|| json.to_string()),
        Err(_) if is_html(response) => page_line(&text)?,
        Err(_) => text_line(text.lines().map(collapsed).collect())?,
    };
    let line = collapsed(&line);
    (!line.is_empty()).then(|| clean(&beginning(&line, MAX_CHARS)).into_owned())
}

/// Returns whether a response is an HTML page, by its content type or its first tag.
pub fn is_html(response: &Response) -> bool {
    let content_type = header(&response.headers, "content-type");
    let is_typed = content_type.is_some_and(|text| text.to_ascii_lowercase().contains("html"));
    is_typed || is_html_document(response)
}

/// Returns whether a body begins as an HTML document, or as an error of PHP.
pub fn is_html_document(response: &Response) -> bool {
    let body = response.decoded().unwrap_or_default();
    let start = body.trim_ascii_start();
    let is_tag = |tag: &str| {
        let start = start.get(..tag.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(tag.as_bytes()))
    };
    let tags = ["<!doctype html", "<html", "<br />\n<b>"];
    tags.into_iter().any(is_tag)
}

/// Returns whether the beginning of a body has a word, which is in lower case, in any case.
fn contains(response: &Response, word: &str) -> bool {
    let body = response.decoded().unwrap_or_default();
    let text = String::from_utf8_lossy(&body[..body.len().min(MAX_BYTES)]);
    text.to_lowercase().contains(word)
}

/// The message of a JSON body. A list of validation errors (FastAPI, Laravel) becomes `field: message`.
fn message(json: &Value) -> Option<String> {
    match json {
        Value::String(text) => Some(text.clone()),
        Value::Array(errors) => {
            let errors: Vec<_> = errors.iter().take(MAX_ERRORS).filter_map(message).collect();
            (!errors.is_empty()).then(|| errors.join("; "))
        }
        Value::Object(members) => {
            let mut names = MESSAGES.iter();
            let found = names.find_map(|name| Some((*name, members.get(*name)?)));
            let Some((name, value)) = found else {
                // Laravel and Django REST framework: {"field": ["message"]}.
                let lists = members.iter().filter(|(_, value)| value.is_array());
                let mut lines =
                    lists.filter_map(|(name, list)| Some(format!("{name}: {}", message(list)?)));
                return lines.next();
            };
            let text = message(value)?;
            let field = members.get("loc").and_then(Value::as_array);
            let field = field.and_then(|place| place.iter().rev().find_map(Value::as_str));
            let exception = members.get("exception").and_then(Value::as_str);
            let second = members.get("message").and_then(Value::as_str);
            Some(match (field, exception, second) {
                (Some(field), ..) => format!("{field}: {text}"),
                (_, Some(exception), Some(second)) if name == "exception" => {
                    format!("{exception}: {second}")
                }
                _ => text,
            })
        }
        _ => None,
    }
}

/// The line of an HTML page: an exception in its title or text, else the title and the first paragraph.
fn page_line(html: &str) -> Option<String> {
    if let Some(found) = SCRIPT_ERROR.captures(html) {
        let texts = found.iter().skip(1).flatten().map(|text| text.as_str());
        return Some(texts.map(json::unquoted).collect::<Vec<_>>().join(": "));
    }
    let title = TITLE.captures(html).map(|title| plain(&title[1]));
    // Express and Rails give all pages one title.
    let title = title.filter(|title| {
        !matches!(
            title.as_str(),
            "" | "Error" | "Action Controller: Exception caught"
        )
    });
    let body = INVISIBLE.replace_all(html, "\n");
    let body =
        PREFORMATTED.replace_all(&body, |text: &Captures<'_>| text[0].replace('\n', "\u{c}"));
    let body = BLOCK_TAG.replace_all(&body, "\u{c}");
    let blocks = body.split('\u{c}').map(plain);
    let blocks: Vec<_> = blocks.filter(|block| !block.is_empty()).collect();
    if let Some(line) = exception(&blocks) {
        return Some(line);
    }
    let is_sentence = |block: &&String| {
        let is_whole = block.ends_with('.') || block.contains(": ");
        let is_fallback = block.ends_with("seeing this as a fallback.");
        block.contains(' ')
            && is_whole
            && !is_fallback
            && !title.as_ref().is_some_and(|title| title.contains(*block))
    };
    let mut lines = blocks.iter();
    let message = lines
        .clone()
        .find_map(|block| block.strip_prefix("Message: "));
    let sentence = lines.find(is_sentence);
    match (title, message.or(sentence.map(String::as_str))) {
        (Some(title), Some(sentence)) => Some(format!("{title}: {sentence}")),
        (None, Some(sentence)) => Some(sentence.to_owned()),
        (title, None) => title.or(blocks.first().cloned()),
    }
}

fn text_line(lines: Vec<String>) -> Option<String> {
    exception(&lines).or_else(|| lines.into_iter().find(|line| !line.is_empty()))
}

fn exception(blocks: &[String]) -> Option<String> {
    let headed = blocks.iter().enumerate().find_map(|(at, block)| {
        let name = HEADING.captures(block)?.iter().flatten().nth(1)?.as_str();
        let message = blocks[at + 1..].iter().find(|block| !block.is_empty())?;
        Some(format!("{name}: {message}"))
    });
    let mut lines = blocks.iter();
    headed.or_else(|| lines.find(|line| EXCEPTION.is_match(line)).cloned())
}

/// HTML as text in one line: without tags, entities decoded, white space collapsed.
fn plain(html: &str) -> String {
    collapsed(&unescaped(&without_tags(html)))
}

/// A page as text: a row of a table is a line with tabs between its cells, and an empty line ends a table.
pub fn page_text(html: &str) -> String {
    let html = INVISIBLE.replace_all(html, "");
    let html = if CELL_END.is_match(&html) {
        html.replace(['\r', '\n'], " ")
    } else {
        html.into_owned()
    };
    let html = CELL_END.replace_all(&html, "\t");
    let html = ROW_END.replace_all(&html, "\n");
    unescaped(&TAG.replace_all(&html, " ")).into_owned()
}

pub fn without_tags(html: &str) -> Cow<'_, str> {
    TAG.replace_all(html, "")
}

pub fn unescaped(html: &str) -> Cow<'_, str> {
    ENTITY.replace_all(html, |entity: &Captures<'_>| decoded(&entity[1]))
}

fn decoded(entity: &str) -> String {
    let number = entity.strip_prefix('#').and_then(|number| {
        let hex = number.strip_prefix(['x', 'X']);
        let code = hex.map_or(number.parse(), |hex| u32::from_str_radix(hex, 16));
        char::from_u32(code.ok()?)
    });
    let named = match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        _ => number,
    };
    named.map_or_else(|| format!("&{entity};"), String::from)
}

fn collapsed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The advice if a path that takes POST does not take GET.
pub const GET_IS_NOT_ROUTED: &str = "the handler does not accept GET: route GET to it and read the query, or choose POST in the dashboard and test with -X post";

const CSRF: &str = "the framework's CSRF protection refuses the POST: exempt the route from CSRF (csrf_exempt in Django, $except in Laravel)";
const BASIC: &str = "401: the handler requires credentials, which TeleCMI does not send: put a token into the URL's path or query instead";
const HOST: &str = "the handler does not know this host name: add it to ALLOWED_HOSTS, or use the name that it knows, such as http://localhost";
const TLS: &str = "the port uses TLS: use https://";

/// Statuses, a word in lower case that the reply must contain, and the advice. The first row that fits counts.
#[rustfmt::skip]
const BY_STATUS: &[(&[u16], &str, &str)] = &[
    (&[400, 401, 403], "csrf", CSRF),
    (&[419], "", CSRF),
    (&[400], "disallowedhost", HOST),
    (&[400], "allowed_hosts", HOST),
    (&[400], "invalid host", HOST),
    (&[400], "no required ssl certificate", "the server requires a client certificate, which TeleCMI is not known to send: do not ask for one at the webhook"),
    (&[400], "plain http", TLS),
    (&[400], "http request to an https", TLS),
    (&[400, 409, 422], "", "the handler refused the payload: see its reply"),
    (&[401, 403], "", "the handler refuses the sender, as its reply says: give its secret with --app-id, --custom, -H or in the URL, or let such requests pass"),
    (&[404, 502], "err_ngrok_", "ngrok answered, not the handler: check that the tunnel runs, and its port"),
    (&[404], "", "404: check the path; TeleCMI's own examples use /webhook/cdr"),
    (&[405, 501], "", "the handler does not accept POST at this path: check the path, and route POST to the handler"),
    (&[407], "", "407: a proxy requires a user name and a password: add them to the proxy's URL in the environment"),
    (&[408], "", "408: the handler did not wait for the whole body: raise its timeout, and read as many bytes as Content-Length says"),
    (&[411], "", "411: the handler wants a Content-Length, which TeleCMI is likely to send"),
    (&[413], "", "413: the handler's limit for a body is below the size of a good CDR: raise the limit"),
    (&[414, 431], "", "the handler's or its proxy's limit for a URL or header is below that of a good CDR: raise the limit"),
    (&[415], "", "415: the handler does not accept this Content-Type"),
    (&[429], "", "429: the handler has a limit of requests: pace the run with --rate, such as --rate 50/m"),
    (&[500], "you called this url via post, but the url doesn", "the URL lacks its slash at the end: use the URL with the slash"),
    (&[502, 504, 520, 521, 522, 523, 524, 530], "", "the proxy in front answered, not the handler: is the handler running, and fast enough?"),
];

/// Returns advice on a response to `method`; `None` for a 2xx status and for statuses without a known reason.
pub fn advice_on_response(method: &str, response: &Response) -> Option<&'static str> {
    let status = response.status;
    match status {
        401 if header(&response.headers, "www-authenticate").is_some() => return Some(BASIC),
        405 | 501 if method == "GET" => return Some(GET_IS_NOT_ROUTED),
        _ => {}
    }
    let row = BY_STATUS
        .iter()
        .find(|(statuses, word, _)| statuses.contains(&status) && contains(response, word));
    let failed = "the handler failed: see the handler's log";
    let otherwise = (500..600).contains(&status).then_some(failed);
    let advice = row.map(|(.., advice)| *advice).or(otherwise);
    response.hint.or(advice)
}

/// Returns advice on a request without a usable response.
pub fn advice_on_failure(failure: &Failure) -> Option<&'static str> {
    let location = failure.text.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| location.contains(word));
    #[rustfmt::skip]
    let advice = match (failure.kind, failure.phase) {
        (Kind::Dns, _) | (Kind::Timeout, Phase::Dns) => "the host was not found: check its spelling",
        (Kind::Refused, _) => "no program listens at this address: check that the handler is running, and check the port",
        (Kind::Timeout, Phase::Connect) => "no connection: check the address and the firewall",
        (Kind::Tls | Kind::Closed | Kind::NotHttp | Kind::Timeout, Phase::Tls) => "check that the server uses TLS: a local handler usually uses http://",
        (Kind::Timeout, Phase::Read) => "the reply has no end: the handler must send a Content-Length, or close the connection behind it",
        (Kind::Timeout, _) => "the handler took too long: let it answer before it does the work, or raise --timeout",
        (Kind::KeptConnectionClosed, _) => "the handler closed a reused connection, and may or may not have received the request: --retry sends it again",
        (Kind::Closed, Phase::Send | Phase::Wait) => "the handler closed the connection before its answer was complete: look for a crash in its log, or try https://",
        (Kind::Closed, _) => CLOSED_EARLY,
        (Kind::NotHttp, _) if has(&["the body"]) => "the handler broke off or mixed up its chunks: look for a crash in its log",
        (Kind::NotHttp, _) => "the server does not use HTTP: check the port",
        (Kind::Redirect, _) if has(&["login", "signin", "sign_in", "/auth"]) => "the handler redirects to a login: take the webhook's route out of the login",
        (Kind::Redirect, _) if has(&["/ (not followed)"]) => "the handler redirects to its URL with a slash at the end: use that URL, TeleCMI is not known to follow redirects",
        (Kind::Redirect, _) => "TeleCMI is not known to follow redirects: register the final URL",
        (Kind::Tls | Kind::Proxy | Kind::Other, _) => return failure.hint,
    };
    Some(failure.hint.unwrap_or(advice))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Header;
    use proptest::prelude::*;

    fn line(content_type: &str, body: &str) -> Option<String> {
        let headers = vec![Header::new("Content-Type", content_type)];
        reply_line(&Response::new(500, headers, body.to_owned()))
    }

    #[test]
    fn an_exception_is_found_in_the_pages_of_frameworks() {
        let werkzeug = "<!doctype html><title>KeyError: &#39;request_id&#39; // Werkzeug Debugger</title>\
            <style>p{}</style><h1>KeyError</h1><div class=\"detail\"><p class=\"errormsg\">KeyError: &#39;request_id&#39;</p></div>";
        let django = "<html><title>KeyError at /webhook/cdr</title><h1>KeyError <span>at /webhook/cdr</span></h1>\
            <pre class=\"exception_value\">&#x27;appid&#x27;</pre>";
        let express = "<title>Error</title><pre>TypeError: a &lt; b<br> &nbsp; &nbsp;at post (/srv/app.js:7:1)</pre>";
        let sinatra = "<title>NoMethodError at /webhook/cdr</title><h1><strong>NoMethodError</strong> at <strong>/webhook/cdr\n\
            </strong></h1><h2>undefined method `split&#39; for nil</h2>";
        let php =
            "<br />\n<b>Fatal error</b>:  Uncaught TypeError: custom has no crm in /srv/cdr.php:12";
        for (page, shown) in [
            (werkzeug, "KeyError: 'request_id'"),
            (django, "KeyError: 'appid'"),
            (express, "TypeError: a < b"),
            (sinatra, "NoMethodError: undefined method `split' for nil"),
            (
                php,
                "Fatal error: Uncaught TypeError: custom has no crm in /srv/cdr.php:12",
            ),
        ] {
            assert_eq!(line("text/html", page).as_deref(), Some(shown));
        }
        let next = r#"<title>500</title><script id="__NEXT_DATA__" type="application/json">{"props":{"pageProps":{"statusCode":500}},"err":{"name":"TypeError","source":"server","message":"no \"leg\" in \u003cbody\u003e","stack":"TypeError: no\n    at x"}}</script>"#;
        let vite = r#"<title>Error</title><script type="module">const error = {"message":"leg is missing","stack":"    at x","frame":""}</script>"#;
        for (page, shown) in [
            (next, "TypeError: no \"leg\" in <body>"),
            (vite, "leg is missing"),
        ] {
            assert_eq!(line("text/html", page).as_deref(), Some(shown));
        }
        let traceback = "Traceback (most recent call last):\n  File \"a.py\", line 1\n    x\nValueError: year 54000 is out of range\n";
        assert_eq!(
            line("text/plain", traceback).as_deref(),
            Some("ValueError: year 54000 is out of range")
        );
    }

    #[test]
    fn a_page_without_an_exception_is_its_title_and_first_sentence() {
        let csrf = "<title>403 Forbidden</title><h1>Forbidden <span>(403)</span></h1><p>CSRF verification failed. Request aborted.</p>";
        assert_eq!(
            line("text/html", csrf).as_deref(),
            Some("403 Forbidden: CSRF verification failed. Request aborted.")
        );
        let stdlib = "<!DOCTYPE HTML><title>Error response</title><h1>Error response</h1><p>Error code: 501</p>\
            <p>Message: Unsupported method ('GET').</p>";
        assert_eq!(
            line("text/html", stdlib).as_deref(),
            Some("Error response: Unsupported method ('GET').")
        );
        assert_eq!(line("text/html", "<html></html>"), None);
    }

    #[test]
    fn the_message_of_json_is_shown_with_its_field() {
        let json = |body| line("application/json", body).unwrap();
        assert_eq!(
            json(
                r#"{"detail":[{"type":"string_type","loc":["body","to"],"msg":"Input should be a valid string"}]}"#
            ),
            "to: Input should be a valid string"
        );
        assert_eq!(
            json(
                r#"{"statusCode":400,"error":"Bad Request","message":"body/status must be equal"}"#
            ),
            "body/status must be equal"
        );
        assert_eq!(
            json(r#"{"message":"Undefined key","exception":"ErrorException","trace":[]}"#),
            "ErrorException: Undefined key"
        );
        assert_eq!(
            json(r#"{"to":["A valid integer is required."]}"#),
            "to: A valid integer is required."
        );
        assert_eq!(json(r#"{"ok":false}"#), r#"{"ok":false}"#);
    }

    #[test]
    fn other_text_is_its_first_line() {
        assert_eq!(
            line("text/plain", "\n got   it\nmore"),
            Some("got it".to_owned())
        );
        assert_eq!(line("text/plain", ""), None);
    }

    #[test]
    fn a_port_of_tls_is_named_even_in_a_compressed_page() {
        use std::io::Write as _;
        let page = b"<html><h1>400 Bad Request</h1>The plain HTTP request was sent to HTTPS port";
        let mut body = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        body.write_all(page).unwrap();
        let coding = vec![Header::new("Content-Encoding", "gzip")];
        let response = Response::new(400, coding, body.finish().unwrap());
        assert_eq!(advice_on_response("POST", &response), Some(TLS));
        assert!(is_html(&response));
        let go = Response::plain(400, "Client sent an HTTP request to an HTTPS server.\n");
        assert_eq!(advice_on_response("POST", &go), Some(TLS));
    }

    proptest! {
        #[test]
        fn a_line_is_short_and_disturbs_no_terminal(body in "(?s)[<>&;#a-z \\PC]{0,200}", html: bool) {
            let content_type = if html { "text/html" } else { "text/plain" };
            if let Some(line) = line(content_type, &body) {
                prop_assert!(!line.chars().any(crate::untrusted::disturbs));
                prop_assert!(line.chars().count() <= 10 * (MAX_CHARS + 1));
            }
        }
    }
}
