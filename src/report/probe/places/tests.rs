use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::{
    event::{Answer, ProbeOutcome, ProbeSample},
    merge::{Run, by_place},
    natmap::{Endpoint, InstanceId},
    report::probe::read_runs,
    stats::ProbeStats,
};

fn probed(place: &str, found: &[(usize, Option<u64>)]) -> Probed {
    let endpoints = found.iter().map(|(id, ms)| {
        let endpoint = Endpoint {
            instance: Some(InstanceId::from(*id)),
            name: None,
            vm_id: None,
            host: "20.1.2.3".parse().unwrap(),
            port: (50_000 + *id as u64).try_into().unwrap(),
        };
        let mut stats = ProbeStats::default();
        stats.record(&ProbeSample::of(ms.map_or(ProbeOutcome::TimedOut { syns: Some(2) }, |ms| {
            ProbeOutcome::Answered(Answer::kernel(Duration::from_millis(ms)))
        })));
        (endpoint, stats)
    });
    let run = Run { place: place.into(), ..Run::default() };
    Probed { run, endpoints: endpoints.collect() }
}

fn report() -> PlacesReport {
    let runs = vec![
        probed("laptop", &[(0, Some(20)), (1, None)]),
        probed("west\x1b[2J", &[(0, Some(2)), (1, Some(3)), (2, Some(1))]),
    ];
    PlacesReport::new(by_place(runs).unwrap().0)
}

fn written(write: impl FnOnce(&PlacesReport, &mut dyn Write) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&report(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn places_stand_side_by_side() {
    assert_eq!(
        written(PlacesReport::write_table),
        "\
INSTANCE  ENDPOINT        P50@laptop  LOSS@laptop  STATE@laptop  P50@west^[[2J  LOSS@west^[[2J  STATE@west^[[2J
0         20.1.2.3:50000    20.00 ms           0%  answered            2.00 ms              0%  answered
1         20.1.2.3:50001           -         100%  timed-out           3.00 ms              0%  answered
2         20.1.2.3:50002           -            -  -                   1.00 ms              0%  answered
1: answers from west^[[2J, silent from laptop: a firewall or security group tells them apart
laptop: 1 of 2 endpoints answered; timed out: 1 (stopped, filtered or not mapped)
west^[[2J: all 3 endpoints answered
"
    );
    assert!(!report().all_reachable());
    assert!(!report().none_resolved());
}

#[test]
fn one_place_looks_as_its_run_did() {
    let one = probed("laptop", &[(0, Some(20))]);
    let (endpoints, stats): (Vec<_>, Vec<_>) = one.endpoints.iter().cloned().unzip();
    let (mut alone, mut merged) = (Vec::new(), Vec::new());
    ProbeReport::new(&endpoints, &stats).write_table(&mut alone, Columns::Usual).unwrap();
    PlacesReport::new(vec![one]).write_table(&mut merged).unwrap();
    assert_eq!(alone, merged);
}

#[test]
fn the_json_says_what_differs_and_can_be_merged() {
    let text = written(PlacesReport::write_json);
    assert!(!text.contains('\x1b'));
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["schema"], "vmssh.merge/1");
    assert_eq!(json["places"][0]["schema"], "vmssh.probe/1");
    assert_eq!(
        (&json["places"][1]["endpoints"][2]["instance"], &json["apart_ms"]),
        (&"2".into(), &Value::Null)
    );
    let difference = &json["differences"][0];
    assert_eq!((&difference["endpoints"], &difference["seen"][0]["is"]), (&"1".into(), &"silent".into()));
    let (read, _) = read_runs(&text).unwrap();
    assert_eq!(read.iter().map(|probed| probed.endpoints.len()).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn csv_has_a_row_per_place_and_endpoint() {
    let csv = written(PlacesReport::write_csv);
    let lines: Vec<_> = csv.lines().collect();
    assert!(lines[0].starts_with("place,instance,name,address,port,state,sent,"), "{}", lines[0]);
    assert_eq!(lines.len(), 6);
    assert!(lines[2].starts_with("laptop,1,,20.1.2.3,50001,timed-out,1,"), "{}", lines[2]);
    assert!(lines[3].starts_with("west^[[2J,0,"), "{}", lines[3]);
}
