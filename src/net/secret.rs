//! Masks passwords and tokens in URLs and headers with [`MASK`].
//!
//! The text need not be a valid URL. Userinfo and the values of parameters and headers with secret names are masked;
//! the rest stays byte for byte. Only *names* decide, so that the fields of a CDR stay readable. Only displayed text is
//! masked: saved and sent requests keep their secrets unless redaction is on.

use std::ops::Range;

use heck::ToSnakeCase as _;
use percent_encoding::percent_decode_str;

use super::{Header, Request, is_one_of};

pub const MASK: &str = "***";

/// Words that make a parameter or header name secret if they are a part of the name, as in `x-api-key` or
/// `accessToken`.
const SECRET_WORDS: &str = "apikey assertion auth authorization bearer cookie cred credential csrf \
    hash hmac jwt key mfa nonce oauth otp pass passcode passphrase passwd password pin psk psw pwd \
    salt saml secret sess session sid sig sign signature sso ticket tok token totp verifier xsrf";

/// Words that make a parameter or header name secret at its end even without a separator, as in `accesstoken`.
const SECRET_ENDINGS: &str = "accesscode access_code accesskey apikey appkey authcode authkey \
    passkey passwd password privatekey secret secretkey sessid sessionid signature token userpass";

/// Parameter and header names that contain a secret word but whose values are not secret.
const HARMLESS_NAMES: &str = "idempotency-key sec-websocket-key";

/// Common headers without secrets, skipped first to save time.
const USUAL_HEADERS: &str = "accept connection content-length content-type date host keep-alive \
    server transfer-encoding user-agent";

/// Headers whose value is a URL, masked by [`masked_url`].
const URL_HEADERS: &str = "content-location link location origin referer refresh x-forwarded-uri \
    x-original-uri x-original-url x-rewrite-url";

/// Masks the userinfo and the secret parameters of a URL or request target.
///
/// Invalid URLs are masked too, since an error message must not leak a secret. Ambiguous text is masked rather than
/// shown.
pub fn masked_url(text: &str) -> String {
    let masked = masked_once(text);
    // A mask can hide the colon before `//`, in which case the userinfo is found in another place on the second pass.
    if masked == text {
        masked
    } else {
        masked_url(&masked)
    }
}

fn masked_once(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    if let Some(userinfo) = userinfo(text) {
        masked.extend([&text[..userinfo.start], MASK]);
        rest = &text[userinfo.end..];
    }
    let parameters = rest.find(['?', '#']).map_or(rest.len(), |mark| mark + 1);
    let (place, parameters) = rest.split_at(parameters);
    for segment in place.split_inclusive('/') {
        mask_parameter(segment, &['/', '?', '#'], &mut masked);
    }
    for piece in parameters.split_inclusive(['&', '#']) {
        mask_parameter(piece, &['&', '#'], &mut masked);
    }
    masked
}

/// The byte range of a URL's userinfo: after `//`, or from the beginning of text without a scheme, up to an `@`. A
/// request target has no userinfo.
///
/// A password with an unescaped `/`, `?` or `#` ends the authority too early. The text in the place of a port is then
/// no number, and the userinfo is taken to end at the last `@`.
fn userinfo(text: &str) -> Option<Range<usize>> {
    let beginning = text.find(['?', '#']).unwrap_or(text.len());
    let start = match text[..beginning].find("//") {
        Some(slashes) if slashes == 0 || text[..slashes].ends_with(':') => slashes + 2,
        _ if text.starts_with(['/', '?', '#']) => return None,
        _ => 0,
    };
    let rest = &text[start..];
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let at_sign = authority.rfind('@').or_else(|| {
        // Colons within the brackets of an IPv6 address do not begin a port.
        let in_brackets = authority.starts_with('[').then(|| authority.find(']'));
        let after_brackets = &authority[in_brackets.flatten().unwrap_or(0)..];
        let (_, port) = after_brackets.split_once(':')?;
        let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        rest.rfind('@').filter(|_| !is_port)
    })?;
    Some(start..start + at_sign)
}

