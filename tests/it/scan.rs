//! Tests of `scan`, which searches files for secrets of the store.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tokenctl::context::Terminal;

use crate::support::{Answer, DAY, Ran, World, have, run, search_path};

const ADOPTED: &str = "sk_live_0123456789abcdefghijklmnopqrstuvwxyz==";

/// A directory to search. Paths in the results are relative to it.
struct Tree<'a> {
    world: &'a World,
    root: PathBuf,
}

impl<'a> Tree<'a> {
    fn new(world: &'a World) -> Self {
        let root = world.dir.path().join("tree");
        fs::create_dir(&root).expect("the directory can be created");
        Self { world, root }
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.root.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the directory can be created");
        fs::write(&path, text).expect("the file can be written");
        path.to_str().expect("the path is UTF-8").to_owned()
    }

    /// Searches the directory with these arguments. Its path is removed from the output.
    #[track_caller]
    fn scan(&self, args: &[&str]) -> Ran {
        let root = self.root.to_str().expect("the path is UTF-8");
        self.relative(&self.world.run(&[&["scan", root], args].concat()))
    }

    fn relative(&self, ran: &Ran) -> Ran {
        let root = format!("{}/", self.root.display());
        Ran { code: ran.code, out: ran.out.replace(&root, ""), err: ran.err.replace(&root, "") }
    }
}

/// Creates a token of every status. Returns their names and secrets.
fn every_status(world: &World) -> Vec<(&'static str, String)> {
    let mut secrets = vec![
        ("expired", world.create("expired", &["--ttl", "1h", "--owner", "ann"])),
        ("revoked", world.create("revoked", &[])),
        ("disabled", world.create("disabled", &["--owner", "ann"])),
        ("pending", world.create("pending", &["--not-before", "2027-01-01"])),
        ("active", world.create("active", &["--owner", "ann"])),
        ("provisional", world.create("provisional", &[])),
    ];
    world.run(&["revoke", "revoked", "--yes"]).ok();
    world.run(&["disable", "disabled"]).ok();
    world.wait(DAY);
    let end = world.now() + 600;
    world.sql(&format!(
        "UPDATE secret SET delivered_at = NULL, expires_at = {end}
         WHERE token = (SELECT row FROM tokens WHERE name = 'provisional')"
    ));
    let other = World::with_store();
    other.run(&["settings", "prefix", "other"]).ok();
    secrets.push(("unknown", other.create("elsewhere", &["--ttl", "7d"])));
    secrets
}

#[test]
fn each_secret_is_printed_with_its_position_name_status_and_owner() {
    let world = World::with_store();
    let tree = Tree::new(&world);
    let secrets = every_status(&world);
    let lines: Vec<String> =
        secrets.iter().map(|(name, secret)| format!("{name} = \"{secret}\"\n")).collect();
    tree.file("b.py", format!("# ä\n\n{}", lines.concat()));
    tree.file("a/.env", "");
    tree.file("a/one line", format!("{0},{0}", secrets[4].1));
    let ran = tree.scan(&[]).exit(3);
    let unknown = &secrets[6].1[..10];
    let expected = format!(
        "a/one line:1:1: active active (ann)\n\
         a/one line:1:44: active active (ann)\n\
         b.py:3:12: expired expired (ann)\n\
         b.py:4:12: revoked revoked\n\
         b.py:5:13: disabled disabled (ann)\n\
         b.py:6:12: pending pending\n\
         b.py:7:11: active active (ann)\n\
         b.py:8:16: provisional provisional\n\
         b.py:9:12: {unknown}… unknown\n"
    );
    assert_eq!(ran.out, expected);
    for (_, secret) in &secrets {
        assert!(!ran.out.contains(secret) && !ran.err.contains(secret));
    }
}

