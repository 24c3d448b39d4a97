//! The language of the tests: a store of its own, commands run against it in this process with a clock and a
//! generator that the test holds, or as the real program.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::io::{self, Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use chrono::{NaiveDate, NaiveTime};
use serde_json::Value;
use tempfile::TempDir;
use tokenctl::context::{
    Actor, Choice, Clipboard, Clock, Context, CopyWay, Job, JobEnd, Machine, OpensAt, Output, Question,
    StartPager, Terminal, Zone,
};
use zeroize::Zeroizing;

/// 2026-11-22T12:00:00Z, where every test's clock starts.
pub const START: i64 = 1_795_348_800;
pub const MINUTE: i64 = 60;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

/// The keys of a token in every document.
const TOKEN_KEYS: &str = "id name description owner icon labels scopes status created_at created_by expires_at \
    not_before ttl until rotate_every grace rotated_at due_at last_used_at usage_since secrets";

/// Fails unless the keys of an object are those of a token and these.
#[track_caller]
pub fn assert_token_keys(document: &Value, more: &[&str]) {
    let mut expected: Vec<&str> = TOKEN_KEYS.split(' ').chain(more.iter().copied()).collect();
    expected.sort_unstable();
    assert_eq!(document.as_object().expect("an object").keys().collect::<Vec<_>>(), expected);
}

/// Text that would start a line of its own, move the cursor, turn the direction, or hide.
pub const HOSTILE: [&str; 6] =
    ["a\nEVIL", "a\rEVIL", "\x1b[2JEVIL", "a\u{202e}EVIL", "EV\u{200b}IL", "a\u{85}EVIL"];

/// Fails when text that was typed could do more to a terminal than stand in a line.
#[track_caller]
pub fn assert_harmless(text: &str) {
    let moves = |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{200b}' | '\u{202e}'));
    assert!(!text.contains(moves) && !text.contains("\nEVIL"), "{text:?}");
}

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Fails the test unless the command ended so; hands it on.
    #[track_caller]
    pub fn exit(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\nstdout: {}\nstderr: {}", self.out, self.err);
        self
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        self.exit(0)
    }

    /// The JSON document on stdout.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|err| panic!("{err}: {:?} (stderr {})", self.out, self.err))
    }

    /// The `error` object of the JSON line on stderr.
    #[track_caller]
    pub fn failure(&self) -> Value {
        assert_eq!(self.err.lines().count(), 1, "one line: {}", self.err);
        let document: Value = serde_json::from_str(&self.err).expect(&self.err);
        document["error"].clone()
    }

    /// Standard output without its line end.
    pub fn line(&self) -> &str {
        self.out.trim_end_matches('\n')
    }
}

/// What happens elsewhere, once, while a question waits for its answer.
pub type Meanwhile = Rc<RefCell<Option<Box<dyn FnOnce()>>>>;

/// A store in a directory of its own, and the machine that the commands see.
pub struct World {
    pub dir: TempDir,
    now: Rc<Cell<i64>>,
    random: Rc<Cell<u64>>,
    /// Answers to the questions to come; without any the terminal hangs up.
    pub answers: Rc<RefCell<VecDeque<Answer>>>,
    /// What happens elsewhere while the next question waits for its answer.
    pub meanwhile: Meanwhile,
    /// The questions that were asked.
    pub asked: Rc<RefCell<Vec<String>>>,
    /// What stood there to begin with, or could be chosen: a line each, the chosen ones marked with a star.
    pub offered: Rc<RefCell<Vec<String>>>,
    pub env: HashMap<String, String>,
    pub terminal: Terminal,
    /// What went through the pager, if there is one.
    pub paged: Option<Rc<RefCell<Vec<u8>>>>,
    pub uid: u32,
    /// How much later it is at each look at the clock that only goes forward.
    pub pace: Duration,
    pub clipboards: Rc<RefCell<Clipboards>>,
}

