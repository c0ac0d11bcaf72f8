//! What probing found as one page that stands alone: for a ticket, a mail, a file next year.
//!
//! The page loads nothing and is useful without scripts: pictures are inline SVG, and the one script only
//! sorts the table. A policy in the page (CSP) lets nothing run but that script, by its hash, so that no
//! name that a scale set or a server gave itself can become code, should escaping ever fail.

mod distribution;
mod heat;
mod rows;
mod scale;

use std::{
    io::{self, Write},
    time::Duration,
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use crate::{
    clean::clean_line,
    natmap::Endpoint,
    stats::{ProbeStats, Remark, State, Timeline, Verdict},
};
use scale::{moment, time};

const STYLE: &str = include_str!("html/style.css");
const SCRIPT: &str = include_str!("html/script.js");

/// The page's policy (CSP): nothing is loaded, and only its own style and script are obeyed.
fn policy() -> String {
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

/// A run of probes, ready to be written as a page.
#[derive(Debug, Clone, Copy)]
pub struct HtmlReport<'a> {
    /// How the run was.
    pub run: &'a ProbeRun,
    /// What was probed.
    pub endpoints: &'a [Endpoint],
    /// The statistics of each, in the same order.
    pub stats: &'a [ProbeStats],
    /// What became of each over time, in the same order.
    pub timeline: &'a Timeline,
}

/// What a page says of its run beside the figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeRun {
    /// The target, as it is typed.
    pub target: String,
    /// When the run began, by the clock on the wall and with its zone.
    pub began: String,
    /// How long it took.
    pub took: Duration,
    /// Whether it came to its end.
    pub end: RunEnd,
    /// The options that shaped it: what each is and its value.
    pub options: Vec<(&'static str, String)>,
    /// How long a probe waited for its answer.
    pub time_limit: Duration,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// All probes were made.
    Whole,
    /// Someone stopped it before.
    Interrupted,
}

impl HtmlReport<'_> {
    /// Writes the page.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        // In parts: of a thousand instances only one of them is in memory as text.
        let title = format!("Probes of {}", clean_line(&self.run.target));
        let head = html! {
            (DOCTYPE)
            (PreEscaped("<html lang=\"en\">"))
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) " - " (self.run.began) }
                style { (PreEscaped(STYLE)) }
            }
            (PreEscaped("<body>"))
            header { (self.header(&title)) }
            (PreEscaped("<main>"))
        };
        write_part(out, head)?;
        for part in [Self::over_time, Self::distribution, Self::instances, Self::about] {
            write_part(out, part(self))?;
        }
        let end = html! {
            (PreEscaped("</main>"))
            footer { "Written by vmssh " (env!("CARGO_PKG_VERSION")) ". This page loads nothing from elsewhere." }
            script { (PreEscaped(SCRIPT)) }
            (PreEscaped("</body></html>\n"))
        };
        write_part(out, end)
    }

    fn header(&self, title: &str) -> Markup {
        let verdict = Verdict::of(self.endpoints, self.stats);
        let well = self.stats.iter().all(rows::is_well)
            && !verdict.remarks.iter().any(|remark| matches!(remark, Remark::Slow { .. }));
        let took = moment(self.run.took.as_secs_f64());
        html! {
            h1 { (title) }
            p.when {
                (self.run.began) ", "
                @match self.run.end {
                    RunEnd::Whole => { "for " (took) }
                    RunEnd::Interrupted => { strong { "interrupted" } " after " (took) }
                }
            }
            p.verdict.good[well] { b aria-hidden="true" { @if well { "✓ " } @else { "▲ " } } (clean_line(&verdict.to_string())) }
            (self.figures())
            nav aria-label="Parts" {
                a href="#over-time" { "Over time" }
                a href="#distribution" { "Distribution" }
                a href="#instances" { "Instances" }
                a href="#about" { "Run and definitions" }
            }
        }
    }

    /// The figures over all endpoints.
    fn figures(&self) -> Markup {
        let mut all = ProbeStats::default();
        self.stats.iter().for_each(|stats| all.merge(stats));
        let reachable = self.stats.iter().filter(|stats| State::of(stats).is_reachable()).count();
        let ms = |ms: f64| time(ms * 1e3);
        let mut shown = vec![
            (
                "Endpoints",
                format!("{reachable} of {}", self.endpoints.len()),
                "answered at least once".into(),
            ),
            ("Probes answered", format!("{} of {}", all.answered, all.sent()), outcomes(&all)),
        ];
        if all.sent() > 0 {
            let loss = rows::loss(all.lost(), all.sent());
            let (share, interval) = loss.split_once(" (").unwrap_or((&loss, ""));
            let interval = interval.trim_end_matches(')');
            shown.push(("Loss", format!("{share} %"), format!("95 % interval {interval} %")));
        }
        if let Some(rtt) = all.rtt() {
            shown.push(("Round trip, median", ms(rtt.p50_ms), format!("shortest {}", ms(rtt.min_ms))));
            shown.push(("p90", ms(rtt.p90_ms), String::new()));
            shown.push(("p99", ms(rtt.p99_ms), format!("longest {}", ms(rtt.max_ms))));
        }
        if all.answered > 0 {
            shown.push(("Second SYN", all.retransmitted.to_string(), "answers that needed one".into()));
        }
        if let Some(delay) = all.own_delay.percentile_us(99) {
            let meaning = "p99: how late this machine noticed".into();
            shown.push(("Own delay", time(scale::whole(delay)), meaning));
        }
        if all.service.asked() > 0 {
            let meaning = "services that said what they should".into();
            shown.push(("Services", format!("{} of {}", all.service.answered, all.service.asked()), meaning));
        }
        html! {
            dl.figures {
                @for (name, value, meaning) in shown {
                    div { dt { (name) } dd { (value) @if !meaning.is_empty() { small { (meaning) } } } }
                }
            }
        }
    }

    fn over_time(&self) -> Markup {
        let map = heat::heat_map(self.endpoints, self.stats, self.timeline, self.run.time_limit);
        section("over-time", "Over time", &map)
    }

    fn distribution(&self) -> Markup {
        let curves = distribution::distribution(self.endpoints, self.stats);
        let curves = curves
            .unwrap_or_else(|| html! { p { "No round trip was timed, so there is nothing to distribute." } });
        section("distribution", "Distribution of round-trip times", &curves)
    }

    fn instances(&self) -> Markup {
        section("instances", "Instances", &rows::table(self.endpoints, self.stats))
    }

    fn about(&self) -> Markup {
        let about = html! {
            dl.run {
                @for (name, value) in &self.run.options {
                    div { dt { (name) } dd { (clean_line(value)) } }
                }
            }
            h3 { "How the figures are made" }
            ul.how {
                li { "A probe is one TCP handshake. Its round trip is from the SYN to the answer: by the kernel's own measure of the "
                    "handshake where the clock is " code { "kernel" } ", by this program's clock where it is " code { "monotonic" }
                    ", which has the time in it until the program got to run." }
                li { "Warm-up probes are not counted anywhere on this page." }
                li { "Loss is what timed out or was unreachable, of what was sent. A refusal is an answer, so it is no loss; what this "
                    "machine could not send is none either. The interval in brackets is where the path's loss lies with a "
                    "confidence of 95 % (Wilson): of few probes it is wide." }
                li { "Percentiles are by nearest rank: p90 is the time that nine of ten are not longer than. They are exact up to 4.1 ms; "
                    "longer ones are off by 0.025 % at most. Shortest, mean, longest and deviation are of every time." }
                li { "Jitter is the mean difference between each round trip and the one before it." }
                li { "An answer to a SYN that was sent again is counted under 2nd SYN. Where the time of the SYN that was answered can't be told, "
                    "it is in no figure of times." }
                li { "An outage lasts from the first probe without an answer to the next that is answered." }
                li { "Slow is an instance whose median is above the median of all by 3.5 standard deviations (from the MAD), by half, and by 1 ms." }
                li { "Over time, a column holds the probes that began in it; until an instance's next probe, what the last one found is shown. "
                    "In long runs columns are merged: the longest round trip in each stays, and so does what went wrong." }
            }
        };
        section("about", "Run and definitions", &about)
    }
}