#[test]
fn the_exit_code_shows_whether_a_found_secret_is_valid() {
    let world = World::with_store();
    let tree = Tree::new(&world);
    for (name, secret) in every_status(&world) {
        let path = tree.file("one", &secret);
        let exit = if matches!(name, "expired" | "revoked" | "unknown") { 0 } else { 3 };
        let ran = world.run(&["scan", &path]).exit(exit);
        assert_eq!((ran.out.lines().count(), &*ran.err), (1, ""), "{name}");
        let quiet = world.run(&["scan", "--quiet", &path]).exit(exit);
        assert_eq!((&*quiet.out, &*quiet.err), ("", ""), "{name}");
        let piped = world.run_with(&["scan", "-"], secret.as_bytes()).exit(exit);
        assert_eq!(piped.out, ran.out.replace(&path, "-"), "{name}");
        // A closed pipe is not an error, but a full disk is.
        assert_eq!(world.run_failing(&["scan", &path], 0, ErrorKind::BrokenPipe).code, exit, "{name}");
        assert_eq!(world.run_failing(&["scan", &path], 0, ErrorKind::StorageFull).code, 1, "{name}");
    }
    let none = world.run_with(&["scan", "-"], b"nothing").ok();
    assert_eq!((&*none.out, &*none.err), ("", ""));
}

#[test]
fn the_document_contains_all_keys() {
    let world = World::with_store();
    let tree = Tree::new(&world);
    let secrets = every_status(&world);
    tree.file("x", format!("\n a={}\n{}", secrets[0].1, secrets[6].1));
    let document = |at: usize, line: u64, column: u64, status: &str, token: Value| {
        let secret = &secrets[at].1;
        let hint = format!("{}…", &secret[..secret.len() - 34]);
        json!({
            "path": "x", "line": line, "column": column, "commit": null, "hint": hint, "status": status,
            "token": token,
        })
    };
    let token = json!({ "id": world.show("expired")["id"], "name": "expired", "owner": "ann" });
    let expected = [document(0, 2, 4, "expired", token), document(6, 3, 1, "unknown", Value::Null)];
    for args in [&["--json"][..], &["--format", "json"]] {
        assert_eq!(tree.scan(args).ok().json(), json!(expected));
    }
    let lines = tree.scan(&["--format", "jsonl"]).ok();
    let lines: Vec<Value> = lines.out.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!(lines, expected);
    fs::remove_file(tree.root.join("x")).expect("the file can be removed");
    assert_eq!(tree.scan(&["--json"]).ok().out, "[]\n");
    assert_eq!(tree.scan(&["--format", "jsonl"]).ok().out, "");
    world.refuses_once(&["scan", "x", "--format", "text"], 2, "usage");
}

