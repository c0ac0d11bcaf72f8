//! A strict reader of the Prometheus text format 0.0.4 and of OpenMetrics 1.0: whatever a collector could
//! stumble over is a failure.

#![allow(dead_code, reason = "every test program uses some of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, HashMap, HashSet};

/// The samples of an exposition, by name and labels.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    pub(crate) types: HashMap<String, String>,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

fn is_name(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !text.is_empty() && text.chars().all(good) && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// Reads an exposition in one of the two formats.
pub(crate) fn read(text: &str, open_metrics: bool) -> Exposition {
    assert!(text.ends_with('\n') && !text.contains('\r'), "lines end with a line feed");
    let mut lines: Vec<_> = text.lines().collect();
    if open_metrics {
        assert_eq!(lines.pop(), Some("# EOF"));
    }
    let mut all = Exposition::default();
    let mut family = None;
    let mut seen = HashSet::new();
    for line in lines {
        assert!(!line.is_empty(), "no empty lines");
        if let Some(rest) = line.strip_prefix("# ") {
            let (what, rest) = rest.split_once(' ').unwrap();
            let (name, rest) = rest.split_once(' ').unwrap();
            assert!(is_name(name), "{line}");
            match what {
                "TYPE" => {
                    let kinds: &[_] = if open_metrics {
                        &["counter", "gauge", "histogram", "info"]
                    } else {
                        &["counter", "gauge", "histogram"]
                    };
                    assert!(kinds.contains(&rest), "{line}");
                    assert!(all.types.insert(name.into(), rest.into()).is_none(), "{name} twice");
                    family = Some((name.to_string(), rest.to_string()));
                }
                "UNIT" if open_metrics => assert!(name.ends_with(&format!("_{rest}")), "{line}"),
                "HELP" => assert!(!rest.is_empty()),
                _ => panic!("{line}"),
            }
            assert_eq!(family.as_ref().unwrap().0, name, "metadata of another family");
            continue;
        }
        let sample = sample(line);
        let (name, kind) = family.as_ref().expect("a sample before its type");
        let ending =
            sample.name.strip_prefix(name.as_str()).unwrap_or_else(|| panic!("{line} is not of {name}"));
        let good: &[_] = match (kind.as_str(), open_metrics) {
            ("counter", true) => &["_total"],
            ("info", _) => &["_info"],
            ("histogram", _) => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        assert!(good.contains(&ending), "{line} in a {kind}");
        if kind == "counter" {
            assert!(sample.name.ends_with("_total") && sample.value >= 0.0, "{line}");
        }
        assert!(seen.insert((sample.name.clone(), sample.labels.clone())), "{line} twice");
        all.samples.push(sample);
    }
    all.check_histograms();
    all
}

fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, behind) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            assert!(is_name(label), "{line}");
            let mut value = String::new();
            let mut characters = behind.chars();
            loop {
                match characters.next().unwrap_or_else(|| panic!("{line}")) {
                    '"' => break,
                    '\\' => value.push(match characters.next() {
                        Some('n') => '\n',
                        Some(c @ ('\\' | '"')) => c,
                        other => panic!("escape {other:?} in {line}"),
                    }),
                    c => value.push(c),
                }
            }
            assert!(labels.insert(label.into(), value).is_none(), "{line}");
            rest = characters.as_str();
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').unwrap_or_else(|| panic!("{line}"));
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
    let number: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
    assert!(!number.is_nan() && !value.contains(char::is_whitespace), "{line}");
    Sample { name: name.into(), labels, value: number }
}

impl Exposition {
    /// Buckets rise in their ends and their counts, end with all, and agree with the count and the sum.
    fn check_histograms(&self) {
        for name in self.types.iter().filter(|(_, kind)| *kind == "histogram").map(|(name, _)| name) {
            let mut series: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
            for sample in self.samples.iter().filter(|sample| sample.name == format!("{name}_bucket")) {
                let mut labels = sample.labels.clone();
                let end = labels.remove("le").expect("a bucket has an end").parse().unwrap();
                series.entry(labels).or_default().push((end, sample.value));
            }
            for (labels, buckets) in series {
                assert!(buckets.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 <= w[1].1), "{buckets:?}");
                let (end, all) = buckets[buckets.len() - 1];
                assert_eq!((end, Some(all)), (f64::INFINITY, self.value(&format!("{name}_count"), &labels)));
                let sum = self.value(&format!("{name}_sum"), &labels).unwrap();
                assert!(sum >= 0.0 && (all > 0.0 || sum == 0.0));
            }
        }
    }

    /// The value of exactly this series.
    pub(crate) fn value(&self, name: &str, labels: &BTreeMap<String, String>) -> Option<f64> {
        self.samples.iter().find(|s| s.name == name && s.labels == *labels).map(|s| s.value)
    }

    /// The only value of a name with at least these labels.
    pub(crate) fn only(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |sample: &&Sample| {
            sample.name == name
                && labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|v| v == value))
        };
        let mut found = self.samples.iter().filter(has);
        let first = found.next()?;
        assert!(found.next().is_none(), "{name} {labels:?} is not one");
        Some(first.value)
    }
}
