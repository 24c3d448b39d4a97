//! Promises 1, 2, 3 and 7: no secret is lost or orphaned, even if its delivery is killed, fails, or is interrupted by a
//! power loss.
//!
//! A [`Scene`] is everything that exists before one delivery. Each test makes the delivery fail at every point, each
//! time in a fresh copy of the scene, and then checks the same conditions twice: immediately, and after the deadline of
//! the delivery, when the next change has recovered it.

/// Returns from a check with this message if a condition is false.
macro_rules! ensure {
    ($cond:expr, $($arg:tt)+) => {
        if !$cond {
            return Err(format!($($arg)+));
        }
    };
}

mod errors;
mod first;
mod htpasswd;
mod kill;
mod memory;
mod migration;
mod moving;
mod pause;
mod power;
mod races;
mod volume;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{MINUTE, Ran, World, program, program_path, run, tool};

/// System calls that change something, make it durable, or acquire or release what a change needs.
const CHANGING: &str = "openat,write,pwrite64,fsync,fdatasync,ftruncate,unlink,unlinkat,rename,renameat,renameat2,\
    link,linkat,mkdir,chmod,fchmod,fchmodat,chown,fchown,fchownat,fcntl,flock,close,pipe2,clone,clone3,vfork,execve";
/// The name of the token.
const NAME: &str = "demo";
/// The length of a secret: `tkn_`, 32 random characters and 6 characters of checksum.
const SECRET_LEN: usize = 42;
const VARIABLE: &str = "DEMO_TOKEN";
const ENV_BEFORE: &str = "# by hand\nA=1\nexport B='x y'\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Create,
    Rotate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Destination {
    Stdout,
    File,
    EnvFile,
    Command,
}

impl Destination {
    /// Whether recovery can find the secret at the destination.
    fn keeps_secret(self) -> bool {
        matches!(self, Self::File | Self::EnvFile)
    }
}

/// The state before a delivery.
struct Scene {
    verb: Verb,
    destination: Destination,
    /// Whether the destination and a hook are stored with the token, so that the rotation needs no flag.
    remembers: bool,
    base: TempDir,
    /// The secret of the token before a rotation.
    old: Option<String>,
    /// The secret of another token.
    bystander: String,
}

/// The result of a run under strace.
struct Traced {
    killed: bool,
    ran: Ran,
}

/// A directory for many short-lived files, in memory if possible.
fn scratch() -> TempDir {
    let mut builder = tempfile::Builder::new();
    builder.prefix("tokenctl-test-").permissions(fs::Permissions::from_mode(0o700));
    builder.tempdir_in("/dev/shm").or_else(|_| builder.tempdir()).expect("a directory")
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the time is after 1970");
    i64::try_from(since.as_secs()).expect("the number is in range")
}

/// Copies a directory with its files, subdirectories and their modes.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("the directory can be read") {
        let entry = entry.expect("the entry can be read");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            fs::create_dir(&to).expect("the directory can be created");
            copy(&entry.path(), &to);
            let mode = fs::metadata(entry.path()).expect("a directory").permissions();
            fs::set_permissions(&to, mode).expect("the mode can be set");
        } else {
            fs::copy(entry.path(), &to).expect("the file can be copied");
        }
    }
}

/// Runs these jobs in two threads. Returns the failures.
fn each<T: Sync>(jobs: &[T], check: impl Fn(&T) -> Result<(), String> + Sync) -> Vec<String> {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(why) = check(job) {
                        failed.lock().expect("no thread panicked").push(why);
                    }
                }
            });
        }
    });
    failed.into_inner().expect("no thread panicked")
}

/// Fails the test with the first failures.
#[track_caller]
fn assert_none(failed: &[String], of: usize) {
    let first: Vec<_> = failed.iter().take(12).map(String::as_str).collect();
    assert!(failed.is_empty(), "{} of {of} failed:\n{}", failed.len(), first.join("\n"));
}

