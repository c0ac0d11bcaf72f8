//! Faults as they strike requests, one after the other.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{AzureFault, AzureFaultSpec};

/// The faults of a server, counted down as they strike.
#[derive(Debug)]
pub(super) struct Faults(Mutex<Vec<AzureFaultSpec>>);

/// What strikes one request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Strike {
    /// How much later it is answered.
    pub(super) delay: Duration,
    /// What else is wrong with the answer.
    pub(super) fault: Option<AzureFault>,
}

impl Faults {
    pub(super) fn new(specs: Vec<AzureFaultSpec>) -> Self {
        Self(Mutex::new(specs))
    }

    /// The faults of one request. Delays add up; of the others the first one strikes.
    pub(super) fn strike(&self, path: &str, sign_in: bool) -> Strike {
        let mut strike = Strike::default();
        for spec in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            let used_up = spec.times == Some(0);
            let slow = matches!(spec.fault, AzureFault::Slow(_));
            if used_up || !spec.fits(path, sign_in) || (strike.fault.is_some() && !slow) {
                continue;
            }
            spec.times = spec.times.map(|times| times.saturating_sub(1));
            match spec.fault {
                AzureFault::Slow(delay) => strike.delay = strike.delay.saturating_add(delay),
                fault => strike.fault = Some(fault),
            }
        }
        strike
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> AzureFaultSpec {
        text.parse().unwrap()
    }

    #[test]
    fn faults_strike_who_fits_as_often_as_they_are_meant_to() {
        let faults = Faults::new(["forbidden=LB,1x", "slow=2s", "slow=1s,lb", "drop"].map(spec).into());
        let strike = |seconds, fault| Strike { delay: Duration::from_secs(seconds), fault };
        assert_eq!(faults.strike("/a/lb/b", false), strike(3, Some(AzureFault::Forbidden)));
        assert_eq!(faults.strike("/a/lb/b", false), strike(3, Some(AzureFault::Drop)));
        assert_eq!(faults.strike("/msi/token", true), Strike::default());
        let faults = Faults::new(vec![spec("unavailable=token")]);
        let unavailable = Some(AzureFault::Unavailable(Duration::from_secs(1)));
        let struck: Vec<_> = (0..3).map(|_| faults.strike("/msi/token", true).fault).collect();
        assert_eq!(struck, [unavailable, unavailable, None]);
    }
}
