//! The two text formats: <https://prometheus.io/docs/instrumenting/exposition_formats/> (0.0.4) and
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/> (1.0).

use std::fmt::{Display, Write as _};

use crate::clean::clean_line;

/// In which format to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' own, which all collectors read.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The format for whoever sends this `Accept` header: OpenMetrics where it is named and not wished
    /// less than the other. Everything else gets the other, which everybody reads.
    #[must_use]
    pub fn for_accept(accept: &str) -> Self {
        let weight = |name: &str| {
            let ranges = accept.split(',').filter_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let is_it = parts.next().is_some_and(|media| media.eq_ignore_ascii_case(name));
                is_it.then(|| parts.find_map(quality).unwrap_or(1.0))
            });
            ranges.max_by(f64::total_cmp)
        };
        let text = ["text/plain", "text/*", "*/*"].into_iter().find_map(weight).unwrap_or_default();
        match weight("application/openmetrics-text") {
            Some(wish) if wish > 0.0 && wish >= text => Self::OpenMetrics,
            _ => Self::Text,
        }
    }

    /// The header `Content-Type` of the format.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The weight of a media range (RFC 9110 section 12.4.2), where this is one.
fn quality(parameter: &str) -> Option<f64> {
    let (name, value) = parameter.split_once('=')?;
    name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse().unwrap_or(1.0))
}

/// Labels as they stand between the braces.
#[derive(Debug, Clone, Default)]
pub(super) struct Labels(String);

impl Labels {
    /// Those that have a value.
    pub(super) fn new(labels: &[(&str, Option<&str>)]) -> Self {
        let mut text = String::new();
        for (name, value) in labels {
            if let Some(value) = value {
                let comma = if text.is_empty() { "" } else { "," };
                let _ = write!(text, "{comma}{name}=\"");
                push_escaped(&mut text, &clean_line(value));
                text.push('"');
            }
        }
        Self(text)
    }
}

/// Both formats escape these three and nothing else.
fn push_escaped(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    /// A gauge that is always 1, with labels that tell something.
    Info,
}

/// A metric's name without the endings that its samples have.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) unit: Option<&'static str>,
    pub(super) help: &'static str,
}

/// Writes families one after the other.
#[derive(Debug)]
pub(super) struct Writer {
    format: Format,
    text: String,
    /// The samples' name of the family that is being written.
    name: String,
}

/// Writing to a String can't fail.
impl Writer {
    pub(super) fn new(format: Format) -> Self {
        Self { format, text: String::new(), name: String::new() }
    }

    /// Begins a family.
    pub(super) fn family(&mut self, family: &Family) {
        let ending = match family.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        self.name = format!("{}{ending}", family.name);
        // The older format names the samples and not the family, and knows no `info`.
        let (name, kind) = match (self.format, family.kind) {
            (Format::OpenMetrics, Kind::Info) => (family.name, "info"),
            (Format::Text, Kind::Info) => (self.name.as_str(), "gauge"),
            (Format::OpenMetrics, Kind::Counter) => (family.name, "counter"),
            (Format::Text, Kind::Counter) => (self.name.as_str(), "counter"),
            (_, Kind::Gauge) => (family.name, "gauge"),
            (_, Kind::Histogram) => (family.name, "histogram"),
        };
        let _ = writeln!(self.text, "# TYPE {name} {kind}");
        if let Some(unit) = family.unit.filter(|_| self.format == Format::OpenMetrics) {
            let _ = writeln!(self.text, "# UNIT {name} {unit}");
        }
        let _ = writeln!(self.text, "# HELP {name} {}", family.help);
    }

    pub(super) fn sample(&mut self, labels: &Labels, value: impl Display) {
        self.line("", labels, None, value);
    }

    /// A sample with one more label, whose value needs no escapes.
    pub(super) fn sample_with(&mut self, labels: &Labels, more: (&str, &str), value: impl Display) {
        self.line("", labels, Some(more), value);
    }

    pub(super) fn histogram(&mut self, labels: &Labels, below: &[(f64, u64)], count: u64, sum: f64) {
        for (end, below) in below {
            // `1.0` and not `1`, as OpenMetrics has it, and the older format does not mind.
            self.line("_bucket", labels, Some(("le", &format!("{end:?}"))), below);
        }
        self.line("_bucket", labels, Some(("le", "+Inf")), count);
        self.line("_sum", labels, None, sum);
        self.line("_count", labels, None, count);
    }

    fn line(&mut self, ending: &str, labels: &Labels, more: Option<(&str, &str)>, value: impl Display) {
        let Self { text, name, .. } = self;
        text.push_str(name);
        text.push_str(ending);
        if !labels.0.is_empty() || more.is_some() {
            text.push('{');
            text.push_str(&labels.0);
            if let Some((name, value)) = more {
                let comma = if labels.0.is_empty() { "" } else { "," };
                let _ = write!(text, "{comma}{name}=\"{value}\"");
            }
            text.push('}');
        }
        let _ = writeln!(text, " {value}");
    }

    /// All that was written.
    pub(super) fn end(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}
