//! An isolated store, and the commands that a test runs on it.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::io::{self, Cursor, Write};
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokenctl::context::{Context, Output, Terminal};

use super::machine::{Busy, Captured, Failing, Fake};
use super::server::{self, Database};
use super::{Answer, Clipboards, Ran, START, assert_harmless, program, run, uid};

/// Something that happens elsewhere, once, while a question waits for its answer.
pub type Meanwhile = Rc<RefCell<Option<Box<dyn FnOnce()>>>>;

/// A store in a separate directory, and the machine that the commands see.
pub struct World {
    pub dir: TempDir,
    now: Rc<Cell<i64>>,
    random: Rc<Cell<u64>>,
    /// Answers to the next questions. When none is left, the terminal hangs up.
    pub answers: Rc<RefCell<VecDeque<Answer>>>,
    /// What happens elsewhere while the next question waits for its answer.
    pub meanwhile: Meanwhile,
    /// The questions that were asked.
    pub asked: Rc<RefCell<Vec<String>>>,
    /// The initial text of a question, or its choices, one per line, with a star for chosen ones.
    pub offered: Rc<RefCell<Vec<String>>>,
    pub env: HashMap<String, String>,
    pub terminal: Terminal,
    /// The output to the pager, if there is one.
    pub paged: Option<Rc<RefCell<Vec<u8>>>>,
    pub uid: u32,
    /// How far the monotonic clock advances each time that it is read.
    pub pace: Duration,
    pub clipboards: Rc<RefCell<Clipboards>>,
    /// The store's database, if the tests run on PostgreSQL.
    server: Option<Database>,
}

