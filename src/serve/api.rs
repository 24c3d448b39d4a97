//! `POST /api/verify`: one request as a JSON object, or an array of them, for services. It is not for proxies,
//! since the status does not depend on the verdict.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::engine::{Answer, Failure, Question};
use super::http::{Response, Status};
use super::reply::Reply;
use crate::domain::address::address;
use crate::domain::code::Code;
use crate::domain::secret::{INPUT_MAX, Secret};
use crate::domain::text::{Label, SetLabel};
use crate::domain::verdict::Requirements;
use crate::ui::json::{self, VerdictDoc};
use crate::verify::pairs::Pairs;

const JSON: &str = "application/json";
/// The greatest number of requests in one body.
const MOST: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestDoc {
    secret: String,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    labels: Pairs,
    address: Option<String>,
    /// The value was taken out before; the key remains.
    #[serde(default, rename = "id")]
    _id: Value,
}

#[derive(Serialize)]
struct AnswerDoc<'a> {
    #[serde(flatten)]
    verdict: VerdictDoc<'a>,
    id: &'a Value,
}

/// The part of a request that its answer needs.
struct Item {
    id: Value,
    is_request: bool,
}

#[derive(Deserialize)]
struct OnlyId {
    #[serde(default)]
    id: Value,
}

impl Item {
    /// Parses an element. An invalid one counts as a request without a secret. An element with a repeated key is
    /// invalid.
    fn read(text: &RawValue) -> (Question, Self) {
        let id = serde_json::from_str(text.get()).map(|OnlyId { id }| id).unwrap_or_default();
        let question = serde_json::from_str(text.get()).ok().and_then(RequestDoc::question);
        let is_request = question.is_some();
        (question.unwrap_or(Question::default()), Self { id, is_request })
    }
}

impl RequestDoc {
    fn question(self) -> Option<Question> {
        let text = Zeroizing::new(self.secret.into_bytes());
        let scopes = self.scopes.iter().map(|scope| scope.parse().ok()).collect::<Option<_>>()?;
        let labels = self.labels.0.iter().map(|(key, value)| label(key, value)).collect::<Option<_>>()?;
        let address = self.address.map(|text| address(&text)).transpose().ok()?;
        let secret = (text.len() <= INPUT_MAX).then(|| Secret::read(text)).flatten();
        Some(Question { secret, requirements: Arc::new(Requirements { scopes, labels, address }), address })
    }
}

fn label(key: &str, value: &str) -> Option<Label> {
    // A key with a `=` in it would be parsed as another key.
    let label = format!("{key}={value}").parse::<SetLabel>().ok()?.0;
    (label.key == key).then_some(label)
}

/// The form of the answers to a body.
#[derive(Default)]
pub struct Form {
    is_array: bool,
    items: Vec<Item>,
}

/// The answer to a body that did not arrive completely.
pub fn broken(status: Status) -> Reply {
    let why = match status {
        Status::Timeout => "the body took longer than 10 seconds",
        _ => "the body is longer than 1 MiB or incomplete",
    };
    refused(status, why)
}

/// The questions of a body, or the answer to an invalid one.
pub fn read(body: &[u8]) -> Result<(Vec<Question>, Form), Box<Reply>> {
    let whole: Option<&RawValue> = serde_json::from_slice(body).ok();
    let (is_array, values) = match whole.map(|it| (it, it.get().as_bytes()[0])) {
        Some((all, b'[')) => (true, serde_json::from_str::<Vec<&RawValue>>(all.get()).unwrap_or_default()),
        Some((one, b'{')) => (false, vec![one]),
        _ => {
            let why = "the body is neither a JSON object nor an array of objects";
            return Err(refused(Status::BadRequest, why).into());
        }
    };
    if values.len() > MOST {
        return Err(refused(Status::BadRequest, "the body holds more than 1,000 requests").into());
    }
    let (questions, items) = values.into_iter().map(Item::read).unzip();
    Ok((questions, Form { is_array, items }))
}

impl Form {
    pub fn reply(&self, answers: Result<Vec<Answer>, Failure>) -> Reply {
        let answers = match answers {
            Ok(answers) => answers,
            Err(failure) => {
                let body = format!("{}\n", failure_doc(&failure, None));
                return Reply::failed(failure, Response::unavailable().body(body));
            }
        };
        let failed = answers.iter().find_map(|answer| answer.as_ref().err().cloned());
        let documents: Vec<String> =
            answers.iter().zip(&self.items).map(|(answer, item)| document(answer, item)).collect();
        let documents = documents.join(",");
        let text = if self.is_array { format!("[{documents}]\n") } else { format!("{documents}\n") };
        Reply { failure: failed, ..Reply::plain("answered", Response::text(Status::Ok, JSON, text)) }
    }
}

fn document(answer: &Answer, Item { id, is_request }: &Item) -> String {
    let verdict = match answer {
        _ if !is_request => return failure_doc(&wrong("the element is not a request"), Some(id)),
        Ok(verdict) => verdict,
        Err(failure) => return failure_doc(failure, Some(id)),
    };
    let verdict =
        VerdictDoc::new(verdict.reason(), verdict.missing_scopes(), verdict.token().zip(verdict.secret()));
    json::text(&AnswerDoc { verdict, id })
}

fn failure_doc(failure: &Failure, id: Option<&Value>) -> String {
    let error = json!({"code": failure.code.word(), "message": failure.message, "hint": failure.hint});
    json::text(&match id {
        Some(id) => json!({"error": error, "id": id}),
        None => json!({"error": error}),
    })
}

fn wrong(why: &str) -> Failure {
    let hint = "use an object with `secret`, and optionally `scopes` (a list), `labels` (an object), `address` and `id`";
    Failure { code: Code::Usage, message: why.to_owned(), hint: Some(hint.to_owned()) }
}

/// The rest of the body must not be read as the next request.
fn refused(status: Status, why: &str) -> Reply {
    let body = format!("{}\n", failure_doc(&wrong(why), None));
    Reply::plain("bad_body", Response::text(status, JSON, body).closing())
}
