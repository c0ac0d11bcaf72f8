//! What can be said of a run of probes, and what it means.

use std::{
    net::IpAddr,
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

use clap::{Args, ValueEnum};

use super::{
    super::{
        args::{InstancesArgs, TargetArgs},
        duration,
        sign_in::SignInArgs,
    },
    html::HtmlArgs,
    places::PlacesArgs,
};
use crate::{
    natmap::InstanceSet,
    net::{
        probe::{Budget, Count, Depth, ProbeOptions, Service, Until},
        resolve::Family,
    },
    stats::Buckets,
    target::Target,
};

/// Arguments of `vmssh probe`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ProbeArgs {
    #[command(flatten)]
    pub(super) target: TargetArgs,
    #[command(flatten)]
    pub(super) instances: InstancesArgs,
    #[command(flatten)]
    pub(super) pace: PaceArgs,
    #[command(flatten)]
    pub(super) way: WayArgs,
    #[command(flatten)]
    pub(super) through: ThroughArgs,
    #[command(flatten)]
    pub(super) show: ShowArgs,
    #[command(flatten)]
    pub(super) places: PlacesArgs,
}

/// How many probes and when.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "How many and when")]
pub(super) struct PaceArgs {
    /// Probes per endpoint, or for how long: 100, 10s [default: 4]
    #[arg(short = 'n', long, value_name = "N|TIME", value_parser = count)]
    count: Option<Count>,
    /// Until stopped (Ctrl-C), which shows the result
    #[arg(short = 't', long, conflicts_with = "count")]
    endless: bool,
    /// Until each endpoint has answered, with no warm-up; with -n at most so many or so long
    #[arg(long)]
    until_up: bool,
    /// Time from one probe of an endpoint to its next; 0 is as fast as it goes
    #[arg(short, long, value_name = "TIME", default_value = "250ms", value_parser = duration::parse)]
    interval: Duration,
    /// Probes at the start that are not counted: the first pays for routes and address look-ups
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    warm_up: u32,
    /// How long to wait for one answer; 2s is the time for two SYNs
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration::parse_limit)]
    timeout: Duration,
    /// SYNs a second, of all endpoints together; 0 is no limit [default: 2000, with `-i 0` no limit]
    #[arg(long, value_name = "N")]
    rate: Option<u32>,
    /// Let --full and --banner make more than 10 probes of an endpoint in 15s, which sshd punishes
    #[arg(long)]
    no_budget: bool,
}

/// From where to probe.
#[derive(Debug, Clone, Args)]
pub(super) struct ThroughArgs {
    /// Probe the private addresses as this instance sees them, through a session to it
    ///
    /// Its sshd makes the connections, which are seen by the service: at most 10 in 15s per endpoint. A time is that
    /// until it says that a connection stands, with the way to it in it.
    #[arg(
        long,
        value_name = "N",
        conflicts_with_all = ["full", "banner", "source", "ipv4", "ipv6", "rate", "until_up"],
        help_heading = "How to probe"
    )]
    pub(super) via: Option<InstanceSet>,
    #[command(flatten)]
    pub(super) sign_in: SignInArgs,
}

/// How to probe.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "How to probe")]
pub(super) struct WayArgs {
    /// Complete the handshake, which the service sees; at most 10 times in 15s per endpoint
    #[arg(long)]
    full: bool,
    /// Also wait for what the service says: SSH's identification, or RDP's at (backend) port 3389
    #[arg(long)]
    banner: bool,
    /// Probe from this address of this machine
    #[arg(long, value_name = "ADDRESS")]
    pub(super) source: Option<IpAddr>,
    /// IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,
    /// IPv6 only
    #[arg(short = '6', long)]
    ipv6: bool,
}

/// How to show what comes of it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "What to show")]
pub(super) struct ShowArgs {
    /// How to show it
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub(super) output: ProbeFormat,
    /// Show a live screen while it runs, and keep it when the run is over
    ///
    /// Keys: j k, arrows, PgUp PgDn, g G move; s sorts by the next column, S turns the order; f shows only the
    /// bad ones; Enter all about one; p holds the picture while the probes go on; ? all keys and signs; q ends
    /// the run and prints the table, Ctrl-C too, with exit status 130. With -t it comes by itself.
    #[arg(long)]
    pub(super) watch: bool,
    #[command(flatten)]
    pub(super) html: HtmlArgs,
    /// Show only the endpoints that did not answer every time, or are slow
    #[arg(long)]
    pub(super) failures_only: bool,
    /// Show how the times are distributed: in 20 steps, in N, or up to each of these times (1ms,2ms,5ms)
    #[arg(
        long,
        value_name = "N|TIMES",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "20",
        value_parser = buckets
    )]
    pub(super) histogram: Option<Buckets>,
}

