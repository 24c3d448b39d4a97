//! `--copy`: the choice of a clipboard, the messages, and that nothing is created if no clipboard works.

mod display;
mod terminal;
mod tmux;

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokenctl::context::CopyMethod;

use crate::support::{World, run};

/// A world with a store, in which these clipboards can be reached.
fn with(methods: &[CopyMethod]) -> World {
    let world = World::with_store();
    world.clipboards.borrow_mut().there = methods.to_vec();
    world
}

/// The last line of a text.
fn last(text: &str) -> &str {
    text.lines().last().unwrap_or_default()
}

/// The process that keeps a clipboard filled for this many seconds. Each test uses another number to find its process,
/// and the process is killed at the end of the test.
struct Holder {
    id: i32,
    arguments: String,
}

impl Holder {
    fn find(stay: u32) -> Option<Self> {
        fs::read_dir("/proc").expect("the directory can be read").find_map(|entry| {
            let path = entry.expect("the entry can be read").path();
            let id = path.file_name()?.to_str()?.parse().ok()?;
            let arguments = arguments(&path);
            let holds =
                arguments.contains(" --hold-clipboard ") && arguments.contains(&format!(" {stay} tokenctl-"));
            // No value of this type is created for another process, because dropping it would kill that process.
            holds.then(|| Self { id, arguments })
        })
    }

    #[track_caller]
    fn of(stay: u32) -> Self {
        Self::find(stay).expect("nothing holds the clipboard")
    }

    fn path(&self) -> String {
        format!("/proc/{}", self.id)
    }

    fn is_gone(&self) -> bool {
        arguments(Path::new(&self.path())) != self.arguments
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        if let (false, Some(id)) = (self.is_gone(), rustix::process::Pid::from_raw(self.id)) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
        }
    }
}

