//! Times: the start of the simulated clock, the format of times in documents, and the real time.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::World;

/// 2026-11-22T12:00:00Z, the time at which every simulated clock starts.
pub const START: i64 = 1_795_348_800;
pub const MINUTE: i64 = 60;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

/// An instant in the format of the JSON documents.
pub fn time(unix: i64) -> Value {
    let time = chrono::DateTime::from_timestamp(unix, 0).expect("a time");
    json!(time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}

/// The real time in Unix seconds.
pub fn real_time() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the time is after 1970");
    i64::try_from(since.as_secs()).expect("a time before the end")
}

impl World {
    /// Sets the simulated clock to this many seconds after the real time.
    pub fn at_real_time(&self, later: i64) {
        self.wait(real_time() + later - self.now());
    }
}
