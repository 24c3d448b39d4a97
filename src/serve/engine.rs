//! Answers questions.
//!
//! - A batch is answered in one read transaction, on the HTTP thread, which never waits.
//! - If that is impossible since the store is locked or must be opened again, the questions go to a thread that
//!   may wait.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};

use crate::domain::code::Code;
use crate::domain::secret::Secret;
use crate::domain::verdict::Requirements;
use crate::error::Error;
use crate::verifier::{Verifier, VerifyError};
use crate::verify::{Request, Verdict};

/// How long a request may wait for its answer.
pub const PATIENCE: Duration = Duration::from_millis(900);
/// A request with more secrets than this goes to the thread, so that it does not delay others.
pub const AT_ONCE: usize = 50;
/// So is a request with a longer body, in bytes, since it may ask for very many scopes.
pub const SHORT: usize = 16 << 10;
/// How many requests may wait at once. Further ones are refused.
const WAITING: usize = 8_192;
/// How many secrets a batch of the thread may have before it is closed.
const BATCH: usize = 1_000;
/// The total length of the bodies of waiting requests, in bytes. Their questions take about ten times as much memory.
const WEIGHT: usize = 8 << 20;

/// A presented secret (`None` for a text that cannot be one), the requirements, and the client's address.
#[derive(Default)]
pub struct Question {
    pub secret: Option<Secret>,
    pub requirements: Arc<Requirements>,
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

/// Identifies a request among those that wait for the thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// The request to which the answers belong.
    pub slot: usize,
    number: u64,
}

struct Job {
    ticket: Ticket,
    questions: Vec<Question>,
    since: Instant,
    /// How much memory the questions take, roughly, in bytes of the body that they came in.
    weight: usize,
}

/// The answers to the questions of a request.
type Answered = (Ticket, Vec<Answer>);

pub struct Engine {
    verifier: Arc<Verifier>,
    jobs: SyncSender<Job>,
    answered: Receiver<Answered>,
    /// Readable when there are answers.
    bell: Arc<OwnedFd>,
    waiting: Arc<AtomicUsize>,
    /// The weight of what waits.
    weight: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl Engine {
    /// Starts the thread.
    pub fn start(verifier: Verifier) -> io::Result<Self> {
        let (jobs, waiting_jobs) = sync_channel(WAITING);
        let (answers, answered) = channel();
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let worker = Worker {
            verifier: Arc::new(verifier),
            jobs: waiting_jobs,
            answers,
            bell: Arc::clone(&bell),
            waiting: Arc::default(),
            weight: Arc::default(),
        };
        let (verifier, waiting) = (Arc::clone(&worker.verifier), Arc::clone(&worker.waiting));
        let weight = Arc::clone(&worker.weight);
        let thread = thread::Builder::new().name("verify".to_owned()).spawn(move || worker.run())?;
        Ok(Self { verifier, jobs, answered, bell, waiting, weight, thread })
    }

    /// The answers to all questions of a batch, in their order. `None` if that would take waiting.
    pub fn at_once(&self, questions: &[Question]) -> Option<Vec<Answer>> {
        let answers = self.verifier.verify_at_once(&requests(questions))?;
        Some(answers.into_iter().map(|answer| answer.map_err(Failure::from)).collect())
    }

    /// Passes the questions of a request to the thread.
    pub fn later(&self, ticket: Ticket, questions: Vec<Question>, weight: usize) -> Result<(), Failure> {
        let too_many = || Failure::late("too many requests wait");
        if weight > 0 && self.weight.load(Ordering::Relaxed) + weight > WEIGHT {
            return Err(too_many());
        }
        let job = Job { ticket, questions, since: Instant::now(), weight };
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.weight.fetch_add(weight, Ordering::Relaxed);
        self.jobs.try_send(job).map_err(|_| {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.weight.fetch_sub(weight, Ordering::Relaxed);
            too_many()
        })
    }

    /// Whether the thread is gone. Only a fault in the program can cause that.
    pub fn is_broken(&self) -> bool {
        self.thread.is_finished()
    }

    /// Becomes readable when the thread has answers.
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// The answers of the thread since the last call.
    pub fn take_answers(&self) -> impl Iterator<Item = Answered> {
        // This comes before the answers are taken, so that the next one notifies again.
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        self.answered.try_iter()
    }

    /// How many requests wait for the thread.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

impl Ticket {
    pub fn new(slot: usize, number: u64) -> Self {
        Self { slot, number }
    }
}

impl Failure {
    pub fn late(why: &str) -> Self {
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

fn requests<'a>(questions: impl IntoIterator<Item = &'a Question>) -> Vec<Request<'a>> {
    let request =
        |it: &'a Question| Request::of_secret(it.secret.as_ref(), &it.requirements).from(it.address);
    questions.into_iter().map(request).collect()
}

/// The thread that may wait.
struct Worker {
    verifier: Arc<Verifier>,
    jobs: Receiver<Job>,
    answers: Sender<Answered>,
    bell: Arc<OwnedFd>,
    waiting: Arc<AtomicUsize>,
    weight: Arc<AtomicUsize>,
}

impl Worker {
    fn run(self) {
        while let Ok(first) = self.jobs.recv() {
            let mut batch = vec![first];
            let mut secrets = batch[0].questions.len();
            while secrets < BATCH
                && let Ok(job) = self.jobs.try_recv()
            {
                secrets += job.questions.len();
                batch.push(job);
            }
            self.waiting.fetch_sub(batch.len(), Ordering::Relaxed);
            let weight = batch.iter().map(|job| job.weight).sum();
            // Those that waited too long were answered already.
            batch.retain(|job| job.since.elapsed() < PATIENCE);
            self.send_answers(batch);
            self.weight.fetch_sub(weight, Ordering::Relaxed);
            let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        }
    }

    fn send_answers(&self, batch: Vec<Job>) {
        let requests = requests(batch.iter().flat_map(|job| &job.questions));
        let answers: Vec<Answer> = match self.verifier.verify_all(&requests) {
            Ok(answers) => answers.into_iter().map(|answer| answer.map_err(Failure::from)).collect(),
            Err(err) => {
                let failure = Failure::from(err);
                requests.iter().map(|_| Err(failure.clone())).collect()
            }
        };
        drop(requests);
        let mut answers = answers.into_iter();
        for job in batch {
            let own = answers.by_ref().take(job.questions.len()).collect();
            // The gate may be stopping.
            let _ = self.answers.send((job.ticket, own));
        }
    }
}
