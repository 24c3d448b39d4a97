//! Deliveries to files, to env files, and to commands.

mod foreground;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::processes::{eventually, finished, mode, soon, until};
use crate::support::{DAY, World, assert_token_keys, have, program, run};

fn chmod(path: &str, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("the mode can be set");
}

/// The names in a directory, sorted.
fn entries(dir: &str) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("the directory can be read");
    let mut names: Vec<_> = entries
        .map(|entry| {
            entry.expect("the entry can be read").file_name().into_string().expect("the text is UTF-8")
        })
        .collect();
    names.sort();
    names
}

/// Waits until a file contains a whole line. Returns its content.
#[track_caller]
fn awaited(path: &str) -> String {
    eventually(|| match fs::read_to_string(path) {
        Ok(text) if text.ends_with('\n') => Ok(text),
        _ => Err(format!("{path} was never written")),
    })
}

#[test]
fn the_first_and_the_next_secret_can_be_delivered_to_every_destination() {
    let world = World::new();
    let dir = world.directory("out");
    let (file, env, piped) = (format!("{dir}/file"), format!("{dir}/env"), format!("{dir}/piped"));
    let command = format!("cat >{piped}");
    let destinations: [(&str, &[&str]); 3] = [
        ("file", &["--out", &file]),
        ("env", &["--env-file", &env, "--env-name", "API_TOKEN"]),
        ("piped", &["--exec", &command]),
    ];
    for (name, destination) in destinations {
        let secret = || {
            let text = fs::read_to_string(format!("{dir}/{name}")).expect("the file can be read");
            let expected = match name {
                "file" => text.strip_suffix('\n'),
                "env" => text.strip_prefix("API_TOKEN=").and_then(|text| text.strip_suffix('\n')),
                _ => Some(&*text),
            };
            expected.expect(&text).to_owned()
        };
        let ran = world.run(&[&["create", name], destination].concat()).ok();
        let first = secret();
        assert_eq!((ran.out.as_str(), first.len()), ("", 42), "{name}");
        assert!(!ran.err.contains("shown once") && !ran.err.contains(&first), "{}", ran.err);
        assert_eq!(world.verify(&first, &[]), (0, format!("valid {name}")));
        let ran = world.run(&[&["rotate", name], destination].concat()).ok();
        let second = secret();
        assert_eq!(ran.out, "");
        let place = if name == "piped" { "the command has the secret" } else { "the secret is in " };
        assert!(ran.err.contains(place) && !ran.err.contains(&second), "{}", ran.err);
        assert_ne!(first, second);
        assert_eq!(world.verify(&second, &[]), (0, format!("valid {name}")));
        assert_eq!(world.verify(&first, &[]), (0, format!("valid {name} previous")));
        for verb in ["create", "rotate"] {
            let made = format!("{name}-json");
            let ran =
                world.run(&[&[verb, &made, "--json", "--force", "--no-remember"], destination].concat());
            let ran = if name == "piped" {
                assert_eq!(ran.code, 2, "`--force` without a file");
                world.run(&[&[verb, &made, "--json"], destination].concat())
            } else {
                ran
            };
            let document = ran.ok().json();
            assert_token_keys(&document, &["changed", "secret"]);
            assert_eq!((&document["secret"], &document["changed"]), (&Value::Null, &Value::Bool(true)));
            assert_eq!(document["status"], "active");
            assert_eq!(world.verify(&secret(), &[]), (0, format!("valid {made}")));
        }
    }
    assert_eq!(entries(&dir), ["env", "file", "piped"], "no temporary file is left");
}

#[test]
fn two_destinations_are_refused() {
    let world = World::with_store();
    world.create("demo", &[]);
    let file = world.path("file");
    let destinations: [&[&str]; 3] =
        [&["--out", &file], &["--env-file", &file, "--env-name", "A"], &["--exec", "cat"]];
    for verb in [["create", "new"], ["rotate", "demo"]] {
        for (at, first) in destinations.iter().enumerate() {
            for second in &destinations[at + 1..] {
                world.refuses(&[&verb, *first, *second].concat(), 2, "usage");
            }
        }
        for wrong in [
            &["--env-file", &file][..],
            &["--env-name", "A"],
            &["--env-file", &file, "--env-name", ""],
            &["--env-file", &file, "--env-name", "A-B"],
            &["--env-file", &file, "--env-name", "1A"],
            &["--env-file", &file, "--env-name", "A=B"],
            &["--force"],
            &["--exec", "cat", "--force"],
            &["--exec-timeout", "5s"],
            &["--exec", "cat", "--exec-timeout", "0s"],
            &["--exec", "cat", "--exec-timeout", "481s"],
            &["--exec", "cat", "--exec-timeout", "soon"],
        ] {
            world.refuses(&[&verb, wrong].concat(), 2, "usage");
        }
    }
    assert!(!Path::new(&file).exists());
    world.run(&["rotate", "demo", "--exec", "cat >/dev/null", "--exec-timeout", "8m"]).ok();
}

