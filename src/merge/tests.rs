use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::event::{Answer, ProbeOutcome, ProbeSample, Unreachable};

const SILENT: ProbeOutcome = ProbeOutcome::TimedOut { syns: Some(2) };
const REFUSED: ProbeOutcome = ProbeOutcome::Refused { after: Duration::from_millis(3) };

fn answered(ms: u64) -> ProbeOutcome {
    ProbeOutcome::Answered(Answer::kernel(Duration::from_millis(ms)))
}

fn endpoint(id: usize) -> Endpoint {
    Endpoint {
        instance: Some(InstanceId::from(id)),
        name: None,
        vm_id: None,
        host: "20.1.2.3".parse().unwrap(),
        port: (50_000 + id as u64).try_into().unwrap(),
    }
}

fn stats(outcomes: &[ProbeOutcome]) -> ProbeStats {
    let mut stats = ProbeStats::default();
    for (second, outcome) in (0..).zip(outcomes) {
        let start = Duration::from_secs(second);
        stats.record(&ProbeSample { start, ..ProbeSample::of(outcome.clone()) });
    }
    stats
}

/// A run at this second of the clock, of a second's length.
fn probed(place: &str, at: i64, found: &[(usize, &[ProbeOutcome])]) -> Probed {
    let run = Run {
        place: place.into(),
        started: Some(jiff::Timestamp::from_second(at).unwrap()),
        elapsed: Duration::from_secs(1),
        plan: Some(Plan::default()),
        ..Run::default()
    };
    Probed { run, endpoints: found.iter().map(|(id, outcomes)| (endpoint(*id), stats(outcomes))).collect() }
}

fn one(runs: Vec<Probed>) -> Probed {
    let (mut places, _) = by_place(runs).unwrap();
    assert_eq!(places.len(), 1);
    places.remove(0)
}

#[test]
fn the_shards_of_a_run_stand_side_by_side_in_order() {
    let shard = |index, found: &[(usize, &[ProbeOutcome])]| {
        let mut probed = probed("pods", 100, found);
        probed.run.shard = Shard::new(index, 2);
        probed
    };
    let (up, down): (&[_], &[_]) = (&[answered(1)], &[SILENT]);
    let whole = one(vec![shard(1, &[(1, down), (3, up)]), shard(0, &[(0, up), (2, up), (10, up)])]);
    let ids: Vec<_> = whole.endpoints.iter().map(|(e, _)| e.label()).collect();
    assert_eq!(ids, ["0", "1", "2", "3", "10"]);
    assert_eq!((whole.endpoints[1].1.timed_out, whole.run.shard), (1, None));
    assert_eq!(whole.run.plan, Some(Plan::default()));
}

#[test]
fn runs_after_each_other_add_up_and_the_last_one_knows_what_lasts() {
    let earlier = probed("laptop", 1000, &[(0, &[answered(1), SILENT]), (1, &[SILENT])]);
    let later = probed("laptop", 1060, &[(0, &[answered(3)]), (1, &[SILENT, SILENT])]);
    // In whichever order they are given.
    for runs in [vec![earlier.clone(), later.clone()], vec![later, earlier]] {
        let whole = one(runs);
        let [(_, up), (_, down)] = &whole.endpoints[..] else { panic!() };
        assert_eq!((up.answered, up.timed_out, up.rtts.sums().sum_us), (2, 1, 4000));
        assert_eq!((up.outages.count, up.outages.down_since), (1, None));
        // The second run's outage began a minute after the first run did.
        assert_eq!((down.timed_out, down.outages.down_since), (3, Some(Duration::from_secs(60))));
        assert_eq!(whole.run.started.unwrap().as_second(), 1000);
        assert_eq!(whole.run.elapsed, Duration::from_secs(61));
    }
}

#[test]
fn the_same_run_counts_once() {
    let run = probed("laptop", 1000, &[(0, &[answered(1)])]);
    let (places, twice) = by_place(vec![run.clone(), run.clone(), run]).unwrap();
    assert_eq!((places[0].endpoints[0].1.answered, twice), (1, 2));
}

#[test]
fn what_differs_between_runs_is_not_said_of_all() {
    let mut other = probed("laptop", 2000, &[]);
    other.run.target = Some("prod/web".into());
    other.run.plan = None;
    let whole = one(vec![probed("laptop", 1000, &[]), other]);
    assert_eq!((whole.run.target, whole.run.plan), (None, None));
}

#[test]
fn a_sum_that_can_not_be_counted_is_an_error_that_names_it() {
    let mut most = probed("laptop", 1000, &[(0, &[])]);
    most.endpoints[0].1.timed_out = 1 << 53;
    let more = probed("laptop", 2000, &[(0, &[SILENT])]);
    let said = by_place(vec![most, more]).unwrap_err().to_string();
    assert!(said.contains("20.1.2.3:50000 from laptop"), "{said}");
}

