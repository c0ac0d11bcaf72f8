//! What can be wrong with the simulated Azure, as it is typed.

use std::{fmt, str::FromStr, time::Duration};

use thiserror::Error;

/// What is wrong with an answer of the simulated Azure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AzureFault {
    /// 429, with the `Retry-After` given (whole seconds).
    Throttle(Duration),
    /// The right answer, this much later.
    Slow(Duration),
    /// The right answer's first half.
    Broken,
    /// A proxy's page, with status 200, in place of the answer.
    Html,
    /// 403 that names the right that is missing.
    Forbidden,
    /// 503, with the `Retry-After` given (whole seconds).
    Unavailable(Duration),
    /// The connection is closed without an answer.
    Drop,
    /// 401: the token has expired, and stays so; the next sign-in gives another one.
    Expired,
}

/// `Retry-After` where none is typed: the shortest wait that the header can name (RFC 9110,
/// 10.2.3), so that a demonstration goes on soon.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The delay where none is typed: long enough that a person notices, far below usual limits.
const DELAY: Duration = Duration::from_secs(3);

/// How many requests are throttled or find the service unavailable where nothing is typed: one
/// fewer than the three tries that Azure's own clients make at least.
const TIMES: u32 = 2;

impl AzureFault {
    const ALL: [Self; 8] = [
        Self::Throttle(RETRY_AFTER),
        Self::Slow(DELAY),
        Self::Broken,
        Self::Html,
        Self::Forbidden,
        Self::Unavailable(RETRY_AFTER),
        Self::Drop,
        Self::Expired,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Throttle(_) => "throttle",
            Self::Slow(_) => "slow",
            Self::Broken => "broken",
            Self::Html => "html",
            Self::Forbidden => "forbidden",
            Self::Unavailable(_) => "unavailable",
            Self::Drop => "drop",
            Self::Expired => "expired",
        }
    }

    /// The same fault with another time, where it has one.
    fn with_time(self, time: Duration) -> Option<Self> {
        match self {
            Self::Throttle(_) => Some(Self::Throttle(time)),
            Self::Slow(_) => Some(Self::Slow(time)),
            Self::Unavailable(_) => Some(Self::Unavailable(time)),
            _ => None,
        }
    }

    fn default_times(self) -> Option<u32> {
        matches!(self, Self::Throttle(_) | Self::Unavailable(_)).then_some(TIMES)
    }
}

/// Its name as it is typed: `throttle`.
impl fmt::Display for AzureFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A fault and which requests have it, as it is typed: the fault's name, and behind a `=` what is
/// particular about it, in any order and separated by commas:
///
/// - a time (`3s`, `250ms`, a bare number is seconds): the delay, or the `Retry-After`;
/// - how often (`1x`): only the first so many requests that fit;
/// - anything else is a part of the paths that fit, in any case.
///
/// `throttle`, `slow=3s`, `forbidden=networkSecurityGroups`, `throttle=5s,3x,loadBalancers`.
/// Without a path it means all requests but the sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AzureFaultSpec {
    /// What is wrong.
    pub fault: AzureFault,
    /// With how many requests; `None` for all.
    pub times: Option<u32>,
    /// With which: a part of the path, in any case; `None` for all but the sign-in.
    pub path: Option<String>,
}

/// Why a text is not an [`AzureFaultSpec`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AzureFaultError {
    /// What stands before the `=` is no fault.
    #[error(
        "\"{0}\" is not a fault of Azure: there are throttle, slow, broken, html, forbidden, unavailable, drop and expired"
    )]
    Unknown(String),
    /// There is nothing behind the `=` or between two commas.
    #[error(
        "\"{0}\" has an empty part: write FAULT or FAULT=TIME,TIMES,PATH, as in throttle=5s,3x,loadBalancers"
    )]
    Empty(String),
    /// It begins like a time or a number of times and is neither.
    #[error("\"{0}\" is neither a time (3s, 250ms) nor a number of times (2x)")]
    Number(String),
    /// The fault has no time.
    #[error("{0} takes no time: throttle, unavailable and slow do")]
    NoTime(AzureFault),
    /// `Retry-After` counts seconds.
    #[error("{0} takes whole seconds: they are what the Retry-After header can say")]
    Seconds(AzureFault),
}

impl FromStr for AzureFaultSpec {
    type Err = AzureFaultError;

