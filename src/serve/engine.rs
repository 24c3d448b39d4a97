//! Collects requests that arrive together, and answers them in one transaction.
//!
//! - All requests that have arrived at the last poll of the sockets are answered in one read transaction, which
//!   begins after they arrived. This happens on the HTTP thread, which never waits.
//! - If that is impossible since the store is locked or must be opened again, the requests go to a thread that
//!   may wait. A request that waits too long there gets an error, never a positive answer.

use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::domain::code::Code;
use crate::domain::secret::Secret;
use crate::domain::verdict::Ask;
use crate::error::Error;
use crate::verifier::{Verifier, VerifyError};
use crate::verify::{Request, Verdict};

/// How long a request may wait for its answer.
const PATIENCE: Duration = Duration::from_millis(900);
/// How many requests may wait at once. Further ones are refused.
const WAITING: usize = 8_192;
/// How many secrets a batch may have before it is closed.
const BURST: usize = 1_000;
/// A request with more secrets than this goes to the thread, so that it does not delay others.
const AT_ONCE: usize = 50;

/// A presented secret (`None` for a text that cannot be one), the requirements, and the client's address.
#[derive(Default)]
pub struct Question {
    pub secret: Option<Secret>,
    pub ask: Arc<Ask>,
    pub address: Option<IpAddr>,
}

/// Why there is no verdict.
#[derive(Debug, Clone)]
pub struct Failure {
    pub code: Code,
    pub message: String,
    pub hint: Option<String>,
}

pub type Answer = Result<Verdict, Failure>;

struct Job {
    questions: Vec<Question>,
    reply: oneshot::Sender<Vec<Answer>>,
}

/// A request of the next batch. It gets its questions back if they cannot be answered at once.
struct Arrived {
    questions: Vec<Question>,
    reply: oneshot::Sender<Result<Vec<Answer>, Vec<Question>>>,
}

pub struct Engine {
    verifier: Arc<Verifier>,
    arrived: RefCell<Vec<Arrived>>,
    arrival: Notify,
    queue: SyncSender<Job>,
    waiting: Arc<AtomicUsize>,
}

impl Engine {
    /// Starts the thread.
    pub fn start(verifier: Verifier) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(WAITING);
        let (verifier, waiting) = (Arc::new(verifier), Arc::<AtomicUsize>::default());
        let (shared, left) = (Arc::clone(&verifier), Arc::clone(&waiting));
        thread::Builder::new().name("verify".to_owned()).spawn(move || work(&shared, &jobs, &left))?;
        Ok(Self { verifier, arrived: RefCell::default(), arrival: Notify::new(), queue, waiting })
    }

    /// Answers batches forever.
    pub async fn run(&self) {
        loop {
            self.arrival.notified().await;
            // The sockets are polled once more, and the requests found there join the batch.
            yield_now().await;
            let burst = self.arrived.take();
            let answers = at_once(&self.verifier, &burst);
            match answers {
                Some(mut answers) => {
                    for Arrived { questions, reply } in burst {
                        // The client may have disconnected.
                        let _ = reply.send(Ok(answers.by_ref().take(questions.len()).collect()));
                    }
                }
                None => {
                    for Arrived { questions, reply } in burst {
                        let _ = reply.send(Err(questions));
                    }
                }
            }
        }
    }

    /// The answers to questions that belong together, in their order.
    pub async fn answers(&self, questions: Vec<Question>) -> Result<Vec<Answer>, Failure> {
        if questions.len() > AT_ONCE {
            return self.answers_in_time(questions).await;
        }
        let (reply, answers) = oneshot::channel();
        self.arrived.borrow_mut().push(Arrived { questions, reply });
        self.arrival.notify_one();
        match answers.await {
            Ok(Ok(answers)) => Ok(answers),
            Ok(Err(questions)) => self.answers_in_time(questions).await,
            Err(_) => Err(Failure::late("the server is stopping")),
        }
    }

    /// The same, by the thread that may wait for the store.
    async fn answers_in_time(&self, questions: Vec<Question>) -> Result<Vec<Answer>, Failure> {
        let (reply, answers) = oneshot::channel();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if self.queue.try_send(Job { questions, reply }).is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Failure::late("too many requests wait"));
        }
        match timeout(PATIENCE, answers).await {
            Ok(Ok(answers)) => Ok(answers),
            _ => Err(Failure::late("the store did not answer in time")),
        }
    }

    /// The answer to one question.
    pub async fn answer(&self, question: Question) -> Answer {
        let answer = self.answers(vec![question]).await?.pop();
        answer.unwrap_or_else(|| Err(Failure::late("there was no answer")))
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed) + self.arrived.borrow().len()
    }
}

impl Failure {
    fn late(why: &str) -> Self {
        let hint = "try again; a stopped process holds its lock until it ends".to_owned();
        Self { code: Code::StoreLocked, message: why.to_owned(), hint: Some(hint) }
    }
}

impl From<VerifyError> for Failure {
    fn from(VerifyError(err): VerifyError) -> Self {
        let err = Error::Store(err);
        Self { code: err.code(), message: err.to_string(), hint: err.hint() }
    }
}

/// The answers to all questions of a batch, in their order. `None` if that would take waiting.
fn at_once(verifier: &Verifier, burst: &[Arrived]) -> Option<std::vec::IntoIter<Answer>> {
    let questions = burst.iter().flat_map(|it| &it.questions);
    let answers = verifier.verify_at_once(&requests(questions))?;
    Some(answers.into_iter().map(|answer| answer.map_err(Failure::from)).collect::<Vec<_>>().into_iter())
}

fn requests<'a>(questions: impl Iterator<Item = &'a Question>) -> Vec<Request<'a>> {
    questions.map(|it| Request::of_secret(it.secret.as_ref(), &it.ask).from(it.address)).collect()
}

fn work(verifier: &Verifier, jobs: &Receiver<Job>, waiting: &AtomicUsize) {
    while let Ok(first) = jobs.recv() {
        let mut burst = vec![first];
        let mut secrets = burst[0].questions.len();
        while secrets < BURST
            && let Ok(job) = jobs.try_recv()
        {
            secrets += job.questions.len();
            burst.push(job);
        }
        waiting.fetch_sub(burst.len(), Ordering::Relaxed);
        // Requests that waited too long were answered already.
        burst.retain(|job| !job.reply.is_closed());
        reply(verifier, burst);
    }
}

fn reply(verifier: &Verifier, burst: Vec<Job>) {
    let requests = requests(burst.iter().flat_map(|job| &job.questions));
    let mut answers = match verifier.verify_all(&requests) {
        Ok(answers) => answers.into_iter().map(|answer| answer.map_err(Failure::from)).collect(),
        Err(err) => {
            let failure = Failure::from(err);
            requests.iter().map(|_| Err(failure.clone())).collect::<Vec<Answer>>()
        }
    }
    .into_iter();
    drop(requests);
    for job in burst {
        let own: Vec<Answer> = answers.by_ref().take(job.questions.len()).collect();
        // The client may have disconnected.
        let _ = job.reply.send(own);
    }
}