#[test]
fn an_adopted_secret_is_found_between_word_boundaries() {
    let world = World::with_store();
    let tree = Tree::new(&world);
    let plain = "0123456789abcdef-0123456789abcdef0123456789abcdef";
    for (name, secret) in [("padded", ADOPTED), ("plain", plain)] {
        world.run_with(&["adopt", name], secret.as_bytes()).ok();
    }
    let found = |text: &str| {
        tree.file("x", text);
        let ran = tree.scan(&[]);
        assert!(!ran.out.contains(ADOPTED) && !ran.out.contains(plain));
        ran.out.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    for (before, after) in [
        ("", ""),
        ("KEY=", "\n"),
        ("{\"k\": \"", "\", 1}"),
        ("\\n", "\\n"),
        ("https://u:", "@host"),
        ("ä", "&b=c"),
        ("sk_l", ";x"),
    ] {
        let column = before.len() + 1;
        assert_eq!(found(&format!("{before}{ADOPTED}{after}")), [format!("x:1:{column}: padded active")]);
        let expected = [format!("x:1:{column}: plain active")];
        assert_eq!(found(&format!("{before}{plain}{after}")), expected, "{before} {after}");
    }
    assert_eq!(found(&format!("{ADOPTED}{plain}")), ["x:1:1: padded active", "x:1:47: plain active"][1..]);
    assert_eq!(found(&format!("{plain}0 {}", &ADOPTED[1..])), [""; 0]);
}

#[test]
fn a_secret_is_found_anywhere_in_a_large_file() {
    let world = World::with_store();
    let tree = Tree::new(&world);
    let made = world.create("made", &[]);
    world.run_with(&["adopt", "other"], ADOPTED.as_bytes()).ok();
    // The secrets are near the boundaries between the pieces in which a file is read.
    for start in [(256 << 10) - 4096 - 60, (256 << 10) - 60, (1 << 20) - 50] {
        for offset in 0..60 {
            let lines = (start + offset) / 100;
            let mut text = format!("{}\n", "x".repeat(99)).repeat(lines);
            text.push_str(&"y".repeat((start + offset) % 100));
            let column = (start + offset) % 100 + 2;
            let text = format!("{text} {made} {ADOPTED}\n{text}");
            tree.file("x", text);
            let line = lines + 1;
            let expected = format!(
                "x:{line}:{column}: made active\nx:{line}:{}: other active\n",
                column + made.len() + 1
            );
            assert_eq!(tree.scan(&[]).exit(3).out, expected, "at {start} + {offset}");
        }
    }
}

#[test]
fn every_kind_of_text_is_searched_and_compressed_files_are_reported() {
    let world = World::with_store();
    let tree = Tree::new(&world);
    let secret = world.create("demo", &[]);
    let utf16 = |text: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        format!("\u{feff}{text}").encode_utf16().flat_map(bytes).collect()
    };
    tree.file("app.env", format!("export KEY='{secret}'\r\n"));
    tree.file("be.txt", utf16(&format!("ä\n🔑 {secret}"), u16::to_be_bytes));
    tree.file("le.txt", utf16(&format!("ä\n🔑 {secret}"), u16::to_le_bytes));
    tree.file("min.js", format!("{}let a=\"{secret}\";{}", "f(x);".repeat(60_000), "g(y);".repeat(60_000)));
    tree.file("nb.ipynb", format!("{{\"source\": [\"a\\n\", \"key = '{secret}'\\n\"]}}"));
    tree.file("server.log", format!("GET /?token={secret}%20x HTTP/1.1\n"));
    for (name, magic) in [("a.zip", &b"PK\x03\x04"[..]), ("b.gz", b"\x1f\x8b\x08"), ("c.xz", b"\xfd7zXZ\0")] {
        tree.file(name, [magic, secret.as_bytes()].concat());
    }
    let tar = [&[b'x'; 257][..], b"ustar\0", secret.as_bytes()].concat();
    tree.file("d.tar", &tar);
    let ran = tree.scan(&[]).exit(3);
    let expected = "app.env:1:13: demo active\n\
        be.txt:2:6: demo active\n\
        le.txt:2:6: demo active\n\
        min.js:1:300008: demo active\n\
        nb.ipynb:1:28: demo active\n\
        server.log:1:13: demo active\n";
    assert_eq!(ran.out, expected);
    let packed =
        |name: &str, by: &str| format!("warning: `{name}` was not searched: it is compressed ({by})\n");
    let named =
        [("a.zip", "zip"), ("b.gz", "gzip"), ("c.xz", "xz")].map(|(name, by)| packed(name, by)).concat();
    let hidden =
        "hidden files and what ignore files exclude were not searched; see `--hidden` and `--no-ignore`\n";
    assert_eq!(ran.err, format!("{named}{}{hidden}", packed("d.tar", "tar")));
    assert_eq!(tree.scan(&["--quiet"]).exit(3).err, "");
    // An uncompressed archive can be searched.
    let ran = tree.scan(&["--binary", "--hidden", "--no-ignore"]).exit(3);
    let all = expected.replace("le.txt", "d.tar:1:264: demo active\nle.txt");
    assert_eq!((ran.out, ran.err), (all, named));
    let piped = world.run_with(&["scan", "-"], b"\x1f\x8b\x08").ok();
    assert_eq!(piped.err, packed("-", "gzip"));
}

