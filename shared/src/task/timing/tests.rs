//! Times of schedules: cron in time zones, intervals, once; and what becomes of those that were missed.

use proptest::prelude::*;

use super::*;

fn timing(json: &str) -> Timing {
    Timing::parse(json).expect(json)
}

fn time(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

/// The first `count` times after `from`, in UTC.
fn times(json: &str, from: &str, count: usize) -> Vec<String> {
    let timing = timing(json);
    let first = timing.next_after(time(from));
    let all = std::iter::successors(first, |time| timing.next_after(*time));
    all.take(count).map(|time| time.to_string().replace(":00.000Z", "Z")).collect()
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn cron_fires_on_its_minutes() {
    let weekdays = r#"{"cron":"30 9 * * mon-fri"}"#;
    let expected = ["2026-11-20T09:30Z", "2026-11-23T09:30Z", "2026-11-24T09:30Z"];
    assert_eq!(times(weekdays, "2026-11-19T09:30:00Z", 3), expected);
    assert_eq!(
        times(r#"{"cron":"*/20  5 1,15 * *"}"#, "2026-11-14T00:00:00Z", 4),
        ["2026-11-15T05:00Z", "2026-11-15T05:20Z", "2026-11-15T05:40Z", "2026-12-01T05:00Z"]
    );
    // Both days given: either counts.
    assert_eq!(
        times(r#"{"cron":"0 0 13 * 5"}"#, "2026-11-07T00:00:00Z", 3),
        ["2026-11-13T00:00Z", "2026-11-20T00:00Z", "2026-11-27T00:00Z"]
    );
}

#[test]
fn a_leap_day_is_found_eight_years_ahead() {
    assert_eq!(times(r#"{"cron":"0 12 29 2 *"}"#, "2096-03-01T00:00:00Z", 1), ["2104-02-29T12:00Z"]);
    assert_eq!(times(r#"{"cron":"0 * 29 2 *"}"#, "2096-03-01T00:00:00Z", 1), ["2104-02-29T00:00Z"]);
}

#[test]
fn a_named_hour_fires_once_a_day_wherever_the_clocks_go() {
    // New York leaves out 02:00 to 03:00 on 8 March, and has 01:00 to 02:00 twice on 1 November.
    let half_past_two = r#"{"cron":"30 2 * * *","timezone":"America/New_York"}"#;
    let spring = ["2026-03-07T07:30Z", "2026-03-08T07:30Z", "2026-03-09T06:30Z"];
    assert_eq!(times(half_past_two, "2026-03-07T00:00:00Z", 3), spring);
    let half_past_one = r#"{"cron":"30 1 * * *","timezone":"America/New_York"}"#;
    let autumn = ["2026-10-31T05:30Z", "2026-11-01T05:30Z", "2026-11-02T06:30Z"];
    assert_eq!(times(half_past_one, "2026-10-31T00:00:00Z", 3), autumn);
}

#[test]
fn an_hour_of_an_asterisk_fires_by_the_time_that_passes() {
    let halves = r#"{"cron":"*/30 * * * *","timezone":"America/New_York"}"#;
    for (from, first) in
        [("2026-03-08T06:45:00Z", "2026-03-08T07:00Z"), ("2026-11-01T05:15:00Z", "2026-11-01T05:30Z")]
    {
        let found = times(halves, from, 6);
        assert_eq!(found[0], first);
        let apart = |pair: &[String]| {
            let read = |text: &str| time(&text.replace('Z', ":00Z"));
            read(&pair[1]).since(read(&pair[0]))
        };
        assert!(found.windows(2).all(|pair| apart(pair) == 30 * MINUTE), "{found:?}");
    }
}

#[test]
fn an_interval_counts_from_1970_and_once_is_once() {
    let hourly = timing(r#"{"every_ms":3600000}"#);
    assert_eq!(hourly.next_after(time("2026-11-21T06:00:00Z")), Some(time("2026-11-21T07:00:00Z")));
    assert_eq!(hourly.next_after(Timestamp::from_millis(u64::MAX)), None);
    let once = timing(r#"{"at":"2026-11-21T07:00:00+01:00"}"#);
    assert_eq!(once.next_after(time("2026-11-21T05:59:59.999Z")), Some(time("2026-11-21T06:00:00Z")));
    assert_eq!(once.next_after(time("2026-11-21T06:00:00Z")), None);
}

#[test]
fn what_is_wrong_is_said_with_its_field() {
    for (json, field) in [
        ("{}", "."),
        (r#"{"cron":"* * * * *","every_ms":1000}"#, "."),
        (r#"{"every_ms":999}"#, "every_ms"),
        (r#"{"every_ms":"1s"}"#, "every_ms"),
        (r#"{"at":"tomorrow"}"#, "at"),
        (r#"{"at":"1969-12-31T23:00:00Z"}"#, "at"),
        (r#"{"cron":"* * * *"}"#, "cron"),
        (r#"{"cron":"0 * * * * *"}"#, "cron"),
        (r#"{"cron":"60 * * * *"}"#, "cron"),
        (r#"{"cron":"@daily"}"#, "cron"),
        (r#"{"cron":"0 0 30 2 *"}"#, "cron"),
        (r#"{"cron":"* * * * *","timezone":"Mars/Olympus"}"#, "timezone"),
        (r#"{"every_ms":1000,"timezone":"UTC"}"#, "timezone"),
        (r#"{"every_ms":1000,"misfire":"panic"}"#, "misfire"),
        (r#"{"every_ms":1000,"misfire_limit":3}"#, "misfire_limit"),
        (r#"{"every_ms":1000,"misfire":"fire_all","misfire_limit":0}"#, "misfire_limit"),
        (r#"{"every_ms":1000,"misfire":"fire_all","misfire_limit":1001}"#, "misfire_limit"),
        (r#"{"every":1000}"#, "every"),
    ] {
        let told = Timing::parse(json).expect_err(json).to_string();
        assert!(told.starts_with(&format!("{field}: ")), "{json}: {told}");
    }
    let long = format!(r#"{{"cron":"{}"}}"#, "1,".repeat(300));
    assert!(Timing::parse(&long).unwrap_err().to_string().starts_with("cron: has 600 bytes, at most 512"));
    let read = timing(r#"{"misfire":"skip","every_ms":1000}"#);
    assert_eq!(Timing::parse(&read.to_json()).unwrap().written(), read.written());
}

/// Times of every ten minutes, due since 10:00 and looked at five seconds past 12:00.
fn due(misfire: &str) -> (Vec<String>, bool, Option<Timestamp>) {
    let timing = timing(&format!(r#"{{"every_ms":600000,{misfire}}}"#));
    let due = timing.due(time("2026-11-21T10:00:00Z"), time("2026-11-21T12:00:05Z"), MINUTE);
    let clock = |time: &Timestamp| time.to_string()[11..16].to_owned();
    (due.times.iter().map(clock).collect(), due.skipped, due.next)
}

#[test]
fn missed_times_fire_as_the_policy_says_and_what_is_due_fires_anyway() {
    let next = Some(time("2026-11-21T12:10:00Z"));
    assert_eq!(due(r#""misfire":"skip""#), (vec!["12:00".into()], true, next));
    assert_eq!(due(r#""misfire":"fire_once""#), (vec!["11:50".into(), "12:00".into()], true, next));
    let three = ["11:30", "11:40", "11:50", "12:00"].map(str::to_owned).to_vec();
    assert_eq!(due(r#""misfire":"fire_all","misfire_limit":3"#), (three, true, next));
    let (all, skipped, _) = due(r#""misfire":"fire_all""#);
    assert_eq!((all.len(), all[0].as_str(), skipped), (13, "10:00", false));
}

#[test]
fn a_time_that_was_missed_alone_is_made_up_for_unless_it_is_to_be_skipped() {
    let (at, now) = (time("2026-11-21T10:00:00Z"), time("2026-11-23T10:00:00Z"));
    let once = |misfire| {
        timing(&format!(r#"{{"at":"2026-11-21T10:00:00Z","misfire":"{misfire}"}}"#)).due(at, now, MINUTE)
    };
    assert_eq!(once("fire_once"), Due { times: vec![at], skipped: false, next: None });
    assert_eq!(once("skip"), Due { times: vec![], skipped: true, next: None });
}

#[test]
fn a_long_absence_is_no_long_walk() {
    let timing = timing(r#"{"every_ms":1000,"misfire":"fire_once"}"#);
    let due = timing.due(time("1990-01-01T00:00:00Z"), time("2026-11-21T00:00:00Z"), Duration::ZERO);
    assert_eq!(due.times, [time("2026-11-20T23:59:59Z"), time("2026-11-21T00:00:00Z")]);
    assert!(due.skipped);
}

/// Where clocks change by half an hour a round hour comes after half an hour, and none after ninety minutes.
#[test]
fn every_expression_goes_on_wherever_clocks_change() {
    for (zone, day_before) in [
        ("Australia/Lord_Howe", "2026-04-03T15:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-02T15:30:00Z"),
        ("America/New_York", "2026-03-07T07:00:00Z"),
        ("America/New_York", "2026-10-31T06:00:00Z"),
        ("Africa/Casablanca", "2026-02-14T02:00:00Z"),
        ("Pacific/Apia", "2011-12-29T10:00:00Z"),
    ] {
        for (minute, hour) in (1..=9).flat_map(|minute| (1..=9).map(move |hour| (minute, hour))) {
            for hour in [format!("*/{hour}"), "*".to_owned()] {
                let timing = timing(&format!(r#"{{"cron":"*/{minute} {hour} * * *","timezone":"{zone}"}}"#));
                let (begin, mut last) = (time(day_before), time(day_before));
                while last.since(begin) < Duration::from_hours(48) {
                    let next = timing.next_after(last).unwrap();
                    assert!(next > last, "*/{minute} {hour} in {zone}: {last}, then {next}");
                    assert!(
                        next.since(last) <= Duration::from_hours(10),
                        "{minute} {hour} {zone}: {last} to {next}"
                    );
                    last = next;
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn times_only_grow(
        minute in prop_oneof!["\\*", "\\*/[1-9]", "[1-5][0-9]", "0,30"],
        hour in prop_oneof!["\\*", "\\*/[1-9]", "[1-9]", "0-3", "1,2,3"],
        zone in prop_oneof![
            Just("UTC"), Just("America/New_York"), Just("Australia/Lord_Howe"), Just("Europe/Berlin"), Just("Asia/Kathmandu")
        ],
        start in 1_700_000_000_000_u64..2_000_000_000_000,
    ) {
        let timing = timing(&format!(r#"{{"cron":"{minute} {hour} * * *","timezone":"{zone}"}}"#));
        let mut last = Timestamp::from_millis(start);
        for _time in 0..50 {
            let next = timing.next_after(last).unwrap();
            prop_assert!(next > last && next.since(last) <= Duration::from_secs(50 * 3600), "{last} to {next}");
            last = next;
        }
    }
}
