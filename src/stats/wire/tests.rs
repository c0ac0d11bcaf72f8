use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::event::{Answer, Clock, ProbeOutcome, ProbeSample, ServiceOutcome, Unreachable};

fn read(value: &Value) -> Result<ProbeStats, String> {
    // From text, as from a file: a value in memory has other rules for numbers.
    serde_json::from_str(&value.to_string()).map_err(|error| error.to_string())
}

fn write(stats: &ProbeStats) -> Value {
    serde_json::to_value(stats).unwrap()
}

fn any_time() -> impl Strategy<Value = Duration> {
    (any::<u64>(), 20..64_u32).prop_map(|(us, halvings)| Duration::from_micros(us >> halvings))
}

fn any_service() -> impl Strategy<Value = ServiceOutcome> {
    prop_oneof![
        (any_time(), ".*").prop_map(|(after, said)| ServiceOutcome::Answered { after, said }),
        (any_time(), ".*").prop_map(|(after, said)| ServiceOutcome::Foreign { after, said }),
        any_time().prop_map(|after| ServiceOutcome::Closed { after }),
        Just(ServiceOutcome::Silent),
    ]
}

fn any_sample() -> impl Strategy<Value = ProbeSample> {
    let answer = (prop::option::weighted(0.9, any_time()), any_time(), any::<bool>(), 0..3_u32).prop_map(
        |(rtt, elapsed, kernel, retransmitted)| {
            let clock = if kernel { Clock::Kernel } else { Clock::Monotonic };
            ProbeOutcome::Answered(Answer { rtt, clock, elapsed, retransmitted })
        },
    );
    let outcome = prop_oneof![
        6 => answer,
        1 => any_time().prop_map(|after| ProbeOutcome::Refused { after }),
        1 => any::<Option<u32>>().prop_map(|syns| ProbeOutcome::TimedOut { syns }),
        1 => ".*".prop_map(|error| ProbeOutcome::Unreachable(Unreachable { error, icmp: None })),
        1 => Just(ProbeOutcome::NotResolved("no such name".into())),
        1 => Just(ProbeOutcome::NotSent("no file handle".into())),
    ];
    let to = prop::option::of(any::<(std::net::IpAddr, u16)>().prop_map(SocketAddr::from));
    (any_time(), any::<bool>(), to, outcome, prop::option::of(any_service())).prop_map(
        |(start, warm_up, to, outcome, service)| {
            let service = service.filter(|_| matches!(outcome, ProbeOutcome::Answered(_)));
            ProbeSample { start, warm_up, to, from: None, outcome, service }
        },
    )
}

fn any_stats() -> impl Strategy<Value = ProbeStats> {
    prop::collection::vec(any_sample(), 0..40).prop_map(|samples| {
        let mut stats = ProbeStats::default();
        samples.iter().for_each(|sample| stats.record(sample));
        stats
    })
}

/// A number, text or structure that does not belong where it is put.
fn anything() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0..5_u64).prop_map(Value::from),
        "[0-9a-z.:-]{0,40}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([[5, 1], [5, 1]])),
        Just(json!([[5, u64::MAX], [6, u64::MAX]])),
    ]
}

/// Puts something in the place that a number chooses among all places of a document.
fn mutate(value: &mut Value, at: &mut usize, with: &Value) {
    if *at == 0 {
        *value = with.clone();
    }
    *at = at.wrapping_sub(1);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| mutate(item, at, with)),
        Value::Object(members) => members.values_mut().for_each(|member| mutate(member, at, with)),
        _ => {}
    }
}

fn places(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(places).sum(),
        Value::Object(members) => members.values().map(places).sum(),
        _ => 0,
    }
}

/// All that is ever asked of statistics: none of it may overflow.
fn ask_all(stats: &ProbeStats) {
    let _ = (stats.rtt(), stats.jitter_ms(), stats.loss_pct(), stats.refusals.summary());
    let _ = (stats.service.asked(), stats.service.times.summary(), stats.own_delay.percentile_us(99));
}

proptest! {
    #[test]
    fn read_as_written(stats in any_stats()) {
        prop_assert_eq!(read(&write(&stats)), Ok(stats));
    }

    #[test]
    fn added_up_they_travel_as_well(left in any_stats(), right in any_stats()) {
        let (mut here, mut there) = (left.clone(), read(&write(&left)).unwrap());
        here.merge_checked(&right).unwrap();
        there.merge_checked(&read(&write(&right)).unwrap()).unwrap();
        prop_assert_eq!(&here, &there);
        prop_assert_eq!(read(&write(&here)), Ok(here));
    }

    #[test]
    fn whatever_is_changed_is_an_error_or_harmless(
        stats in any_stats(), at in any::<prop::sample::Index>(), with in anything(),
    ) {
        let mut value = write(&stats);
        let mut at = at.index(places(&value));
        mutate(&mut value, &mut at, &with);
        if let Ok(mut read) = read(&value) {
            ask_all(&read);
            let other = read.clone();
            let _ = read.merge_checked(&other);
            ask_all(&read);
        }
    }
}