#[test]
fn a_directory_is_searched_by_the_same_rules_as_in_ripgrep() {
    let world = World::with_store();
    let tree = Tree::new(&world);
    let secret = world.create("demo", &[]);
    for name in
        [".env", ".config/x", "plain", "build/out", "debug.log", "sub/kept.log", "other.tmp", "rg.only"]
    {
        tree.file(name, &secret);
    }
    tree.file("binary", [b"text\0", secret.as_bytes()].concat());
    tree.file("late", [secret.as_bytes(), b"\0"].concat());
    fs::create_dir(tree.root.join(".git")).expect("the directory can be created");
    tree.file(".gitignore", "build/\n*.log\n!sub/kept.log\n");
    tree.file(".ignore", "*.tmp\n");
    tree.file(".rgignore", "rg.*\n");
    let paths = |args: &[&str]| {
        let ran = tree.scan(args).exit(3);
        let paths: Vec<String> =
            ran.out.lines().map(|line| line.split(':').next().unwrap().to_owned()).collect();
        paths.join(" ")
    };
    assert_eq!(paths(&[]), "late plain sub/kept.log");
    assert_eq!(paths(&["--hidden"]), ".config/x .env late plain sub/kept.log");
    assert_eq!(paths(&["--binary"]), "binary late plain sub/kept.log");
    let all = "build/out debug.log late other.tmp plain rg.only sub/kept.log";
    assert_eq!(paths(&["--no-ignore"]), all);
    let err = tree.scan(&[]).err;
    assert!(err.starts_with("2 binary files were not searched; see `--binary`\n"), "{err}");
    // A path that is given as an argument is always searched.
    for name in [".env", "binary", "debug.log"] {
        let path = tree.root.join(name);
        world.run(&["scan", path.to_str().unwrap()]).exit(3);
    }
    if have("rg") {
        for args in [&[][..], &["--hidden"], &["--no-ignore"]] {
            let mut rg = Command::new("rg");
            let rg =
                rg.args(["--files-with-matches", "--no-messages", "--sort", "path", "tkn_", "."]).args(args);
            let ran = run(rg.current_dir(&tree.root), b"");
            let found = ran.out.lines().filter_map(|path| path.strip_prefix("./"));
            // Unlike `scan`, ripgrep discards what it found before the first NUL byte of a binary file.
            let found: Vec<&str> = found.filter(|path| *path != "late").collect();
            assert_eq!(found.join(" "), paths(args).replace("late ", ""), "{args:?}");
        }
    }
}

#[test]
fn unreadable_files_are_reported_and_the_rest_is_searched() {
    let world = World::with_store();
    let tree = Tree::new(&world);
    let secret = world.create("demo", &[]);
    let (clean, leaked) = (tree.file("clean", "x"), tree.file("leaked", &secret));
    let missing = tree.root.join("missing").to_str().unwrap().to_owned();
    let failing = "/proc/self/mem";
    let ran = tree.relative(&world.run(&["scan", &missing, &clean, failing])).exit(1);
    let expected = "error: cannot read `missing`: No such file or directory (os error 2)\n\
        error: cannot read `/proc/self/mem`: Input/output error (os error 5)\n";
    assert_eq!((&*ran.out, &*ran.err), ("", expected));
    let ran = tree.relative(&world.run(&["scan", &missing, &leaked, failing])).exit(3);
    assert_eq!((&*ran.out, &*ran.err), ("leaked:1:1: demo active\n", expected));
    let ran = world.run(&["scan", "--json", &missing, "--quiet"]).exit(1);
    assert_eq!((&*ran.out, &ran.failure()["code"]), ("", &json!("io")));
    let ran = world.run(&["scan", "--json", &missing, &clean]).exit(1);
    assert_eq!(ran.out, "[]\n");
}

#[test]
fn any_path_is_printed_safely_and_without_the_secrets_in_it() {
    let world = World::with_store();
    let tree = Tree::new(&world);
    let secret = world.create("demo", &[]);
    world.run_with(&["adopt", "other"], ADOPTED.as_bytes()).ok();
    fs::write(tree.root.join(OsStr::from_bytes(b"a\xff\n\x1b[2J")), &secret)
        .expect("the file can be written");
    tree.file(&format!("b-{secret}.txt"), &secret);
    tree.file(&format!("c/{ADOPTED}"), ADOPTED);
    let ran = tree.scan(&[]).exit(3);
    let hint = &secret[..8];
    let expected = format!(
        "a\\xFF\\u{{a}}\\u{{1b}}[2J:1:1: demo active\nb-{hint}….txt:1:1: demo active\nc/sk_l…:1:1: other active\n"
    );
    assert_eq!(ran.out, expected);
    let missing = tree.root.join(ADOPTED);
    let ran = world.run(&["scan", missing.to_str().unwrap()]).exit(1);
    assert!(ran.err.contains("/sk_l…`: No such file") && !ran.err.contains(ADOPTED), "{}", ran.err);
    // A secret of tokenctl is not accepted in any argument.
    world.refuses(&["scan", &format!("b-{secret}.txt")], 2, "secret_as_argument");
}

