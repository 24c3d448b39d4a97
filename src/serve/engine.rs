//! The verifying thread, and the queue to it.
//!
//! It takes all requests that wait and answers them in one read transaction, which begins after they arrived. A request
//! that waits too long is answered without it, and never with a yes.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::domain::code::Code;
use crate::domain::secret::Secret;
use crate::domain::verdict::Ask;
use crate::error::Error;
use crate::verifier::{Verifier, VerifyError};
use crate::verify::{Request, Verdict};

/// How long a request waits for its answer.
const PATIENCE: Duration = Duration::from_millis(900);
/// Requests that wait at once; a further one is refused.
const WAITING: usize = 8_192;
/// After so many secrets a burst takes no further request.
const BURST: usize = 1_000;

/// A presented secret, `None` for a text that cannot be one, what it must allow, and where it comes from.
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

pub struct Engine {
    queue: SyncSender<Job>,
    waiting: Arc<AtomicUsize>,
}

impl Engine {
    /// Starts the thread.
    pub fn start(verifier: Verifier) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(WAITING);
        let waiting = Arc::<AtomicUsize>::default();
        let left = Arc::clone(&waiting);
        thread::Builder::new().name("verify".to_owned()).spawn(move || work(&verifier, &jobs, &left))?;
        Ok(Self { queue, waiting })
    }

    /// The answers to questions that belong together, in their order.
    pub async fn answers(&self, questions: Vec<Question>) -> Result<Vec<Answer>, Failure> {
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
        self.waiting.load(Ordering::Relaxed)
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
        // Whoever waited too long has been answered.
        burst.retain(|job| !job.reply.is_closed());
        reply(verifier, burst);
    }
}

fn reply(verifier: &Verifier, burst: Vec<Job>) {
    let questions = burst.iter().flat_map(|job| &job.questions);
    let requests: Vec<_> =
        questions.map(|it| Request::of_secret(it.secret.as_ref(), &it.ask).from(it.address)).collect();
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
        // The client may have gone.
        let _ = job.reply.send(own);
    }
}
