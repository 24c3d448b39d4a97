//! The simulated machine on which commands run in this process: its clock, random generator and clipboards, and the
//! user at its terminal.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use chrono::{NaiveDate, NaiveTime};
use tokenctl::context::{
    Actor, Choice, Clipboard, Clock, CopyMethod, Job, JobEnd, Machine, OpensAt, Output, Question, StartPager,
    Zone,
};
use zeroize::Zeroizing;

use super::{Meanwhile, run};

/// The clipboards of the machine.
#[derive(Debug, Default)]
pub struct Clipboards {
    /// The clipboards that can be reached.
    pub there: Vec<CopyMethod>,
    /// The operation that fails from now on: `put` or `stay`.
    pub fails: Option<&'static str>,
    /// How many seconds `put` takes.
    pub slow: i64,
    /// The clipboard that was filled, its text, and how long the text is allowed to stay (`None` before `stay`).
    pub holds: Option<(CopyMethod, String, Option<Duration>)>,
}

/// An answer of the user at the terminal.
#[derive(Debug, Clone)]
pub enum Answer {
    Yes,
    No,
    Choose(Vec<usize>),
    /// Chooses the row with this name.
    Pick(&'static str),
    Type(String),
    /// Presses Enter, which accepts what is offered.
    Enter,
    CtrlC,
}

pub(super) struct Fake {
    pub(super) now: Rc<Cell<i64>>,
    pub(super) random: Rc<Cell<u64>>,
    pub(super) answers: Rc<RefCell<VecDeque<Answer>>>,
    pub(super) meanwhile: Meanwhile,
    pub(super) asked: Rc<RefCell<Vec<String>>>,
    pub(super) offered: Rc<RefCell<Vec<String>>>,
    pub(super) env: HashMap<String, String>,
    pub(super) store: OsString,
    pub(super) paged: Option<Rc<RefCell<Vec<u8>>>>,
    pub(super) uid: u32,
    pub(super) pace: Duration,
    pub(super) looks: Cell<u32>,
    pub(super) interrupted: Cell<bool>,
    pub(super) columns: Option<u16>,
    pub(super) clipboards: Rc<RefCell<Clipboards>>,
}

impl Fake {
    fn offer(&self, choices: &[Choice]) {
        let row = |choice: &Choice| {
            let star = if choice.chosen { "*" } else { "" };
            format!("{star}{}  {}", choice.name, choice.about).trim_end().to_owned()
        };
        self.offered.borrow_mut().extend(choices.iter().map(row));
    }