#[test]
fn a_new_file_is_private_with_any_umask() {
    if !have("bash") {
        return;
    }
    let world = World::of_processes();
    for umask in ["000", "022", "077", "777"] {
        let script = format!(
            "umask {umask}; tokenctl create out{umask} --out out{umask} && \
             tokenctl create env{umask} --env-file env{umask} --env-name A"
        );
        world.shell(&script).ok();
        for kind in ["out", "env"] {
            assert_eq!(mode(&world.dir.path().join(format!("{kind}{umask}"))), 0o600, "{kind} {umask}");
        }
    }
}

#[test]
fn an_existing_file_keeps_its_owner_group_and_mode() {
    let world = World::new();
    let root = world.uid == 0;
    for (verb, kind) in [("create", "out"), ("create", "env"), ("rotate", "out"), ("rotate", "env")] {
        for mode in [0o600, 0o640, 0o400, 0o660] {
            let name = format!("{verb}-{kind}-{mode:o}");
            let path = world.path(&name);
            let destination: &[&str] = if kind == "out" {
                &["--out", &path]
            } else {
                &["--env-file", &path, "--env-name", "API_TOKEN"]
            };
            // A file of another user is accepted if it already contains a secret of this token.
            let owner = if verb == "rotate" { 64_001 } else { 0 };
            if verb == "rotate" {
                world.run(&[&["create", &name], destination].concat()).ok();
            } else {
                world.write(&name, "");
            }
            if root {
                chown(&path, Some(owner), Some(64_010)).expect("the owner can be set");
            }
            chmod(&path, mode);
            let before = fs::metadata(&path).expect("the file exists");
            world.run(&[&[verb, &name], destination].concat()).ok();
            let after = fs::metadata(&path).expect("the file exists");
            let kept = |meta: &fs::Metadata| (meta.uid(), meta.gid(), meta.mode());
            assert_eq!(kept(&after), kept(&before), "{name}");
            assert!(after.len() >= 43, "{name}");
        }
    }
}