#[test]
fn squares_survive_beyond_what_numbers_in_json_can_hold() {
    let mut stats = ProbeStats::default();
    let long = Duration::from_micros(LONGEST_US - 1);
    for _ in 0..3 {
        stats.record(&ProbeSample::of(ProbeOutcome::Answered(Answer::kernel(long))));
    }
    let value = write(&stats);
    let squares = 3 * u128::from(LONGEST_US - 1).pow(2);
    assert_eq!(value["rtts"]["squares_us2"], squares.to_string());
    assert!(squares > u128::from(u64::MAX));
    assert_eq!(read(&value), Ok(stats));
}

#[test]
fn what_could_not_have_been_counted_is_said() {
    let answer = |us: u64| ProbeSample::of(ProbeOutcome::Answered(Answer::kernel(Duration::from_micros(us))));
    let mut stats = ProbeStats::default();
    [300, 301, 9000].iter().for_each(|us| stats.record(&answer(*us)));
    let good = write(&stats);
    assert_eq!(good["rtts"]["bins"], json!([[300, 1], [301, 1], [9000, 1]]));
    for (pointer, with, said) in [
        ("/answered", json!(-1), "invalid value: integer `-1`, expected u64"),
        ("/answered", json!("3"), "invalid type: string"),
        ("/answered", json!(1), "`rtts` counts 3, but `answered` only 1"),
        ("/answered", json!(u64::MAX), "more than 9007199254740992 probes"),
        ("/refused", json!(2), "`refusals` has 0 times, but 2 were counted"),
        ("/clock", json!(null), "`clock` is missing"),
        ("/clock", json!("sundial"), "unknown variant `sundial`"),
        ("/address", json!("20.1.2.3"), "invalid socket address"),
        ("/rtts/bins/1/0", json!(300), "out of order or there twice"),
        ("/rtts/bins/0/0", json!(302), "the bin at 301 us is out of order"),
        ("/rtts/bins/2/0", json!(9001), "no bin begins at 9001 us"),
        ("/rtts/bins/2/1", json!(0), "the bin at 9000 us is empty"),
        ("/rtts/bins/2/0", json!(u64::MAX), "longer than a year"),
        ("/rtts/bins/2/1", json!(u64::MAX), "more than 9007199254740992 times"),
        ("/rtts/bins/2", json!([9000]), "invalid length 1"),
        ("/rtts/bins", json!([]), "sums of no times can't be"),
        ("/rtts/min_us", json!(301), "`min_us` 301 with these bins can't be"),
        ("/rtts/max_us", json!(9004), "`max_us` 9004 with these bins can't be"),
        ("/rtts/sum_us", json!(601), "`sum_us` 601 with these bins can't be"),
        ("/rtts/squares_us2", json!("1"), "`squares_us2` 1 with these bins can't be"),
        ("/rtts/squares_us2", json!("+81180601"), "no whole number of 128 bits"),
        ("/rtts/squares_us2", json!(81_180_601), "invalid type: integer"),
        ("/rtts/steps", json!(3), "`steps` 3 with these bins can't be"),
        ("/rtts/steps_us", json!(u64::MAX), "with these bins can't be"),
        ("/rtts/last_us", json!(9001), "`last_us` 9001 with these bins can't be"),
        ("/outages/count", json!(9), "`outages.count` counts 9, but `probes` only 3"),
        ("/outages/longest_ns", json!(1.5), "invalid type: floating point"),
        ("/service/silent", json!(4), "`service` counts 4, but `answered` only 3"),
        ("/retransmitted", json!(4), "`retransmitted` counts 4, but `answered` only 3"),
    ] {
        let mut value = good.clone();
        *value.pointer_mut(pointer).unwrap() = with;
        let error = read(&value).unwrap_err();
        assert!(error.contains(said), "{pointer}: {error}");
    }
}

#[test]
fn what_is_missing_is_nothing_and_what_is_unknown_is_passed_over() {
    assert_eq!(read(&json!({})), Ok(ProbeStats::default()));
    let with_more = json!({"timed_out": 2, "moon": {"phase": 3}, "outages": {"count": 1, "x": 1}});
    let stats = read(&with_more).unwrap();
    assert_eq!((stats.timed_out, stats.outages.count, stats.loss_pct()), (2, 1, Some(100.0)));
}

#[test]
fn sums_that_no_tally_can_hold_are_refused() {
    let half = || read(&json!({"timed_out": MOST / 2 + 1})).unwrap();
    let mut whole = half();
    assert_eq!(whole.merge_checked(&half()), None);
    assert_eq!(whole, half());
}
