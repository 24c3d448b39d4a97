//! An answer, together with its data for the log and the metrics.

use hyper::Response;

use super::answer::Text;
use super::engine::Failure;

/// An answer with its data for the log and the metrics.
pub struct Reply {
    pub response: Response<Text>,
    /// The result, from a small set of names, for counting.
    pub result: &'static str,
    /// Id, name and hint of the secret that was presented.
    pub who: Option<[String; 3]>,
    pub failure: Option<Failure>,
}

impl Reply {
    pub fn plain(result: &'static str, response: Response<Text>) -> Self {
        Self { response, result, who: None, failure: None }
    }

    pub fn failed(failure: Failure, response: Response<Text>) -> Self {
        Self { response, result: failure.code.word(), who: None, failure: Some(failure) }
    }
}
