use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    event::{Answer, ProbeOutcome, ProbeSample},
    report::probe::{PlacesReport, ProbeReport},
};

fn any_probed() -> impl Strategy<Value = Probed> {
    let outcome = prop_oneof![
        (0..3_000_000_u64).prop_map(|us| ProbeOutcome::Answered(Answer::kernel(Duration::from_micros(us)))),
        (0..3_000_u64).prop_map(|us| ProbeOutcome::Refused { after: Duration::from_micros(us) }),
        any::<Option<u32>>().prop_map(|syns| ProbeOutcome::TimedOut { syns }),
        ".*".prop_map(ProbeOutcome::NotResolved),
    ];
    let stats = prop::collection::vec(outcome, 0..8).prop_map(|outcomes| {
        let mut stats = ProbeStats::default();
        outcomes.into_iter().for_each(|outcome| stats.record(&ProbeSample::of(outcome)));
        stats
    });
    let host = prop_oneof![
        any::<std::net::IpAddr>().prop_map(Host::Ip),
        Just(Host::Name("web.example".into())),
        Just(Host::Unknown)
    ];
    let endpoint = (prop::option::of(".*"), prop::option::of(".*"), host, 1..=65535_u64).prop_map(
        |(instance, name, host, port)| Endpoint {
            instance: instance.map(InstanceId::new),
            name,
            vm_id: None,
            host,
            port: port.try_into().unwrap(),
        },
    );
    // Milliseconds, as clocks of runs are cut to: from 1970 to 2445. What lasts longer than 584 years from one run
    // to another is cut to that, as times travel in 64 bits of nanoseconds.
    let started =
        prop::option::of((0..15_000_000_000_000_i64).prop_map(|ms| Timestamp::from_millisecond(ms).unwrap()));
    let time = || (0..1_u64 << 40).prop_map(Duration::from_millis);
    let plan = (any::<Option<u64>>(), prop::option::of(time()), time(), time())
        .prop_map(|(count, duration, interval, timeout)| Plan { count, duration, interval, timeout });
    let shard = prop::option::of((0..9_usize).prop_map(|index| Shard::new(index, 9).unwrap()));
    let run = ("[a-z]{1,9}", prop::option::of(".*"), started, time(), prop::option::of(plan), shard)
        .prop_map(|(place, target, started, elapsed, plan, shard)| Run {
            place,
            scale_set: target.clone(),
            target,
            started,
            elapsed,
            plan,
            shard,
        });
    (run, prop::collection::vec((endpoint, stats), 0..5))
        .prop_map(|(run, endpoints)| Probed { run, endpoints })
}