/// The clipboards of the machine.
#[derive(Debug, Default)]
pub struct Clipboards {
    /// Those that can be reached.
    pub there: Vec<CopyWay>,
    /// What they are asked for goes wrong from here on: putting text there, or letting it stay.
    pub fails: Option<&'static str>,
    /// How many seconds it takes to put text there.
    pub slow: i64,
    /// The text in one of them, and for how long it stays once it may.
    pub holds: Option<(CopyWay, String, Option<Duration>)>,
}

/// What the person at the terminal does.
#[derive(Debug, Clone)]
pub enum Answer {
    Yes,
    No,
    Choose(Vec<usize>),
    /// The row of this name.
    Pick(&'static str),
    Type(String),
    /// Leaves everything as it stands.
    Enter,
    CtrlC,
}

impl World {
    pub fn new() -> Self {
        // The store must lie below directories that only their owner can write.
        // In memory where that can be had: thousands of durable writes are not what most tests are about.
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix("tokenctl-test-");
        let dir = builder.tempdir_in("/dev/shm").or_else(|_| builder.tempdir()).expect("a directory");
        Self {
            dir,
            now: Rc::new(Cell::new(START)),
            random: Rc::new(Cell::new(1)),
            answers: Rc::default(),
            meanwhile: Rc::default(),
            asked: Rc::default(),
            offered: Rc::default(),
            env: HashMap::new(),
            terminal: Terminal::default(),
            paged: None,
            uid: uid(),
            pace: Duration::ZERO,
            clipboards: Rc::default(),
        }
    }

    /// A world in a directory that is there, at this time.
    pub fn at(dir: TempDir, now: i64) -> Self {
        Self { dir, now: Rc::new(Cell::new(now)), ..Self::new() }
    }

    /// A world whose store exists.
    pub fn with_store() -> Self {
        let world = Self::new();
        world.run(&["init"]).ok();
        world
    }

    pub fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    pub fn database(&self) -> PathBuf {
        self.store().join("tokens.db")
    }

    /// Lets time pass, or go back.
    pub fn wait(&self, secs: i64) {
        self.now.set(self.now.get() + secs);
    }

    pub fn now(&self) -> i64 {
        self.now.get()
    }

    /// Puts a person at the terminal, who will answer so.
    pub fn at_terminal(&mut self, answers: &[Answer]) {
        self.terminal =
            Terminal { stdin: true, stdout: true, stderr: true, width: Some(100), height: Some(24) };
        self.env.entry("LANG".to_owned()).or_insert("C.UTF-8".to_owned());
        self.answers.borrow_mut().extend(answers.iter().cloned());
    }

    /// Runs a command in this process, with nothing on stdin.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, b"")
    }

    /// Runs a command in this process with this on stdin.
    #[track_caller]
    pub fn run_with(&self, args: &[&str], input: &[u8]) -> Ran {
        let out = Rc::new(RefCell::new(Vec::new()));
        self.run_into(args, input, Box::new(Captured(Rc::clone(&out))), &out)
    }

    /// Runs a command whose stdout fails after `limit` bytes.
    #[track_caller]
    pub fn run_failing(&self, args: &[&str], limit: usize, kind: io::ErrorKind) -> Ran {
        let out = Rc::new(RefCell::new(Vec::new()));
        let failing = Failing { out: Rc::clone(&out), limit, kind };
        self.run_into(args, b"", Box::new(failing), &out)
    }

    fn run_into(
        &self,
        args: &[&str],
        input: &[u8],
        stdout: Box<dyn Output>,
        out: &Rc<RefCell<Vec<u8>>>,
    ) -> Ran {
        let err = Rc::new(RefCell::new(Vec::new()));
        let code = self.run_on(args, input, stdout, Box::new(Captured(Rc::clone(&err))));
        Ran { code, out: text(out), err: text(&err) }
    }

    /// Runs a command whose stdout and stderr are one terminal. Returns its exit code and what the terminal got.
    #[track_caller]
    pub fn run_on_screen(&self, args: &[&str]) -> (i32, String) {
        let screen = Rc::new(RefCell::new(Vec::new()));
        let both = || Captured(Rc::clone(&screen));
        let code = self.run_on(args, b"", Box::new(both()), Box::new(both()));
        (code, text(&screen))
    }

