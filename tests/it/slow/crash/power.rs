//! Simulates a power loss at any moment of a recorded run. What was synced is on the disk, and any part of the rest can
//! be.
//!
//! In this model, the bytes of a file are durable once the file is synced, and its name is durable once its directory
//! is synced. Of the operations that are not durable yet, the disk can have all, none, only one, or all except one, and
//! a write can be cut in half.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Destination, Scene, assert_none, each, write};
use crate::support::have;

pub const CALLS: &str = "openat,write,pwrite64,ftruncate,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,link,\
    linkat,mkdir,truncate,creat,writev,pwritev,sync_file_range,fallocate";
/// The smallest number of states for a scene. If there are fewer, the recording does not contain what it should.
const AT_LEAST: usize = 200;

/// An operation on files that succeeded during the run.
#[derive(Debug)]
pub enum Step {
    Create(PathBuf),
    Write {
        path: PathBuf,
        at: Option<usize>,
        bytes: Vec<u8>,
    },
    Truncate {
        path: PathBuf,
        len: usize,
    },
    Sync(PathBuf),
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Unlink(PathBuf),
    /// The destination has received the secret.
    Accepted(String),
    /// The destination has received the newline, which is written after the confirmation.
    Confirmed,
}

/// An operation that is not durable yet.
#[derive(Debug, Clone)]
enum Pending {
    Bytes { file: usize, at: usize, bytes: Vec<u8> },
    Length { file: usize, len: usize },
    Name { path: PathBuf, file: usize },
    Moved { from: PathBuf, to: PathBuf, file: usize },
    Gone(PathBuf),
}

/// The content of files by number, and the number of the file under each name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Disk {
    files: Vec<Vec<u8>>,
    names: BTreeMap<PathBuf, usize>,
}

