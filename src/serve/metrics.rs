//! Counts and durations of requests by route and result, in the format of Prometheus.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Upper bounds of the histogram, in microseconds and as they are printed.
const BOUNDS: [(u128, &str); 8] = [
    (100, "0.0001"),
    (300, "0.0003"),
    (1_000, "0.001"),
    (3_000, "0.003"),
    (10_000, "0.01"),
    (30_000, "0.03"),
    (100_000, "0.1"),
    (1_000_000, "1"),
];

#[derive(Debug, Default)]
pub struct Metrics {
    requests: BTreeMap<Arc<str>, BTreeMap<&'static str, u64>>,
    buckets: [u64; BOUNDS.len()],
    count: u64,
    took: Duration,
}

impl Metrics {
    pub fn count(&mut self, route: &Arc<str>, result: &'static str, took: Duration) {
        match self.requests.get_mut(route) {
            Some(results) => *results.entry(result).or_default() += 1,
            None => *self.requests.entry(Arc::clone(route)).or_default().entry(result).or_default() += 1,
        }
        if let Some(at) = BOUNDS.iter().position(|(bound, _)| took.as_micros() <= *bound) {
            self.buckets[at] += 1;
        }
        self.count += 1;
        self.took += took;
    }

    pub fn text(&self, waiting: usize, connections: usize) -> String {
        let mut out = String::new();
        let head = |out: &mut String, name: &str, kind: &str, help: &str| {
            out.push_str(&format!("# HELP tokenctl_{name} {help}\n# TYPE tokenctl_{name} {kind}\n"));
        };
        head(&mut out, "requests_total", "counter", "Requests by route and result.");
        for (route, results) in &self.requests {
            for (result, count) in results {
                out.push_str(&format!(
                    "tokenctl_requests_total{{route=\"{route}\",result=\"{result}\"}} {count}\n"
                ));
            }
        }
        head(&mut out, "request_seconds", "histogram", "Time from the head of a request to its answer.");
        let mut below = 0;
        for ((_, bound), count) in BOUNDS.iter().zip(self.buckets) {
            below += count;
            out.push_str(&format!("tokenctl_request_seconds_bucket{{le=\"{bound}\"}} {below}\n"));
        }
        out.push_str(&format!("tokenctl_request_seconds_bucket{{le=\"+Inf\"}} {}\n", self.count));
        out.push_str(&format!("tokenctl_request_seconds_sum {}\n", self.took.as_secs_f64()));
        out.push_str(&format!("tokenctl_request_seconds_count {}\n", self.count));
        head(&mut out, "waiting_requests", "gauge", "Requests that wait for their batch or for the store.");
        out.push_str(&format!("tokenctl_waiting_requests {waiting}\n"));
        head(&mut out, "connections", "gauge", "Open connections.");
        out.push_str(&format!("tokenctl_connections {connections}\n"));
        out
    }
}