#[test]
fn a_search_changes_nothing_and_is_not_recorded_as_a_use() {
    let world = World::with_store();
    let secret = world.create("demo", &[]);
    world.run(&["revoke", "demo", "--yes"]).ok();
    let live = world.create("live", &[]);
    let before = world.bytes();
    world.run_with(&["scan", "-"], format!("{secret} {live}").as_bytes()).exit(3);
    assert!(world.bytes() == before);
    assert_eq!(world.show("live")["last_used_at"], Value::Null);
    let none = World::new();
    none.refuses(&["scan", "/dev/null"], 6, "store_missing");
}

#[test]
fn with_revoke_the_valid_secrets_that_were_found_are_revoked() {
    let mut world = World::with_store();
    let current = world.create("current", &[]);
    let previous = world.create("rotated", &["--ttl", "90d"]);
    let new = world.run(&["rotate", "rotated"]).ok().line().to_owned();
    let both = world.create("both", &["--ttl", "90d"]);
    let both_new = world.run(&["rotate", "both"]).ok().line().to_owned();
    let safe = world.create("safe", &[]);
    let text = [&*current, &previous, &both, &both_new, &current].join("\n");
    let path = world.dir.path().join("leaked");
    fs::write(&path, text).expect("the file can be written");
    let path = path.to_str().unwrap().to_owned();

    world.refuses(&["scan", "--revoke", &path], 2, "input_needed");
    world.at_terminal(&[Answer::No]);
    let head = world.run(&["audit", "head"]).ok().out;
    assert_eq!(world.run(&["scan", "--revoke", &path]).code, 130);
    assert_eq!(world.run(&["audit", "head"]).ok().out, head);
    world.at_terminal(&[Answer::Yes]);
    let ran = world.run(&["scan", "--revoke", "--reason", "leaked", &path]).exit(3);
    assert_eq!(*world.asked.borrow(), ["revoke 2 tokens and previous secrets of `rotated`?"; 2]);
    assert_eq!(ran.err, "revoked `both`\nrevoked `current`\nrevoked a previous secret of `rotated`\n");
    world.terminal = Terminal::default();
    assert_eq!(world.verify(&current, &[]), (3, "revoked current".into()));
    assert_eq!(world.verify(&both_new, &[]), (3, "revoked both".into()));
    assert_eq!(world.verify(&previous, &[]), (3, "revoked rotated".into()));
    world.assert_valid(&new, "rotated");
    world.assert_valid(&safe, "safe");
    // No valid secret is left.
    let head = world.run(&["audit", "head"]).ok().out;
    let again = world.run(&["scan", "--revoke", "--yes", &path]).ok();
    assert!(again.out.lines().all(|line| line.ends_with(" revoked")), "{}", again.out);
    assert_eq!(world.run(&["audit", "head"]).ok().out, head);
    world.run(&["doctor"]).ok();
}

/// A git repository whose hooks find `tokenctl` in their `PATH`.
struct Repository {
    dir: PathBuf,
    store: PathBuf,
}

impl Repository {
    fn new(world: &World) -> Self {
        let dir = world.dir.path().join("repository");
        fs::create_dir(&dir).expect("the directory can be created");
        let it = Self { dir, store: world.store() };
        it.sh("git init -q -b main && git config user.name a && git config user.email a@b").ok();
        it
    }

