//! Runs two commands alternately and compares their times.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Medians of the times in milliseconds, and of the ratios within a round.
pub struct Pair {
    pub first: f64,
    pub second: f64,
    pub ratio: f64,
}

/// Runs both commands in each round, and alternates which of them is first.
pub fn compare(rounds: usize, first: &dyn Fn() -> Command, second: &dyn Fn() -> Command) -> Pair {
    compare_times(rounds, &|| timed(first()), &|| timed(second()))
}

/// Like [`compare`], for functions that measure their time themselves.
pub fn compare_times(rounds: usize, first: &dyn Fn() -> Duration, second: &dyn Fn() -> Duration) -> Pair {
    // The first few rounds fill the caches.
    let unmeasured = if rounds > 1 { 5 } else { 0 };
    let (mut firsts, mut seconds, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..rounds + unmeasured {
        let (one, other) = if turn % 2 == 0 {
            let one = first();
            (one, second())
        } else {
            let other = second();
            (first(), other)
        };
        if turn >= unmeasured {
            firsts.push(one.as_secs_f64() * 1000.0);
            seconds.push(other.as_secs_f64() * 1000.0);
            ratios.push(one.as_secs_f64() / other.as_secs_f64());
        }
    }
    Pair { first: median(firsts), second: median(seconds), ratio: median(ratios) }
}

/// The value in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn timed(mut command: Command) -> Duration {
    command.stdout(Stdio::null());
    let start = Instant::now();
    let done = command.status().expect("the command runs");
    let took = start.elapsed();
    assert!(done.success(), "{command:?}");
    took
}