#[test]
fn a_path_that_cannot_be_a_private_file_is_refused_before_anything_changes() {
    let world = World::new();
    let old = world.create("demo", &[]);
    let private = world.write("private", "");
    let world_readable = world.write("readable", "");
    chmod(&world_readable, 0o644);
    let world_writable = world.write("writable", "");
    chmod(&world_writable, 0o602);
    let open = world.directory("open");
    let group = world.directory("group");
    let sticky = world.directory("sticky");
    chmod(&open, 0o777);
    chmod(&group, 0o770);
    chmod(&sticky, 0o1777);
    let link = world.path("link");
    symlink(&private, &link).expect("the link can be created");
    let dangling = world.path("dangling");
    symlink(world.path("nothing"), &dangling).expect("the link can be created");
    let fifo = world.path("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .expect("the FIFO can be created");
    let directory = world.directory("directory");
    let large = world.write("large", &"A=b\n".repeat(300_000));
    let (in_open, in_group, in_sticky) = (format!("{open}/f"), format!("{group}/f"), format!("{sticky}/f"));
    let (missing, below_file) = (world.path("missing/f"), format!("{private}/f"));
    let targets = [
        &*world_readable,
        &world_writable,
        &link,
        &dangling,
        &fifo,
        &directory,
        &large,
        "/dev/null",
        &in_open,
        &in_group,
        &in_sticky,
        &missing,
        &below_file,
        "/",
        "..",
    ];
    for target in targets {
        for verb in [["create", "new"], ["rotate", "demo"]] {
            for force in [&[][..], &["--force"]] {
                for destination in [&["--out", target][..], &["--env-file", target, "--env-name", "A"]] {
                    let failure = world.refuses(&[&verb, destination, force].concat(), 7, "delivery_failed");
                    let message = failure["message"].as_str().expect("the message is a string");
                    assert!(message.ends_with("nothing was changed"), "{message}");
                }
            }
        }
    }
    assert!(!Path::new(&world.path("nothing")).exists());
    assert_eq!(fs::read(&private).expect("the file can be read"), b"");
    for dir in [&open, &group, &sticky, &directory] {
        assert!(entries(dir).is_empty(), "{dir}");
    }
    world.assert_valid(&old, "demo");
}

#[test]
fn a_refused_file_leaves_no_store() {
    let world = World::new();
    world.run(&["create", "demo", "--out", &world.path("missing/f")]).exit(7);
    world.run(&["create", "demo", "--out", &world.write("taken", "text")]).exit(5);
    assert!(!world.store().exists());
}

#[test]
fn a_file_with_other_content_is_replaced_only_with_force() {
    let world = World::new();
    let other = world.create("other", &[]);
    let first = world.create("demo", &[]);
    let unknown = "tkn_0123456789abcdefghijABCDEFGHIJ01234567";
    let foreign = [
        "text\n".to_owned(),
        "\n".to_owned(),
        " ".to_owned(),
        "\0".to_owned(),
        format!("{other}\n"),
        format!("{unknown}\n"),
        format!("{first}\n\n"),
        format!("{first}\nmore\n"),
        format!("TOKEN={first}\n"),
    ];
    for (at, content) in foreign.iter().enumerate() {
        let path = world.write(&format!("foreign-{at}"), content);
        for args in [["create", "new", "--out", &path], ["rotate", "demo", "--out", &path]] {
            let failure = world.refuses(&args, 5, "not_replaced");
            assert!(failure["hint"].as_str().expect("the hint is a string").contains("--force"), "{failure}");
        }
        assert_eq!(fs::read_to_string(&path).expect("the file can be read"), *content);
        world.run(&["rotate", "demo", "--out", &path, "--force"]).ok();
        world.assert_file_holds(&path, "valid demo");
    }
}

#[test]
fn an_empty_file_and_a_file_with_a_secret_of_the_same_token_are_replaced() {
    let world = World::new();
    let first = world.create("demo", &["--ttl", "90d"]);
    let legacy = "a-secret-from-elsewhere-0123456789abcdef";
    world.run_with(&["adopt", "adopted"], legacy.as_bytes()).ok();
    for (name, content) in [
        ("demo", String::new()),
        ("demo", format!("{first}\n")),
        ("demo", first.clone()),
        ("demo", format!("{first}\r\n")),
        ("adopted", format!("{legacy}\n")),
    ] {
        let path = world.write("file", &content);
        world.run(&["rotate", name, "--out", &path, "--no-remember"]).ok();
        world.assert_file_holds(&path, &format!("valid {name}"));
    }
    // The secret in the file can even have expired, since the file still belongs to this token.
    world.wait(100 * DAY);
    let path = world.write("file", &first);
    world.run(&["rotate", "demo", "--revive", "--out", &path]).ok();
    world.assert_file_holds(&path, "valid demo");
}

#[test]
fn a_relative_path_and_a_linked_directory_are_resolved() {
    let world = World::of_processes();
    let dir = world.directory("real");
    symlink(&dir, world.path("linked")).expect("the link can be created");
    let mut command = world.program();
    command.current_dir(&dir).args(["create", "demo", "--out", "file"]);
    run(&mut command, b"").ok();
    let linked = world.path("linked/file");
    world.real(&["rotate", "demo", "--out", &linked], b"").ok();
    let content = fs::read(format!("{dir}/file")).expect("the file can be read");
    assert_eq!(world.real(&["verify"], &content).line(), "valid demo");
}

#[test]
fn one_line_of_an_env_file_is_replaced_and_the_others_are_kept() {
    let world = World::new();
    let secret = world.create("demo", &["--no-expiry"]);
    // `{}` is the old secret before the rotation, and the new secret after it.
    let cases = [
        ("", "API_TOKEN={}\n"),
        ("A=1\n", "A=1\nAPI_TOKEN={}\n"),
        ("A=1", "A=1\nAPI_TOKEN={}\n"),
        ("\n\n", "\n\nAPI_TOKEN={}\n"),
        ("API_TOKEN={}\n", "API_TOKEN={}\n"),
        ("API_TOKEN={}", "API_TOKEN={}"),
        ("API_TOKEN=\nB=2\n", "API_TOKEN={}\nB=2\n"),
        ("A=1\nAPI_TOKEN={}\nB=2", "A=1\nAPI_TOKEN={}\nB=2"),
        ("export API_TOKEN={}\n", "export API_TOKEN={}\n"),
        ("API_TOKEN=\"{}\"\n", "API_TOKEN={}\n"),
        ("export API_TOKEN='{}'\n", "export API_TOKEN={}\n"),
        ("A=1\r\nAPI_TOKEN={}\r\nB=2\r\n", "A=1\r\nAPI_TOKEN={}\r\nB=2\r\n"),
        (
            "# API_TOKEN=x\n#API_TOKEN=x\nMY_API_TOKEN=x\nAPI_TOKEN_2=x\nAPI_TOKEN={}\n",
            "# API_TOKEN=x\n#API_TOKEN=x\nMY_API_TOKEN=x\nAPI_TOKEN_2=x\nAPI_TOKEN={}\n",
        ),
        (
            "A=$API_TOKEN\nB='x\ny'\n\t \u{1f511}\nC==\n=\nexport\nAPI_TOKEN={}\n\n\n",
            "A=$API_TOKEN\nB='x\ny'\n\t \u{1f511}\nC==\n=\nexport\nAPI_TOKEN={}\n\n\n",
        ),
        ("api_token=x\n", "api_token=x\nAPI_TOKEN={}\n"),
    ];
    for (before, after) in cases {
        let path = world.write("env", &before.replace("{}", &secret));
        world.run(&["rotate", "demo", "--env-file", &path, "--env-name", "API_TOKEN"]).ok();
        let content = fs::read_to_string(&path).expect("the file can be read");
        let (head, tail) = after.split_once("{}").expect("there is a place");
        let new = content.strip_prefix(head).and_then(|rest| rest.strip_suffix(tail));
        let new = new.unwrap_or_else(|| panic!("{before:?}: {content:?}"));
        world.assert_valid(new, "demo");
    }
}

#[test]
fn bytes_in_an_env_file_that_are_not_utf8_are_kept() {
    let world = World::new();
    let path = world.write("env", "");
    fs::write(&path, b"A=\xff\xfe\nAPI_TOKEN=\n\x01\x80\n").expect("the file can be written");
    world.run(&["create", "demo", "--env-file", &path, "--env-name", "API_TOKEN"]).ok();
    let content = fs::read(&path).expect("the file can be read");
    assert!(content.starts_with(b"A=\xff\xfe\nAPI_TOKEN=tkn_") && content.ends_with(b"\n\x01\x80\n"));
    assert_eq!(content.len(), 5 + 10 + 42 + 1 + 3);
}

#[test]
fn a_line_with_another_value_and_a_variable_that_is_set_twice_are_refused() {
    let world = World::new();
    let secret = world.create("demo", &[]);
    let other = world.create("other", &[]);
    let env = |path: &str| ["--env-file", path, "--env-name", "A"].map(str::to_owned);
    for content in ["A=x\n".to_owned(), format!("A={other}\n"), format!("A={secret}x\n")] {
        let path = world.write("env", &content);
        let destination = env(&path);
        let destination: Vec<&str> = destination.iter().map(String::as_str).collect();
        world.refuses(&[&["rotate", "demo"], &destination[..]].concat(), 5, "not_replaced");
        assert_eq!(fs::read_to_string(&path).expect("the file can be read"), content);
        world.run(&[&["rotate", "demo", "--force"], &destination[..]].concat()).ok();
        let after = fs::read_to_string(&path).expect("the file can be read");
        assert_eq!(world.verify(after.trim_start_matches("A=").trim_end(), &[]).0, 0, "{after}");
    }
    for content in ["A=\nA=\n".to_owned(), format!("A={secret}\nexport A={secret}\n")] {
        let path = world.write("env", &content);
        let destination = env(&path);
        let destination: Vec<&str> = destination.iter().map(String::as_str).collect();
        for force in [&[][..], &["--force"]] {
            let args = [&["rotate", "demo"], &destination[..], force].concat();
            let failure = world.refuses(&args, 7, "delivery_failed");
            assert!(failure["message"].as_str().expect("it is a string").contains("sets A more than once"));
        }
        assert_eq!(fs::read_to_string(&path).expect("the file can be read"), content);
    }
}

#[test]
fn an_edit_of_an_env_file_waits_for_another_process() {
    let world = World::of_processes();
    let dir = world.directory("out");
    let path = world.write("out/env", "A=1\n");
    let directory = fs::File::open(&dir).expect("the directory can be opened");
    directory.lock().expect("no thread panicked");
    let mut child =
        world.start(&["create", "demo", "--env-file", &path, "--env-name", "TOKEN"], Stdio::piped());
    thread::sleep(Duration::from_secs(1));
    assert!(child.try_wait().expect("the process can be waited for").is_none(), "the process did not wait");
    world.write("out/env", "A=1\nB=2\n");
    drop(directory);
    finished(child).ok();
    let content = fs::read_to_string(&path).expect("the file can be read");
    assert!(content.starts_with("A=1\nB=2\nTOKEN=tkn_"), "{content}");
}

#[test]
fn processes_that_edit_the_same_env_file_lose_no_line() {
    const PROCESSES: usize = 16;
    let world = World::of_processes();
    let path = world.write("env", "FIRST=1\n");
    let store = world.store();
    thread::scope(|scope| {
        let runs: Vec<_> = (0..PROCESSES)
            .map(|at| {
                let (path, store) = (&path, &store);
                scope.spawn(move || {
                    let (name, variable) = (format!("t{at}"), format!("TOKEN_{at}"));
                    for verb in ["create", "rotate"] {
                        let mut command = program();
                        command.env("TOKENCTL_STORE", store);
                        command.args([verb, &name, "--env-file", path, "--env-name", &variable]);
                        run(&mut command, b"").ok();
                    }
                })
            })
            .collect();
        for run in runs {
            run.join().expect("the thread does not panic");
        }
    });
    let content = fs::read_to_string(&path).expect("the file can be read");
    let lines: Vec<&str> = content.lines().collect();
    assert_eq!((lines.len(), lines[0]), (PROCESSES + 1, "FIRST=1"), "{content}");
    for at in 0..PROCESSES {
        let prefix = format!("TOKEN_{at}=");
        let secret = lines.iter().find_map(|line| line.strip_prefix(&prefix)).expect("its line");
        assert_eq!(world.real(&["verify"], secret.as_bytes()).line(), format!("valid t{at}"));
    }
    world.assert_intact();
}

#[test]
fn a_command_gets_exactly_the_secret_and_variables_that_describe_the_token() {
    if !have("bash") {
        return;
    }
    let world = World::of_processes();
    let env = "env | grep ^TOKENCTL_ | sort >env; cat >got; echo out; echo err >&2";
    for (verb, life, ends) in [("create", "--ttl 30d", true), ("rotate", "--no-expiry", false)] {
        let ran = world.shell(&format!("tokenctl {verb} demo {life} --exec '{env}'")).ok();
        assert_eq!(ran.out, "");
        assert!(ran.err.starts_with("out\nerr\n"), "{}", ran.err);
        let secret = fs::read(world.path("got")).expect("the file can be read");
        assert_eq!(secret.len(), 42, "the secret has no newline");
        assert_eq!(world.real(&["verify"], &secret).line(), "valid demo");
        let shown = world.look_at("demo");
        // This is the final expiry, not that of the provisional secret.
        let end = shown["expires_at"].as_str().unwrap_or_default();
        assert_eq!(end.is_empty(), !ends);
        let expected = format!(
            "TOKENCTL_EXPIRES_AT={end}\nTOKENCTL_ID={}\nTOKENCTL_NAME=demo\nTOKENCTL_STORE={}\n",
            shown["id"].as_str().expect("the id is a string"),
            world.store().display()
        );
        assert_eq!(fs::read_to_string(world.path("env")).expect("the file can be read"), expected);
    }
}

#[test]
fn the_secret_is_already_valid_while_the_command_runs() {
    if !have("bash") {
        return;
    }
    let world = World::of_processes();
    let ran = world.shell("tokenctl create demo --exec 'tokenctl verify'").ok();
    assert!(ran.err.starts_with("valid demo\n"), "{}", ran.err);
    let ran = world.shell("tokenctl rotate demo --exec 'tokenctl verify && tokenctl list | cut -f3'").ok();
    assert!(ran.err.starts_with("valid demo\nactive\n"), "{}", ran.err);
}

#[test]
fn a_delivery_fails_if_the_command_fails_or_does_not_read_the_secret() {
    let world = World::of_processes();
    let old = world.mint("demo");
    let long = "x".repeat(200);
    for (command, why) in [
        ("no-such-command-anywhere", "failed with exit 127"),
        ("/", "failed with exit 126"),
        ("cat >/dev/null; exit 3", "failed with exit 3"),
        ("false", "failed with exit 1"),
        ("true", "did not read the secret"),
        ("head -c 41 >/dev/null", "did not read the secret"),
        ("cat >/dev/null; kill -TERM $$", "was killed by signal 15"),
        ("'", "failed with exit 2"),
        ("", "is empty"),
        ("  ", "is empty"),
        (&long, "failed with exit 127"),
    ] {
        for verb in [["create", "new"], ["rotate", "demo"]] {
            let args = [&verb, &["--exec", command, "-q"][..]].concat();
            let ran = world.real(&args, b"").exit(7);
            assert_eq!(ran.out, "");
            let hint = "hint: fix the destination, then run the command again";
            let end = format!("error: the command {why}; nothing was changed\n{hint}\n");
            assert!(ran.err.ends_with(&end), "{command}: {}", ran.err);
            let ran = world.real(&[&args[..], &["--json"]].concat(), b"").exit(7);
            let line: Value =
                serde_json::from_str(ran.err.lines().last().expect("there is a line")).expect("it is JSON");
            assert_eq!(line["error"]["code"], "delivery_failed");
        }
    }
    assert_eq!(world.real(&["list", "--all", "--format", "names"], b"").out, "demo\n");
    let shown = world.look_at("demo");
    assert_eq!(shown["secrets"].as_array().expect("`secrets` is an array").len(), 1);
    assert_eq!(world.real(&["verify"], old.as_bytes()).line(), "valid demo");
    world.assert_intact();
}

/// A command whose child and grandchild never exit. It writes their process ids to files.
const NEVER: &str = "cat >got; (sleep 60 & echo $! >grandchild; wait) & echo $! >child; wait; true";

/// Fails unless the processes of [`NEVER`] have exited.
#[track_caller]
fn assert_gone(world: &World) {
    for name in ["child", "grandchild"] {
        let id = fs::read_to_string(world.path(name)).expect("the file can be read");
        until(&format!("the {name} exits"), || {
            let state = fs::read_to_string(format!("/proc/{}/stat", id.trim())).unwrap_or_default();
            let state = state.rsplit(')').next().unwrap_or_default().trim().chars().next();
            matches!(state, None | Some('Z'))
        });
        fs::remove_file(world.path(name)).expect("the file can be removed");
    }
}

#[test]
fn a_command_that_does_not_exit_in_time_is_killed_with_its_children() {
    let world = World::of_processes();
    let old = world.mint("demo");
    for verb in [["create", "new"], ["rotate", "demo"]] {
        let mut command = world.program();
        command.current_dir(world.dir.path()).args(verb).args(["--exec", NEVER, "--exec-timeout", "1s"]);
        let started = Instant::now();
        let ran = run(&mut command, b"").exit(7);
        assert!((1..15).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
        assert!(ran.err.contains("did not finish within 1 s and was killed"), "{}", ran.err);
        assert_gone(&world);
        let got = fs::read(world.path("got")).expect("the file can be read");
        assert_eq!(world.real(&["verify"], &got).line(), "unknown");
    }
    assert_eq!(world.real(&["verify"], old.as_bytes()).line(), "valid demo");
    assert_eq!(world.real(&["list", "--all", "--format", "names"], b"").out, "demo\n");
    world.assert_intact();
}

#[test]
fn ctrl_c_kills_the_command_and_rolls_the_secret_back() {
    let world = World::of_processes();
    let old = world.mint("demo");
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM] {
        for verb in [["create", "new"], ["rotate", "demo"]] {
            let mut command = world.program();
            command.current_dir(world.dir.path()).args(verb).args(["--exec", NEVER, "--json"]);
            let mut child = command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the program starts");
            awaited(&world.path("grandchild"));
            awaited(&world.path("child"));
            rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal)
                .expect("the signal can be sent");
            assert_eq!(soon(&mut child).signal(), None, "the signal killed tokenctl");
            let ran = finished(child).exit(130);
            assert_eq!(ran.failure()["code"], "interrupted");
            assert_eq!(ran.failure()["message"], "interrupted; nothing was changed");
            assert_gone(&world);
            let got = fs::read(world.path("got")).expect("the file can be read");
            assert_eq!(world.real(&["verify"], &got).line(), "unknown");
        }
    }
    assert_eq!(world.real(&["verify"], old.as_bytes()).line(), "valid demo");
    assert_eq!(world.real(&["list", "--all", "--format", "names"], b"").out, "demo\n");
    world.assert_intact();
}

