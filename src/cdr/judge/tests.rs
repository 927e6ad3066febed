use super::*;
use crate::cdr::account::{Account, AccountOptions};
use crate::cdr::scenarios::{CATALOGUE, CallIds, GenerateOptions, ScenarioChoice, generate};
use crate::cdr::{Shape as Typing, Status};
use crate::clock::Timestamp;
use crate::seed::Seed;
use crate::send::edit::{Edit, edit_object};
use proptest::prelude::*;

fn setting(seed: u64, shape: Typing, call_ids: CallIds) -> GenerateOptions {
    GenerateOptions {
        account: Account::new(&AccountOptions::default(), Seed(seed)),
        shape,
        call_ids,
        at: Timestamp::from_epoch_ms(1_795_338_000_000).unwrap(),
        seed: Seed(seed),
        with_events: false,
    }
}

fn said(body: &str) -> String {
    let verdict = judge_json(body.as_bytes()).verdict;
    let mut lines = vec![format!(
        "{:?} {:?} {:?}",
        verdict.kind, verdict.generation, verdict.leg
    )];
    for remark in verdict.remarks {
        let field = remark
            .field
            .as_ref()
            .map_or("-", |field| field.as_it_came());
        lines.push(format!(
            "{:?} {field}: {}",
            remark.code,
            remark.text.as_it_came()
        ));
    }
    lines.join("\n")
}

