use std::fmt;

use super::{ProbeStats, Remark, State, loss_interval_pct};
use crate::{
    fold::Fold,
    natmap::{Endpoint, display_endpoints},
};

/// What all endpoints together say: forty silent ones are one fault, not forty.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// How many endpoints there are.
    pub endpoints: usize,
    /// The endpoints of each state, in the order of [`State`].
    pub groups: Vec<Group>,
    /// What only a look at all of them shows.
    pub remarks: Vec<Remark>,
    /// What was said of the endpoints, where it was the same of all.
    error: Option<String>,
}

/// The endpoints of one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Which.
    pub state: State,
    /// How many.
    pub count: usize,
    /// Which, as a set: `0-3,7`, `ports 50000-50003`.
    pub set: String,
    /// Probes of them that were lost.
    pub lost: u64,
    /// Probes of them that were sent.
    pub sent: u64,
}

impl Verdict {
    /// Judges endpoints by their statistics.
    #[must_use]
    pub fn of(endpoints: &[Endpoint], stats: &[ProbeStats]) -> Self {
        let both = endpoints.iter().zip(stats);
        let states: Fold<State, (&Endpoint, &ProbeStats)> =
            both.map(|(endpoint, stats)| (State::of(stats), (endpoint, stats))).collect();
        let mut groups: Vec<_> = states.groups().iter().map(|(state, of)| Group::new(*state, of)).collect();
        groups.sort_by_key(|group| group.state);
        let errors: Fold<Option<&String>, ()> = stats.iter().map(|s| (s.error.as_ref(), ())).collect();
        let error = match errors.groups() {
            [(Some(error), _)] => Some((*error).clone()),
            _ => None,
        };
        let remarks = Remark::all_of(endpoints, stats);
        Self { endpoints: endpoints.len(), groups, remarks, error }
    }

    /// True where every endpoint answered at least one probe.
    #[must_use]
    pub fn all_reachable(&self) -> bool {
        self.groups.iter().all(|group| group.state.is_reachable())
    }

    /// True where not one probe could be sent because no name has an address.
    #[must_use]
    pub fn none_resolved(&self) -> bool {
        matches!(self.groups.as_slice(), [Group { state: State::NotResolved, .. }])
    }

    /// What is to be said, a line each: first what the states say, then the remarks.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let remarks = self.remarks.iter().map(ToString::to_string);
        std::iter::once(Summary(self).to_string()).chain(remarks).collect()
    }

    /// All endpoints in one state.
    fn write_one(&self, f: &mut fmt::Formatter<'_>, group: &Group) -> fmt::Result {
        let one = self.endpoints == 1;
        let all = match self.endpoints {
            1 => "the endpoint".to_string(),
            2 => "both endpoints".to_string(),
            n => format!("all {n} endpoints"),
        };
        let why = self.error.as_ref().map_or_else(String::new, |error| format!(" ({error})"));
        match group.state {
            State::Answered => write!(f, "{all} answered"),
            State::Partly => write!(f, "{all} answered, but not every time{}", group.loss()),
            State::Foreign => {
                write!(f, "another service answered at {all}: {}", group.state.look_at().unwrap_or_default())
            }
            State::Closed | State::Silent | State::Refused => {
                let (words, look_at) = (group.state.words(), group.state.look_at().unwrap_or_default());
                write!(f, "{all}: {words}: {look_at}")
            }
            State::TimedOut if one => write!(f, "{all} timed out: NSG, address, route or a stopped instance"),
            State::TimedOut => {
                write!(f, "{all} timed out: one fault, not {}: NSG, address or route", self.endpoints)
            }
            State::Unreachable => {
                write!(f, "{all} can't be reached{why}: route, VPN or a firewall on the way")
            }
            State::NotResolved => write!(f, "nothing was probed: the frontend has no address to dial{why}"),
            State::NotSent => write!(f, "nothing could be sent{why}: this machine's own limits"),
            State::NotProbed => write!(f, "nothing was probed"),
        }
    }

    /// Endpoints in several states.
    fn write_groups(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answered = self.groups.iter().find(|group| group.state == State::Answered);
        let answered = answered.map_or(0, |group| group.count);
        let partly = self.groups.iter().any(|group| group.state == State::Partly);
        let every_time = if partly { " every time" } else { "" };
        write!(f, "{answered} of {} endpoints answered{every_time}", self.endpoints)?;
        for group in self.groups.iter().filter(|group| group.state != State::Answered) {
            write!(f, "; {}: {}{}", group.state.words(), group.set, group.loss())?;
            if let Some(look_at) = group.state.look_at() {
                write!(f, " ({look_at})")?;
            }
        }
        Ok(())
    }
}

impl Group {
    fn new(state: State, of: &[(&Endpoint, &ProbeStats)]) -> Self {
        let endpoints: Vec<_> = of.iter().map(|(endpoint, _)| *endpoint).collect();
        Self {
            state,
            count: of.len(),
            set: display_endpoints(&endpoints),
            lost: of.iter().map(|(_, stats)| stats.lost()).sum(),
            sent: of.iter().map(|(_, stats)| stats.sent()).sum(),
        }
    }

