//! The answers of `--admin-listen`: whether the store can be read, and the metrics.

use std::time::Instant;

use super::engine::Question;
use super::gate::{Gate, Step};
use super::http::{Response, Status};

/// Values for the metrics that only the server knows.
pub struct Load {
    /// Requests that wait for their batch.
    pub arrived: usize,
    pub connections: usize,
}

pub fn begin(gate: &Gate, path: &str, load: &Load, now: Instant, questions: &mut Vec<Question>) -> Step {
    match path {
        "/healthz" => Step::Asks(gate.probe(now, questions)),
        "/metrics" => {
            let text = gate.metrics(load.arrived, load.connections);
            Step::Done(Response::text(Status::Ok, "text/plain; version=0.0.4", text))
        }
        _ => Step::Done(Response::new(Status::NotFound)),
    }
}
