//! What remains after the server or the program was killed.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::server::{Server, have};
use crate::support::{program, program_path, run, tool};

use super::Fixture;

#[test]
fn acknowledged_tokens_survive_a_killed_server() {
    if !have() {
        return;
    }
    let mut server = Server::start(&["max_connections=50"]);
    server.sql("postgres", "CREATE DATABASE tokens");
    let url = server.url("postgres", "tokens");
    let at = |args: &[&str], input: &[u8]| run(program().env("TOKENCTL_STORE", &url).args(args), input);
    at(&["init", "--apply"], b"").ok();
    let (mut kept, mut refused) = (Vec::new(), 0);
    for round in 0..5 {
        let is_over = AtomicBool::new(false);
        let made = thread::scope(|scope| {
            let writers: Vec<_> = (0..3)
                .map(|writer| {
                    let (at, is_over) = (&at, &is_over);
                    scope.spawn(move || {
                        let (mut made, mut refused) = (Vec::new(), 0);
                        for nth in 0.. {
                            let ran = at(&["create", &format!("t{round}-{writer}-{nth}")], b"");
                            if ran.code == 0 {
                                made.push(ran.line().to_owned());
                            } else {
                                refused += 1;
                            }
                            if is_over.load(Ordering::SeqCst) {
                                break;
                            }
                        }
                        (made, refused)
                    })
                })
                .collect();
            thread::sleep(Duration::from_millis(700));
            server.kill();
            is_over.store(true, Ordering::SeqCst);
            writers
                .into_iter()
                .map(|writer| writer.join().expect("the thread does not panic"))
                .collect::<Vec<_>>()
        });
        server.start_again();
        for (made, failed) in made {
            kept.extend(made);
            refused += failed;
        }
    }
    for secret in &kept {
        assert!(at(&["verify"], secret.as_bytes()).ok().out.starts_with("valid "), "{secret}");
    }
    at(&["audit", "verify"], b"").ok();
    println!("{} tokens were acknowledged and kept, {refused} refused, in 5 kills", kept.len());
    assert!(kept.len() > 5, "only {} tokens were created", kept.len());
}

#[test]
fn a_creation_killed_at_any_system_call_neither_loses_nor_orphans_a_secret() {
    if !have() || !crate::support::have("strace") {
        return;
    }
    let dir = tempfile::tempdir_in("/dev/shm").expect("a directory");
    let traced = |store: &Fixture, strace: &[&str], name: &str| {
        let mut command = tool("strace");
        command.args(["-f", "-qq", "-o", "/dev/null"]).args(strace).arg(program_path());
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TOKENCTL_STORE", store.0.url());
        command.args(["create", name, "--no-remember", "--out"]).arg(dir.path().join(name));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().expect("strace runs").success()
    };
    // System calls that change something outside of the process, or that wait for such a change.
    let calls = "sendto,recvfrom,write,fsync,renameat2,rename,unlinkat,linkat";
    let (mut tried, mut made) = (0, 0);
    // A creation makes hundreds of these calls.
    for at in (1..2_000).step_by(super::every(4)) {
        // Each creation has a new store, because in a shared one each would have more to recover than the one before.
        let store = Fixture::new();
        let name = format!("k{at}");
        let inject = format!("inject={calls}:signal=SIGKILL:when={at}");
        let done = traced(&store, &["-e", &format!("trace={calls}"), "-e", &inject], &name);
        let file = dir.path().join(&name);
        store.sql("UPDATE tokenctl.delivery SET deadline = 1600000000");
        // The next change finishes or undoes the interrupted creation.
        let _ = store.run(&["revoke", "nobody", "--yes"]);
        if let Ok(secret) = std::fs::read(&file) {
            assert_eq!(store.verify(&secret), format!("valid {name}\n"), "killed at call {at}");
            made += 1;
        } else {
            assert!(!done, "the command succeeded without a file, at call {at}");
            let sql =
                format!("SELECT count(*) FROM tokenctl.tokens WHERE name = '{name}' AND revoked_at IS NULL");
            assert_eq!(store.sql(&sql), "0", "killed at call {at}: the store still has the token");
        }
        if done {
            break;
        }
        tried += 1;
    }
    println!("killed at {tried} system calls: {made} tokens made");
    assert!(tried > 5 && made > 0, "{tried} calls, {made} tokens");
}