    fn from_str(text: &str) -> Result<Self, AzureFaultError> {
        let (name, settings) = text.split_once('=').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let fault = AzureFault::ALL.into_iter().find(|fault| fault.name() == name.trim());
        let fault = fault.ok_or_else(|| AzureFaultError::Unknown(name.trim().into()))?;
        let mut spec = Self { fault, times: fault.default_times(), path: None };
        for setting in settings.into_iter().flat_map(|settings| settings.split(',')).map(str::trim) {
            match setting.chars().next() {
                None => return Err(AzureFaultError::Empty(text.into())),
                Some(first) if first.is_ascii_digit() => spec.set_number(setting)?,
                Some(_) => spec.path = Some(setting.into()),
            }
        }
        Ok(spec)
    }
}

impl AzureFaultSpec {
    fn set_number(&mut self, text: &str) -> Result<(), AzureFaultError> {
        let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(at);
        let wrong = || AzureFaultError::Number(text.into());
        let number: u32 = digits.parse().map_err(|_| wrong())?;
        let time = match unit {
            "x" => {
                self.times = Some(number);
                return Ok(());
            }
            "" | "s" => Duration::from_secs(number.into()),
            "ms" => Duration::from_millis(number.into()),
            _ => return Err(wrong()),
        };
        let fault = self.fault.with_time(time).ok_or(AzureFaultError::NoTime(self.fault))?;
        if !matches!(fault, AzureFault::Slow(_)) && time.subsec_nanos() != 0 {
            return Err(AzureFaultError::Seconds(fault));
        }
        self.fault = fault;
        Ok(())
    }

    /// Whether a request is meant. The sign-in is, only where its path is typed.
    pub(super) fn fits(&self, path: &str, sign_in: bool) -> bool {
        match &self.path {
            Some(part) => path.to_ascii_lowercase().contains(&part.to_ascii_lowercase()),
            None => !sign_in,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> AzureFaultSpec {
        text.parse().unwrap()
    }

    #[test]
    fn specs_are_read_as_they_are_typed() {
        for (text, fault, times, path) in [
            ("throttle", AzureFault::Throttle(RETRY_AFTER), Some(2), None),
            ("throttle=loadBalancers", AzureFault::Throttle(RETRY_AFTER), Some(2), Some("loadBalancers")),
            ("throttle=vm, 3x,5s", AzureFault::Throttle(Duration::from_secs(5)), Some(3), Some("vm")),
            ("unavailable=0", AzureFault::Unavailable(Duration::ZERO), Some(2), None),
            ("slow=3s", AzureFault::Slow(Duration::from_secs(3)), None, None),
            ("slow=250ms,1x", AzureFault::Slow(Duration::from_millis(250)), Some(1), None),
            ("forbidden=/msi/token", AzureFault::Forbidden, None, Some("/msi/token")),
            ("broken", AzureFault::Broken, None, None),
        ] {
            assert_eq!(spec(text), AzureFaultSpec { fault, times, path: path.map(Into::into) }, "{text}");
        }
        for fault in AzureFault::ALL {
            assert_eq!(spec(&fault.to_string()).fault, fault);
        }
    }

    #[test]
    fn wrong_specs_say_what_is_wrong() {
        let error = |text: &str| text.parse::<AzureFaultSpec>().unwrap_err().to_string();
        assert!(error("fire=3x").starts_with("\"fire\" is not a fault of Azure: there are throttle, slow, "));
        assert!(error("").starts_with("\"\" is not a fault of Azure"));
        assert!(error("slow=").starts_with("\"slow=\" has an empty part"));
        assert!(error("slow=3s,,x").starts_with("\"slow=3s,,x\" has an empty part"));
        assert_eq!(error("slow=3h"), "\"3h\" is neither a time (3s, 250ms) nor a number of times (2x)");
        assert!(error("drop=99999999999x").starts_with("\"99999999999x\" is neither"));
        assert_eq!(error("drop=3s"), "drop takes no time: throttle, unavailable and slow do");
        assert!(error("throttle=250ms").starts_with("throttle takes whole seconds"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_reading_panic(text in "(throttle|slow|drop)?=?[0-9a-zé=,. ]{0,20}") {
            let _ = text.parse::<AzureFaultSpec>();
        }
    }
}