impl World {
    pub fn new() -> Self {
        // The store must be below directories that only its owner can write. It is in memory if possible, because most
        // tests do not depend on durable writes.
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
            server: server::is_engine().then(Database::new),
        }
    }

    /// The value of `TOKENCTL_STORE` for this store.
    pub fn named(&self) -> OsString {
        self.server.as_ref().map_or_else(|| self.store().into_os_string(), |it| it.url().into())
    }

    /// A world in an existing directory, at this time.
    pub fn at(dir: TempDir, now: i64) -> Self {
        Self { dir, now: Rc::new(Cell::new(now)), ..Self::new() }
    }

    /// A world whose store exists.
    pub fn with_store() -> Self {
        let world = Self::new();
        world.run(&["init"]).ok();
        world
    }

    /// The directory of the store. Fails if the store is in PostgreSQL, since it has no directory then.
    #[track_caller]
    pub fn store(&self) -> PathBuf {
        assert!(self.server.is_none(), "{}", server::OF_FILES);
        self.dir.path().join("store")
    }

    pub fn database(&self) -> PathBuf {
        self.store().join("tokens.db")
    }

    /// Moves the simulated clock forward, or back if `secs` is negative.
    pub fn wait(&self, secs: i64) {
        self.now.set(self.now.get() + secs);
    }

    pub fn now(&self) -> i64 {
        self.now.get()
    }

    /// Puts a user with these answers at the terminal.
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

    /// Runs a command whose stdout and stderr are the same terminal. Returns its exit code and the output to the
    /// terminal.
    #[track_caller]
    pub fn run_on_screen(&self, args: &[&str]) -> (i32, String) {
        let screen = Rc::new(RefCell::new(Vec::new()));
        let both = || Captured(Rc::clone(&screen));
        let code = self.run_on(args, b"", Box::new(both()), Box::new(both()));
        (code, text(&screen))
    }

    /// Runs a command with this stdout. Its result has no output.
    #[track_caller]
    pub fn run_writing_to(&self, args: &[&str], stdout: Box<dyn Output>) -> Ran {
        self.run_into(args, b"", stdout, &Rc::default())
    }

    /// Runs a command with this stderr. Returns its exit code.
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
                store: self.named(),
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

    /// Runs a command, without and with `--json`, that must fail with this exit code and error code, without output,
    /// with a harmless message, and without changing the store. Returns the `error` object.
    #[track_caller]
    pub fn refuses(&self, args: &[&str], exit: i32, code: &str) -> Value {
        self.refuses_with(args, b"", exit, code)
    }

    /// Like [`World::refuses`], but with this on stdin.
    #[track_caller]
    pub fn refuses_with(&self, args: &[&str], input: &[u8], exit: i32, code: &str) -> Value {
        let state = || match &self.server {
            Some(it) => Some(vec![(OsString::new(), it.state().into_bytes())]),
            None => self.store().exists().then(|| self.bytes()),
        };
        let before = state();
        let plain = self.run_with(args, input);
        assert_eq!((plain.code, &*plain.out), (exit, ""), "{args:?}: {}", plain.err);
        let ran = self.run_with(&[&["--json"], args].concat(), input);
        assert_eq!((ran.code, &*ran.out), (exit, ""), "{args:?}: {}", ran.err);
        assert_harmless(&plain.err);
        let failure = ran.failure();
        assert_harmless(failure["message"].as_str().expect("the message is a string"));
        assert_eq!((&failure["exit"], &failure["code"]), (&exit.into(), &code.into()), "{args:?}: {failure}");
        assert!(state() == before, "{args:?} changed the store");
        failure
    }

    /// Like [`World::refuses`], but runs the command only once, with `--json`, for tests in which a user answers
    /// questions.
    #[track_caller]
    pub fn refuses_once(&self, args: &[&str], exit: i32, code: &str) {
        let ran = self.run(&[args, &["--json"]].concat()).exit(exit);
        assert_eq!(ran.out, "", "{args:?}");
        let failure = ran.failure();
        assert_eq!((&failure["exit"], &failure["code"]), (&exit.into(), &code.into()), "{args:?}: {failure}");
    }

    /// Runs a command, and calls `during` just before the command first writes to stdout.
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

    /// The exit code of `verify`, and the line that it prints.
    #[track_caller]
    pub fn verify(&self, secret: &str, args: &[&str]) -> (i32, String) {
        let ran = self.run_with(&[&["verify"], args].concat(), secret.as_bytes());
        (ran.code, ran.line().to_owned())
    }

    /// Rotates a token with these further arguments. Returns its new secret.
    #[track_caller]
    pub fn rotate(&self, name: &str, args: &[&str]) -> String {
        let ran = self.run(&[&["rotate", name], args].concat()).ok();
        assert!(ran.out.ends_with('\n'), "{ran:?}");
        ran.line().to_owned()
    }

    /// Fails unless the secret is valid, and the current secret of the token with this name.
    #[track_caller]
    pub fn assert_valid(&self, secret: &str, name: &str) {
        assert_eq!(self.verify(secret, &[]), (0, format!("valid {name}")));
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
        let action = |event: &Value| event["action"].as_str().expect("the action is a string").to_owned();
        log.as_array().expect("it is an array").iter().map(action).collect()
    }

    /// The last event.
    pub fn last_event(&self) -> Value {
        let log = self.run(&["audit", "--json"]).ok().json();
        log.as_array().and_then(|log| log.last()).expect("there is an event").clone()
    }

    /// Changes the database directly, and updates the seals to match.
    pub fn sql(&self, sql: &str) {
        let conn = self.sql_unsealed(sql);
        // Databases without these tables have no seals.
        let _ = crate::seals::seal(&conn);
    }

    /// The `show` document of a token without the hashes that differ between stores. The hash chain covers the id of
    /// the store, and the digest of a token covers the ids of scopes.
    pub fn show_alike(&self, name: &str) -> Value {
        let mut document = self.show(name);
        for event in document["events"].as_array_mut().expect("`events` is an array") {
            event["hash"].take();
            event["row_digest"].take();
        }
        document
    }

    /// Changes the database like a bad disk, without correcting the seals.
    pub fn sql_unsealed(&self, sql: &str) -> rusqlite::Connection {
        let conn = rusqlite::Connection::open(self.database()).expect("the database can be opened");
        conn.execute_batch("PRAGMA ignore_check_constraints = ON").expect("the SQL can be executed");
        conn.execute_batch(sql).expect(sql);
        conn
    }

    /// The real program against this store, with the real clock.
    pub fn program(&self) -> Command {
        let mut command = program();
        command.env("TOKENCTL_STORE", self.named());
        command
    }

    /// Runs the real program.
    #[track_caller]
    pub fn real(&self, args: &[&str], input: &[u8]) -> Ran {
        run(self.program().args(args), input)
    }
}

fn text(bytes: &RefCell<Vec<u8>>) -> String {
    String::from_utf8(bytes.borrow().clone()).expect("the bytes are UTF-8")
}
