//! `POST /api/verify`: one request as a JSON object, or an array of them, for services. Never for proxies: the status
//! says nothing of the verdict.

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
use crate::domain::verdict::Ask;
use crate::ui::json::{self, VerdictDoc};
use crate::verify::pairs::Pairs;

const JSON: &str = "application/json";
/// The most requests of one body.
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
    /// Taken out before; the key stays.
    #[serde(default, rename = "id")]
    _id: Value,
}

#[derive(Serialize)]
struct AnswerDoc<'a> {
    #[serde(flatten)]
    verdict: VerdictDoc<'a>,
    id: &'a Value,
}

/// Of a request in a body what its answer needs.
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
    /// What is not a request asks about nothing that can be a secret. A key that stands there twice makes it none.
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
        Some(Question { secret, ask: Arc::new(Ask { scopes, labels, address }), address })
    }
}

fn label(key: &str, value: &str) -> Option<Label> {
    // A key with `=` in it would be another key.
    let label = format!("{key}={value}").parse::<SetLabel>().ok()?.0;
    (label.key == key).then_some(label)
}

/// How the answers to a body are put.
#[derive(Default)]
pub struct Form {
    is_array: bool,
    items: Vec<Item>,
}

/// The answer to a body that did not come whole.
pub fn broken(status: Status) -> Reply {
    let why = match status {
        Status::Timeout => "the body took longer than 10 seconds",
        _ => "the body is longer than 1 MiB, or broken",
    };
    refused(status, why)
}

/// The questions of a body, or the answer to one that cannot be understood.
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
    let hint =
        "an object of `secret`, and as needed `scopes` (a list), `labels` (an object), `address` and `id`";
    Failure { code: Code::Usage, message: why.to_owned(), hint: Some(hint.to_owned()) }
}

/// What is left of the body must not be taken for the next request.
fn refused(status: Status, why: &str) -> Reply {
    let body = format!("{}\n", failure_doc(&wrong(why), None));
    Reply::plain("bad_body", Response::text(status, JSON, body).closing())
}
