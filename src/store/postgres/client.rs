//! The client of a server. Each request has a time limit, since the limits of the server do not help if nothing
//! arrives from it. A connection that exceeds its limit is given up.

use std::error::Error as _;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};
use tokio_postgres::config::Config;
use tokio_postgres::error::{Severity, SqlState};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Connection, Error, NoTls, Row, SimpleQueryMessage, Socket, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::values::Param;

/// How long closing a connection can take, and how long a server can take to notice a cancel.
const END: Duration = Duration::from_millis(100);

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// The server reports it, or the connection is gone.
    Server(Error),
    /// Nothing has come for this long.
    Silent(Duration),
    /// The connection was given up before, or could not be begun.
    Lost(String),
}

/// A statement as a text, or as the server has prepared it.
pub enum Ask<'a> {
    Text(&'a str),
    Prepared(&'a Statement),
}

/// Reads from the socket and writes to it, and returns messages that are not answers.
type Link = Box<dyn FnMut(&mut Context<'_>) -> Poll<Option<Result<AsyncMessage, Error>>> + Send>;

pub struct Client {
    runtime: Option<Runtime>,
    asks: Option<tokio_postgres::Client>,
    /// `None` once it is given up.
    link: Option<Link>,
    tls: Option<MakeRustlsConnect>,
    /// The limit of a request.
    limit: Duration,
    /// Whether the server has warned since this was last set to false.
    pub warned: bool,
}

impl Failure {
    pub fn code(&self) -> Option<&SqlState> {
        if let Self::Server(err) = self { err.code() } else { None }
    }

    /// Whether the connection ended, and not just took too long.
    pub fn is_end(&self) -> bool {
        match self {
            Self::Server(err) => err
                .as_db_error()
                .is_none_or(|err| matches!(err.parsed_severity(), Some(Severity::Fatal | Severity::Panic))),
            Self::Silent(_) => false,
            Self::Lost(_) => true,
        }
    }

    /// The message of the server, without the text that the client adds.
    pub fn words(&self) -> String {
        let err = match self {
            Self::Server(err) => err,
            Self::Silent(limit) => return format!("nothing has come from it for {} s", limit.as_secs_f64()),
            Self::Lost(why) => return why.clone(),
        };
        match (err.as_db_error(), err.source()) {
            (Some(said), _) => said.message().to_owned(),
            (None, Some(cause)) => cause.to_string(),
            (None, None) => err.to_string(),
        }
    }
}

fn link<T>(mut connection: Connection<Socket, T>) -> Link
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    Box::new(move |cx| connection.poll_message(cx))
}

impl Client {
    /// Connects, which takes at most `patience`. `limit` is that of each request.
    pub fn connect(
        config: &Config,
        tls: Option<MakeRustlsConnect>,
        patience: Duration,
        limit: Duration,
    ) -> Result<Self, Failure> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(|err| Failure::Lost(err.to_string()))?;
        let connecting = async {
            Ok::<_, Error>(match tls.clone() {
                None => {
                    let (client, connection) = config.connect(NoTls).await?;
                    (client, link(connection))
                }
                Some(tls) => {
                    let (client, connection) = config.connect(tls).await?;
                    (client, link(connection))
                }
            })
        };
        let failure = match runtime.block_on(async { timeout(patience, connecting).await }) {
            Ok(Ok((client, link))) => {
                let (runtime, asks, link) = (Some(runtime), Some(client), Some(link));
                return Ok(Self { runtime, asks, link, tls, limit, warned: false });
            }
            Ok(Err(err)) => Failure::Server(err),
            Err(_) => Failure::Silent(patience),
        };
        // A name may still be looked up, for which nobody waits.
        runtime.shutdown_background();
        Err(failure)
    }

    pub fn is_closed(&self) -> bool {
        self.link.is_none() || self.asks.as_ref().is_none_or(|client| client.is_closed())
    }

    /// Runs statements without values, and returns their rows as texts.
    pub fn simple_query(&mut self, sql: &str) -> Result<Vec<SimpleQueryMessage>, Failure> {
        self.simple_query_within(self.limit, sql)
    }

    pub fn simple_query_within(
        &mut self,
        limit: Duration,
        sql: &str,
    ) -> Result<Vec<SimpleQueryMessage>, Failure> {
        self.wait(limit, None, async |client| client.simple_query(sql).await)
    }

    pub fn batch_execute(&mut self, sql: &str) -> Result<(), Failure> {
        self.simple_query(sql).map(drop)
    }

    pub fn prepare(&mut self, sql: &str) -> Result<Statement, Failure> {
        self.wait(self.limit, None, async |client| client.prepare(sql).await)
    }

    /// Runs a statement, and `first` before it, without waiting in between.
    pub fn query(
        &mut self,
        first: Option<&str>,
        ask: &Ask<'_>,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, Failure> {
        self.wait(self.limit, first, async |client| match ask {
            Ask::Text(sql) => client.query_typed(sql, &typed(params)).await,
            Ask::Prepared(statement) => client.query(*statement, &untyped(params)).await,
        })
    }

    /// The same for how many rows it changed.
    pub fn execute(
        &mut self,
        first: Option<&str>,
        ask: &Ask<'_>,
        params: &[Param<'_>],
    ) -> Result<u64, Failure> {
        self.wait(self.limit, first, async |client| match ask {
            Ask::Text(sql) => client.execute_typed(sql, &typed(params)).await,
            Ask::Prepared(statement) => client.execute(*statement, &untyped(params)).await,
        })
    }

    /// Sends a statement whose answer nobody needs.
    pub fn send(&mut self, sql: &str) {
        let Self { runtime: Some(runtime), asks: Some(client), link: Some(link), .. } = self else {
            return;
        };
        let mut work = pin!(client.batch_execute(sql));
        runtime.block_on(poll_fn(|cx| {
            let _ = work.as_mut().poll(cx);
            while let Poll::Ready(Some(Ok(_))) = link(cx) {}
            Poll::Ready(())
        }));
    }

    /// Commits. After `patience`, the wait for standbys is cancelled, on which the server warns that the change is kept but
    /// not confirmed. A statement timeout does not end that wait.
    pub fn commit(&mut self, patience: Duration) -> Result<(), Failure> {
        let limit = self.limit;
        let done = {
            let Self { runtime: Some(runtime), asks: Some(client), link: Some(link), tls, warned, .. } = self
            else {
                return Err(given_up());
            };
            let cancel = client.cancel_token();
            let mut work = pin!(client.batch_execute("COMMIT"));
            let mut turn = |cx: &mut Context<'_>| {
                let driven = drive(link, warned, cx);
                answer_or_failure(driven, work.as_mut().poll(cx))
            };
            runtime.block_on(async {
                if let Ok(done) = timeout(patience, poll_fn(&mut turn)).await {
                    return Some(done);
                }
                let cancelled = async {
                    match tls.clone() {
                        None => cancel.cancel_query(NoTls).await,
                        Some(tls) => cancel.cancel_query(tls).await,
                    }
                };
                let _ = timeout(limit, cancelled).await;
                let done = timeout(limit, poll_fn(&mut turn)).await.ok();
                // The cancel must not reach the server during the next request.
                sleep(END).await;
                done
            })
        };
        self.settled(done, limit)
    }

    /// The result of `work`, unless it takes longer than `limit`.
    fn wait<T>(
        &mut self,
        limit: Duration,
        first: Option<&str>,
        work: impl AsyncFnOnce(&tokio_postgres::Client) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        let done = {
            let Self { runtime: Some(runtime), asks: Some(client), link: Some(link), warned, .. } = self
            else {
                return Err(given_up());
            };
            let work = async {
                let Some(first) = first else { return work(client).await };
                let mut first = pin!(client.batch_execute(first));
                let sent = poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx))).await;
                let done = work(client).await;
                if sent.is_pending() {
                    first.await?;
                }
                done
            };
            let mut work = pin!(work);
            let turn = poll_fn(|cx| {
                let driven = drive(link, warned, cx);
                answer_or_failure(driven, work.as_mut().poll(cx))
            });
            runtime.block_on(async { timeout(limit, turn).await.ok() })
        };
        self.settled(done, limit)
    }

    /// Gives the connection up if there was no answer.
    fn settled<T>(&mut self, done: Option<Result<T, Error>>, limit: Duration) -> Result<T, Failure> {
        if done.is_none() || self.asks.as_ref().is_none_or(|client| client.is_closed()) {
            self.link = None;
        }
        done.map_or(Err(Failure::Silent(limit)), |done| done.map_err(Failure::Server))
    }
}

