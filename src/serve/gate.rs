//! Handles one request, from its head to the answer, a line of the log and the metrics.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use zeroize::Zeroizing;

use super::answer::Challenge;
use super::api;
use super::engine::{Answer, Engine, Failure, Question};
use super::http::{Head, Headers, Response, Status};
use super::log::{Line, Log};
use super::metrics::Metrics;
use super::origin::Origin;
use super::present::{Presented, Source, presented};
use super::reply::Reply;
use super::route::{Routes, Target};
use crate::domain::secret::Secret;
use crate::domain::verdict::Requirements;
use crate::store::{Location, StoreError, UNCHANGED};
use crate::verifier::Verifier;

/// How requests are read and refused.
pub struct Manners {
    pub sources: Vec<Source>,
    pub origin: Origin,
    pub realm: String,
    pub explain: bool,
}

pub struct Gate {
    pub engine: Engine,
    routes: Routes,
    manners: Manners,
    log: Option<Log>,
    metrics: RefCell<Metrics>,
}

/// The state of a request.
pub enum Step {
    Done(Response),
    /// It waits for answers to its questions, which were appended to those of others.
    Asks(Pending),
    /// It waits for its body.
    Reads(Pending),
}

/// A request that is not answered yet.
pub struct Pending {
    started: Instant,
    method: Cow<'static, str>,
    route: Arc<str>,
    kind: Kind,
    /// How many answers it needs.
    pub questions: usize,
    /// The length of its body in bytes.
    pub weight: usize,
}

enum Kind {
    Verify,
    Api(api::Form),
    Health,
}

impl Gate {
    /// Opens the store and starts the verifying thread.
    pub fn open(
        location: Location,
        routes: Routes,
        manners: Manners,
        log: Option<Log>,
    ) -> Result<Self, StoreError> {
        let verifier = Verifier::at(location)?;
        let failed = |err: io::Error| StoreError::Io {
            what: format!("cannot start a thread: {err}"),
            settled: UNCHANGED,
        };
        let engine = Engine::start(verifier).map_err(failed)?;
        Ok(Self { engine, routes, manners, log, metrics: RefCell::default() })
    }

    /// Begins a request from a connection with this address.
    pub fn begin(
        &self,
        head: &Head<'_, '_>,
        peer: Option<IpAddr>,
        started: Instant,
        questions: &mut Vec<Question>,
    ) -> Step {
        let pending = |route: Arc<str>, kind: Kind| Pending {
            started,
            method: method(head.method),
            route,
            kind,
            questions: 0,
            weight: 0,
        };
        let (route, reply) = match self.routes.target(head.path, head.query) {
            Target::Verify(route, requirements) => match self.question(requirements, head.headers, peer) {
                Ok(question) => {
                    questions.push(question);
                    return Step::Asks(Pending { questions: 1, ..pending(route, Kind::Verify) });
                }
                Err(reply) => (route, *reply),
            },
            Target::BadQuery(route, why) => {
                let response = Response::text(Status::BadRequest, "text/plain", format!("{why}\n"));
                (route, Reply::plain("bad_query", response))
            }
            Target::Api(route) if head.method != "POST" => {
                let response = Response::new(Status::MethodNotAllowed).header("allow", "POST").closing();
                (route, Reply::plain("bad_method", response))
            }
            Target::Api(route) => return Step::Reads(pending(route, Kind::Api(api::Form::default()))),
            Target::Unknown => ("".into(), Reply::plain("no_route", Response::new(Status::NotFound))),
        };
        Step::Done(self.done(&pending(route, Kind::Verify), reply, started))
    }

    /// Continues a request whose body has arrived.
    pub fn read(&self, pending: Pending, body: &[u8], now: Instant, questions: &mut Vec<Question>) -> Step {
        match api::read(body) {
            Ok((all, form)) => {
                let step =
                    Pending { questions: all.len(), weight: body.len(), kind: Kind::Api(form), ..pending };
                questions.extend(all);
                Step::Asks(step)
            }
            Err(reply) => Step::Done(self.done(&pending, *reply, now)),
        }
    }

