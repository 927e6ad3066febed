//! Checks that every promise of `docs/promises.md` has tests.

use std::fs;
use std::path::{Path, PathBuf};

/// The promises: name, text, and the tests that fail when the promise is broken.
const PROMISES: &[(&str, &str, &[&str])] = &[
    (
        "R0",
        "every request becomes one exchange with a stated outcome, every other connection is counted",
        &[
            "any_bytes_end_in_a_stated_outcome_and_harm_nobody_else",
            "a_panic_costs_no_other_exchange_its_record",
            "all_connection_errors_are_told_within_seconds",
            "every_connection_that_brings_no_request_is_counted",
            "a_nuisance_gets_a_bounded_number_of_remarks",
        ],
    ),
    (
        "W1",
        "no Host, or two: 400, shown",
        &["w1_one_host_is_needed"],
    ),
    (
        "W2",
        "HTTP/1.0 is served as such",
        &["w2_http_1_0_is_served_as_such"],
    ),
    (
        "W3",
        "what is no HTTP/1 is closed with a hint, and counted",
        &[
            "w3_what_is_not_http_1_is_closed",
            "connections_that_bring_no_request_are_counted_and_told_with_a_hint",
        ],
    ),
    (
        "W4",
        "heads and targets have a largest size",
        &["w4_heads_and_targets_have_a_largest_size"],
    ),
    (
        "W5",
        "a broken body is 400, shown as far as it came",
        &[
            "w5_a_broken_body_is_shown_as_far_as_it_came",
            "w5_a_malformed_request_is_shown_too",
            "w5_a_sender_that_vanishes_is_still_an_arrival",
        ],
    ),
    (
        "W6",
        "a length stated twice is remarked on, with --strict refused",
        &[
            "w6_a_length_stated_twice_is_noticed",
            "w6_a_length_stated_twice_is_answered_and_refused_if_strict",
            "w6_a_pipelined_length_stated_twice_is_noticed_too",
        ],
    ),
    (
        "W7",
        "100 Continue only when the body is wanted",
        &["w7_the_body_is_asked_for_only_when_it_is_wanted"],
    ),
    (
        "W8",
        "pipelined requests are answered in order",
        &[
            "w8_pipelined_requests_are_answered_in_order",
            "w8_every_pipelined_request_is_an_exchange",
        ],
    ),
    (
        "W9",
        "odd methods and targets are answered properly",
        &[
            "w9_odd_methods_and_targets_harm_nobody",
            "methods_that_carry_no_cdr_are_answered_properly",
        ],
    ),
    (
        "W10",
        "a head, a body and an answer have their time",
        &[
            "w10_a_head_has_its_time",
            "w10_a_body_has_its_time",
            "w10_an_answer_has_its_time",
            "a_body_that_does_not_come_is_answered_408",
        ],
    ),
    (
        "W11",
        "many connections and few descriptors: the longest idle makes room",
        &[
            "w11_the_longest_idle_makes_room",
            "w11_when_all_are_busy_the_next_one_waits",
            "w11_few_file_descriptors_are_enough",
            "w11_a_head_that_is_arriving_outlasts_silent_connections",
            "w11_a_good_request_is_answered_while_bodies_drip",
        ],
    ),
    (
        "W12",
        "a body over the limit is 413 that is heard, and costs no memory",
        &[
            "w12_a_large_body_is_refused_so_that_the_sender_hears_it",
            "w12_the_size_of_a_large_body_is_known_if_it_ends",
            "w12_a_huge_upload_costs_no_memory",
        ],
    ),
    (
        "W13",
        "a signal ends it in order, a second one at once",
        &[
            "w13_what_is_in_flight_is_finished",
            "w13_nothing_keeps_the_door_open",
            "a_second_signal_waits_for_nobody",
        ],
    ),
    (
        "W14",
        "a port that cannot be had is one line and 2",
        &[
            "a_port_that_is_taken_stops_it_before_it_is_ready",
            "a_host_that_is_not_ours_is_named",
        ],
    ),
    (
        "J1",
        "what is JSON is taken, what is not is refused with its place",
        &[
            "tokens_are_the_whole_text",
            "what_is_not_json_is_refused_with_its_place",
            "what_cannot_be_read_is_answered_400_with_the_place",
            "every_kept_input_is_survived",
        ],
    ),
    (
        "J2",
        "127 levels are read, any number is harmless",
        &[
            "nesting_stops_at_the_limit",
            "j2_nesting_without_end_is_harmless",
        ],
    ),
    (
        "J3",
        "nothing is rounded",
        &[
            "members_keep_order_repeats_and_digits",
            "of_what_no_value_can_hold_nothing_false_is_said",
            "j3_what_a_reader_would_round_is_kept_as_it_came",
        ],
    ),
    (
        "J4",
        "another content type is a remark, with --strict 415",
        &[
            "bodies_in_other_forms_are_named",
            "strictness_refuses_departures_and_ends_in_a_failure",
        ],
    ),
    (
        "J5",
        "forms, parts and compressed bodies are named",
        &["bodies_in_other_forms_are_named"],
    ),
    (
        "J6",
        "a query is kept as it came, its oddities remarked on",
        &[
            "broken_encoding_is_kept_and_reported",
            "j6_a_query_is_kept_as_it_came",
        ],
    ),
    (
        "J7",
        "what is no object is shown and remarked on",
        &[
            "broken_payloads_get_the_remarks_beside_them",
            "what_cannot_be_read_is_answered_400_with_the_place",
        ],
    ),
    (
        "J8",
        "what is saved or forwarded are the bytes that came",
        &[
            "whatever_came_goes_again_exactly",
            "the_handler_gets_the_same_request_and_its_answer_goes_back",
        ],
    ),
    (
        "T1",
        "received text is harmless and readable, for every scalar value",
        &[
            "every_scalar_value_is_harmless_afterwards",
            "strangers_cannot_touch_the_terminal_of_a_listener",
        ],
    ),
    (
        "T2",
        "a field is one line, and column 0 is ours",
        &[
            "strangers_cannot_touch_the_terminal_of_a_listener",
            "a_narrow_terminal_is_enough",
            "every_line_fits_and_nothing_is_dropped",
        ],
    ),
    (
        "T3",
        "a body is shown in bounds",
        &["only_so_much_is_shown", "a_long_body_is_cut"],
    ),
    (
        "T4",
        "output that is not read slows nobody",
        &[
            "t4_output_that_nobody_reads_slows_no_request",
            "t4_what_waits_to_be_shown_is_bounded_by_the_memory_it_takes",
        ],
    ),
    (
        "T5",
        "records are safe for cat",
        &["records_are_safe_to_print", "a_line_is_safe_and_reads_back"],
    ),
    (
        "C1",
        "what was acknowledged is on file",
        &[
            "whatever_was_acknowledged_is_on_file_after_a_kill",
            "every_exchange_is_on_file_once_and_in_order",
            "nothing_good_is_said_of_what_was_not_saved",
        ],
    ),
    (
        "C2",
        "a torn last line is skipped, a bad one named",
        &[
            "a_torn_last_line_is_skipped_with_a_warning",
            "what_is_broken_in_a_capture_is_named_and_the_rest_is_sent",
            "after_a_torn_line_a_new_one_is_begun",
        ],
    ),
    (
        "C3",
        "what cannot be saved is answered 503, shown, and a failure",
        &[
            "a_full_disk_is_answered_503_and_shown_and_counted",
            "when_there_is_room_again_it_works_again",
            "a_file_removed_under_its_hands_is_begun_anew",
        ],
    ),
    (
        "C4",
        "one file, one listener",
        &[
            "one_file_one_listener",
            "a_second_listener_is_refused_until_the_first_is_gone",
        ],
    ),
    (
        "C5",
        "a capture is its owner's alone",
        &[
            "it_is_made_for_its_owner_alone",
            "it_is_made_for_its_owner_and_others_are_warned_about",
        ],
    ),
    (
        "C6",
        "secrets are masked on screen, numbers in the file if that was asked for",
        &[
            "no_secret_of_a_stranger_or_a_handler_is_seen_at_a_listener",
            "a_pretty_listener_masks_on_screen_what_it_saves_as_it_came",
            "what_is_redacted_can_be_published_and_still_joins_up",
            "no_planted_number_survives",
            "secrets_are_masked_where_they_are_shown_and_kept_where_they_are_saved",
        ],
    ),
    (
        "C7",
        "a hostile capture is sent whole or not at all",
        &[
            "c7_a_hostile_capture_smuggles_nothing",
            "what_would_become_another_request_is_never_sent",
        ],
    ),
    (
        "S1",
        "redirects are failures",
        &[
            "a_redirect_is_not_followed",
            "redirects_are_failures_and_nothing_is_sent_twice",
        ],
    ),
    (
        "S2",
        "no proxy for loopback, and any other is named",
        &[
            "a_proxy_in_the_environment_is_not_for_this_machine",
            "no_password_of_a_proxy_is_seen",
        ],
    ),
    (
        "S3",
        "no secret is seen",
        &[
            "no_secret_of_a_sender_is_seen_however_it_ends",
            "no_secret_is_seen_in_what_is_replayed",
            "no_secret_is_seen_in_a_suite",
            "no_secret_is_seen_in_a_usage_error",
        ],
    ),
    (
        "S4",
        "every phase has its time and its name",
        &[
            "every_silence_ends_and_its_phase_is_named",
            "a_silent_handshake_is_a_phase_of_its_own",
        ],
    ),
    (
        "S5",
        "a thousand posts, none lost, none twice",
        &["a_thousand_posts_to_a_peer_that_closes_all_arrive_once"],
    ),
    (
        "S6",
        "no answer harms the sender",
        &[
            "endless_answers_are_cut_and_full_ones_are_not",
            "a_handler_cannot_touch_the_terminal_of_a_sender",
        ],
    ),
    (
        "S7",
        "one outcome each, and memory that does not grow with the count",
        &[
            "nothing_is_lost_or_made_up_by_reordering",
            "s7_memory_does_not_grow_with_the_count",
        ],
    ),
    (
        "S8",
        "Ctrl-C is counted to the end, a second one ends at once",
        &[
            "an_interruption_is_counted_to_the_end",
            "s8_a_second_interruption_ends_a_sender_at_once",
        ],
    ),
    (
        "S9",
        "wherever output ends, the program ends well",
        &[
            "a_reader_that_has_gone_is_a_quiet_success_of_every_mode",
            "a_full_disk_is_one_line_and_a_failure_of_every_mode",
            "streams_that_are_not_there_are_no_panic",
        ],
    ),
    (
        "S10",
        "what cannot be sent is refused before anything is",
        &[
            "headers_hold_no_line_breaks",
            "addresses_that_cannot_be_sent_to_are_refused",
            "what_cannot_be_sent_exactly_is_not_sent",
        ],
    ),
    (
        "S11",
        "much for another machine must be meant",
        &["much_for_another_machine_must_be_meant"],
    ),
    (
        "S12",
        "TLS is verified, and -k said",
        &[
            "what_is_wrong_with_a_certificate_is_told_apart",
            "a_named_authority_is_trusted_and_insecure_trusts_all",
            "a_plain_handler_does_not_speak_tls",
        ],
    ),
    (
        "S13",
        "the same bytes from a peer get the same verdict by every way",
        &["every_way_comes_to_the_same_verdict"],
    ),
    (
        "S14",
        "an edit that was asked for is made, or the run is refused",
        &[
            "an_edit_is_made_even_where_a_value_cannot_be_read",
            "values_that_cannot_be_read_are_edited_as_text_and_never_left_out_of_a_query",
            "what_is_no_edit_is_refused",
        ],
    ),
    (
        "I1",
        "the page has a port of its own, on this machine alone, if it was asked for",
        &[
            "it_is_off_unless_asked_for_and_every_start_has_a_token_of_its_own",
            "the_receivers_own_port_knows_no_page",
            "a_port_that_is_taken_stops_it_before_it_is_ready",
        ],
    ),
    (
        "I2",
        "a token for every start, without which nothing is told",
        &[
            "no_two_tokens_are_the_same",
            "what_holds_nothing_needs_no_token_and_everything_else_does",
            "nothing_is_told_without_the_token",
            "whoever_may_not_come_in_learns_nothing",
        ],
    ),
    (
        "I3",
        "only under this machine's own names, and not through a proxy",
        &[
            "only_this_machine_and_its_own_page_are_let_in",
            "another_host_is_never_answered",
        ],
    ),
    (
        "I4",
        "something happens only by POST, and from the same origin",
        &[
            "what_is_wanted_is_said_by_path_and_method",
            "an_exchange_is_sent_to_the_handler_again",
        ],
    ),
    (
        "I5",
        "every answer says how it may be used, and none that others may",
        &["every_answer_says_how_it_may_be_used"],
    ),
    (
        "I6",
        "nothing that comes becomes an event of its own, and raw bodies are downloads",
        &[
            "nothing_that_comes_makes_an_event_of_its_own",
            "whatever_came_is_shown_on_one_line",
            "exchanges_are_told_once_and_downloads_are_what_came",
            "what_is_taken_away_is_what_is_saved",
        ],
    ),
    (
        "I7",
        "every page sees every exchange once and in order",
        &[
            "every_subscriber_sees_every_exchange_once_and_in_order",
            "late_and_reconnecting_pages_see_every_exchange_once",
        ],
    ),
    (
        "I8",
        "so much is kept and no more, for so many pages and no more, and it says so",
        &[
            "the_oldest_go_first_and_subscribers_are_told",
            "what_is_kept_is_bounded_in_bytes",
            "what_is_forgotten_is_told",
            "there_are_so_many_streams_and_no_more",
            "whoever_does_not_read_is_cut_off",
            "only_so_much_is_sent_again_at_once",
        ],
    ),
    (
        "I9",
        "streams end with the listener",
        &[
            "streams_end_when_the_listener_does",
            "streams_end_with_the_listener",
            "a_signal_ends_streams_too",
        ],
    ),
    (
        "I10",
        "no question to the page touches the disk",
        &["no_question_to_the_page_touches_the_disk"],
    ),
];

fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src"), root.join("tests")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

fn tests() -> Vec<String> {
    let mut tests = Vec::new();
    for file in files() {
        let text = fs::read_to_string(file)
            .expect("a text")
            .replace("\r\n", "\n");
        for (at, _) in text.match_indices("test]\n") {
            let function = text[at..].lines().skip(1).find(|line| line.contains("fn "));
            let name = function
                .and_then(|line| line.split("fn ").nth(1))
                .and_then(|rest| rest.split('(').next());
            tests.extend(name.map(str::to_owned));
        }
    }
    assert!(tests.len() > 200, "the tests were not found");
    tests
}

#[test]
fn every_promise_has_a_test() {
    let tests = tests();
    for (id, _, held_by) in PROMISES {
        assert!(!held_by.is_empty(), "nothing holds {id}");
        for name in *held_by {
            assert!(
                tests.iter().any(|test| test == name),
                "{id} is held by {name}, which is no test"
            );
        }
    }
}

#[test]
fn every_documented_promise_is_named_once() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/promises.md");
    let document = fs::read_to_string(path).expect("the document");
    let mut documented: Vec<&str> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" |").next())
        .filter(|id| id.starts_with(|c: char| c.is_ascii_uppercase()))
        .collect();
    documented.sort_unstable();
    let mut named: Vec<&str> = PROMISES.iter().map(|(id, ..)| *id).collect();
    named.sort_unstable();
    assert_eq!(documented, named);
}
