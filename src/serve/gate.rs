//! Handles one request, from its path and headers to the answer, a line of the log and the metrics.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, CONNECTION, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::Instant;

use super::answer::{self, Challenge, Text};
use super::api;
use super::engine::{Answer, Engine, Question};
use super::log::{Line, Log};
use super::metrics::Metrics;
use super::origin::Origin;
use super::present::{Presented, Source, presented};
use super::reply::Reply;
use super::route::{Routes, Target};
use crate::domain::verdict::Ask;
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
    engine: Engine,
    routes: Routes,
    manners: Manners,
    log: RefCell<Option<Log>>,
    metrics: RefCell<Metrics>,
    under_way: Cell<usize>,
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
        Ok(Self {
            engine,
            routes,
            manners,
            log: RefCell::new(log),
            metrics: RefCell::default(),
            under_way: Cell::new(0),
        })
    }

    /// Answers waiting requests in batches, forever. It must run for anything to be answered.
    pub async fn run(&self) {
        self.engine.run().await;
    }

    /// Answers a request from a connection with this address.
    pub async fn answer(&self, request: Request<Incoming>, peer: Option<IpAddr>) -> Response<Text> {
        let started = Instant::now();
        let _under_way = UnderWay::begin(&self.under_way);
        let method = request.method().clone();
        let target = self.routes.target(request.uri().path(), request.uri().query());
        let reads_body = matches!(target, Target::Api);
        // A body that is not read must not be parsed as the next request.
        let closes = !reads_body && !request.body().is_end_stream();
        let (route, mut reply) = self.reply(target, request, peer).await;
        if closes {
            reply.response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let took = started.elapsed();
        self.metrics.borrow_mut().count(&route, reply.result, took);
        if let Some(log) = &*self.log.borrow() {
            log.write(Line::new(&method, &route, &reply, took));
        }
        reply.response
    }

    async fn reply(
        &self,
        target: Target,
        request: Request<Incoming>,
        peer: Option<IpAddr>,
    ) -> (Arc<str>, Reply) {
        match target {
            Target::Verify(name, ask) => (name, self.verify(ask, request.headers(), peer).await),
            Target::BadQuery(why) => {
                let response = answer::text(StatusCode::BAD_REQUEST, "text/plain", format!("{why}\n"));
                ("/verify".into(), Reply::plain("bad_query", response))
            }
            Target::Api if request.method() != Method::POST => {
                let mut response = answer::empty(StatusCode::METHOD_NOT_ALLOWED);
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                ("/api/verify".into(), Reply::plain("bad_method", response))
            }
            Target::Api => ("/api/verify".into(), api::reply(&self.engine, request.into_body()).await),
            Target::Unknown => ("".into(), Reply::plain("no_route", answer::empty(StatusCode::NOT_FOUND))),
        }
    }

    async fn verify(&self, ask: Arc<Ask>, headers: &HeaderMap, peer: Option<IpAddr>) -> Reply {
        let challenge = Challenge { realm: &self.manners.realm, explain: self.manners.explain };
        let secret = match presented(headers, &self.manners.sources) {
            Presented::Nothing => return Reply::plain("nothing_presented", challenge.nothing()),
            Presented::Several => return Reply::plain("several_presented", challenge.several()),
            Presented::Secret(secret) => secret,
        };
        let address = self.manners.origin.of(peer, headers);
        match self.engine.answer(Question { secret, ask, address }).await {
            Err(failure) => Reply::failed(failure, answer::unavailable()),
            Ok(verdict) => {
                let who = verdict.token().zip(verdict.secret());
                Reply {
                    response: challenge.verdict(&verdict),
                    result: verdict.reason().word(),
                    who: who.map(|(token, secret)| {
                        [token.id.to_string(), token.name.to_string(), secret.hint.clone()]
                    }),
                    failure: None,
                }
            }
        }
    }

    /// Verifies a secret that nobody has.
    pub async fn probe(&self) -> Answer {
        let secret =
            crate::domain::secret::Secret::read(zeroize::Zeroizing::new(b"nobody-has-this-secret".to_vec()));
        self.engine.answer(Question { secret, ..Question::default() }).await
    }

    /// The metrics as text.
    pub fn metrics(&self, connections: usize) -> String {
        self.metrics.borrow().text(self.engine.waiting(), connections)
    }

    /// How many requests are not answered yet.
    pub fn under_way(&self) -> usize {
        self.under_way.get()
    }

    /// Waits for a moment until the log is written.
    pub fn finish(&self) {
        if let Some(log) = self.log.take() {
            log.finish();
        }
    }
}

/// Counts a request while it exists, even if its client disconnects.
struct UnderWay<'a>(&'a Cell<usize>);

impl<'a> UnderWay<'a> {
    fn begin(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