    /// Refuses what is not the head of a request.
    pub fn refuse_head(&self, status: Status, now: Instant) -> Response {
        let (method, route) = ("".into(), "".into());
        let pending = Pending { started: now, method, route, kind: Kind::Verify, questions: 0, weight: 0 };
        self.done(&pending, Reply::plain("bad_head", Response::new(status).closing()), now)
    }

    /// Refuses a request because of its body.
    pub fn refuse(&self, pending: &Pending, why: Status, now: Instant) -> Response {
        self.done(pending, api::broken(why), now)
    }

    /// Completes a request with the answers to its questions.
    pub fn response(
        &self,
        pending: &Pending,
        answers: Result<Vec<Answer>, Failure>,
        now: Instant,
    ) -> Response {
        let reply = match &pending.kind {
            Kind::Api(form) => form.reply(answers),
            Kind::Verify => self.verdict(one(answers)),
            Kind::Health => return health(one(answers)),
        };
        self.done(pending, reply, now)
    }

    /// The question of a proxy about the secret that its client presents.
    fn question(
        &self,
        requirements: Arc<Requirements>,
        headers: Headers<'_, '_>,
        peer: Option<IpAddr>,
    ) -> Result<Question, Box<Reply>> {
        match presented(headers, &self.manners.sources) {
            Presented::Nothing => Err(Reply::plain("nothing_presented", self.challenge().nothing()).into()),
            Presented::Several => Err(Reply::plain("several_presented", self.challenge().several()).into()),
            Presented::Secret(secret) => {
                Ok(Question { secret, requirements, address: self.manners.origin.of(peer, headers) })
            }
        }
    }

    fn verdict(&self, answer: Answer) -> Reply {
        match answer {
            Err(failure) => Reply::failed(failure, Response::unavailable()),
            Ok(verdict) => {
                let (response, result) = (self.challenge().verdict(&verdict), verdict.reason().word());
                Reply { verdict: Some(verdict), ..Reply::plain(result, response) }
            }
        }
    }

    fn challenge(&self) -> Challenge<'_> {
        Challenge { realm: &self.manners.realm, explain: self.manners.explain }
    }

    /// Counts and logs a request.
    fn done(&self, pending: &Pending, reply: Reply, now: Instant) -> Response {
        let took = now.saturating_duration_since(pending.started);
        self.metrics.borrow_mut().count(&pending.route, reply.result, took);
        if let Some(log) = &self.log {
            log.write(Line::new(&pending.method, &pending.route, &reply, took));
        }
        reply.response
    }

    /// Begins the verification of a secret that nobody has, to check whether the store can be read.
    pub fn probe(&self, started: Instant, questions: &mut Vec<Question>) -> Pending {
        let nobodys = Secret::read(Zeroizing::new(b"nobody-has-this-secret".to_vec()));
        questions.push(Question { secret: nobodys, ..Question::default() });
        Pending {
            started,
            method: "GET".into(),
            route: "".into(),
            kind: Kind::Health,
            questions: 1,
            weight: 0,
        }
    }

    /// The metrics as text. `arrived` requests wait for their batch.
    pub fn metrics(&self, arrived: usize, connections: usize) -> String {
        self.metrics.borrow().text(arrived + self.engine.waiting(), connections)
    }

    /// Waits for a moment until the log is written.
    pub fn finish(self) {
        if let Some(log) = self.log {
            log.finish();
        }
    }
}

fn one(answers: Result<Vec<Answer>, Failure>) -> Answer {
    answers?.pop().unwrap_or_else(|| Err(Failure::late("there was no answer")))
}

fn health(answer: Answer) -> Response {
    match answer {
        Ok(_) => Response::text(Status::Ok, "text/plain", "ok\n".to_owned()),
        Err(failure) => {
            Response::unavailable().body(format!("{}: {}\n", failure.code.word(), failure.message))
        }
    }
}

/// The name of the method in the log.
fn method(name: &str) -> Cow<'static, str> {
    let usual = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];
    usual.iter().find(|it| **it == name).map_or_else(|| name.to_owned().into(), |it| Cow::Borrowed(*it))
}