/// The arguments of a process, with a space after each. The result is empty if the process has exited.
fn arguments(process: &Path) -> String {
    let bytes = fs::read(process.join("cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

#[test]
fn a_copied_secret_is_in_the_clipboard_and_nowhere_else() {
    let world = with(&[CopyMethod::Display]);
    let ran = world.run(&["create", "demo", "--ttl", "30d", "--copy"]).ok();
    let held = world.clipboards.borrow().holds.clone();
    let (method, secret, stay) = held.expect("nothing was copied");
    assert_eq!((method, stay), (CopyMethod::Display, Some(Duration::from_secs(45))));
    world.assert_valid(&secret, "demo");
    let id = world.show("demo")["id"].as_str().expect("the id is a string").to_owned();
    let messages = format!(
        "created `demo` ({id}), expires 2026-12-22T12:00:00Z (in 30 days)\n\
         copied to the clipboard, cleared in 45 s; a clipboard manager may keep a copy\n"
    );
    assert_eq!((ran.out.as_str(), ran.err), ("", messages));
    // A rotation replaces the content of the clipboard.
    let ran = world.run(&["rotate", "demo", "--copy=display", "--copy-timeout", "2m"]).ok();
    let held = world.clipboards.borrow().holds.clone();
    let (_, new, stay) = held.expect("nothing was copied");
    assert_eq!((ran.out.as_str(), stay), ("", Some(Duration::from_secs(120))));
    world.assert_valid(&new, "demo");
    assert_eq!(world.verify(&secret, &[]), (0, "valid demo previous".to_owned()));
}

#[test]
fn the_message_describes_what_each_kind_of_clipboard_does() {
    for (method, says) in [
        (CopyMethod::Display, "copied to the clipboard, cleared in 5 s; a clipboard manager may keep a copy"),
        (CopyMethod::Tmux, "in the tmux buffer tokenctl-NAME, deleted in 5 s; your terminal may keep a copy"),
        (CopyMethod::Osc52, "sent to your terminal, which may ignore it; its clipboard is not cleared"),
    ] {
        let world = with(&[method]);
        let copy = format!("--copy={}", method.word());
        let ran = world.run(&["create", "demo", &copy, "--copy-timeout=5s"]).ok();
        let words = last(&ran.err).split(' ').map(|word| match word.strip_prefix("tokenctl-") {
            Some(name) if name.trim_end_matches(',').len() == 6 => "tokenctl-NAME,",
            _ => word,
        });
        assert_eq!(words.collect::<Vec<_>>().join(" "), says);
        let quiet = world.run(&["rotate", "demo", &copy, "--quiet"]).ok();
        assert_eq!((quiet.out.as_str(), quiet.err.as_str()), ("", ""));
    }
}

#[test]
fn the_first_clipboard_that_works_is_used_unless_one_is_chosen() {
    use CopyMethod::{Display, Osc52, Tmux};
    for (there, flag, taken) in [
        (&[Display, Tmux, Osc52][..], "--copy", Some(Display)),
        (&[Osc52, Tmux], "--copy", Some(Tmux)),
        (&[Osc52], "--copy=auto", Some(Osc52)),
        (&[Display, Tmux, Osc52], "--copy=tmux", Some(Tmux)),
        (&[Display, Tmux, Osc52], "--copy=osc52", Some(Osc52)),
        (&[Tmux, Osc52], "--copy=display", None),
        (&[Display], "--copy=osc52", None),
    ] {
        let world = with(there);
        let code = world.run(&["create", "demo", flag]).code;
        let held = world.clipboards.borrow().holds.as_ref().map(|(method, ..)| *method);
        assert_eq!((code, held), (if taken.is_some() { 0 } else { 7 }, taken), "{there:?} {flag}");
    }
}

#[test]
fn without_a_clipboard_nothing_is_created_and_all_attempts_are_reported() {
    let world = with(&[]);
    world.create("demo", &[]);
    for verb in [&["create", "new"][..], &["rotate", "demo"]] {
        let failure = world.refuses(&[verb, &["--copy"]].concat(), 7, "delivery_failed");
        assert_eq!(
            failure["message"],
            "no clipboard can be reached: display (not here), tmux (not here), osc52 (not here); nothing was changed"
        );
        assert_eq!(
            failure["hint"],
            "without `--copy` it goes to standard output, with `--out FILE` into a file"
        );
        let failure = world.refuses(&[verb, &["--copy=tmux"]].concat(), 7, "delivery_failed");
        assert_eq!(failure["message"], "no clipboard can be reached: tmux (not here); nothing was changed");
    }
    let world = World::new();
    world.run(&["create", "demo", "--copy"]).exit(7);
    assert!(!world.store().exists(), "a store was made");
}

#[test]
fn if_a_clipboard_fails_the_secret_is_rolled_back() {
    let world = with(&[CopyMethod::Display]);
    let old = world.create("demo", &[]);
    world.clipboards.borrow_mut().fails = Some("put");
    for verb in [["create", "new"], ["rotate", "demo"]] {
        let ran = world.run(&[&verb[..], &["--copy", "--json"]].concat()).exit(7);
        assert_eq!(
            ran.failure()["message"],
            "display did not take the secret: it fails; nothing was changed"
        );
        assert_eq!(ran.out, "");
    }
    assert_eq!(world.names(&["--all"]), ["demo"]);
    assert_eq!(world.show("demo")["secrets"].as_array().expect("`secrets` is an array").len(), 1);
    world.assert_valid(&old, "demo");
    world.run(&["audit", "verify"]).ok();
}

#[test]
fn a_secret_that_is_not_confirmed_is_removed_from_the_clipboard() {
    let world = with(&[CopyMethod::Display]);
    world.clipboards.borrow_mut().slow = 11 * 60;
    let ran = world.run(&["create", "demo", "--copy"]).exit(7);
    assert!(ran.err.contains("the delivery took too long"), "{}", ran.err);
    assert_eq!(world.clipboards.borrow().holds, None);
    assert!(world.names(&["--all"]).is_empty());
}

#[test]
fn a_delivery_succeeds_even_if_another_program_takes_the_clipboard_over() {
    let world = with(&[CopyMethod::Display]);
    world.clipboards.borrow_mut().fails = Some("stay");
    let ran = world.run(&["create", "demo", "--copy"]).ok();
    assert_eq!(
        last(&ran.err),
        "copied to the clipboard, which another program has taken over; it will not be cleared"
    );
    assert_eq!(world.names(&[]), ["demo"]);
}

#[test]
fn the_document_does_not_contain_a_secret_that_was_copied() {
    let world = with(&[CopyMethod::Osc52]);
    for args in [["create", "demo", "--copy", "--json"], ["rotate", "demo", "--copy=osc52", "--json"]] {
        let ran = world.run(&args).ok();
        assert_eq!((&ran.json()["secret"], &ran.json()["changed"]), (&Value::Null, &Value::Bool(true)));
        assert_eq!(ran.json()["status"], "active");
        assert!(!ran.out.contains(&world.clipboards.borrow().holds.as_ref().expect("there is a copy").1));
    }
}

#[test]
fn a_copy_excludes_other_destinations_and_has_a_time_limit() {
    let world = with(&CopyMethod::ALL);
    world.create("a", &[]);
    world.create("b", &[]);
    for args in [
        &["create", "new", "--copy", "--out", "file"][..],
        &["create", "new", "--copy", "--exec", "cat"],
        &["create", "new", "--copy", "--env-file", "file", "--env-name", "A"],
        &["create", "new", "--copy", "--force"],
        &["create", "new", "--copy", "--copy"],
        &["create", "new", "--copy=clipboard"],
        &["create", "new", "--copy="],
        &["create", "--copy", "new", "more"],
        &["create", "new", "--copy-timeout", "5s"],
        &["create", "new", "--copy", "--copy-timeout", "0s"],
        &["create", "new", "--copy", "--copy-timeout", "11m"],
        &["create", "new", "--copy", "--copy-timeout", "45"],
        &["rotate", "a", "--copy", "--out-dir", "."],
        &["rotate", "a", "b", "--copy"],
        &["rotate", "--due", "--copy"],
    ] {
        world.refuses(args, 2, "usage");
    }
    assert_eq!(world.clipboards.borrow().holds, None);
    for stay in ["1s", "10m"] {
        world.run(&["rotate", "a", "--copy", "--copy-timeout", stay]).ok();
    }
}

#[test]
fn the_clipboard_process_is_not_a_verb_and_handles_any_input() {
    let world = World::with_store();
    let secret = world.create("demo", &[]);
    let hold = |args: &[&str], input: &[u8]| {
        let ran = run(world.program().arg("--hold-clipboard").args(args), input);
        assert!(!ran.err.contains("panicked"), "{args:?} {ran:?}");
        (ran.code, ran.out)
    };
    let usage = (2, String::new());
    for args in [
        &[][..],
        &["display"],
        &["display", "5", "x", "y"],
        &["nothing", "5", "x"],
        &["display", "-1", "x"],
        &["display", "99999999999999999999", "x"],
        &["tmux", "5s", "x"],
        &["tmux", "5", &secret],
        &[&secret, "5", "x"],
        &["list", "--json", "x"],
    ] {
        assert_eq!(hold(args, secret.as_bytes()), usage, "{args:?}");
    }
    for input in [&b""[..], b"\n", b"\n\n\n", &[0xff; 4096], secret.as_bytes()] {
        for role in ["display", "tmux", "proof"] {
            let (code, out) = hold(&[role, "5", "x"], input);
            assert_eq!((code, out.lines().count()), (1, 1), "{role} {out}");
        }
    }
}