/// Appends one parameter of a URL with its separators; the value of a secret `name=value` is masked.
///
/// Some servers also separate parameters by `;`, and a value may hold a URL with a query of its own. A secret name
/// masks the remainder of the parameter, beyond these separators too.
fn mask_parameter(piece: &str, separators: &[char], masked: &mut String) {
    let content = piece.trim_end_matches(separators);
    for part in content.split_inclusive([';', '?']) {
        if let Some((name, value)) = part.split_once('=')
            && !value.is_empty()
            && is_secret_name(&percent_decode_str(name).decode_utf8_lossy())
        {
            masked.extend([name, "=", MASK]);
            break;
        }
        // A value may hold a percent-encoded URL with a query of its own. Twice is enough: each pass costs time, and a
        // hostile target may be escaped a thousand times.
        let decoded = percent_decode_str(part).decode_utf8_lossy();
        let decoded = percent_decode_str(&decoded).decode_utf8_lossy();
        let is_secret = |pair: &str| {
            let pair = pair.split_once('=');
            pair.is_some_and(|(name, value)| !value.is_empty() && is_secret_name(name))
        };
        if part.contains('%') && decoded.split(['?', '&', ';', '#', '/']).any(is_secret) {
            let name = part.find('=').map_or("", |equals| &part[..=equals]);
            masked.extend([name, MASK]);
            break;
        }
        masked.push_str(part);
    }
    masked.push_str(&piece[content.len()..]);
}

pub(crate) fn masked_request(request: &Request) -> Request {
    Request {
        target: masked_url(&request.target),
        headers: masked_headers(request.headers.clone()),
        ..request.clone()
    }
}

pub(crate) fn masked_headers(mut headers: Vec<Header>) -> Vec<Header> {
    for Header { name, value } in &mut headers {
        if is_one_of(name, USUAL_HEADERS) {
            continue;
        }
        if is_secret_name(name) {
            *value = MASK.into();
        } else if is_one_of(name, URL_HEADERS) {
            *value = masked_url(&String::from_utf8_lossy(value)).into();
        }
    }
    headers
}

/// Returns whether a parameter or header name is secret. `code` is the name of login codes, `country_code` is harmless.
pub(crate) fn is_secret_name(name: &str) -> bool {
    // Names may be numbered, as in `password2`.
    let name = name.trim().trim_end_matches(|c: char| c.is_ascii_digit());
    let whole = name.to_lowercase();
    let mut endings = SECRET_ENDINGS.split(' ');
    let has_secret_word = |name: &str| {
        let words = name.to_snake_case();
        let mut words = words.split('_').map(singular);
        words.any(|word| is_one_of(word, SECRET_WORDS))
    };
    let is_secret = whole == "code"
        || endings.any(|ending| singular(&whole).ends_with(ending))
        || has_secret_word(name)
        || has_secret_word(&whole);
    is_secret && !is_one_of(&whole, HARMLESS_NAMES)
}

