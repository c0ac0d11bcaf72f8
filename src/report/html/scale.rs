//! Numbers made visible: classes of times for colours, places and marks on axes.

/// Colours that people tell apart in one ramp.
const CLASSES: u32 = 7;
/// A class begins at least a tenth above the one before: less is noise of the path, not news.
const LEAST_RATIO: f64 = 1.1;

/// Classes of round-trip times, as far apart as the times of this run are.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Classes {
    /// Where each class but the first begins, in microseconds.
    bounds_us: Vec<f64>,
}

impl Classes {
    /// Classes for these times, in microseconds: steps of the same ratio from what 1 of 20 is below to what
    /// 1 of 100 is above, to two digits. One odd time does not take the colours from the rest.
    pub(super) fn of(times: impl IntoIterator<Item = u32>) -> Self {
        let mut times: Vec<u32> = times.into_iter().collect();
        times.sort_unstable();
        let at = |percent: usize| {
            let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
            times.get(place).map(|us| f64::from((*us).max(1)))
        };
        let (Some(low), Some(high)) = (at(5), at(99)) else { return Self { bounds_us: Vec::new() } };
        let steps = CLASSES - 1;
        let ratio = (high / low).powf(1.0 / f64::from(steps)).max(LEAST_RATIO);
        let mut bounds_us: Vec<f64> =
            (1..=steps).map(|k| two_digits(low * ratio.powf(f64::from(k)))).collect();
        bounds_us.dedup();
        // What nothing is above would be an empty class.
        let longest = times.last().map_or(0.0, |us| f64::from(*us));
        bounds_us.retain(|bound| *bound <= longest);
        Self { bounds_us }
    }

    /// The class of a time, shortest times first.
    pub(super) fn class(&self, us: u32) -> usize {
        self.bounds_us.partition_point(|bound| *bound <= f64::from(us))
    }

    /// What each class stands for: `under 10 ms`, `10 ms to 12 ms`, `12 ms and more`.
    pub(super) fn names(&self) -> Vec<String> {
        let Some((first, last)) = self.bounds_us.first().zip(self.bounds_us.last()) else {
            return vec!["answered".into()];
        };
        let between = self.bounds_us.windows(2).filter_map(|pair| match pair {
            [low, high] => Some(format!("{} to {}", time(*low), time(*high))),
            _ => None,
        });
        let mut names = vec![format!("under {}", time(*first))];
        names.extend(between);
        names.push(format!("{} and more", time(*last)));
        names
    }
}

fn two_digits(value: f64) -> f64 {
    // Whole microseconds at least: no clock here tells less.
    let unit = 10_f64.powf(value.log10().floor() - 1.0).max(1.0);
    (value / unit).round() * unit
}

/// Microseconds as a person reads them: `0.05 ms`, `12 ms`, `1.5 s`.
pub(super) fn time(us: f64) -> String {
    match us {
        us if us < 1e6 => format!("{} ms", digits(us / 1e3)),
        us => format!("{} s", digits(us / 1e6)),
    }
}

/// Three digits, or all before the point, without zeros at the end.
fn digits(value: f64) -> String {
    let places = match value {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.places$}");
    if places == 0 { text } else { text.trim_end_matches('0').trim_end_matches('.').to_owned() }
}

/// An axis of times with the same length for the same ratio: what is twice as long is as far away
/// everywhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LogAxis {
    low: f64,
    high: f64,
}

/// Beyond this ratio marks go by powers of ten, below it by equal steps.
const WIDE: f64 = 8.0;

impl LogAxis {
    /// An axis from the shortest to the longest time, with some room at the ends.
    pub(super) fn new(min_us: u64, max_us: u64) -> Self {
        // At least a tenth is between the ends, or a single time would have none.
        let (low, high) = (whole(min_us.max(1)) * 0.95, whole(max_us.max(1)) * 1.05);
        Self { low, high }
    }

    /// The place of a time between 0 and 1.
    pub(super) fn place(self, us: f64) -> f64 {
        ((us.max(1.0) / self.low).ln() / (self.high / self.low).ln()).clamp(0.0, 1.0)
    }

    /// Times to mark, in microseconds.
    pub(super) fn marks(self) -> Vec<f64> {
        if self.high / self.low < WIDE {
            return self.even_marks();
        }
        let decades = self.high.log10().floor() - self.low.log10().floor();
        // Six or so of them: of three decades 1, 2 and 5 are marked, of more fewer.
        let in_each: &[f64] = match decades {
            d if d < 2.5 => &[1.0, 2.0, 5.0],
            d if d < 3.5 => &[1.0, 3.0],
            _ => &[1.0],
        };
        let mut marks = Vec::new();
        let mut decade = 10_f64.powf(self.low.log10().floor());
        while decade <= self.high {
            marks.extend(in_each.iter().map(|k| k * decade));
            decade *= 10.0;
        }
        marks.retain(|us| (self.low..=self.high).contains(us));
        marks
    }

    fn even_marks(self) -> Vec<f64> {
        let rough = (self.high - self.low) / 5.0;
        let decade = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|k| k * decade).into_iter().find(|step| *step >= rough);
        let step = step.unwrap_or(rough);
        let first = (self.low / step).ceil();
        (0..8).map(|k| (first + f64::from(k)) * step).take_while(|us| *us <= self.high).collect()
    }
}