    fn take_answer(&self, question: &str) -> io::Result<Answer> {
        self.asked.borrow_mut().push(question.to_owned());
        let meanwhile = self.meanwhile.borrow_mut().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        match self.answers.borrow_mut().pop_front() {
            Some(Answer::CtrlC) => Err(io::ErrorKind::Interrupted.into()),
            Some(answer) => Ok(answer),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Clock for Fake {
    fn unix(&self) -> i64 {
        self.now.get()
    }
}

impl Zone for Fake {
    fn unix(&self, day: NaiveDate, time: NaiveTime) -> Option<i64> {
        Some(day.and_time(time).and_utc().timestamp())
    }
}

impl Machine for Fake {
    fn fill_random(&self, buffer: &mut [u8]) -> io::Result<()> {
        for byte in buffer {
            // xorshift64: the same bytes in every run, but never repeated within a run.
            let mut state = self.random.get();
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            self.random.set(state);
            *byte = state.to_le_bytes()[3];
        }
        Ok(())
    }

    fn env(&self, key: &str) -> Option<OsString> {
        let store = || (key == "TOKENCTL_STORE").then(|| self.store.clone());
        self.env.get(key).map(OsString::from).or_else(store)
    }

    fn home(&self) -> Option<PathBuf> {
        None
    }

    fn actor(&self) -> Actor {
        Actor {
            uid: self.uid,
            login: Some("tester".to_owned()),
            sudo_user: None,
            host: Some("here".to_owned()),
        }
    }

    fn keep_memory_private(&self) {}

    fn pid(&self) -> u32 {
        std::process::id()
    }

    fn group_id(&self, name: &str) -> Option<u32> {
        name.parse().ok()
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(std::fs::File::open(path)?))
    }

    fn run(&self, job: &Job<'_>) -> io::Result<JobEnd> {
        // No test waits for a real timeout.
        if job.command == "sleep infinity" {
            return Ok(JobEnd::TimedOut);
        }
        let mut command = Command::new("sh");
        command.arg("-c").arg(job.command).envs(job.env.iter().copied());
        match run(&mut command, job.input).code {
            0 => Ok(JobEnd::Done { unread: 0 }),
            code => Ok(JobEnd::Exit(code)),
        }
    }

    fn pager(&self, _: OpensAt) -> Option<StartPager> {
        let paged = Rc::clone(self.paged.as_ref()?);
        Some(Box::new(move || Ok(Box::new(Captured(paged)))))
    }

    fn pause(&self, _: Duration) {
        // No test really waits; the simulated clock advances instead.
        self.now.set(self.now.get() + 1);
    }

    fn uptime(&self) -> Duration {
        self.looks.set(self.looks.get() + 1);
        self.pace * self.looks.get()
    }

    fn columns(&self) -> Option<u16> {
        self.columns
    }

    fn defer_interrupts(&self, defer: bool) {
        let waits = matches!(self.answers.borrow().front(), Some(Answer::CtrlC));
        self.interrupted.set(self.interrupted.get() || defer && waits);
    }

    fn interrupted(&self) -> bool {
        self.interrupted.get()
    }

    fn clipboard(&self, method: CopyMethod, stay: Duration, _: &str) -> io::Result<Box<dyn Clipboard>> {
        if !self.clipboards.borrow().there.contains(&method) {
            return Err(io::Error::other("not here"));
        }
        Ok(Box::new(FakeClipboard {
            method,
            stay,
            all: Rc::clone(&self.clipboards),
            now: Rc::clone(&self.now),
        }))
    }

    fn confirm(&self, question: &str) -> io::Result<bool> {
        self.take_answer(question).map(|answer| matches!(answer, Answer::Yes))
    }

    fn ask(&self, question: &Question<'_>, initial: &str) -> io::Result<Zeroizing<String>> {
        self.offered.borrow_mut().push(initial.to_owned());
        self.take_answer(question.text).map(|answer| match answer {
            Answer::Type(text) => Zeroizing::new(text),
            Answer::Enter => Zeroizing::new(initial.to_owned()),
            answer => panic!("{}: {answer:?}", question.text),
        })
    }

    fn ask_hidden(&self, question: &str) -> io::Result<Zeroizing<Vec<u8>>> {
        let text = |answer| if let Answer::Type(text) = answer { text.into_bytes() } else { Vec::new() };
        self.take_answer(question).map(text).map(Zeroizing::new)
    }

    fn select(&self, question: &Question<'_>, choices: &[Choice]) -> io::Result<usize> {
        self.offer(choices);
        self.take_answer(question.text).map(|answer| match answer {
            Answer::Pick(name) => {
                let place = choices.iter().position(|choice| choice.name == name);
                place.unwrap_or_else(|| panic!("no `{name}` in {choices:?}"))
            }
            Answer::Enter => choices.iter().position(|choice| choice.chosen).unwrap_or(0),
            answer => panic!("{}: {answer:?}", question.text),
        })
    }

    fn choose(&self, question: &Question<'_>, choices: &[Choice]) -> io::Result<Vec<usize>> {
        self.offer(choices);
        self.take_answer(question.text).map(|answer| match answer {
            Answer::Choose(places) => places,
            Answer::Enter => (0..choices.len()).filter(|at| choices[*at].chosen).collect(),
            answer => panic!("{}: {answer:?}", question.text),
        })
    }
}

struct FakeClipboard {
    method: CopyMethod,
    stay: Duration,
    all: Rc<RefCell<Clipboards>>,
    now: Rc<Cell<i64>>,
}

impl FakeClipboard {
    fn fail_if_configured(&self, what: &str) -> io::Result<()> {
        let fails = self.all.borrow().fails == Some(what);
        if fails { Err(io::Error::other("it fails")) } else { Ok(()) }
    }
}

impl Clipboard for FakeClipboard {
    fn put(&mut self, text: &[u8]) -> io::Result<()> {
        self.fail_if_configured("put")?;
        self.now.set(self.now.get() + self.all.borrow().slow);
        let text = String::from_utf8(text.to_vec()).expect("the bytes are UTF-8");
        self.all.borrow_mut().holds = Some((self.method, text, None));
        Ok(())
    }

    fn stay(&mut self) -> io::Result<()> {
        self.fail_if_configured("stay")?;
        let mut all = self.all.borrow_mut();
        all.holds.as_mut().expect("something is held").2 = Some(self.stay);
        Ok(())
    }
}

impl Drop for FakeClipboard {
    fn drop(&mut self) {
        self.all.borrow_mut().holds.take_if(|(.., stays)| stays.is_none());
    }
}

pub(super) struct Captured(pub(super) Rc<RefCell<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for Captured {
    fn is_nowhere(&self) -> bool {
        false
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) struct Busy {
    pub(super) out: Captured,
    pub(super) during: Option<Box<dyn FnOnce()>>,
}

impl Write for Busy {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(during) = self.during.take() {
            during();
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for Busy {
    fn is_nowhere(&self) -> bool {
        false
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) struct Failing {
    pub(super) out: Rc<RefCell<Vec<u8>>>,
    pub(super) limit: usize,
    pub(super) kind: io::ErrorKind,
}

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut out = self.out.borrow_mut();
        let room = self.limit - out.len();
        if room == 0 {
            return Err(self.kind.into());
        }
        out.write(&bytes[..bytes.len().min(room)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for Failing {
    fn is_nowhere(&self) -> bool {
        false
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