    /// Runs a command whose stderr goes here.
    #[track_caller]
    pub fn run_talking_to(&self, args: &[&str], stderr: Box<dyn Write>) -> i32 {
        self.run_on(args, b"", Box::new(Captured(Rc::default())), stderr)
    }

    fn run_on(&self, args: &[&str], input: &[u8], stdout: Box<dyn Output>, stderr: Box<dyn Write>) -> i32 {
        let mut ctx = Context {
            machine: Box::new(Fake {
                now: Rc::clone(&self.now),
                random: Rc::clone(&self.random),
                answers: Rc::clone(&self.answers),
                meanwhile: Rc::clone(&self.meanwhile),
                asked: Rc::clone(&self.asked),
                offered: Rc::clone(&self.offered),
                env: self.env.clone(),
                store: self.store(),
                paged: self.paged.clone(),
                uid: self.uid,
                pace: self.pace,
                looks: Cell::new(0),
                interrupted: Cell::new(false),
                columns: self.terminal.width,
                clipboards: Rc::clone(&self.clipboards),
            }),
            stdin: Box::new(Cursor::new(input.to_vec())),
            stdout,
            stderr,
            terminal: self.terminal,
        };
        let args = std::iter::once("tokenctl").chain(args.iter().copied()).map(OsString::from).collect();
        i32::from(tokenctl::run(args, &mut ctx))
    }

    /// Runs a command that must fail so, with nothing on stdout, harmless words, and not a byte of the store changed.
    /// Returns the `error` object.
    #[track_caller]
    pub fn refuses(&self, args: &[&str], exit: i32, code: &str) -> Value {
        self.refuses_with(args, b"", exit, code)
    }

    /// The same with this on stdin.
    #[track_caller]
    pub fn refuses_with(&self, args: &[&str], input: &[u8], exit: i32, code: &str) -> Value {
        let state = || self.store().exists().then(|| self.bytes());
        let before = state();
        let plain = self.run_with(args, input);
        assert_eq!((plain.code, &*plain.out), (exit, ""), "{args:?}: {}", plain.err);
        let ran = self.run_with(&[&["--json"], args].concat(), input);
        assert_eq!((ran.code, &*ran.out), (exit, ""), "{args:?}: {}", ran.err);
        assert_harmless(&plain.err);
        let failure = ran.failure();
        assert_harmless(failure["message"].as_str().expect("a message"));
        assert_eq!((&failure["exit"], &failure["code"]), (&exit.into(), &code.into()), "{args:?}: {failure}");
        assert!(state() == before, "{args:?} changed the store");
        failure
    }

    /// Runs a command during which, before it first writes to stdout, something else happens.
    #[track_caller]
    pub fn run_while(&self, args: &[&str], during: impl FnOnce() + 'static) -> Ran {
        let out = Rc::new(RefCell::new(Vec::new()));
        let busy = Busy { out: Captured(Rc::clone(&out)), during: Some(Box::new(during)) };
        self.run_into(args, b"", Box::new(busy), &out)
    }

    /// Puts these scopes into the catalogue.
    #[track_caller]
    pub fn define(&self, scopes: &[&str]) {
        for scope in scopes {
            self.run(&["scopes", "define", scope]).ok();
        }
    }

    /// Creates a token with these further arguments. Returns its secret.
    #[track_caller]
    pub fn create(&self, name: &str, args: &[&str]) -> String {
        let ran = self.run(&[&["create", name], args].concat()).ok();
        assert!(ran.out.ends_with('\n'), "{ran:?}");
        ran.line().to_owned()
    }

    /// The one line that `verify` answers, with its exit code.
    #[track_caller]
    pub fn verify(&self, secret: &str, args: &[&str]) -> (i32, String) {
        let ran = self.run_with(&[&["verify"], args].concat(), secret.as_bytes());
        (ran.code, ran.line().to_owned())
    }