/// Runs the program under strace with these options, on the store in `dir`.
fn traced(dir: &Path, options: &[&str], args: &[String]) -> Traced {
    let done = tool("strace")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("TOKENCTL_STORE", dir.join("store"))
        // The files that a killed run leaves must not affect the next test.
        .env("TMPDIR", dir)
        .args(["-f", "-qq"])
        .args(options)
        .arg(program_path())
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("strace starts");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let ran = Ran { code: done.status.code().unwrap_or(-1), out: text(done.stdout), err: text(done.stderr) };
    Traced { killed: done.status.signal() == Some(9), ran }
}

/// The system calls, of those in `calls`, that the program makes from the first one that concerns the store, each with
/// its number.
fn points(dir: &Path, calls: &str, args: &[String]) -> Vec<(String, usize)> {
    let log = dir.join("log");
    let done =
        traced(dir, &["-o", log.to_str().expect("the path is UTF-8"), "-e", &format!("trace={calls}")], args);
    assert_eq!(done.ran.code, 0, "{args:?}: {}", done.ran.err);
    let log = fs::read_to_string(log).expect("the file can be read");
    let store = dir.join("store");
    let store = store.to_str().expect("the path is UTF-8");
    let (mut begun, mut counts, mut points) = (false, std::collections::HashMap::new(), Vec::new());
    let program = log.split(' ').next().expect("there is a pid");
    for line in log.lines() {
        let Some((pid, call)) = line.split_once(' ') else { continue };
        let Some((name, rest)) = call.trim_start().split_once('(') else { continue };
        if pid != program || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            continue;
        }
        let count: &mut usize = counts.entry(name.to_owned()).or_default();
        *count += 1;
        begun |= name != "execve" && rest.contains(store);
        if begun {
            points.push((name.to_owned(), *count));
        }
    }
    points
}

/// Kills the program before its n-th call with this name.
fn killed(dir: &Path, (call, nth): &(String, usize), args: &[String]) -> Traced {
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:signal=SIGKILL:when={nth}"));
    traced(dir, &["-o", "/dev/null", "-e", &trace, "-e", &inject], args)
}

impl Scene {
    /// A rotation to a stored destination, followed by a hook.
    fn remembered(destination: Destination) -> Self {
        Self { remembers: true, ..Self::new(Verb::Rotate, destination) }
    }

    fn new(verb: Verb, destination: Destination) -> Self {
        let base = scratch();
        let target = base.path().join("target");
        fs::create_dir(&target).expect("the directory can be created");
        fs::set_permissions(&target, fs::Permissions::from_mode(0o700)).expect("the mode can be set");
        let mint = |name| run(Self::program(base.path()).args(["create", name]), b"").ok().line().to_owned();
        let bystander = mint("bystander");
        let old = (verb == Verb::Rotate).then(|| mint(NAME));
        let scene = Self { verb, destination, remembers: false, base, old, bystander };
        let dir = scene.base.path();
        if let (Destination::File, Some(old)) = (destination, &scene.old) {
            write(&Self::file(dir), &format!("{old}\n"));
        }
        if destination == Destination::EnvFile {
            let line = scene.old.as_ref().map(|old| format!("{VARIABLE}={old}\n")).unwrap_or_default();
            write(&Self::file(dir), &format!("{ENV_BEFORE}{line}"));
        }
        scene
    }

    /// Every verb with every destination, and rotations to stored destinations.
    fn all() -> Vec<Self> {
        use Destination::{Command, EnvFile, File, Stdout};
        let of = |verb| [Stdout, File, EnvFile, Command].map(|destination| Self::new(verb, destination));
        let given = [Verb::Create, Verb::Rotate].into_iter().flat_map(of);
        given.chain([File, EnvFile, Command].map(Self::remembered)).collect()
    }

    fn label(&self) -> String {
        let remembered = if self.remembers { " remembered" } else { "" };
        format!("{:?} {:?}{remembered}", self.verb, self.destination)
    }

    fn program(dir: &Path) -> Command {
        let mut command = program();
        command.env("TOKENCTL_STORE", dir.join("store"));
        command
    }