#[test]
fn a_hangup_interrupts_a_delivery_unless_it_is_ignored() {
    let world = World::of_processes();
    world.mint("demo");
    // The command sends SIGHUP to tokenctl, as a closed terminal would, and gives it time to react.
    let rotate = |how, rest| {
        let script = format!("exec env {how} tokenctl rotate demo --exec 'kill -HUP $PPID; {rest}'");
        world.shell(&script)
    };
    // `env` sets how SIGHUP is handled, because the caller of the tests might ignore it.
    rotate("--default-signal=HUP", "sleep 60").exit(130);
    rotate("--ignore-signal=HUP", "sleep 1; cat >/dev/null").ok();
}

#[test]
fn ctrl_c_stops_a_rotation_of_several_tokens_at_the_current_one() {
    let world = World::of_processes();
    for name in ["a", "b", "c"] {
        world.mint(name);
    }
    // The first rotation is complete, the second is interrupted, and the third is not started.
    let script = "cat >/dev/null; echo $TOKENCTL_NAME >>begun; [ $TOKENCTL_NAME = a ] || sleep 60";
    let mut command = world.program();
    command.current_dir(world.dir.path()).args(["rotate", "a", "b", "c", "--json", "--exec", script]);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    until("the second token", || awaited(&world.path("begun")) == "a\nb\n");
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).expect("the signal can be sent");
    soon(&mut child);
    let ran = finished(child).exit(130);
    assert_eq!(fs::read_to_string(world.path("begun")).expect("the file can be read"), "a\nb\n");
    let document = ran.json();
    let tokens: Vec<_> = document["tokens"].as_array().expect("`tokens` is an array").iter().collect();
    let results: Vec<_> = tokens.iter().map(|it| (it["name"].as_str(), it["changed"].as_bool())).collect();
    assert_eq!(results, [(Some("a"), Some(true)), (Some("b"), Some(false)), (Some("c"), Some(false))]);
    assert_eq!(world.look_at("c")["events"].as_array().expect("`events` is an array").len(), 2);
    world.assert_intact();
}