/// Steps of time that people count in, in seconds.
const STEPS: [f64; 30] = [
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    15.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    900.0,
    1800.0,
    3600.0,
    7200.0,
    10_800.0,
    21_600.0,
    43_200.0,
    86_400.0,
    172_800.0,
    604_800.0,
    2_592_000.0,
];

/// Marks of a run that takes so many seconds, and their names; five or so, which a narrow window has room
/// for.
pub(super) fn clock_marks(seconds: f64) -> Vec<(f64, String)> {
    let step = STEPS.into_iter().find(|step| seconds / step <= 5.5).unwrap_or(seconds.max(1.0) / 5.0);
    let marks = (0..6).map(|k| f64::from(k) * step).take_while(|at| *at <= seconds);
    marks.map(|at| (at, moment(at))).collect()
}

/// A time since the start of a run, or how long something took: `250 ms`, `2.5 s`, `1 min 30 s`, `2 h`.
pub(super) fn moment(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 60")]
    let whole = |seconds: f64| seconds.round() as u64;
    let two = |a: u64, first: &str, b: u64, second: &str| match b {
        0 => format!("{a} {first}"),
        _ => format!("{a} {first} {b} {second}"),
    };
    match seconds {
        s if s <= 0.0 => "0".into(),
        s if s < 0.9995 => format!("{} ms", digits(s * 1e3)),
        s if s < 59.95 => format!("{} s", digits((s * 100.0).round() / 100.0)),
        s if whole(s) < 3600 => two(whole(s) / 60, "min", whole(s) % 60, "s"),
        s if whole(s) < 86_400 => two(whole(s) / 3600, "h", whole(s) % 3600 / 60, "min"),
        s => two(whole(s) / 86_400, "d", whole(s) % 86_400 / 3600, "h"),
    }
}

/// A number of microseconds for drawing.
#[expect(clippy::cast_precision_loss, reason = "2^53 microseconds are 285 years")]
pub(super) fn whole(us: u64) -> f64 {
    us as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn classes_follow_the_times_and_an_odd_one_does_not_lead_them() {
        let steady: Vec<u32> = (0..100).map(|k| 20_000 + k * 10).chain([900_000]).collect();
        let classes = Classes::of(steady);
        assert_eq!(
            classes.names(),
            [
                "under 22 ms",
                "22 ms to 24 ms",
                "24 ms to 27 ms",
                "27 ms to 29 ms",
                "29 ms to 32 ms",
                "32 ms to 36 ms",
                "36 ms and more"
            ]
        );
        assert_eq!([0, 21_999, 22_000, 900_000].map(|us| classes.class(us)), [0, 0, 1, 6]);
        let fast = Classes::of((0..100).map(|k| 8 + k / 10));
        assert_eq!(fast.names().first().map(String::as_str), Some("under 0.009 ms"));
        assert_eq!(Classes::of([]).names(), ["answered"]);
        assert_eq!((Classes::of([7]).class(7), Classes::of([0, 0]).class(0)), (0, 0));
    }

    #[test]
    fn times_are_read_by_people() {
        let times = [5.0, 45.0, 1234.0, 12_340.0, 1e5, 1e6, 12.34e6].map(time);
        assert_eq!(times, ["0.005 ms", "0.045 ms", "1.23 ms", "12.3 ms", "100 ms", "1 s", "12.3 s"]);
        let moments = [0.0, 0.25, 2.5, 60.0, 90.0, 3600.0, 90_000.0].map(moment);
        assert_eq!(moments, ["0", "250 ms", "2.5 s", "1 min", "1 min 30 s", "1 h", "1 d 1 h"]);
        let marks: Vec<_> = clock_marks(95.0).into_iter().map(|(_, name)| name).collect();
        assert_eq!(marks, ["0", "30 s", "1 min", "1 min 30 s"]);
    }

    #[test]
    fn narrow_axes_have_marks_too() {
        let marks = |min, max| LogAxis::new(min, max).marks().into_iter().map(time).collect::<Vec<_>>();
        assert_eq!(marks(20_000, 26_000), ["20 ms", "22 ms", "24 ms", "26 ms"]);
        assert_eq!(marks(40, 900), ["0.05 ms", "0.1 ms", "0.2 ms", "0.5 ms"]);
        assert_eq!(marks(100, 5_000_000), ["0.1 ms", "1 ms", "10 ms", "100 ms", "1 s"]);
    }

    proptest! {
        #[test]
        fn every_time_has_a_class_with_a_name(times in prop::collection::vec(any::<u32>(), 0..50)) {
            let classes = Classes::of(times.clone());
            let names = classes.names().len();
            prop_assert!(names <= CLASSES as usize);
            prop_assert!(times.iter().all(|us| classes.class(*us) < names));
        }

        #[test]
        fn axes_hold_all(low in 0..u64::MAX, more in any::<u64>(), seconds in 0.0..1e12_f64) {
            let high = low.saturating_add(more);
            let axis = LogAxis::new(low, high);
            prop_assert!(axis.place(whole(low)) <= axis.place(whole(high)));
            prop_assert!(axis.marks().len() < 40 && axis.marks().iter().all(|us| (0.0..=1.0).contains(&axis.place(*us))));
            prop_assert!(clock_marks(seconds).len() <= 6);
        }
    }
}
