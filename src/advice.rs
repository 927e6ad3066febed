//! What to do about an answer that is no 2xx, for `send` and its suite.

use crate::net::{Failure, FailureKind as Kind, Phase, Response, header};
use crate::reply::contains;

/// The advice if a path that takes POST does not take GET.
pub const GET_IS_NOT_ROUTED: &str = "the handler does not accept GET: route GET to it and read the query, or choose POST in the dashboard and test with -X post";

const CSRF: &str = "the framework's CSRF protection refuses the POST: exempt the route from CSRF (csrf_exempt in Django, $except in Laravel)";
const BASIC: &str = "401: the handler requires credentials, which TeleCMI does not send: put a token into the URL's path or query instead";
const HOST: &str = "the handler does not know this host name: add it to ALLOWED_HOSTS, or use the name that it knows, such as http://localhost";

/// Statuses, a word in lower case that the reply must contain, and the advice. The first row that fits counts.
#[rustfmt::skip]
const BY_STATUS: &[(&[u16], &str, &str)] = &[
    (&[400, 401, 403], "csrf", CSRF),
    (&[419], "", CSRF),
    (&[400], "disallowedhost", HOST),
    (&[400], "allowed_hosts", HOST),
    (&[400], "invalid host", HOST),
    (&[400, 409, 422], "", "the handler refused the payload: see its reply"),
    (&[401, 403], "", "the handler wants a secret: give it with --app-id, --custom, -H or in the URL, as its reply says"),
    (&[404], "", "404: check the path; TeleCMI's own examples use /webhook/cdr"),
    (&[405, 501], "", "the handler does not accept POST at this path: check the path, and route POST to the handler"),
    (&[407], "", "407: a proxy requires a user name and a password: add them to the proxy's URL in the environment"),
    (&[408], "", "408: the handler waited for more of the body: it must read as many bytes as Content-Length says"),
    (&[411], "", "411: the handler wants a Content-Length, which TeleCMI is likely to send"),
    (&[413], "", "413: the handler's limit for a body is below the size of a good CDR: raise the limit"),
    (&[414, 431], "", "the handler's or its proxy's limit for a URL or header is below that of a good CDR: raise the limit"),
    (&[415], "", "415: the handler does not accept this Content-Type"),
    (&[429], "", "429: the handler has a limit of requests: pace the run with --rate, such as --rate 50/m"),
    (&[500], "you called this url via post, but the url doesn", "the URL lacks its slash at the end: use the URL with the slash"),
    (&[502, 504], "", "the proxy in front answered, not the handler: is the handler running, and fast enough?"),
];

/// Returns advice on a response to `method`; `None` for a 2xx status and for statuses without a known reason.
pub fn on_response(method: &str, response: &Response) -> Option<&'static str> {
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
    row.map(|(.., advice)| *advice).or(otherwise)
}

/// Returns advice on a request without a usable response.
pub fn on_failure(failure: &Failure) -> Option<&'static str> {
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
        (Kind::Closed, _) => "the handler closed the connection before its answer was complete: look for a crash in its log",
        (Kind::NotHttp, _) => "the server does not use HTTP: check the port, or try https://",
        (Kind::Redirect, _) if has(&["login", "signin", "sign_in", "/auth"]) => "the handler redirects to a login: take the webhook's route out of the login",
        (Kind::Redirect, _) if has(&["/ (not followed)"]) => "the handler redirects to its URL with a slash at the end: use that URL, TeleCMI is not known to follow redirects",
        (Kind::Redirect, _) => "TeleCMI is not known to follow redirects: register the final URL",
        (Kind::Tls | Kind::Proxy | Kind::Other, _) => return failure.hint,
    };
    Some(failure.hint.unwrap_or(advice))
}