    /// The exit and the code with which a command is refused, which must leave stdout empty.
    #[track_caller]
    pub fn refused(&self, args: &[&str]) -> (i32, String) {
        let ran = self.run(&[args, &["--json"]].concat());
        let error = ran.failure();
        assert_eq!((&*ran.out, &error["exit"]), ("", &Value::from(ran.code)), "{args:?}");
        (ran.code, error["code"].as_str().expect("a code").to_owned())
    }

    /// `show --json` of a token.
    #[track_caller]
    pub fn show(&self, name: &str) -> Value {
        self.run(&["show", name, "--json"]).ok().json()
    }

    /// The names that `list` prints with these arguments, in its order.
    #[track_caller]
    pub fn names(&self, args: &[&str]) -> Vec<String> {
        let ran = self.run(&[&["list", "--format", "names"], args].concat()).ok();
        ran.out.lines().map(str::to_owned).collect()
    }

    /// The actions of the audit log, oldest first.
    #[track_caller]
    pub fn actions(&self) -> Vec<String> {
        let log = self.run(&["audit", "--json"]).ok().json();
        let action = |event: &Value| event["action"].as_str().expect("an action").to_owned();
        log.as_array().expect("an array").iter().map(action).collect()
    }

    /// Changes the database behind the program's back.
    pub fn sql(&self, sql: &str) {
        let conn = rusqlite::Connection::open(self.database()).expect("the database");
        conn.execute_batch(sql).expect(sql);
    }

    /// Every byte of the store's files, by name.
    pub fn bytes(&self) -> Vec<(OsString, Vec<u8>)> {
        let mut all: Vec<_> = std::fs::read_dir(self.store())
            .expect("the store")
            .map(|entry| entry.expect("an entry"))
            .map(|entry| (entry.file_name(), std::fs::read(entry.path()).expect("a file")))
            .collect();
        all.sort();
        all
    }

    /// The real program against this store, with the real clock.
    pub fn program(&self) -> Command {
        let mut command = program();
        command.env("TOKENCTL_STORE", self.store());
        command
    }

    /// Runs the real program.
    #[track_caller]
    pub fn real(&self, args: &[&str], input: &[u8]) -> Ran {
        run(self.program().args(args), input)
    }
}

/// The real program in an empty environment.
pub fn program() -> Command {
    let mut command = Command::new(program_path());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

pub fn program_path() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_tokenctl"))
}

/// A `PATH` in which a shell finds the real program as `tokenctl`.
pub fn search_path() -> String {
    let programs = program_path().parent().expect("a directory");
    format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default())
}

/// Runs a command to its end with this on stdin.
#[track_caller]
pub fn run(command: &mut Command, input: &[u8]) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // A program that does not read its input closes it; that is its own affair.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    let done = child.wait_with_output().expect("the program ends");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { code: done.status.code().unwrap_or(-1), out: text(done.stdout), err: text(done.stderr) }
}

