//! What the gate notes of a request beside its answer.

use hyper::Response;

use super::answer::Text;
use super::engine::Failure;

/// An answer, and what is noted of it.
pub struct Reply {
    pub response: Response<Text>,
    /// A name from a small set, for counting.
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