    /// How much of it was lost and how sure that is, where the state rests on it.
    fn loss(&self) -> String {
        match loss_interval_pct(self.lost, self.sent) {
            Some((low, high)) if self.state == State::Partly && self.lost > 0 => {
                format!(" ({} of {} lost, 95 % sure of {low:.0} to {high:.0} %)", self.lost, self.sent)
            }
            _ => String::new(),
        }
    }
}

/// What the states say, without the remarks.
struct Summary<'a>(&'a Verdict);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.groups.as_slice() {
            [] => write!(f, "there was nothing to probe"),
            [group] => self.0.write_one(f, group),
            _ => self.0.write_groups(f),
        }
    }
}

/// One line.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        event::{Answer, ProbeOutcome, ProbeSample, Unreachable},
        natmap::InstanceId,
    };

    const TIMED_OUT: ProbeOutcome = ProbeOutcome::TimedOut { syns: Some(2) };

    fn stats(outcome: &ProbeOutcome, count: usize) -> ProbeStats {
        let mut stats = ProbeStats::default();
        for _ in 0..count {
            stats.record(&ProbeSample::of(outcome.clone()));
        }
        stats
    }

    fn answered(ms: u64) -> ProbeOutcome {
        ProbeOutcome::Answered(Answer::kernel(Duration::from_millis(ms)))
    }

    fn endpoints(count: usize, with_instance: bool) -> Vec<Endpoint> {
        (0..count)
            .map(|k| Endpoint {
                instance: with_instance.then(|| InstanceId::from(k)),
                name: None,
                vm_id: None,
                host: "20.1.2.3".parse().unwrap(),
                port: (50000 + k as u64).try_into().unwrap(),
            })
            .collect()
    }

    fn verdict(outcomes: &[ProbeOutcome]) -> String {
        let stats: Vec<_> = outcomes.iter().map(|o| stats(o, 4)).collect();
        Verdict::of(&endpoints(outcomes.len(), true), &stats).to_string()
    }

    #[test]
    fn the_same_of_all_is_said_once() {
        let no_route =
            ProbeOutcome::Unreachable(Unreachable { error: "no route to host".into(), icmp: None });
        assert_eq!(verdict(&vec![answered(1); 40]), "all 40 endpoints answered");
        assert_eq!(
            verdict(&vec![TIMED_OUT; 40]),
            "all 40 endpoints timed out: one fault, not 40: NSG, address or route"
        );
        assert_eq!(
            verdict(&[TIMED_OUT]),
            "the endpoint timed out: NSG, address, route or a stopped instance"
        );
        assert_eq!(
            verdict(&vec![no_route; 2]),
            "both endpoints can't be reached (no route to host): route, VPN or a firewall on the way"
        );
        assert_eq!(verdict(&[]), "there was nothing to probe");
    }

    #[test]
    fn different_faults_are_named_with_their_instances() {
        let mut outcomes = vec![answered(1); 12];
        outcomes[5] = ProbeOutcome::Refused { after: Duration::ZERO };
        outcomes[7] = TIMED_OUT;
        outcomes[8] = TIMED_OUT;
        outcomes[9] = TIMED_OUT;
        assert_eq!(
            verdict(&outcomes),
            "8 of 12 endpoints answered; refused: 5 (nothing listens, or a firewall rejects: sshd, backend port); \
             timed out: 7-9 (stopped, filtered or not mapped)"
        );
    }

    #[test]
    fn remarks_come_after_the_rest() {
        let mut outcomes = vec![answered(2); 12];
        outcomes[3] = answered(60);
        let verdict = verdict(&outcomes);
        assert!(verdict.starts_with("all 12 endpoints answered; slow: 3 (from 4 times"), "{verdict}");
    }

    #[test]
    fn a_loss_is_said_with_how_sure_it_is() {
        let mut mixed = stats(&TIMED_OUT, 1);
        (0..3).for_each(|_| mixed.record(&ProbeSample::of(answered(1))));
        assert_eq!(
            Verdict::of(&endpoints(1, true), &[mixed.clone()]).to_string(),
            "the endpoint answered, but not every time (1 of 4 lost, 95 % sure of 5 to 70 %)"
        );
        assert_eq!(
            Verdict::of(&endpoints(2, true), &[mixed, stats(&answered(1), 4)]).to_string(),
            "1 of 2 endpoints answered every time; answered in part: 0 (1 of 4 lost, 95 % sure of 5 to 70 %)"
        );
    }

    #[test]
    fn ports_without_an_instance_are_named_as_ports() {
        let all = [stats(&answered(1), 4), stats(&TIMED_OUT, 4), stats(&answered(1), 4)];
        let verdict = Verdict::of(&endpoints(3, false), &all);
        assert_eq!(verdict.groups[0].set, "ports 50000,50002");
        assert_eq!(verdict.groups[1].set, "port 50001");
        assert!(!verdict.all_reachable());
    }
}