impl Disk {
    fn apply(&mut self, change: &Pending) {
        match change {
            Pending::Bytes { file, at, bytes } => {
                let content = &mut self.files[*file];
                content.resize(content.len().max(at + bytes.len()), 0);
                content[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            Pending::Length { file, len } => self.files[*file].resize(*len, 0),
            Pending::Name { path, file } => {
                self.names.insert(path.clone(), *file);
            }
            Pending::Moved { from, to, file } => {
                self.names.remove(from);
                self.names.insert(to.clone(), *file);
            }
            Pending::Gone(path) => {
                self.names.remove(path);
            }
        }
    }

    fn with<'a>(&self, changes: impl IntoIterator<Item = &'a Pending>) -> Self {
        let mut disk = self.clone();
        changes.into_iter().for_each(|change| disk.apply(change));
        disk
    }

    /// The content under each name.
    fn tree(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.names.iter().map(|(path, file)| (path.clone(), self.files[*file].clone())).collect()
    }

    pub fn load(&mut self, dir: &Path) {
        for entry in fs::read_dir(dir).expect("the directory can be read") {
            let path = entry.expect("the entry can be read").path();
            self.names.insert(path.clone(), self.files.len());
            self.files.push(fs::read(path).expect("the file can be read"));
        }
    }
}

/// The first half of a write.
fn torn(change: &Pending) -> Option<Pending> {
    match change {
        Pending::Bytes { file, at, bytes } if bytes.len() > 1 => {
            Some(Pending::Bytes { file: *file, at: *at, bytes: bytes[..bytes.len() / 2].to_vec() })
        }
        _ => None,
    }
}

/// The possible states of the disk after a power loss.
fn states(disk: &Disk, pending: &[Pending]) -> Vec<Disk> {
    let mut all: Vec<_> = (0..=pending.len()).map(|count| disk.with(&pending[..count])).collect();
    for (at, change) in pending.iter().enumerate() {
        let but = |instead: Option<&Pending>| {
            disk.with(pending[..at].iter().chain(instead).chain(&pending[at + 1..]))
        };
        all.extend([disk.with([change]), but(None)]);
        if let Some(half) = torn(change) {
            all.extend([
                disk.with([&half]),
                but(Some(&half)),
                disk.with(pending[..at].iter().chain([&half])),
            ]);
        }
    }
    all
}

/// A state, the secret that the destination had received by then, and whether success had been reported.
pub type Lost = (BTreeMap<PathBuf, Vec<u8>>, Option<String>, bool);

/// Every n-th of the states that a power loss during the recorded steps can leave.
pub fn replay(disk: Disk, steps: &[Step], nth: usize) -> Vec<Lost> {
    let mut volatile = disk.clone();
    let (mut disk, mut pending) = (disk, Vec::<Pending>::new());
    let (mut received, mut confirmed) = (None, false);
    let (mut seen, mut all) = (HashSet::new(), Vec::new());
    let mut look = |disk: &Disk, pending: &[Pending], received: &Option<String>, confirmed| {
        for state in states(disk, pending) {
            let lost = (state.tree(), received.clone(), confirmed);
            let mut hasher = DefaultHasher::new();
            lost.hash(&mut hasher);
            if seen.insert(hasher.finish()) && seen.len().is_multiple_of(nth) {
                all.push(lost);
            }
        }
    };
    for step in steps {
        // The number of pending operations only grows until something is synced or reported, so the states before that
        // include the earlier ones.
        if matches!(step, Step::Sync(_) | Step::Accepted(_) | Step::Confirmed) {
            look(&disk, &pending, &received, confirmed);
        }
        let file =
            |path: &Path| *volatile.names.get(path).unwrap_or_else(|| panic!("unknown: {}", path.display()));
        let change = match step {
            Step::Create(path) => {
                let file = volatile.files.len();
                volatile.files.push(Vec::new());
                disk.files.push(Vec::new());
                Some(Pending::Name { path: path.clone(), file })
            }
            Step::Write { path, at, bytes } => {
                let file = file(path);
                let at = at.unwrap_or(volatile.files[file].len());
                Some(Pending::Bytes { file, at, bytes: bytes.clone() })
            }
            Step::Truncate { path, len } => Some(Pending::Length { file: file(path), len: *len }),
            Step::Rename { from, to } => {
                Some(Pending::Moved { from: from.clone(), to: to.clone(), file: file(from) })
            }
            Step::Unlink(path) => Some(Pending::Gone(path.clone())),
            Step::Sync(path) => {
                let number = volatile.names.get(path).copied();
                let within = |name: &Path| name.parent() == Some(path);
                pending.retain(|change| {
                    let lasts = match change {
                        Pending::Bytes { file, .. } | Pending::Length { file, .. } => Some(*file) == number,
                        Pending::Name { path: name, .. } | Pending::Gone(name) => within(name),
                        Pending::Moved { to, .. } => within(to),
                    };
                    if lasts {
                        disk.apply(change);
                    }
                    !lasts
                });
                None
            }
            Step::Accepted(secret) => {
                received = Some(secret.clone());
                None
            }
            Step::Confirmed => {
                confirmed = true;
                None
            }
        };
        if let Some(change) = change {
            volatile.apply(&change);
            pending.push(change);
        }
    }
    look(&disk, &pending, &received, confirmed);
    // The program has exited with code 0.
    look(&disk, &pending, &received, true);
    all
}

/// The bytes that strace prints as `\x..`.
fn unhex(text: &str) -> Vec<u8> {
    let digits = |pair: &str| u8::from_str_radix(pair, 16).unwrap_or_else(|err| panic!("{err}: {pair}"));
    text.split("\\x").skip(1).map(digits).collect()
}

/// The text between two characters.
fn between(text: &str, open: char, close: char) -> Option<&str> {
    let (_, rest) = text.split_once(open)?;
    Some(rest.split_once(close)?.0)
}

/// The lines of a recording, each with a complete call. If several processes run, strace can print a call in two parts;
/// such a call is listed where it returns.
fn whole_calls(log: &str) -> Vec<String> {
    let (mut all, mut begun) = (Vec::new(), BTreeMap::new());
    for line in log.lines() {
        let (pid, call) = line.split_once(' ').expect("there is a pid");
        if let Some(first) = call.strip_suffix("<unfinished ...>") {
            begun.insert(pid, first);
        } else if let (true, Some((_, rest))) =
            (call.trim_start().starts_with("<... "), call.split_once(" resumed>"))
        {
            let first = begun.remove(pid).expect("a call that began");
            all.push(format!("{pid} {first}{rest}"));
        } else {
            all.push(line.to_owned());
        }
    }
    all
}

/// The steps of a recording that concern files below `dir`.
pub fn steps(log: &str, scene: &Scene, dir: &Path) -> Vec<Step> {
    let path = |text: &str, open, close| {
        let bytes = unhex(between(text, open, close).unwrap_or_default());
        PathBuf::from(String::from_utf8(bytes).expect("the bytes are UTF-8"))
    };
    let quoted = |text: &str| path(text, '"', '"');
    let of_fd = |text: &str| path(text, '<', '>');
    let received = Scene::file(dir);
    let is_secret = |bytes: &[u8]| bytes.len() == scene.bystander.len() && bytes.starts_with(b"tkn_");
    let mut all = Vec::new();
    let mut known: HashSet<PathBuf> = HashSet::new();
    for place in ["store", "target"] {
        for entry in fs::read_dir(scene.base.path().join(place)).expect("the directory can be read") {
            known.insert(dir.join(place).join(entry.expect("the entry can be read").file_name()));
        }
    }
    for line in &whole_calls(log) {
        let call = line.split_once(' ').expect("there is a pid").1.trim_start();
        let Some((name, rest)) = call.split_once('(') else { continue };
        let (args, result) = rest.rsplit_once(" = ").unwrap_or((rest, ""));
        if result.starts_with('-') || result.starts_with('?') {
            continue;
        }
        let args: Vec<&str> = args.trim_end().trim_end_matches(')').split(", ").collect();
        let step = match name {
            "openat" if args[2].contains("O_CREAT") => {
                let path = of_fd(result);
                known.insert(path.clone()).then_some(Step::Create(path))
            }
            "openat" => {
                assert!(!args[2].contains("O_TRUNC"), "{line}");
                None
            }
            "write" | "pwrite64" => {
                let (path, bytes) = (of_fd(args[0]), unhex(between(args[1], '"', '"').expect("bytes")));
                let outside = scene.destination == Destination::Stdout
                    && path.to_string_lossy().starts_with("pipe:")
                    || scene.destination == Destination::Command && path == received;
                match (outside, is_secret(&bytes)) {
                    (true, true) => {
                        Some(Step::Accepted(String::from_utf8(bytes).expect("the bytes are UTF-8")))
                    }
                    (true, false) => (bytes == b"\n").then_some(Step::Confirmed),
                    _ => Some(Step::Write { path, at: args.get(3).map(|at| at.parse().expect(at)), bytes }),
                }
            }
            "ftruncate" => Some(Step::Truncate { path: of_fd(args[0]), len: args[1].parse().expect(line) }),
            "fsync" | "fdatasync" => Some(Step::Sync(of_fd(args[0]))),
            "rename" => Some((quoted(args[0]), quoted(args[1]))).map(|(from, to)| Step::Rename { from, to }),
            "renameat" | "renameat2" => Some(Step::Rename { from: quoted(args[1]), to: quoted(args[3]) }),
            "unlink" => Some(Step::Unlink(quoted(args[0]))),
            "unlinkat" => Some(Step::Unlink(quoted(args[1]))),
            _ => panic!("not in the model: {line}"),
        };
        match &step {
            Some(Step::Rename { from, to }) => {
                known.remove(from);
                known.insert(to.clone());
            }
            Some(Step::Unlink(path)) => {
                known.remove(path);
            }
            _ => {}
        }
        let inside = |path: &PathBuf| {
            path.starts_with(dir) && (scene.destination != Destination::Command || *path != received)
        };
        all.extend(step.filter(|step| match step {
            Step::Create(path)
            | Step::Write { path, .. }
            | Step::Truncate { path, .. }
            | Step::Sync(path)
            | Step::Unlink(path)
            | Step::Rename { from: path, .. } => inside(path),
            Step::Accepted(_) | Step::Confirmed => true,
        }));
        // A hook is responsible for its own files, so what it writes counts as durable.
        let runs = Scene::runs(dir);
        if matches!(all.last(), Some(Step::Write { path, .. }) if *path == runs) {
            all.extend([Step::Sync(runs), Step::Sync(dir.to_owned())]);
        }
    }
    all
}

/// Creates the files of a state at the path of the recording, because the store contains that path.
pub fn lay_out(place: &Path, scene: &Scene, lost: &Lost) -> TempDir {
    use std::os::unix::fs::PermissionsExt;
    let private = || fs::Permissions::from_mode(0o700);
    let name = place.file_name().expect("the path has a name");
    let dir = tempfile::Builder::new()
        .prefix(name)
        .rand_bytes(0)
        .permissions(private())
        .tempdir_in(place.parent().expect("the path has a parent"))
        .expect("the same directory");
    for below in ["store", "target"] {
        fs::create_dir(place.join(below)).expect("the directory can be created");
        fs::set_permissions(place.join(below), private()).expect("the mode can be set");
    }
    for (path, content) in &lost.0 {
        fs::write(path, content).expect("the file can be written");
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("the mode can be set");
    }
    if let (Destination::Command, Some(secret)) = (scene.destination, &lost.1) {
        write(&Scene::file(place), secret);
    }
    dir
}

#[test]
fn a_delivery_interrupted_by_a_power_loss_neither_loses_nor_orphans_a_secret() {
    if !have("strace") {
        return;
    }
    let scenes = Scene::all();
    let counts = std::sync::Mutex::new(BTreeMap::<String, usize>::new());
    let all_failed = std::sync::Mutex::new(Vec::new());
    each(&scenes, |scene| {
        let dir = scene.stage();
        let (mut disk, place) = (Disk::default(), dir.path().to_owned());
        disk.load(&place.join("store"));
        disk.load(&place.join("target"));
        let log = super::scratch();
        let log = log.path().join("log");
        let trace = format!("trace={CALLS}");
        let options =
            ["-y", "-xx", "-s", "1000000", "-o", log.to_str().expect("the path is UTF-8"), "-e", &trace];
        let done = scene.traced(dir.path(), &options);
        assert_eq!(done.ran.code, 0, "{:?}", done.ran);
        let steps = steps(&fs::read_to_string(&log).expect("the file can be read"), scene, &place);
        drop(dir);
        let lost = replay(disk, &steps, 1);
        counts.lock().expect("no thread panicked").insert(scene.label(), lost.len());
        for (nth, lost) in lost.iter().enumerate() {
            let dir = lay_out(&place, scene, lost);
            let stdout = lost.1.clone().unwrap_or_default();
            if let Err(why) = scene.check(dir, &stdout, lost.2.then_some(0)) {
                let sizes: Vec<_> =
                    lost.0.iter().map(|(path, content)| (path.file_name(), content.len())).collect();
                let why = format!("{} state {nth} {sizes:?}: {why}", scene.label());
                all_failed.lock().expect("no thread panicked").push(why);
            }
        }
        Ok(())
    });
    let counts = counts.into_inner().expect("no thread panicked");
    let states = counts.values().sum::<usize>();
    println!("states after a power loss: {states} {counts:?}");
    assert_none(&all_failed.into_inner().expect("no thread panicked"), states);
    assert!(counts.len() == scenes.len() && counts.values().all(|count| *count >= AT_LEAST), "{counts:?}");
}
