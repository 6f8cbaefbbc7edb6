//! What the pure core promises.

use proptest::prelude::*;
use shared::record;

use super::*;

fn draft(to: To) -> Draft {
    Draft {
        to,
        kind: "note".into(),
        content: Content::Json(Bytes::from_static(b"1")),
        content_type: None,
        ttl_s: None,
        urgency: None,
        metadata: None,
        task: None,
    }
}

fn admitted(draft: Draft, config: &Config) -> Result<Admitted, Reason> {
    let (tenant, trace, bound) = (TenantId::parse("acme").unwrap(), Trace::default(), Bound::default());
    let now = Timestamp::from_millis(5_000);
    let terms = Terms { tenant: &tenant, trace: &trace, now, config, bound: &bound };
    let id = NotificationId::parse("n").unwrap();
    admit(draft, id, &terms, &mut Allowance::of(config)).map_err(|refusal| refusal.reason)
}

fn several(count: usize) -> Draft {
    draft(To::Several((0..count).map(|index| format!("r{index}")).collect()))
}

#[test]
fn several_recipients_have_ids_derived_from_the_requests() {
    let What::Several(id, notifications) = admitted(several(2), &Config::default()).unwrap().what else {
        panic!("one")
    };
    let ids: Vec<_> = notifications.iter().map(|notification| notification.id.as_str()).collect();
    assert_eq!((id.as_str(), ids), ("n", vec!["n.0", "n.1"]));
}

#[test]
fn as_many_recipients_as_the_limit_are_taken_and_one_more_is_not() {
    let config = Config { recipients: 3, ..Config::default() };
    assert!(admitted(several(3), &config).is_ok());
    assert_eq!(admitted(several(4), &config), Err(Reason::RecipientsTooMany));
}

#[test]
fn copies_count_each_against_the_fan_out_limit() {
    let config = Config { fan_out_bytes: 3 * (1 + RECORD_BYTES), ..Config::default() };
    assert!(admitted(several(3), &config).is_ok());
    assert_eq!(admitted(several(4), &config), Err(Reason::FanOutTooLarge));
    let metadata = Some(r#"{"a":1}"#.to_owned());
    assert_eq!(admitted(Draft { metadata, ..several(3) }, &config), Err(Reason::FanOutTooLarge));
}

#[test]
fn a_ttl_of_zero_lives_as_long_as_the_way_may_take() {
    let config = Config::default();
    let with = |ttl_s| admitted(Draft { ttl_s, ..draft(To::One("alice".into())) }, &config);
    let What::One(now_or_never) = with(Some(0)).unwrap().what else { panic!("refused") };
    assert_eq!(now_or_never.expires, now_or_never.time.after(config.zero_ttl_ms));
    assert!(with(Some(MAX_TTL.as_secs())).is_ok());
    assert_eq!(with(Some(MAX_TTL.as_secs() + 1)), Err(Reason::TtlInvalid));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn whatever_is_admitted_survives_the_log(
        name in "[A-Za-z0-9._~@:+-]{1,128}",
        kind in "[A-Za-z0-9._:/-]{1,128}",
        text in "\\PC{1,200}",
        ttl_s in proptest::option::of(0..=MAX_TTL.as_secs()),
        urgency in proptest::option::of("very-low|low|normal|high"),
        noted in proptest::option::of("\\PC{0,50}"),
    ) {
        let metadata = noted.map(|noted| serde_json::json!({ "noted": noted }).to_string());
        let content = Content::Json(Bytes::from(serde_json::to_string(&text).unwrap()));
        let draft = Draft {
            to: To::One(name), kind, content, content_type: Some("text/plain".into()), ttl_s, urgency, metadata,
            task: None,
        };
        let admitted = admitted(draft, &Config::default());
        let What::One(notification) = admitted.unwrap().what else { panic!("several") };
        prop_assert_eq!(&notification.content[..], text.as_bytes());
        let (asks, read) = record::decode(&record::encode(&notification)).unwrap();
        prop_assert_eq!((asks, read), (record::Kind::Notification, *notification));
    }

    #[test]
    fn nothing_outside_the_grammar_is_admitted(name in "\\PC{0,140}") {
        let sound = (1..=128).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~@:+".contains(&byte));
        prop_assert_eq!(admitted(draft(To::One(name)), &Config::default()).is_ok(), sound);
    }
}