    fn sh(&self, script: &str) -> Ran {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(&self.dir).env_clear().env("PATH", search_path());
        run(command.env("HOME", &self.dir).env("TOKENCTL_STORE", &self.store), b"")
    }
}

#[test]
fn a_secret_in_a_git_history_is_printed_with_its_commit_file_and_line() {
    if !have("git") {
        return;
    }
    let world = World::with_store();
    let secret = world.real(&["create", "demo"], b"").ok().line().to_owned();
    let repository = Repository::new(&world);
    fs::write(repository.dir.join("ä b.py"), "a\nb\nc\n").expect("the file can be written");
    repository.sh("git add . && git commit -qm one").ok();
    fs::write(repository.dir.join("ä b.py"), format!("a\nb\nkey = '{secret}'\nc\n"))
        .expect("the file can be written");
    let added = repository.sh("git commit -qam two && git rev-parse HEAD").ok().line().to_owned();
    fs::write(repository.dir.join("ä b.py"), "a\nb\nc\nd\n").expect("the file can be written");
    let removed = repository.sh("git commit -qam three && git rev-parse HEAD").ok().line().to_owned();
    repository.sh(&format!("echo x > y && git add y && git commit -qm 'Say {secret}'")).ok();
    let in_message = repository.sh("git rev-parse HEAD").ok().line().to_owned();
    let ran = repository.sh("git log -p --all --format=medium | tokenctl scan -").exit(3);
    let expected = format!(
        "-:5:9: demo active in commit {in_message}\n\
         ä b.py:3:8: demo active in commit {removed}\n\
         ä b.py:3:8: demo active in commit {added}\n"
    );
    assert_eq!((&*ran.out, &*ran.err), (&*expected, ""));
    let first = repository.sh("git log -p -1 HEAD~2 | tokenctl scan --json -").exit(3).json()[0].clone();
    assert_eq!((&first["commit"], &first["path"]), (&json!(added), &json!("ä b.py")));
    // A line that a diff removes is not a leak.
    repository.sh("git diff HEAD~2 HEAD~1 | tokenctl scan -").ok();
    repository.sh("git diff HEAD~3 HEAD~2 | tokenctl scan -").exit(3);
}

#[test]
fn stdin_of_any_length_is_searched_in_constant_memory() {
    let world = World::with_store();
    let secret = world.real(&["create", "demo"], b"").ok().line().to_owned();
    fs::write(world.dir.path().join("secret"), secret).expect("the file can be written");
    // The input is twice the memory limit. It starts with one endless line, followed by many short lines.
    let script = "ulimit -v 131072; { tr '\\0' x < /dev/zero | head -c 130M; echo; cat secret; \
        yes commit 0123456789 | head -c 130M; cat secret; } | \"$0\" scan -";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(crate::support::program_path()).current_dir(world.dir.path());
    let ran = run(command.env("TOKENCTL_STORE", world.store()), b"").exit(3);
    assert_eq!(ran.out.lines().count(), 2, "{ran:?}");
    assert!(ran.out.starts_with("-:2:1: demo active\n"), "{ran:?}");
}

#[test]
fn a_file_that_changes_during_the_search_causes_no_error() {
    let world = World::with_store();
    let tree = Tree::new(&world);
    let secret = world.create("demo", &[]);
    let path = tree.file("changing", "");
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let changing = std::thread::spawn(move || {
        let long = format!("{}\n{secret}\n", "x".repeat(1 << 20));
        while stopped.try_recv().is_err() {
            fs::write(&path, &long).expect("the file can be written");
            fs::write(&path, "short").expect("the file can be written");
            fs::remove_file(&path).expect("the file can be removed");
        }
    });
    for _ in 0..50 {
        let ran = tree.scan(&["-q"]);
        assert!(matches!(ran.code, 0 | 3) && ran.err.is_empty(), "{ran:?}");
    }
    stop.send(()).expect("it runs");
    changing.join().expect("the thread does not panic");
}

