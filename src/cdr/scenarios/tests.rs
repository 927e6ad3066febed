use super::*;
use crate::cdr::account::AccountOptions;
use crate::cdr::{Fields, Shape};
use std::collections::HashSet;

fn setting(shape: Shape, call_ids: CallIds) -> GenerateOptions {
    GenerateOptions {
        account: Account::new(&AccountOptions::default(), Seed(7)),
        shape,
        call_ids,
        at: "2026-11-22T09:00:00Z".parse().unwrap(),
        seed: Seed(7),
    }
}

fn fields(name: &str, setting: &GenerateOptions) -> Vec<Fields> {
    let (_, told) = generate(choices(name)[0], 0, setting);
    told.iter().map(|told| told.cdr.fields()).collect()
}

/// Seed and time determine the bytes, on any machine and in every version, so the snapshot must not change.
#[test]
fn the_same_seed_and_time_are_the_same_bytes() {
    let setting = setting(Shape::Docs, CallIds::Shared);
    let (_, told) = generate(choices("customer-no-answer")[0], 3, &setting);
    let lines: Vec<_> = told
        .iter()
        .map(|t| String::from_utf8(t.cdr.json()).unwrap())
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    {"virtual_number":"910000000000","call_id":"f04a680c-60f5-1240-4d9c-56005b06b924","custom":"{\"crm\":\"true\"}","leg":"b","type":"cdr","appid":2222223,"to":61491570156,"cmiuuid":"243e7adb-5f56-4b86-aee9-5bf724c33f22","status":"missed","user":"101_2222223","time":1795338000000,"direction":"outbound","hangup_reason":"recv_cancel","request_id":"dbkS9oDlFcvPQTqQMYFI5YmM2VXuglPhnLRpp01TouR","extra_params":"{\"click2call\":\"true\"}"}
    {"virtual_number":"910000000000","call_id":"f04a680c-60f5-1240-4d9c-56005b06b924","custom":"{\"crm\":\"true\"}","leg":"a","type":"cdr","appid":2222223,"to":442079460086,"cmiuuid":"7016bb50-91c4-4048-a013-ef1ba1830fa4","status":"answered","user":"101_2222223","time":1795338000000,"direction":"outbound","answeredsec":28,"hangup_reason":"recv_bye","request_id":"dbkS9oDlFcvPQTqQMYFI5YmM2VXuglPhnLRpp01TouR","extra_params":"{\"click2call\":\"true\"}"}
    "#);
}

#[test]
fn the_legs_of_a_call_share_what_they_should() {
    let legs = fields("customer-no-answer", &setting(Shape::Docs, CallIds::Shared));
    for shared in ["call_id", "request_id", "time", "user", "virtual_number"] {
        assert_eq!(legs[0][shared], legs[1][shared], "{shared}");
    }
    for own in ["cmiuuid", "to", "leg", "status"] {
        assert_ne!(legs[0][own], legs[1][own], "{own}");
    }
    let legs = fields("customer-no-answer", &setting(Shape::Docs, CallIds::PerLeg));
    assert_ne!(legs[0]["call_id"], legs[1]["call_id"]);
}

#[test]
fn softphone_calls_lack_what_click2call_adds() {
    for name in ["softphone-no-answer", "softphone-rejected"] {
        let cdr = &fields(name, &setting(Shape::Docs, CallIds::Shared))[0];
        assert!(!cdr.contains_key("request_id") && !cdr.contains_key("extra_params"));
    }
}

#[test]
fn live_typing_is_what_was_seen_live() {
    let cdr = &fields("agent-no-answer", &setting(Shape::Live, CallIds::Shared))[0];
    assert!(cdr["virtual_number"].is_number() && cdr["extra_params"].is_object());
    assert_eq!(cdr["custom"], "false");
}

#[test]
fn the_documented_samples_are_the_fixtures() {
    for (leg, fixture) in [
        (Leg::A, include_str!("../../../fixtures/docs-leg-a.json")),
        (Leg::B, include_str!("../../../fixtures/docs-leg-b.json")),
    ] {
        let json = documented(leg).json();
        assert_eq!(String::from_utf8(json).unwrap(), fixture.trim_end());
    }
}

#[test]
fn a_payload_is_written_as_its_fields_would_be() {
    let options = AccountOptions {
        custom: Some("a \"b\" \\ \n \u{7f}\u{202e}é".to_owned()),
        extra_params: Some(r#"{"k":[1,null,"é"]}"#.to_owned()),
        ..AccountOptions::default()
    };
    for shape in [Shape::Docs, Shape::Live] {
        let account = Account::new(&options, Seed(7));
        let setting = GenerateOptions {
            account,
            ..setting(shape, CallIds::Shared)
        };
        for choice in choices("all") {
            let (_, told) = generate(choice, 5, &setting);
            for cdr in told.into_iter().map(|told| told.cdr) {
                let json = String::from_utf8(cdr.json()).unwrap();
                assert_eq!(json, serde_json::to_string(&cdr.fields()).unwrap());
            }
        }
    }
}

#[test]
fn groups_hold_what_they_say() {
    assert_eq!(choices("all").len(), CATALOGUE.len());
    assert_eq!(choices("click2call").len(), 5);
    assert_eq!(choices("softphone").len(), 2);
    assert_eq!(choices("mix"), [ScenarioChoice::Mixture]);
    assert_eq!(choices("agent"), []);
    assert_eq!(CATALOGUE.iter().map(|story| story.weight).sum::<u32>(), 100);
}

#[test]
fn a_mixture_holds_every_weighted_story_and_no_identifier_twice() {
    let setting = setting(Shape::Docs, CallIds::PerLeg);
    let (mut names, mut ids, mut cdrs) = (HashSet::new(), HashSet::new(), 0);
    for n in 0..2_000 {
        let (story, told) = generate(ScenarioChoice::Mixture, n, &setting);
        names.insert(story.name);
        for told in told {
            let fields = told.cdr.fields();
            ids.insert(fields["cmiuuid"].clone());
            ids.insert(fields["call_id"].clone());
            cdrs += 2;
        }
    }
    assert_eq!(
        names.len(),
        CATALOGUE.iter().filter(|story| story.weight > 0).count()
    );
    assert_eq!(ids.len(), cdrs);
}
