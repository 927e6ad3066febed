//! Other methods, and the odder ends of HTTP: half requests, wrong lengths, silence.

use std::time::Duration;

use super::super::super::{Case, CaseDelivery, CaseMethod, Script};
use super::super::GOOD;
use super::survives;
use crate::cdr::Grade::{self, Hostile, Inferred};
use CaseDelivery::{By, Raw};
use CaseMethod::{Other, Post};

/// The good CDR by a script.
const fn raw(name: &'static str, grade: Grade, script: Script, why: &'static str) -> Case {
    survives(name, grade, Post, GOOD, Raw(script), why)
}

/// Methods and scripts.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    survives("head", Inferred, Other, GOOD, By("HEAD"),
        "Uptime checks and link previews send HEAD; frameworks route it to the GET handler, \
         which fails without parameters."),
    survives("options", Inferred, Other, GOOD, By("OPTIONS"),
        "Browsers ask by OPTIONS before they post, and so do scanners; a 501 or 405 is fine, a \
         failure is not."),
    raw("cut-short", Hostile, Script::CutShort,
        "A sender can die half-way through the body; whoever parses the half without a look at \
         its length fails, or waits for ever."),
    raw("stalled-body", Hostile, Script::Stalled,
        "A sender can fall silent half-way through; a server that reads one request at a time \
         serves nobody until it speaks again."),
    raw("stalled-head", Hostile, Script::HalfHead,
        "Half a head and then nothing is the oldest attack on web servers; one thread for \
         everybody waits with it."),
    raw("nothing-but-a-connection", Hostile, Script::Silent,
        "Port scanners and load balancers connect and say nothing; one thread for everybody \
         waits with them."),
    raw("reset-mid-body", Hostile, Script::Reset,
        "A mobile network or a crashed sender resets the connection; the read throws outside of \
         every try, and the loop ends."),
    raw("longer-than-announced", Hostile, Script::TooLong,
        "More bytes than announced look like a second, broken request; the first must still be \
         answered or dropped in peace."),
    raw("byte-by-byte", Hostile, Script::Dripped(Duration::from_millis(1)),
        "A slow line brings a byte at a time; code that calls read once takes the first byte for \
         all."),
    raw("half-closed", Inferred, Script::HalfClosed,
        "Some scripts close their side after sending; that is allowed, and an answer is still \
         wanted."),
    raw("chunked", Inferred, Script::Chunked(64),
        "Tunnels and proxies may pass a body on in chunks, without a Content-Length; int(None) \
         is the usual end of it."),
    raw("expect-continue", Inferred, Script::ExpectContinue(Duration::from_millis(500)),
        "curl and .NET ask with Expect: 100-continue before a body; a server that knows nothing \
         of it keeps both waiting."),
    raw("http-1-0", Inferred, Script::Http10,
        "Old proxies and health checks speak HTTP/1.0, without a Host; code that takes Host for \
         granted fails."),
    raw("pipelined", Hostile, Script::Pipelined,
        "Two requests in one piece: what reads all there is takes both for one body."),
    raw("length-beyond-memory", Hostile, Script::Length("1099511627776"),
        "A length of a terabyte costs nothing to announce; a server that makes room for it first \
         ends there."),
    raw("length-negative", Hostile, Script::Length("-1"),
        "A negative length is no length; read(-1) means everything, and waits for ever."),
    raw("length-no-number", Hostile, Script::Length("many"),
        "A length in words: int() throws before the handler's try begins."),
    raw("length-and-chunks", Hostile, Script::LengthAndChunks,
        "A length and chunks at once is how requests are smuggled past proxies; refusing it is \
         right, failing is not."),
    raw("tls-to-http", Hostile, Script::TlsHello,
        "Scanners and https:// typed for http:// bring a TLS hello; it is no HTTP, and must end \
         that one connection only."),
    raw("huge-header", Hostile, Script::HugeHeader,
        "A header of 100 KiB is beyond every limit; the answer is 431 or a close, not the end."),
    survives("put", Hostile, Other, GOOD, By("PUT"),
        "Scanners try every method; a 405 or 404 is fine, a failure is not."),
];