fn written(probed: &Probed) -> String {
    let (endpoints, stats): (Vec<_>, Vec<_>) = probed.endpoints.iter().cloned().unzip();
    let mut out = Vec::new();
    ProbeReport::new(&endpoints, &stats).with_run(&probed.run).write_json(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn one(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The error of a document with this in that place.
fn error_with(pointer: &str, with: Value) -> String {
    let mut stats = ProbeStats::default();
    stats.record(&ProbeSample::of(ProbeOutcome::Answered(Answer::kernel(Duration::from_micros(300)))));
    let endpoint = Endpoint {
        instance: Some(InstanceId::new("3")),
        name: None,
        vm_id: None,
        host: "20.1.2.3".parse().unwrap(),
        port: 50_000_u64.try_into().unwrap(),
    };
    let run = Run { place: "laptop".into(), ..Run::default() };
    let mut value =
        one(&written(&Probed { run, endpoints: vec![(endpoint.clone(), stats.clone()), (endpoint, stats)] }));
    *value.pointer_mut(pointer).unwrap() = with;
    read_runs(&format!("\n\n{value}")).unwrap_err().to_string()
}

#[test]
fn errors_name_the_line_and_the_field() {
    for (pointer, with, said) in [
        ("/started", json!("yesterday"), "line 3: started: \"yesterday\" is not a time"),
        ("/elapsed_ms", json!(-5), "line 3: elapsed_ms: invalid value: integer `-5`, expected u64"),
        ("/elapsed_ms", json!(1e300), "line 3: elapsed_ms: invalid type: floating point"),
        ("/shard", json!("4/4"), "line 3: shard: \"4/4\" is not a shard: write I/N"),
        ("/place", json!(7), "line 3: place: invalid type: integer `7`, expected a string"),
        ("/options", json!({"count": "many"}), "line 3: options.count: invalid type: string"),
        ("/endpoints", json!({}), "line 3: endpoints: invalid type: map"),
        ("/endpoints/1/port", json!(0), "line 3: endpoints[1].port: \"0\" is not a port"),
        ("/endpoints/1/port", json!(70_000), "line 3: endpoints[1].port: \"70000\" is not a port"),
        ("/endpoints/1/address", json!("a b"), "line 3: endpoints[1].address: \"a b\" is neither"),
        ("/endpoints/1/exact", json!(null), "line 3: endpoints[1].exact: invalid type: null"),
        ("/endpoints/1", json!({"port": 22}), "line 3: endpoints[1]: missing field `exact`"),
        ("/endpoints/1/exact/refused", json!(1), "endpoints[1].exact: `refusals` has 0 times"),
        (
            "/endpoints/1/exact/rtts/bins/0",
            json!([-3, 1]),
            "endpoints[1].exact.rtts.bins[0][0]: invalid value",
        ),
        (
            "/endpoints/1/exact/rtts/bins/0",
            json!([300, 0]),
            "endpoints[1].exact.rtts.bins: the bin at 300 us",
        ),
        ("/endpoints/1/exact/rtts/sum_us", json!(7), "endpoints[1].exact.rtts: `sum_us` 7"),
        ("/endpoints/1/exact/rtts/squares_us2", json!("NaN"), "exact.rtts.squares_us2: this is no whole"),
    ] {
        let error = error_with(pointer, with);
        assert!(error.contains(said), "{pointer}: {error}");
    }
    assert_eq!(read_runs("{\"schema\":").unwrap_err().to_string(), "line 1: the document is cut off");
    let broken = read_runs("ok\n{\"schema\": NaN}").unwrap_err().to_string();
    assert!(broken.starts_with("line 2: this is no JSON: "), "{broken}");
}

#[test]
fn what_is_no_run_is_passed_over_and_told() {
    let run = written(&Probed { run: Run { place: "a".into(), ..Run::default() }, endpoints: Vec::new() });
    let pretty = serde_json::to_string_pretty(&one(&run)).unwrap();
    let text = format!(
        "\u{feff}warning: instance 1 is stopped\n{{\"schema\":\"vmssh.map/1\",\"endpoints\":[]}}\n{run}{}{run}[pod/x] 3\n\
         {pretty}\n[{run},{{}}]\n{{\"schema\":\"vmssh.probe/1\",\"instance\":\"3\"}}\n  \n42\nlast",
        run.trim()
    );
    let (runs, skipped) = read_runs(&text).unwrap();
    assert_eq!(runs.len(), 5);
    assert_eq!(
        skipped.to_string(),
        "4 lines that are no JSON, 1 of no schema, 1 of vmssh.map/1, \
         1 of vmssh.probe/1 as JSON lines (write them with `-o json`)"
    );
    assert_eq!(read_runs(""), Ok((Vec::new(), Skipped::default())));
}

#[test]
fn a_place_is_a_word() {
    assert_eq!(place_name(" my laptop\t2\n").as_deref(), Some("my_laptop_2"));
    assert_eq!(place_name("a\x1b[2Jb").as_deref(), Some("a^[[2Jb"));
    assert_eq!(place_name("  "), None);
    let (runs, _) = read_runs("{\"schema\":\"vmssh.probe/1\",\"endpoints\":[]}").unwrap();
    assert_eq!(runs[0].run.place, "unnamed");
}

fn change(value: &mut Value, at: &mut usize, with: &Value) {
    if *at == 0 {
        *value = with.clone();
    }
    *at = at.wrapping_sub(1);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| change(item, at, with)),
        Value::Object(members) => members.values_mut().for_each(|member| change(member, at, with)),
        _ => {}
    }
}

fn anything() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[-0-9a-z.:/]{0,30}".prop_map(Value::from),
        Just(json!("9999-12-31T23:59:59Z")),
        Just(json!("0000-01-01T00:00:00+23:59")),
        Just(json!([])),
        Just(json!({})),
    ]
}

/// Everything that is done with what was read.
fn use_all(text: &str) {
    let Ok((runs, skipped)) = read_runs(text) else { return };
    let _ = skipped.to_string();
    let Ok((places, _)) = crate::merge::by_place([runs.clone(), runs].concat()) else { return };
    let report = PlacesReport::new(places);
    let mut out = Vec::new();
    report.write_table(&mut out).unwrap();
    report.write_csv(&mut out).unwrap();
    report.write_json(&mut out).unwrap();
}

proptest! {
    #[test]
    fn read_as_written(runs in prop::collection::vec(any_probed(), 1..4)) {
        let text: String = runs.iter().map(written).collect();
        let (read, skipped) = read_runs(&text).unwrap();
        prop_assert!(skipped.is_empty());
        prop_assert_eq!(read, runs);
    }

    #[test]
    fn what_was_merged_is_read_as_it_was(runs in prop::collection::vec(any_probed(), 1..4)) {
        let (places, _) = crate::merge::by_place(runs).unwrap();
        let mut out = Vec::new();
        PlacesReport::new(places.clone()).write_json(&mut out).unwrap();
        let (read, _) = read_runs(std::str::from_utf8(&out).unwrap()).unwrap();
        prop_assert_eq!(&read, &places);
        // And merging it again changes nothing.
        prop_assert_eq!(crate::merge::by_place(read), Ok((places, 0)));
    }

    #[test]
    fn changed_values_are_errors_or_harmless(
        probed in any_probed(), changes in prop::collection::vec((any::<prop::sample::Index>(), anything()), 1..3),
    ) {
        let mut value = one(&written(&probed));
        for (at, with) in changes {
            change(&mut value, &mut at.index(200), &with);
        }
        use_all(&value.to_string());
    }

    #[test]
    fn changed_bytes_are_errors_or_harmless(
        probed in any_probed(), at in any::<prop::sample::Index>(), with in any::<char>(), cut in any::<bool>(),
    ) {
        let mut text: Vec<char> = written(&probed).chars().collect();
        let at = at.index(text.len());
        text[at] = with;
        if cut {
            text.truncate(at);
        }
        use_all(&text.into_iter().collect::<String>());
    }
}