/// Returns an answer even if the connection ended right after it. Of two errors, the one with a code says more.
fn answer_or_failure<T>(driven: Result<(), Error>, answer: Poll<Result<T, Error>>) -> Poll<Result<T, Error>> {
    match (driven, answer) {
        (Err(_), Poll::Ready(Err(err))) if err.code().is_some() => Poll::Ready(Err(err)),
        (Err(err), Poll::Ready(Err(_)) | Poll::Pending) => Poll::Ready(Err(err)),
        (_, answer) => answer,
    }
}

/// Moves bytes in both directions, and fails if the connection has.
fn drive(link: &mut Link, warned: &mut bool, cx: &mut Context<'_>) -> Result<(), Error> {
    loop {
        match link(cx) {
            Poll::Ready(Some(Ok(AsyncMessage::Notice(notice)))) => {
                *warned |= notice.parsed_severity() == Some(Severity::Warning);
            }
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(err))) => return Err(err),
            Poll::Ready(None) | Poll::Pending => return Ok(()),
        }
    }
}

fn given_up() -> Failure {
    Failure::Lost("its connection was given up".to_owned())
}

fn typed<'a>(params: &'a [Param<'a>]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    params.iter().map(|it| (it as &(dyn ToSql + Sync), it.kind())).collect()
}

fn untyped<'a>(params: &'a [Param<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    params.iter().map(|it| it as &(dyn ToSql + Sync)).collect()
}

impl Drop for Client {
    /// Tells the server that this is the end.
    fn drop(&mut self) {
        let (runtime, asks, link) = (self.runtime.take(), self.asks.take(), self.link.take());
        drop(asks);
        let Some(runtime) = runtime else { return };
        if let Some(mut link) = link {
            let end = poll_fn(|cx| match link(cx) {
                Poll::Ready(Some(Ok(_))) => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => Poll::Pending,
            });
            let _ = runtime.block_on(async { timeout(END, end).await });
        }
        runtime.shutdown_background();
    }
}