/// How results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ProbeFormat {
    /// For people
    Table,
    /// The same with more columns
    Wide,
    /// Lines as psping prints them
    Psping,
    /// One document with a schema name, at the end
    Json,
    /// One object a line: each probe as it ends, at the end the document of `json`
    Jsonl,
    /// Comma-separated values with a header, at the end
    Csv,
}

/// A thousand ports in half a second: a burst would measure this machine's own queue, and looks like an
/// attack to some firewalls.
const RATE: NonZeroU32 = NonZeroU32::new(2000).unwrap();
/// As psping has it.
const PROBES: u32 = 4;
/// Of the remote desktop (MS-RDPBCGR 2.1).
const RDP: u16 = 3389;

impl ProbeArgs {
    /// How to probe, now that the options are known.
    pub(super) fn options(&self) -> ProbeOptions {
        let (pace, depth) = (&self.pace, self.depth());
        // Through an instance, sshd there makes connections that are complete.
        let seen = depth.is_seen() || self.through.via.is_some();
        let budget = (seen && !pace.no_budget).then_some(Budget::SSHD);
        ProbeOptions {
            count: pace.count(),
            until: if pace.until_up { Until::Up } else { Until::Counted },
            interval: pace.interval,
            // What does not count can't be what is waited for.
            warm_up: if pace.until_up { 0 } else { pace.warm_up },
            timeout: pace.timeout,
            rate: pace.rate(),
            budget,
            depth,
            source: self.way.source,
        }
    }

    fn depth(&self) -> Depth {
        // A plain address tells no port of the instance but, where there is none between, its own.
        let plain = matches!(&self.target.target.target, Target::Range(range) if range.start.get() == RDP && range.end == range.start);
        let rdp = self.instances.backend_port.get() == RDP || plain;
        let service = if rdp { Service::Rdp } else { Service::Ssh };
        match (self.way.banner, self.way.full) {
            (true, _) => Depth::Service(service),
            (false, true) => Depth::Full,
            (false, false) => Depth::HalfOpen,
        }
    }

    /// From one probe of an endpoint to its next.
    pub(super) fn interval(&self) -> Duration {
        self.pace.interval
    }

    /// The IP versions that addresses are wanted of.
    pub(super) fn family(&self) -> Family {
        match self.way {
            WayArgs { ipv4: true, .. } => Family::V4,
            WayArgs { ipv6: true, .. } => Family::V6,
            WayArgs { source: Some(IpAddr::V4(_)), .. } => Family::V4,
            WayArgs { source: Some(IpAddr::V6(_)), .. } => Family::V6,
            _ => Family::Any,
        }
    }

    /// How many probes each endpoint gets, warm-ups included; `None` where a time or the user ends the run.
    pub(super) fn probes_each(&self) -> Option<u64> {
        match (self.pace.count(), self.pace.until_up) {
            (Count::Times(n), false) => Some(u64::from(n) + u64::from(self.pace.warm_up)),
            _ => None,
        }
    }
}

impl ProbeArgs {
    /// How many probes there will be, in psping's words.
    pub(super) fn plan(&self) -> String {
        let options = self.options();
        match options.count {
            Count::Times(times) => format!("{} iterations", u64::from(times) + u64::from(options.warm_up)),
            Count::For(time) => format!("{} second", time.as_secs_f64()),
            Count::Endless => "Continuous".into(),
        }
    }
}

impl PaceArgs {
    fn count(&self) -> Count {
        match self.count {
            Some(count) => count,
            None if self.endless || self.until_up => Count::Endless,
            None => Count::Times(PROBES),
        }
    }

    fn rate(&self) -> Option<NonZeroU32> {
        match self.rate {
            Some(rate) => NonZeroU32::new(rate),
            None if self.interval.is_zero() => None,
            None => Some(RATE),
        }
    }
}

