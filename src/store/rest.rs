//! Pauses between attempts to reach a server, so that many requests at once do not cause as many connections.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::StoreError;

/// The first pause. Each pause is twice as long as the one before, up to the longest.
const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);

/// The last attempt, if it failed, and the pause after it.
#[derive(Default)]
pub struct Rest(Mutex<Option<Failed>>);

struct Failed {
    at: Instant,
    pause: Duration,
    server: PathBuf,
    why: String,
}

impl Rest {
    /// Calls `open`, or returns the last error again while a pause lasts.
    pub fn after<T>(&self, open: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Failed { at, pause, server, why }) = &*last
            && at.elapsed() < *pause
        {
            return Err(StoreError::Unreachable { server: server.clone(), why: why.clone() });
        }
        let pause = last.take().map_or(FIRST, |last| (last.pause * 2).min(LONGEST));
        let opened = open();
        if let Err(StoreError::Unreachable { server, why }) = &opened {
            *last = Some(Failed { at: Instant::now(), pause, server: server.clone(), why: why.clone() });
        }
        opened
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_to_reach_a_server_pause_longer_and_longer() {
        let rest = Rest::default();
        let mut attempts = 0;
        let mut fail = || {
            rest.after(|| -> Result<(), _> {
                attempts += 1;
                Err(StoreError::Unreachable { server: "postgres://db/".into(), why: "refused".to_owned() })
            })
        };
        for _ in 0..20 {
            assert!(matches!(fail(), Err(StoreError::Unreachable { .. })));
        }
        let pause = rest.0.lock().expect("no thread panicked").as_ref().map(|last| last.pause);
        // Once a pause is over, the next attempt makes it twice as long.
        if let Some(last) = rest.0.lock().expect("no thread panicked").as_mut() {
            last.at = last.at.checked_sub(LONGEST).expect("the machine runs for longer");
        }
        assert!(fail().is_err());
        let next = rest.0.lock().expect("no thread panicked").as_ref().map(|last| last.pause);
        assert_eq!(next, pause.map(|pause| (pause * 2).min(LONGEST)));
        assert!(attempts < 20 && pause >= Some(FIRST), "{attempts} attempts, then {pause:?}");
        *rest.0.lock().expect("no thread panicked") = None;
        assert!(rest.after(|| Ok(())).is_ok());
        assert!(rest.0.lock().expect("no thread panicked").is_none(), "a success ends the pauses");
    }
}