#[test]
fn a_fifo_is_read_only_if_it_is_given_as_an_argument() {
    let world = World::with_store();
    let tree = Tree::new(&world);
    let secret = world.create("demo", &[]);
    let pipe = tree.root.join("pipe");
    run(Command::new("mkfifo").arg(&pipe), b"").ok();
    tree.scan(&[]).ok();
    let (path, text) = (pipe.clone(), secret);
    let writer = std::thread::spawn(move || fs::write(path, text).expect("the pipe"));
    world.run(&["scan", pipe.to_str().unwrap()]).exit(3);
    writer.join().expect("the thread does not panic");
}

#[test]
fn the_settings_contain_a_pattern_that_finds_the_secrets_of_the_store() {
    let world = World::with_store();
    world.run(&["settings", "prefix", "acme"]).ok();
    let secret = world.create("demo", &[]);
    let settings = world.run(&["settings"]).ok().out;
    let pattern =
        settings.lines().find_map(|line| line.strip_prefix("pattern\t")).expect("there is a pattern");
    assert_eq!(pattern, "acme_[0-9A-Za-z]{38}");
    assert_eq!(world.run(&["settings", "--json"]).ok().json()["pattern"], pattern);
    let found = run(Command::new("grep").args(["-Eo", pattern]), format!("x={secret};").as_bytes()).ok();
    assert_eq!(found.line(), secret);
}

#[test]
fn the_documented_git_hook_stops_a_commit_that_adds_a_secret() {
    if !have("git") {
        return;
    }
    let world = World::with_store();
    let secret = world.real(&["create", "demo", "--owner", "ann"], b"").ok().line().to_owned();
    let repository = Repository::new(&world);
    let hook = recipe("sh");
    let path = repository.dir.join(".git/hooks/pre-commit");
    fs::write(&path, hook).expect("the file can be written");
    repository.sh("chmod +x .git/hooks/pre-commit").ok();
    fs::write(repository.dir.join("x.py"), "a = 1\n").expect("the file can be written");
    repository.sh("git add . && git commit -qm one").ok();
    fs::write(repository.dir.join("x.py"), format!("a = 1\nkey = '{secret}'\n"))
        .expect("the file can be written");
    let ran = repository.sh("git commit -qam two").exit(1);
    assert!(ran.err.starts_with("x.py:2:8: demo active (ann)\n"), "{ran:?}");
    assert!(!ran.err.contains(&secret) && !ran.out.contains(&secret));
    // A commit that bypasses the hook adds the secret. The commit that removes it is allowed.
    repository.sh("git commit -qam two --no-verify").ok();
    fs::write(repository.dir.join("x.py"), "a = 1\n").expect("the file can be written");
    repository.sh("git commit -qam three").ok();
    // The hook also stops a commit if the store cannot be read.
    fs::write(repository.dir.join("x.py"), "a = 2\n").expect("the file can be written");
    repository.sh("TOKENCTL_STORE=/nowhere git commit -qam four").exit(1);
}

#[test]
fn the_documented_scanner_rule_has_the_pattern_of_the_settings() {
    let world = World::with_store();
    let secret = world.create("demo", &[]);
    let rule = recipe("toml");
    let settings = world.run(&["settings", "--json"]).ok().json();
    let pattern = settings["pattern"].as_str().expect("the pattern is a string");
    let regex = rule
        .lines()
        .find_map(|line| line.strip_prefix("regex = '''")?.strip_suffix("'''"))
        .expect("there is a rule");
    assert_eq!(regex, format!("\\b({pattern})\\b"));
    run(Command::new("grep").args(["-Eq", regex]), format!("k: {secret}\n").as_bytes()).ok();
    let keyword = rule.lines().find_map(|line| line.strip_prefix("keywords = [\"")?.strip_suffix("\"]"));
    assert!(secret.starts_with(keyword.expect("a keyword")), "{rule}");
}

/// The only code block in this language in docs/leaks.md.
fn recipe(language: &str) -> String {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/leaks.md"))
        .expect("the page can be read");
    let start = format!("```{language}\n");
    let mut blocks =
        page.split(&start).skip(1).map(|rest| rest.split("```\n").next().expect("its end").to_owned());
    let block = blocks.next().expect(language);
    assert!(blocks.next().is_none(), "one block of {language}");
    block
}
