//! The answers of `--admin-listen`: whether the store can be read, and the metrics.

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};

use super::answer::{self, Text};
use super::gate::Gate;

pub async fn answer(gate: &Gate, connections: usize, request: Request<Incoming>) -> Response<Text> {
    match request.uri().path() {
        "/healthz" => match gate.probe().await {
            Ok(_) => answer::text(StatusCode::OK, "text/plain", "ok\n".to_owned()),
            Err(failure) => {
                let mut response = answer::unavailable();
                *response.body_mut() = Text::from(format!("{}: {}\n", failure.code.word(), failure.message));
                response
            }
        },
        "/metrics" => answer::text(StatusCode::OK, "text/plain; version=0.0.4", gate.metrics(connections)),
        _ => answer::empty(StatusCode::NOT_FOUND),
    }
}