#[test]
fn relatives_are_named() {
    insta::assert_snapshot!(said(r#"{"type":"event","app_id":1,"status":"started","leg":"b","direction":"outbound"}"#), @"
    LiveEvent None Some(B)
    OtherKind -: a live event, not a CDR
    ");
    insta::assert_snapshot!(said(r#"{"type":"cdr","direction":"inbound","from":1,"to":2,"status":"missed","appid":1,"waitedsec":3}"#), @"
    Incoming None None
    OtherKind -: the CDR of an incoming call, for which TeleCMI has another webhook
    ");
    insta::assert_snapshot!(said(r#"{"cmiuid":"x","agent":"a","duration":3,"billedsec":1}"#), @"
    RestRecord None None
    OtherKind -: a record of the REST API, not a webhook
    ");
    insta::assert_snapshot!(said(r#"{"hello":"world"}"#), @"
    Unknown None None
    OtherKind -: not a TeleCMI notification that this version knows: fewer than 4 documented fields
    ");
}

#[test]
fn what_cannot_be_read_is_named_too() {
    insta::assert_snapshot!(said("[1]"), @"
    Unreadable None None
    NotAnObject -: JSON, but not an object: array
    ");
    insta::assert_snapshot!(said(" "), @"
    Unreadable None None
    Empty -: an empty body
    ");
    insta::assert_snapshot!(said("{\n virtual_number: '44'}"), @"
    Unreadable None None
    JsLiteral -: a JavaScript literal, not JSON: expected a name in double quotes at line 2 column 2
    ");
    insta::assert_snapshot!(said("{'leg': 'a'}"), @"
    Unreadable None None
    JsLiteral -: a JavaScript literal, not JSON: a name in single quotes at line 1 column 2
    ");
    insta::assert_snapshot!(said("{\"leg\": a}"), @"
    Unreadable None None
    NotJson -: not JSON: expected a value at line 1 column 9
    ");
}

#[test]
fn of_what_no_value_can_hold_nothing_false_is_said() {
    let body = r#"{"type":"cdr","status":"missed","direction":"outbound","cmiuuid":"15b58236-734f-4000-a5e8-78284068f5c7",
        "leg":"a","call_id":"c","to":1e999,"custom":"\ud800","extra_params":{"a":1e999}}"#;
    let judged = judge_json(body.as_bytes());
    let fields = judged.fields.unwrap();
    assert_eq!(
        (&fields["custom"], &fields["extra_params"]),
        (&"\u{fffd}".into(), &serde_json::json!({}))
    );
    let on = |name: &str| {
        let remarks = judged.verdict.remarks.iter();
        remarks
            .filter(|r| r.field.as_ref().is_some_and(|f| f.as_it_came() == name))
            .map(|r| r.code)
            .collect::<Vec<_>>()
    };
    assert_eq!(on("to"), [Code::InexactNumber, Code::OddValue]);
    assert_eq!(
        (on("custom"), on("extra_params")),
        (vec![], vec![Code::Retyped])
    );
}

#[test]
fn brackets_within_brackets_are_objects_within_objects() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let pairs = [
        pair("extra_params[crm][id]", "7"),
        pair("extra_params[crm][id]", "8"),
        pair("extra_params[x]", "1"),
        pair("extra_params[x][y]", "2"),
    ];
    let judged = judge_pairs(&pairs);
    let fields = judged.fields.unwrap();
    assert_eq!(
        fields["extra_params"],
        serde_json::json!({"crm": {"id": "8"}, "x": "1"})
    );
    let repeated = judged
        .verdict
        .remarks
        .iter()
        .filter(|remark| remark.code == Code::DuplicateKey);
    assert_eq!(repeated.count(), 2);
}

#[test]
fn every_remark_is_made_not_just_the_first() {
    insta::assert_snapshot!(said(r#"{"type":"cdr","appid":2222223.0,"appid":2222223,"to":"+442079460001","cmiuuid":"x",
        "status":"missed","user":"agent","time":1650628175,"direction":"outbound","leg":"c","hangup_reason":"sent_bye",
        "virtual_number":442079460001,"custom":null,"request_id":"r","answeredsec":3,"team":"x","colour":"red"}"#), @"
    OutgoingMissed Some(Live) None
    InexactNumber appid: written as 2222223.0; documented as an integer
    DuplicateKey appid: occurs more than once; most parsers keep the last value
    Retyped virtual_number: a number; documented as a string, seen live as a number
    Missing call_id: not there
    Retyped custom: null; documented as a string
    OddValue leg: `c`; the documented values are `a` and `b`
    Retyped to: a string; documented as a number
    OddValue cmiuuid: `x`; documented as a UUID
    OddValue user: `agent`; documented as <extension>_<appid>
    OddValue time: looks like seconds; documented in milliseconds
    OddValue hangup_reason: `sent_bye` needs an answered call; a missed leg ends in recv_cancel or sent_reject
    Unexpected answeredsec: unexpected in this CDR; documented for answered CDRs
    Missing extra_params: missing, although request_id is present: click2call sends both
    Unexpected team: a field of other TeleCMI notifications
    Unknown colour: not documented
    ");
}

proptest! {
    #[test]
    fn every_generated_cdr_conforms_as_json_and_as_pairs(seed in any::<u64>(), n in 0_u64..2_000_000, which in 0..CATALOGUE.len()) {
        let setting = setting(seed, Typing::Docs, if n % 2 == 0 { CallIds::Shared } else { CallIds::PerLeg });
        for told in generate(ScenarioChoice::Scenario(&CATALOGUE[which]), n, &setting).1 {
            let judged = judge_json(&told.cdr.json());
            prop_assert_eq!(&judged.verdict.remarks, &vec![]);
            let fields = told.cdr.fields();
            let pairs: Vec<_> = fields.iter().map(|(name, value)| {
                (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            }).collect();
            prop_assert_eq!(judge_pairs(&pairs), Judgement { fields: Some(fields.clone()), ..judged.clone() });
            let kind = match told.cdr.status {
                Status::Answered => Kind::OutgoingAnswered,
                Status::Missed => Kind::OutgoingMissed,
            };
            prop_assert_eq!(judged.verdict.kind, kind);
        }
    }

    #[test]
    fn live_typing_is_recognised(seed in any::<u64>(), n in any::<u32>()) {
        let setting = setting(seed, Typing::Live, CallIds::Shared);
        let told = generate(ScenarioChoice::Mixture, n.into(), &setting).1;
        let judged = judge_json(&told[0].cdr.json()).verdict;
        prop_assert_eq!(judged.generation, Some(Generation::Live));
        prop_assert!(judged.remarks.iter().all(|remark| remark.code == Code::Retyped));
    }

    #[test]
    fn an_edit_is_reported_as_exactly_that_edit(seed in any::<u64>(), which in 0..13_usize, how in 0..3) {
        let setting = setting(seed, Typing::Docs, CallIds::Shared);
        let told = generate(ScenarioChoice::Scenario(&CATALOGUE[0]), 0, &setting).1;
        let name = FIELDS[which].name;
        let (edit, code) = match how {
            0 => (Edit::unset(name).unwrap(), Code::Missing),
            1 => (Edit::set_json(&format!("{name}=null")).unwrap(), Code::Retyped),
            _ => (Edit::set(&format!("{name}x=1")).unwrap(), Code::Unknown),
        };
        let verdict = judge_json(&edit_object(&told[0].cdr.json(), &[edit])).verdict;
        let seen: Vec<_> = verdict.remarks.iter().map(|r| (r.code, r.field.as_ref().unwrap().as_it_came())).collect();
        let field = if how == 2 { format!("{name}x") } else { name.to_owned() };
        prop_assert_eq!(seen, [(code, field.as_str())]);
    }

    #[test]
    fn no_input_makes_the_judge_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = judge_json(&body);
    }
}