fn said(places: &[Probed]) -> Vec<String> {
    differences(places, &rows(places)).iter().map(ToString::to_string).collect()
}

#[test]
fn what_answers_here_and_not_there_is_said() {
    let (up, partly): (&[_], &[_]) = (&[answered(1)], &[answered(1), SILENT]);
    let unreachable = [ProbeOutcome::Unreachable(Unreachable { error: "no route".into(), icmp: None })];
    let (silent, refused): (&[_], &[_]) = (&[SILENT], &[REFUSED]);
    let unresolved = [ProbeOutcome::NotResolved("no such name".into())];
    let unsent = [ProbeOutcome::NotSent("no file handle".into())];
    let laptop = probed(
        "laptop",
        0,
        &[
            (0, up),
            (1, silent),
            (2, silent),
            (3, silent),
            (4, refused),
            (5, &unreachable),
            (6, &unresolved),
            (7, silent),
            (8, refused),
            (9, &unsent),
            (10, up),
            (12, silent),
        ],
    );
    let azure = probed(
        "westeurope",
        0,
        &[
            (0, partly),
            (1, up),
            (2, up),
            (3, up),
            (4, up),
            (5, up),
            (6, up),
            (7, silent),
            (8, refused),
            (9, up),
            (11, up),
            (12, refused),
        ],
    );
    assert_eq!(
        said(&[laptop, azure]),
        [
            "1-3: answer from westeurope, silent from laptop: a firewall or security group tells them apart",
            "4: answers from westeurope, refused from laptop: a firewall that rejects tells them apart, or what \
             listens there came or went between the runs",
            "5: answers from westeurope, unreachable from laptop: the route, a VPN or a firewall on the way",
            "6: answers from westeurope, not resolved from laptop: the names are resolved differently",
            "7: silent from every place: not the way there: the instance, its rule or its security group",
            "8: refused from every place: nothing listens there, or a firewall of its own rejects",
            "12: silent from laptop, refused from westeurope: not the way there: the instance, its rule or its \
             security group",
        ]
    );
}

#[test]
fn one_place_differs_from_nothing_and_three_are_grouped() {
    let (up, silent): (&[_], &[_]) = (&[answered(1)], &[SILENT]);
    assert_eq!(said(&[probed("a", 0, &[(0, silent)])]), [""; 0]);
    let three = [probed("a", 0, &[(0, up)]), probed("b", 0, &[(0, silent)]), probed("c", 0, &[(0, up)])];
    assert_eq!(
        said(&three),
        ["0: answers from a and c, silent from b: a firewall or security group tells them apart"]
    );
}

#[test]
fn runs_that_were_not_at_the_same_time_are_told() {
    let at = |seconds: &[i64]| {
        apart(&seconds.iter().map(|at| probed(&at.to_string(), *at, &[])).collect::<Vec<_>>())
    };
    assert_eq!(at(&[0]), None);
    assert_eq!(at(&[0, 50]), None);
    assert_eq!(at(&[7200, 0, 10]), Some(Duration::from_secs(7199)));
    let mut unknown = probed("x", 0, &[]);
    unknown.run.started = None;
    assert_eq!(apart(&[probed("a", 9000, &[]), unknown]), None);
}

fn any_outcomes() -> impl Strategy<Value = Vec<ProbeOutcome>> {
    let one = prop_oneof![(0..9000_u64).prop_map(answered), Just(SILENT), Just(REFUSED)];
    prop::collection::vec(one, 0..6)
}

proptest! {
    #[test]
    fn shards_merged_are_the_whole_run(
        all in prop::collection::vec(any_outcomes(), 0..30), of in 1..6_usize,
    ) {
        let all: Vec<_> = all.iter().enumerate().map(|(id, o)| (id, o.as_slice())).collect();
        let whole = one(vec![probed("x", 0, &all)]);
        let shards = (0..of).map(|index| {
            let shard = Shard::new(index, of).unwrap();
            let mut part = probed("x", 0, &shard.part(all.clone()));
            part.run.shard = Some(shard);
            part
        });
        let merged = one(shards.collect());
        prop_assert_eq!(merged.endpoints, whole.endpoints);
    }

    #[test]
    fn every_endpoint_of_every_place_is_in_one_row(
        here in prop::collection::vec(0..20_usize, 0..20), there in prop::collection::vec(0..20_usize, 0..20),
    ) {
        let run = |place: &str, ids: &[usize]| {
            probed(place, 0, &ids.iter().map(|id| (*id, &[SILENT][..])).collect::<Vec<_>>())
        };
        let (places, _) = by_place(vec![run("here", &here), run("there", &there)]).unwrap();
        let rows = rows(&places);
        let cells = rows.iter().flat_map(|row| row.stats.iter().flatten()).count();
        prop_assert_eq!(cells, places.iter().map(|place| place.endpoints.len()).sum::<usize>());
        prop_assert!(rows.is_sorted_by_key(|row| row.endpoint.instance.clone()));
    }
}