    /// The file at the destination.
    fn file(dir: &Path) -> PathBuf {
        dir.join("target/secret")
    }

    /// Copies the scene into a new directory.
    fn stage(&self) -> TempDir {
        let dir = scratch();
        copy(self.base.path(), dir.path());
        if self.remembers {
            // Stored paths are absolute, so they are stored separately in each copy.
            let runs = Self::runs(dir.path());
            let after = format!("echo run >> {}", runs.display());
            let mut edit = Self::program(dir.path());
            edit.args(["edit", NAME, "--after", &after]).args(self.destination_flags(dir.path()));
            run(&mut edit, b"").ok();
        }
        dir
    }

    /// The file in which the hook writes a line in each run.
    fn runs(dir: &Path) -> PathBuf {
        dir.join("runs")
    }

    /// The flags that select the destination.
    fn destination_flags(&self, dir: &Path) -> Vec<String> {
        let file = Self::file(dir).to_str().expect("the path is UTF-8").to_owned();
        match self.destination {
            Destination::Stdout => vec![],
            Destination::File => vec!["--out".to_owned(), file],
            Destination::EnvFile => ["--env-file", &file, "--env-name", VARIABLE].map(str::to_owned).to_vec(),
            Destination::Command => vec!["--exec".to_owned(), format!("cat > {file}")],
        }
    }

    fn args(&self, dir: &Path) -> Vec<String> {
        let verb = if self.verb == Verb::Create { "create" } else { "rotate" };
        let mut args = vec![verb.to_owned(), NAME.to_owned()];
        if !self.remembers {
            args.extend(self.destination_flags(dir));
        }
        if self.destination == Destination::EnvFile {
            // Also print a document to stdout, which happens at the very end.
            args.push("--json".to_owned());
        }
        args
    }

    /// Runs the delivery under strace with these options.
    fn traced(&self, dir: &Path, options: &[&str]) -> Traced {
        traced(dir, options, &self.args(dir))
    }

    /// The system calls of a delivery that concern the store, with their names and numbers.
    fn points(&self, calls: &str) -> Vec<(String, usize)> {
        let dir = self.stage();
        points(dir.path(), calls, &self.args(dir.path()))
    }

    /// The complete secret at the destination, if there is one. Fails if the file has any other content.
    fn held(&self, dir: &Path, stdout: &str) -> Result<Option<String>, String> {
        if self.destination == Destination::Stdout {
            return Ok(whole(stdout));
        }
        let content = fs::read_to_string(Self::file(dir)).ok();
        match (self.destination, content) {
            (Destination::Stdout | Destination::Command, content) => Ok(content.as_deref().and_then(whole)),
            (Destination::File, Some(content)) => match whole(&content) {
                Some(secret) if content.ends_with('\n') => Ok(Some(secret)),
                _ => Err(format!("the file holds {content:?}")),
            },
            (Destination::EnvFile, Some(content)) => {
                let Some(rest) = content.strip_prefix(ENV_BEFORE) else {
                    return Err(format!("the file holds {content:?}"));
                };
                let value =
                    rest.strip_prefix(&format!("{VARIABLE}=")).and_then(|rest| rest.strip_suffix('\n'));
                match value.and_then(whole) {
                    None if !rest.is_empty() || self.old.is_some() => {
                        Err(format!("the file holds {content:?}"))
                    }
                    secret => Ok(secret),
                }
            }
            (Destination::EnvFile, None) => Err("the file is gone".to_owned()),
            (_, None) if self.verb == Verb::Rotate => Err("the file is gone".to_owned()),
            (_, None) => Ok(None),
        }
    }

    /// Checks the conditions, immediately and after the deadline. `stdout` is the output that was received, and `exit`
    /// is the exit code unless the program was killed.
    fn check(&self, dir: TempDir, stdout: &str, exit: Option<i32>) -> Result<(), String> {
        self.check_at(dir, stdout, exit, now())
    }