#[test]
fn a_delivered_secret_stays_valid_if_the_rest_of_the_output_fails() {
    let world = World::of_processes();
    let file = world.path("file");
    // Without `--json`, nothing is printed to stdout.
    let ran = world.unread(&["create", "demo", "--out", &file], b"");
    assert_eq!(ran.code, 0, "{ran:?}");
    for args in [&["rotate", "demo", "--json"][..], &["create", "new", "--json", "--force", "--no-remember"]]
    {
        let ran = world.unread(&[args, &["--out", &file]].concat(), b"").exit(1);
        let failure = ran.failure();
        assert_eq!(failure["code"], "io");
        let message = failure["message"].as_str().expect("the message is a string");
        assert!(message.contains("delivered and valid"), "{message}");
        let content = fs::read(&file).expect("the file can be read");
        assert_eq!(world.real(&["verify"], &content).line(), format!("valid {}", args[1]));
    }
}

#[test]
fn a_command_runs_with_the_umask_of_the_caller() {
    for umask in ["0000", "0027", "0777"] {
        let world = World::of_processes();
        let ran = world.shell(&format!("umask {umask}; tokenctl create demo --exec 'umask; cat >/dev/null'"));
        assert_eq!(ran.ok().err.lines().next(), Some(umask));
    }
}
