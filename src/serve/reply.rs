//! An answer, together with its data for the log and the metrics.

use super::engine::Failure;
use super::http::Response;
use crate::verify::Verdict;

/// An answer with its data for the log and the metrics.
pub struct Reply {
    pub response: Response,
    /// The result, from a small set of names, for counting.
    pub result: &'static str,
    /// The verdict on the secret that a proxy presented.
    pub verdict: Option<Verdict>,
    pub failure: Option<Failure>,
}

impl Reply {
    pub fn plain(result: &'static str, response: Response) -> Self {
        Self { response, result, verdict: None, failure: None }
    }

    pub fn failed(failure: Failure, response: Response) -> Self {
        Self { response, result: failure.code.word(), verdict: None, failure: Some(failure) }
    }
}