    /// Like [`Scene::check`], with the simulated clock at this time.
    fn check_at(&self, dir: TempDir, stdout: &str, exit: Option<i32>, now: i64) -> Result<(), String> {
        let mut held = self.held(dir.path(), stdout)?;
        let world = World::at(dir, now);
        let (confirmed, rolled_back) = (exit == Some(0), exit == Some(7));
        ensure!(!confirmed || held.is_some() && held != self.old, "exit 0, and nothing was delivered");
        if rolled_back && !self.destination.keeps_secret() {
            // The error says that the secret was rolled back.
            if let Some(secret) = held.take() {
                let answer = world.verify(&secret, &[]);
                ensure!(answer.0 == 3, "the new secret works after exit 7: {answer:?}");
            }
        }
        let is_old = held.is_some() && held == self.old;
        let new = held.as_deref().filter(|_| !is_old);
        sound(&world)?;
        valid(&world, &self.bystander, "another token")?;
        if let Some(old) = &self.old {
            valid(&world, old, "the old secret")?;
        }
        let mut role = None;
        if let Some(new) = new {
            role = Some(valid(&world, new, "the new secret")?);
        }
        ensure!(!confirmed || role.as_deref() == Some("current"), "the new secret is {role:?} after exit 0");

        world.wait(11 * MINUTE);
        let dead = !self.destination.keeps_secret() && role.as_deref() == Some("provisional");
        if let Some(new) = new.filter(|_| dead) {
            let answer = world.verify(new, &[]);
            ensure!(answer.0 == 3, "the new secret outlived its deadline: {answer:?}");
        }
        let ran = world.run(&["settings", "grace", "25h"]);
        ensure!(ran.code == 0, "the next change: {ran:?}");
        sound(&world)?;
        // An unmounted volume looks the same as a file that was lost with the power, so the administrator has to
        // decide.
        let target = fs::read_dir(world.dir.path().join("target"));
        let absent = self.destination.keeps_secret() && target.is_ok_and(|mut dir| dir.next().is_none());
        let ran = world.run(if absent { &["doctor", "--repair", "--yes"] } else { &["doctor", "--repair"] });
        ensure!(ran.code == 0, "doctor --repair: {ran:?}");
        swept(&world)?;
        valid(&world, &self.bystander, "another token")?;
        if let Some(new) = new.filter(|_| !dead) {
            let role = valid(&world, new, "the new secret, later")?;
            ensure!(role == "current", "the new secret is {role} after the recovery");
        }
        let delivered = new.is_some() && !dead;
        let roles = roles(&world)?;
        if let Some(old) = &self.old {
            let role = valid(&world, old, "the old secret, later")?;
            let roles: Vec<_> = roles.iter().map(String::as_str).collect();
            // The secret can be confirmed before its newline is written, although nobody has read it.
            let unseen = new.is_none() && !self.destination.keeps_secret() && role == "previous";
            if delivered || unseen {
                ensure!(roles == ["previous", "current"] || roles == ["current", "previous"], "{roles:?}");
            } else {
                ensure!(role == "current" && roles == ["current"], "the old secret is {role} of {roles:?}");
            }
            if self.remembers {
                hooked(&world, roles.len() == 2)?;
            }
        } else if delivered {
            ensure!(roles == ["current"], "{roles:?}");
        } else {
            ensure!(roles.is_empty(), "an orphan is left: {roles:?}");
            let ran = world.run(&["create", NAME]);
            ensure!(ran.code == 0, "the name is not free: {ran:?}");
        }
        Ok(())
    }
}

/// Checks the hook: if the token was rotated, it has run or runs with the next `rotate --due`, and otherwise it never
/// runs.
fn hooked(world: &World, rotated: bool) -> Result<(), String> {
    let runs = || fs::read_to_string(Scene::runs(world.dir.path())).map_or(0, |runs| runs.lines().count());
    let before = runs();
    ensure!(rotated || before == 0, "the hook of a rotation that did not happen has run");
    let ran = world.run(&["rotate", "--due"]);
    ensure!(ran.code == 0, "the next run: {ran:?}");
    let token = shown(world)?.unwrap_or_default();
    ensure!(token["hook"]["pending_since"].is_null(), "the hook is still pending: {}", token["hook"]);
    let after = runs();
    ensure!((after > 0) == rotated && after <= 2, "the hook has run {before}, then {after} times");
    Ok(())
}

