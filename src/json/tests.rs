//! What is JSON and what is not.

use super::*;
use proptest::prelude::*;

#[test]
fn members_keep_order_repeats_and_digits() {
    let text =
        br#" {"a":1.50,"b":{"c":[1,{"d":2}]},"a":"x\u0041\ud83d\ude00","e":[],"f":18446744073709551616} "#;
    let Ok(Document::Object(members)) = document(text) else {
        panic!("not an object")
    };
    let seen: Vec<_> = members.iter().map(|m| (&*m.name, m.raw)).collect();
    assert_eq!(
        seen,
        [
            ("a", "1.50"),
            ("b", r#"{"c":[1,{"d":2}]}"#),
            ("a", r#""x\u0041\ud83d\ude00""#),
            ("e", "[]"),
            ("f", "18446744073709551616"),
        ]
    );
    assert_eq!(unquoted(members[2].raw), "xA😀");
    assert_eq!(unquoted(r#""\ud800!""#), "\u{fffd}!");
}

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    for (text, expected) in [
        ("", "there is no text at line 1 column 1"),
        (
            "{\n a: 1}",
            "expected a name in double quotes at line 2 column 2",
        ),
        ("{'a':1}", "a name in single quotes at line 1 column 2"),
        (
            "{\"a\":'b'}",
            "a string in single quotes at line 1 column 6",
        ),
        (
            "{\"a\":1,}",
            "a comma before the closing brace at line 1 column 8",
        ),
        (
            "[1,]",
            "a comma before the closing bracket at line 1 column 4",
        ),
        (
            "[1 2]",
            "expected a comma or the closing bracket at line 1 column 4",
        ),
        (
            "{\"a\" 1}",
            "expected a colon after the name at line 1 column 6",
        ),
        ("01", "a number that JSON does not allow at line 1 column 1"),
        ("1.", "a number that JSON does not allow at line 1 column 1"),
        (
            "\"a\nb\"",
            "a line break inside a string at line 1 column 3",
        ),
        (
            "\"\\x\"",
            "an escape that JSON does not have at line 1 column 2",
        ),
        (
            "\"é",
            "a string without its closing quote at line 1 column 1",
        ),
        (
            "{\"a\":1",
            "the text ends in the middle of a value at line 1 column 7",
        ),
        (
            "{} x",
            "more text after the end of the value at line 1 column 4",
        ),
        ("NaN", "expected a value at line 1 column 1"),
        ("[}", "expected a value at line 1 column 2"),
    ] {
        let fault = tokens(text.as_bytes()).unwrap_err();
        assert_eq!(fault.to_string(), expected, "{text:?}");
    }
    assert!(tokens(b"\"\xff\"").is_err());
    assert!(tokens("\u{feff}{}".as_bytes()).is_err());
}

#[test]
fn nesting_stops_at_the_limit() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(tokens(nested(DEEPEST).as_bytes()).is_ok());
    assert!(tokens(nested(DEEPEST + 1).as_bytes()).is_err());
    assert!(tokens("[".repeat(100_000).as_bytes()).is_err());
}

proptest! {
    /// serde_json is the second opinion. It also refuses numbers out of f64's range and lone surrogates, which the
    /// grammar allows, so only texts without either are compared.
    #[test]
    fn the_scanner_agrees_with_serde_json(text in r#"[\[\]{}:," \\0-9a1e.+-]{0,24}"#) {
        let ours = tokens(text.as_bytes()).is_ok();
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        let beyond = theirs.as_ref().is_err_and(|e| e.to_string().contains("out of range"));
        prop_assert!(beyond || ours == theirs.is_ok(), "{text:?}: {theirs:?}");
    }

    #[test]
    fn any_value_written_by_serde_json_is_read(text in any::<String>(), number in any::<f64>()) {
        let value = serde_json::json!({ &text: [text, number, { "x": null }] });
        prop_assert!(tokens(serde_json::to_string_pretty(&value).unwrap().as_bytes()).is_ok());
    }
}

#[test]
fn every_byte_that_needs_an_escape_is_found_wherever_it_stands() {
    for byte in 0..=u8::MAX {
        let is_special = matches!(byte, b'"' | b'\\' | 0..=0x1f);
        for place in 0..20 {
            let mut bytes = [b'!'; 20];
            bytes[place] = byte;
            // What follows the first one does not matter.
            bytes[(place + 1).min(19)] = if place < 19 { b'"' } else { byte };
            let next = (place + 1).min(20);
            assert_eq!(
                unescaped(&bytes),
                if is_special { place } else { next },
                "{byte} at {place}"
            );
        }
    }
    assert_eq!(unescaped(&[b'a'; 23]), 23);
}

#[test]
fn escapes_are_resolved_wherever_they_stand() {
    for (raw, text) in [
        (r#""\\\"\/\b\f\n\r\t""#, "\\\"/\u{8}\u{c}\n\r\t"),
        (r#""a\u0041\u00e9é\ud83d\ude00z""#, "aAéé😀z"),
        (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
        (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
        (r#""\ud83dA\u0041""#, "\u{fffd}AA"),
        (r#""\ud83d\n""#, "\u{fffd}\n"),
    ] {
        assert_eq!(unquoted(raw), text, "{raw}");
    }
}