/// psping's habit: a number of probes, or a time.
fn count(text: &str) -> Result<Count, String> {
    if text.ends_with(|c: char| c.is_ascii_alphabetic()) {
        return duration::parse_limit(text).map(Count::For);
    }
    text.parse::<NonZeroU32>()
        .map(|probes| Count::Times(probes.get()))
        .map_err(|_| format!("\"{text}\" is neither a number of probes nor a time"))
}

/// psping's habit: a number of buckets, or their limits.
fn buckets(text: &str) -> Result<Buckets, String> {
    if let Ok(steps) = text.parse::<usize>() {
        let steps = NonZeroUsize::new(steps).filter(|steps| steps.get() <= MOST_BUCKETS);
        return steps.map(Buckets::Steps).ok_or_else(|| format!("it takes 1 to {MOST_BUCKETS} steps"));
    }
    let limits = text.split(',').map(duration::parse).collect::<Result<Vec<_>, _>>();
    let limits = limits.map_err(|error| format!("{error}, nor is \"{text}\" a number of steps"))?;
    if !limits.is_sorted_by(|a, b| a < b) {
        return Err("each time must be longer than the one before".into());
    }
    Ok(Buckets::Limits(limits))
}

/// More rows than anybody reads.
const MOST_BUCKETS: usize = 1000;

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    #[command(mut_arg("identity", |arg| arg.short(None)))]
    struct Cli {
        #[command(flatten)]
        probe: ProbeArgs,
    }

    fn options(words: &str) -> ProbeOptions {
        options_of("20.1.2.3:50000", words)
    }

    fn options_of(target: &str, words: &str) -> ProbeOptions {
        let words = ["probe", target].into_iter().chain(words.split_whitespace());
        Cli::try_parse_from(words).unwrap().probe.options()
    }

    #[test]
    fn counts_are_numbers_or_times() {
        assert_eq!(count("100"), Ok(Count::Times(100)));
        assert_eq!(count("10s"), Ok(Count::For(Duration::from_secs(10))));
        for wrong in ["0", "-1", "", "0s", "ten"] {
            assert!(count(wrong).is_err(), "{wrong}");
        }
        assert_eq!(options("").count, Count::Times(4));
        assert_eq!(options("-t").count, Count::Endless);
        assert_eq!(options("--until-up").count, Count::Endless);
        assert_eq!(options("--until-up -n 9").count, Count::Times(9));
    }

    #[test]
    fn a_rate_is_set_unless_speed_is_asked_for() {
        let rates = ["", "-i 0", "--rate 5 -i 0", "--rate 0"].map(|words| options(words).rate.map(u32::from));
        assert_eq!(rates, [Some(2000), None, Some(5), None]);
    }

    #[test]
    fn only_probes_that_the_service_sees_have_a_budget() {
        for (words, depth, budget) in [
            ("--full", Depth::Full, true),
            ("--full --no-budget", Depth::Full, false),
            ("--banner", Depth::Service(Service::Ssh), true),
            ("--full --banner --backend-port 3389", Depth::Service(Service::Rdp), true),
            ("", Depth::HalfOpen, cfg!(not(target_os = "linux"))),
        ] {
            let options = options(words);
            assert_eq!((options.depth, options.budget.is_some()), (depth, budget), "{words}");
        }
    }

    #[test]
    fn a_plain_address_of_a_remote_desktop_is_asked_as_one() {
        let depth = |target| options_of(target, "--banner").depth;
        assert_eq!(depth("20.1.2.3:3389"), Depth::Service(Service::Rdp));
        assert_eq!(depth("20.1.2.3:3389-3390"), Depth::Service(Service::Ssh));
    }

    #[test]
    fn buckets_are_a_number_or_limits() {
        let ms = Duration::from_millis;
        assert_eq!(buckets("20"), Ok(Buckets::Steps(NonZeroUsize::new(20).unwrap())));
        assert_eq!(buckets("1ms,2ms,5ms"), Ok(Buckets::Limits(vec![ms(1), ms(2), ms(5)])));
        for wrong in ["0", "1001", "", "2ms,1ms", "1ms,1ms", "x"] {
            assert!(buckets(wrong).is_err(), "{wrong}");
        }
    }
}
