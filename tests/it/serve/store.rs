//! A store that changes or disappears while a gate uses it: no wrong secret is accepted, and the gate recovers without
//! a restart.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rusqlite::Connection;

use super::{Gate, app};
use crate::support::World;

#[test]
fn the_gate_responds_with_503_while_the_store_is_locked() {
    let (world, secret) = app();
    let gate = Gate::start(&world, &[]);
    let conn = Connection::open(world.database()).unwrap();
    conn.execute_batch("BEGIN EXCLUSIVE").unwrap();
    for _ in 0..2 {
        let no = gate.with_secret("/verify", &secret);
        assert_eq!((no.status, no.header("retry-after")), (503, Some("1")), "{no:?}");
        let no = gate.post(&format!("{{\"secret\": \"{secret}\"}}"));
        assert_eq!((no.status, &no.json()["error"]["code"]), (503, &"store_locked".into()));
    }
    // A malformed secret needs no store, but it waits for the requests before it.
    assert_ne!(gate.get("/verify", &["X-Api-Key: x"]).status, 200);
    drop(conn);
    while gate.with_secret("/verify", &secret).status == 503 {}
    assert_eq!(gate.with_secret("/verify", &secret).status, 200);
}

#[test]
fn the_gate_reopens_a_store_that_was_moved_or_replaced() {
    let (world, secret) = app();
    let gate = Gate::start(&world, &[]);
    let away = world.dir.path().join("away");
    fs::rename(world.store(), &away).unwrap();
    assert_eq!(gate.with_secret("/verify", &secret).status, 503);
    fs::rename(&away, world.store()).unwrap();
    assert_eq!(gate.with_secret("/verify", &secret).status, 200);

    let other = World::with_store();
    // The random generators of all worlds are the same, so the first tokens of both stores have the same secret.
    other.create("first", &[]);
    other.run(&["revoke", "first", "--yes"]).ok();
    let theirs = other.create("other", &[]);
    fs::rename(other.database(), world.database()).unwrap();
    assert_eq!(gate.with_secret("/verify", &secret).status, 401);
    assert_eq!(gate.with_secret("/verify", &theirs).status, 200);

    fs::write(world.database(), "garbage").unwrap();
    assert_eq!(gate.with_secret("/verify", &theirs).status, 503);
}

#[test]
fn no_secret_is_accepted_after_its_revocation_has_returned() {
    const TOKENS: usize = 6;
    let (world, _) = app();
    let secrets: Vec<String> =
        (0..TOKENS).map(|n| world.create(&format!("t{n}"), &["--all-scopes"])).collect();
    let gate = Gate::start(&world, &[]);
    let (revoked, yes, ends) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let wrong = AtomicUsize::new(0);
    thread::scope(|scope| {
        for client in 0..4 {
            let (secrets, gate, revoked, yes, ends) = (&secrets, &gate, &revoked, &yes, &ends);
            let wrong = &wrong;
            scope.spawn(move || {
                let mut at = client;
                while !ends.load(Ordering::SeqCst) {
                    at = (at + 1) % TOKENS;
                    let over = revoked.load(Ordering::SeqCst) > at;
                    let status = gate.with_secret("/verify", &secrets[at]).status;
                    let is_wrong = over && status == 200;
                    wrong.fetch_add(usize::from(is_wrong), Ordering::SeqCst);
                    assert!(!is_wrong, "t{at} was accepted after its revocation");
                    yes.fetch_add(usize::from(status == 200), Ordering::SeqCst);
                }
            });
        }
        for at in 0..TOKENS {
            let before = yes.load(Ordering::SeqCst);
            while yes.load(Ordering::SeqCst) < before + 20 && wrong.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            // The revocations run in this thread, because the world cannot be shared between threads.
            let ran = world.real(&["revoke", &format!("t{at}"), "--yes"], b"");
            if ran.code != 0 {
                ends.store(true, Ordering::SeqCst);
            }
            ran.ok();
            revoked.store(at + 1, Ordering::SeqCst);
            if at + 1 == TOKENS {
                ends.store(true, Ordering::SeqCst);
            }
        }
    });
    for secret in &secrets {
        assert_eq!(gate.with_secret("/verify", secret).status, 401);
    }
}