/// The secret, if a text consists of exactly one secret.
fn whole(text: &str) -> Option<String> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    (line.len() == SECRET_LEN && line.starts_with("tkn_")).then(|| line.to_owned())
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("the file can be written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("the mode can be set");
}

/// Checks that nothing is left beside the destination. A temporary file of a delivery that had not begun is unknown to
/// the store. Such a file must be empty, and the next delivery to the directory removes it.
fn swept(world: &World) -> Result<(), String> {
    let left = || -> Vec<PathBuf> {
        let entries = fs::read_dir(world.dir.path().join("target")).expect("the directory can be read");
        let paths = entries.map(|entry| entry.expect("the entry can be read").path());
        paths.filter(|path| !path.ends_with("secret")).collect()
    };
    let before = left();
    if before.is_empty() {
        return Ok(());
    }
    ensure!(
        before.iter().all(|path| fs::metadata(path).is_ok_and(|meta| meta.len() == 0)),
        "left: {before:?}"
    );
    world.wait(10 * MINUTE);
    let other = world.dir.path().join("target/other");
    let ran = world.run(&["create", "sweeper", "--out", other.to_str().expect("the path is UTF-8")]);
    ensure!(ran.code == 0, "the next delivery: {ran:?}");
    fs::remove_file(other).expect("the file can be removed");
    ensure!(left().is_empty(), "left beside the target: {:?}", left());
    let ran = world.run(&["revoke", "sweeper", "--yes"]);
    ensure!(ran.code == 0, "{ran:?}");
    Ok(())
}

/// Every n-th of these jobs, or all of them if the environment variable `CRASH` is `all`.
fn sampled<T>(jobs: Vec<T>, nth: usize) -> Vec<T> {
    jobs.into_iter().step_by(every(nth)).collect()
}

fn every(nth: usize) -> usize {
    if std::env::var_os("CRASH").is_some_and(|which| which == "all") { 1 } else { nth }
}

/// Checks that the store can be listed, that its log is intact, and that every problem is one that the next change
/// repairs.
fn sound(world: &World) -> Result<(), String> {
    for args in [["list", "--all"], ["audit", "verify"]] {
        let ran = world.run(&args);
        ensure!(ran.code == 0, "{args:?}: {ran:?}");
    }
    let ran = world.run(&["doctor", "--json"]);
    ensure!(ran.code == 0 || ran.code == 3, "doctor: {ran:?}");
    let document = ran.json();
    let findings = document["findings"].as_array().ok_or("no findings")?;
    ensure!(findings.iter().all(|it| it["repairable"] == true), "doctor: {document}");
    Ok(())
}

/// The role of a secret. Fails if the secret is not valid.
fn valid(world: &World, secret: &str, what: &str) -> Result<String, String> {
    let ran = world.run_with(&["verify", "--json"], secret.as_bytes());
    ensure!(ran.code == 0, "{what} is not valid: {ran:?}");
    Ok(ran.json()["secret"]["role"].as_str().unwrap_or_default().to_owned())
}

/// The document of the token, or `None` if it does not exist.
fn shown(world: &World) -> Result<Option<Value>, String> {
    let ran = world.run(&["show", NAME, "--json"]);
    ensure!(ran.code == 0 || ran.code == 4, "show: {ran:?}");
    Ok((ran.code == 0).then(|| ran.json()))
}

/// The roles of the secrets of the token.
fn roles(world: &World) -> Result<Vec<String>, String> {
    let token = shown(world)?;
    let secrets = token.as_ref().and_then(|token| token["secrets"].as_array());
    let role = |secret: &Value| secret["role"].as_str().unwrap_or_default().to_owned();
    Ok(secrets.map(|all| all.iter().map(role).collect()).unwrap_or_default())
}