/// What became of probes that were not answered, where there are any.
fn outcomes(all: &ProbeStats) -> String {
    let others = [
        (all.timed_out, "timed out"),
        (all.refused, "refused"),
        (all.unreachable, "unreachable"),
        (all.not_sent, "not sent"),
        (all.not_resolved, "not resolved"),
    ];
    let said = others.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
    said.collect::<Vec<_>>().join(", ")
}

fn section(id: &str, title: &str, contents: &Markup) -> Markup {
    html! { section aria-labelledby=(id) { h2 id=(id) { (title) } (contents) } }
}

fn write_part(out: &mut dyn Write, part: Markup) -> io::Result<()> {
    out.write_all(part.into_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Answer, ProbeOutcome, ProbeSample},
        natmap::InstanceId,
    };

    fn endpoints(count: usize, name: Option<&str>) -> Vec<Endpoint> {
        (0..count)
            .map(|k| Endpoint {
                instance: Some(InstanceId::from(k)),
                name: name.map(Into::into),
                vm_id: None,
                host: "20.1.2.3".parse().unwrap(),
                port: (50_000 + k as u64).try_into().unwrap(),
            })
            .collect()
    }

    /// The page of endpoints whose k-th probe in each second ends as told.
    fn page(endpoints: &[Endpoint], seconds: u32, outcome: impl Fn(usize, u32) -> ProbeOutcome) -> String {
        let mut stats = vec![ProbeStats::default(); endpoints.len()];
        let mut timeline = Timeline::new(endpoints.len(), Duration::from_secs(1));
        for second in 0..seconds {
            for (index, stats) in stats.iter_mut().enumerate() {
                let start = Duration::from_secs(second.into());
                let sample = ProbeSample { start, ..ProbeSample::of(outcome(index, second)) };
                stats.record(&sample);
                timeline.record(index, &sample);
            }
        }
        let run = ProbeRun {
            target: "<b>&\x1b[2J".into(),
            began: "2026-11-25 08:31:04 +00:00 (UTC)".into(),
            took: Duration::from_secs(seconds.into()),
            end: RunEnd::Interrupted,
            options: vec![("Interval", "<i>".into())],
            time_limit: Duration::from_secs(2),
        };
        let mut out = Vec::new();
        HtmlReport { run: &run, endpoints, stats: &stats, timeline: &timeline }.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn answered(us: u64) -> ProbeOutcome {
        ProbeOutcome::Answered(Answer::kernel(Duration::from_micros(us)))
    }

    #[test]
    fn nothing_is_loaded_and_no_name_is_obeyed() {
        let hostile = "<script>alert(1)</script>\"' onload=x \u{202e}";
        let outcome = |index: usize, _| match index {
            0 => answered(2500),
            _ => ProbeOutcome::NotResolved(hostile.into()),
        };
        let page = page(&endpoints(3, Some(hostile)), 4, outcome);
        assert_eq!(page.matches("<script").count(), 1, "the sorting, and no other");
        assert!(page.contains("<title>Probes of &lt;b&gt;&amp;^[[2J - 2026-11-25"));
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;' onload=x \\u{202e}"));
        for reference in ["http:", "https:", "//20", "src=", "@import", "url(", "href=\"", "\x1b", "\u{202e}"]
        {
            let allowed = |at: usize| page[at..].starts_with("url(#p-") || page[at..].starts_with("href=\"#");
            assert!(page.match_indices(reference).all(|(at, _)| allowed(at)), "{reference}");
        }
    }

    #[test]
    fn every_run_has_a_page() {
        let none = page(&[], 0, |_, _| answered(1));
        assert!(none.contains("there was nothing to probe") && none.contains("No probe came to an end."));
        let stopped = page(&endpoints(3, None), 0, |_, _| answered(1));
        assert!(stopped.contains("nothing was probed") && stopped.contains("<strong>interrupted</strong>"));
        let one = page(&endpoints(1, None), 1, |_, _| answered(1000));
        assert!(one.contains("round trip 1 ms") && one.contains("class=\"all\""));
        let silent = page(&endpoints(2, None), 3, |_, _| ProbeOutcome::TimedOut { syns: Some(2) });
        assert!(
            silent.contains("No round trip was timed") && silent.contains("0 of 3 answered, 3 timed out")
        );
    }

    #[test]
    fn a_thousand_restless_instances_are_a_few_megabytes() {
        // Times jump over all classes from each cell to the next, and losses come in between.
        let outcome = |index: usize, second: u32| {
            let jump = (index as u64 * 7919 + u64::from(second) * 104_729) % 97;
            if jump == 0 { ProbeOutcome::TimedOut { syns: None } } else { answered(1000 + jump * jump * 10) }
        };
        let page = page(&endpoints(1000, Some("web_with_a_name")), 240, outcome);
        assert!(page.len() < 8_000_000, "{} bytes", page.len());
        assert!(page.contains("the middle half of the instances"));
    }
}