fn singular(word: &str) -> &str {
    match word.strip_suffix('s') {
        Some(single) if !single.ends_with('s') => single,
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_go_and_everything_else_stays() {
        for (text, expected) in [
            (
                "https://h.test/webhook?token=abc&a=b",
                "https://h.test/webhook?token=***&a=b",
            ),
            ("/webhook?token=abc#part", "/webhook?token=***#part"),
            ("/webhook?a=1&API_KEY=abc", "/webhook?a=1&API_KEY=***"),
            (
                "/webhook?x-api-key=abc&accessToken=d",
                "/webhook?x-api-key=***&accessToken=***",
            ),
            (
                "/webhook?APIKey=abc&accesstoken=d",
                "/webhook?APIKey=***&accesstoken=***",
            ),
            ("/webhook?%74oken=abc", "/webhook?%74oken=***"),
            (
                "/go?next=http%3A%2F%2Fh.test%2F%3Fsig%3Dabc&a=%3d&%2574oken=b",
                "/go?next=***&a=%3d&%2574oken=***",
            ),
            (
                "/a;jsessionid=abc?PHPSESSID=d&csrf=e&password2=f",
                "/a;jsessionid=***?PHPSESSID=***&csrf=***&password2=***",
            ),
            (
                "/webhook?custom[token]=abc&code=1",
                "/webhook?custom[token]=***&code=***",
            ),
            (
                "/webhook?a=1;token=abc;b=2&c=3",
                "/webhook?a=1;token=***&c=3",
            ),
            (
                "/go?next=http://h.test/?sig=abc",
                "/go?next=http://h.test/?sig=***",
            ),
            ("/page#token=abc", "/page#token=***"),
            ("/a;token=abc/b;v=1?c=2", "/a;token=***/b;v=1?c=2"),
            (
                "/?hmac=1&pin=2&sid=3&cred=4&hash=5&nonce=6",
                "/?hmac=***&pin=***&sid=***&cred=***&hash=***&nonce=***",
            ),
            ("http://u:p@h.test:80/x", "http://***@h.test:80/x"),
            ("http://u:p@ss@h.test/x", "http://***@h.test/x"),
            ("http://u:p/a?s#s@h.test/x", "http://***@h.test/x"),
            ("u:p@localhost:5000/x", "***@localhost:5000/x"),
            ("http:/u:p@localhost/x", "***@localhost/x"),
            ("//u@h.test", "//***@h.test"),
            ("a@token=b:c://h.test", "***@token=***//h.test"),
        ] {
            assert_eq!(masked_url(text), expected);
        }
    }

    #[test]
    fn what_is_no_secret_is_left_alone() {
        for text in [
            "",
            "?",
            "/",
            "/webhook?",
            "/webhook?token",
            "/webhook?token=&a",
            "/webhook?mail=u@h.test&&author=me&monkey=1&country_code=91",
            "http://[::1]:5000/a@b?x=:y@z",
            "localhost:5000/webhook",
            "http://h.test:5000//a//b",
            "/webhook?call_id=1&request_id=2&cmiuuid=3&appid=4&user=5&time=6&leg=a&missed=true&hangup_reason=x",
            "/webhook?virtual_number=1&answeredsec=2&custom=3&extra_params[x]=4&conversation_uuid=5&to=6&from=7",
        ] {
            assert_eq!(masked_url(text), text);
        }
    }

    #[test]
    fn secret_headers_are_known_by_their_names() {
        for name in [
            "Authorization",
            "proxy-authorization",
            "Cookie",
            "Set-Cookie",
            "X-API-Key",
            "X-Hub-Signature-256",
            "x-auth-token",
            "X-Credentials",
            "access_code",
            "authCode",
            "AccessKey",
            "app-key",
            "authkey",
            "privatekey",
            "secretkey",
            "passkey",
            "passcode",
            "userpass",
            "oauth_verifier",
            "code_verifier",
            "SAMLResponse",
            "sess_id",
            "sign",
            "sso",
            "totp",
            "wpa_psk",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "Content-Type",
            "Idempotency-Key",
            "X-Request-Id",
            "User-Agent",
            "Author",
            "X-Status-Code",
            "zip_code",
            "Content-Digest",
            "assigned",
            "design",
            "turkey",
            "assess",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn headers_are_masked() {
        let shown = masked_headers(vec![
            Header::new("Authorization", "Basic abc"),
            Header::new("Location", "/x?token=abc"),
            Header::new("Refresh", "0; url=http://u:p@h/?token=abc"),
            Header::new("Content-Type", "text/plain"),
        ]);
        let values: Vec<_> = shown.iter().map(Header::text).collect();
        assert_eq!(
            values,
            [
                MASK,
                "/x?token=***",
                "0; url=http://***@h/?token=***",
                "text/plain"
            ]
        );
    }

    proptest! {
        #[test]
        fn a_secret_value_never_appears(
            before in "(https?://[a-z]{1,8}(:[0-9]{2})?)?/[a-z/]{0,8}\\?([a-f]=[0-9]&){0,3}",
            name in prop::sample::select(vec!["token", "Api-Key", "user_password", "sessionId", "SIG", "x[secret]"]),
            value in "[^&#]{0,10}S3CR3T[^&#]{0,10}",
            after in "(&[a-f]=[0-9;?@]{0,5}){0,3}",
        ) {
            let masked = masked_url(&format!("{before}{name}={value}{after}"));
            prop_assert_eq!(masked, format!("{before}{name}={MASK}{after}"));
        }

        #[test]
        fn userinfo_never_appears(
            scheme in "(https?:)?//",
            user in "[^:@/?#\\[]{0,6}",
            password in "[^0-9@:/?#][^@]{0,5}S3CR3T[^@]{0,5}",
            after in "[a-z]{1,8}(:[0-9]{2})?/[a-z/]{0,8}",
        ) {
            let masked = masked_url(&format!("{scheme}{user}:{password}@{after}"));
            prop_assert!(!masked.contains("S3CR3T"), "{}", masked);
            let expected = format!("@{after}");
            prop_assert!(masked.ends_with(&expected), "{}", masked);
        }

        #[test]
        fn any_text_is_survived_and_masking_twice_changes_nothing_more(text in any::<String>()) {
            let once = masked_url(&text);
            prop_assert_eq!(masked_url(&once), once);
        }
    }
}
