#![no_main]

#[allow(dead_code, reason = "each target calls one of them")]
#[path = "../../tests/it/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::a_reply(bytes));