/// Writes a program that can be run at once. Another process writes it: while this one had it open for writing, any
/// process that a neighbouring test starts would have it too, and Linux runs no file that is open for writing.
#[track_caller]
pub fn write_program(path: &Path, content: &[u8]) {
    run(Command::new("sh").args(["-c", r#"cat >"$0" && chmod 755 "$0""#]).arg(path), content).ok();
}

/// Copies the real program to where a test can run it.
#[track_caller]
pub fn copy_program(to: &Path) {
    write_program(to, &std::fs::read(program_path()).expect("the program"));
}

/// Whether a Debian tool is there. Where it is missing the test says so and is skipped, but fails in CI.
pub fn have(tool: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(tool).is_file()));
    if !found {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{tool} is missing in CI");
        eprintln!("skipped: {tool} is not installed");
    }
    found
}

fn text(bytes: &RefCell<Vec<u8>>) -> String {
    String::from_utf8(bytes.borrow().clone()).expect("UTF-8")
}

/// Who runs the tests.
pub fn uid() -> u32 {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").expect("procfs"))
}

struct Fake {
    now: Rc<Cell<i64>>,
    random: Rc<Cell<u64>>,
    answers: Rc<RefCell<VecDeque<Answer>>>,
    meanwhile: Meanwhile,
    asked: Rc<RefCell<Vec<String>>>,
    offered: Rc<RefCell<Vec<String>>>,
    env: HashMap<String, String>,
    store: PathBuf,
    paged: Option<Rc<RefCell<Vec<u8>>>>,
    uid: u32,
    pace: Duration,
    looks: Cell<u32>,
    interrupted: Cell<bool>,
    columns: Option<u16>,
    clipboards: Rc<RefCell<Clipboards>>,
}

impl Fake {
    fn offer(&self, choices: &[Choice]) {
        let row = |choice: &Choice| {
            let star = if choice.chosen { "*" } else { "" };
            format!("{star}{}  {}", choice.name, choice.about).trim_end().to_owned()
        };
        self.offered.borrow_mut().extend(choices.iter().map(row));
    }

    fn answer(&self, question: &str) -> io::Result<Answer> {
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
            // xorshift64: the same bytes in every run, never the same twice in one.
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
        let store = || (key == "TOKENCTL_STORE").then(|| self.store.clone().into_os_string());
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

    fn clipboard(&self, way: CopyWay, stay: Duration, _: &str) -> io::Result<Box<dyn Clipboard>> {
        if !self.clipboards.borrow().there.contains(&way) {
            return Err(io::Error::other("not here"));
        }
        Ok(Box::new(FakeClipboard { way, stay, all: Rc::clone(&self.clipboards), now: Rc::clone(&self.now) }))
    }

    fn confirm(&self, question: &str) -> io::Result<bool> {
        self.answer(question).map(|answer| matches!(answer, Answer::Yes))
    }

    fn ask(&self, question: &Question<'_>, initial: &str) -> io::Result<Zeroizing<String>> {
        self.offered.borrow_mut().push(initial.to_owned());
        self.answer(question.text).map(|answer| match answer {
            Answer::Type(text) => Zeroizing::new(text),
            Answer::Enter => Zeroizing::new(initial.to_owned()),
            answer => panic!("{}: {answer:?}", question.text),
        })
    }

    fn ask_hidden(&self, question: &str) -> io::Result<Zeroizing<Vec<u8>>> {
        let text = |answer| if let Answer::Type(text) = answer { text.into_bytes() } else { Vec::new() };
        self.answer(question).map(text).map(Zeroizing::new)
    }

    fn select(&self, question: &Question<'_>, choices: &[Choice]) -> io::Result<usize> {
        self.offer(choices);
        self.answer(question.text).map(|answer| match answer {
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
        self.answer(question.text).map(|answer| match answer {
            Answer::Choose(places) => places,
            Answer::Enter => (0..choices.len()).filter(|at| choices[*at].chosen).collect(),
            answer => panic!("{}: {answer:?}", question.text),
        })
    }
}

struct FakeClipboard {
    way: CopyWay,
    stay: Duration,
    all: Rc<RefCell<Clipboards>>,
    now: Rc<Cell<i64>>,
}

impl FakeClipboard {
    fn works(&self, what: &str) -> io::Result<()> {
        let fails = self.all.borrow().fails == Some(what);
        if fails { Err(io::Error::other("it fails")) } else { Ok(()) }
    }
}

impl Clipboard for FakeClipboard {
    fn put(&mut self, text: &[u8]) -> io::Result<()> {
        self.works("put")?;
        self.now.set(self.now.get() + self.all.borrow().slow);
        let text = String::from_utf8(text.to_vec()).expect("UTF-8");
        self.all.borrow_mut().holds = Some((self.way, text, None));
        Ok(())
    }

    fn stay(&mut self) -> io::Result<()> {
        self.works("stay")?;
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

struct Captured(Rc<RefCell<Vec<u8>>>);

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

struct Busy {
    out: Captured,
    during: Option<Box<dyn FnOnce()>>,
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

struct Failing {
    out: Rc<RefCell<Vec<u8>>>,
    limit: usize,
    kind: io::ErrorKind,
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
