//! `Verifier` as services use it: one store, many threads, and a store that changes while it is open.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokenctl::context::Clock;
use tokenctl::{Reason, Request, Requirements, Verdict, Verifier};

use crate::support::{START, World, have};

const THREADS: usize = 8;

struct Fixed(i64);

impl Clock for Fixed {
    fn unix(&self) -> i64 {
        self.0
    }
}

fn verifier(world: &World) -> Verifier {
    Verifier::with_clock(world.store(), Fixed(world.now())).unwrap()
}

fn requirements(scopes: &[&str]) -> Requirements {
    Requirements {
        scopes: scopes.iter().map(|scope| scope.parse().unwrap()).collect(),
        ..Requirements::default()
    }
}

fn verify(verifier: &Verifier, secret: &str) -> Verdict {
    verifier.verify(secret.as_bytes(), &Requirements::default()).unwrap()
}

#[test]
fn a_verdict_contains_the_reason_and_the_token() {
    let world = World::with_store();
    world.define(&["read", "write"]);
    let secret = world.create("app", &["-s", "read", "--owner", "ops", "-l", "env=prod"]);
    let verifier = verifier(&world);
    let yes = verifier.verify(format!("{secret}\n").as_bytes(), &requirements(&["read"])).unwrap();
    let token = yes.token().unwrap();
    assert_eq!((yes.is_valid(), yes.reason(), token.name.as_str()), (true, Reason::Valid, "app"));
    assert_eq!((token.owner.as_deref(), token.labels["env"].as_str()), (Some("ops"), "prod"));
    let no = verifier.verify(secret.as_bytes(), &requirements(&["read", "write"])).unwrap();
    assert_eq!(
        (no.is_valid(), no.reason(), no.missing_scopes()),
        (false, Reason::ScopeMissing, &requirements(&["write"]).scopes[..])
    );
    assert_eq!(verify(&verifier, "nobody-knows-this-secret").reason(), Reason::Unknown);
    for malformed in ["", "two words that are long enough", &"x".repeat(100_000)] {
        assert_eq!(verify(&verifier, malformed).reason(), Reason::Malformed);
    }
    world.wait(60);
    assert!(!world.show("app")["last_used_at"].is_null(), "the use was not recorded");
}

#[test]
fn several_requests_are_answered_in_order() {
    let world = World::with_store();
    let (a, b) = (world.create("a", &[]), world.create("b", &[]));
    world.run(&["revoke", "b", "--yes"]).ok();
    let anything = Requirements::default();
    let requests =
        [a.as_str(), "bad", &b, "nobody-knows-this-secret"].map(|it| Request::new(it.as_bytes(), &anything));
    let answers = verifier(&world).verify_all(&requests).unwrap();
    let reasons: Vec<Reason> = answers.iter().map(|answer| answer.as_ref().unwrap().reason()).collect();
    assert_eq!(reasons, [Reason::Valid, Reason::Malformed, Reason::Revoked, Reason::Unknown]);
}

#[test]
fn every_thread_waits_until_another_process_releases_its_lock() {
    if !have("sqlite3") {
        return;
    }
    let world = World::with_store();
    let secret = world.create("app", &[]);
    let verifier = verifier(&world);
    // Other threads also use the connection that this thread has opened.
    assert!(verify(&verifier, &secret).is_valid());
    let mut holder = Command::new("sqlite3")
        .arg(world.database())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut orders = holder.stdin.take().unwrap();
    orders.write_all(b"BEGIN EXCLUSIVE; SELECT 'held';\n").unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "held\n");
    thread::scope(|scope| {
        let answers: Vec<_> =
            (0..THREADS).map(|_| scope.spawn(|| verify(&verifier, &secret).is_valid())).collect();
        thread::sleep(Duration::from_millis(600));
        orders.write_all(b"ROLLBACK;\n").unwrap();
        drop(orders);
        assert!(answers.into_iter().all(|answer| answer.join().unwrap()));
    });
    assert!(holder.wait().unwrap().success());
}

#[test]
fn a_missing_store_is_an_error_until_a_store_is_there_again() {
    let (world, other) = (World::with_store(), World::with_store());
    // The random generators of both worlds are the same, so the first secret is only created here.
    world.create("first", &[]);
    let (old, new) = (world.create("old", &[]), other.create("new", &[]));
    let verifier = verifier(&world);
    assert!(verify(&verifier, &old).is_valid());
    std::fs::remove_file(world.database()).unwrap();
    let error = verifier.verify(old.as_bytes(), &Requirements::default()).unwrap_err();
    assert_eq!(error.to_string(), format!("no store at `{}`", world.store().display()));
    std::fs::rename(other.database(), world.database()).unwrap();
    assert_eq!(verify(&verifier, &old).reason(), Reason::Unknown);
    assert_eq!(verify(&verifier, &new).token().unwrap().name.as_str(), "new");
    std::fs::write(world.database(), "no database").unwrap();
    std::fs::rename(world.database(), world.store().join("away")).unwrap();
    std::fs::copy(world.store().join("away"), world.database()).unwrap();
    verifier.verify(new.as_bytes(), &Requirements::default()).expect_err("the file is not a store");
}

#[test]
fn a_secret_that_was_created_in_the_future_is_an_error() {
    let world = World::with_store();
    let secret = world.create("app", &[]);
    let early = Verifier::with_clock(world.store(), Fixed(START - 301)).unwrap();
    let error = early.verify(secret.as_bytes(), &Requirements::default()).unwrap_err();
    assert!(error.to_string().contains("but this secret was created at"), "{error}");
    let late = Verifier::with_clock(world.store(), Fixed(START - 300)).unwrap();
    assert!(verify(&late, &secret).is_valid());
}

#[test]
fn opening_a_store_again_does_not_release_the_locks_of_the_process() {
    if !have("sqlite3") {
        return;
    }
    let world = World::with_store();
    world.create("app", &[]);
    let first = tokenctl::store::SharedStore::open(location(&world)).unwrap();
    let locked = first.read(|store| {
        store.read(|view| {
            view.catalogue()?;
            // If the file were opened and closed again, the lock of this transaction would be lost.
            world.run(&["list"]).ok();
            let writer =
                Command::new("sqlite3").arg(world.database()).arg("BEGIN EXCLUSIVE; ROLLBACK").output();
            Ok(!writer.unwrap().status.success())
        })
    });
    assert!(locked.unwrap(), "another process could write in the middle of a read transaction");
}

#[test]
fn the_journal_of_a_killed_writer_is_not_copied_while_this_process_has_the_store_open() {
    let world = World::of_processes();
    world.mint("app");
    let open = || tokenctl::store::Store::open_to_read(&location(&world));
    let first = open().unwrap();
    if !world.kill_at_commit("half", 1) {
        return;
    }
    // The copy would open the database again, and closing it would release the locks of the first connection.
    assert!(matches!(open(), Err(tokenctl::store::StoreError::Locked(_))));
    drop(first);
    assert!(open().is_ok_and(|store| store.is_copy()));
}

#[test]
fn a_scope_that_is_no_longer_included_is_missing_at_once() {
    let world = World::with_store();
    world.define(&["read"]);
    world.run(&["scopes", "define", "admin", "--includes", "read"]).ok();
    let secret = world.create("app", &["-s", "admin"]);
    let verifier = verifier(&world);
    let reason = || verifier.verify(secret.as_bytes(), &requirements(&["read"])).unwrap().reason();
    assert_eq!([reason(), reason()], [Reason::Valid, Reason::Valid]);
    world.run(&["scopes", "edit", "admin", "--includes", "none"]).ok();
    assert_eq!(reason(), Reason::ScopeMissing);
}

fn location(world: &World) -> tokenctl::store::Location {
    tokenctl::store::Location::named(world.store())
}

mod slow {
    use super::*;

    #[test]
    fn no_thread_accepts_a_secret_after_its_revocation_is_complete() {
        const TOKENS: usize = 1_000;
        let world = World::with_store();
        let secrets: Vec<String> = (0..TOKENS).map(|n| world.create(&format!("t{n}"), &[])).collect();
        let verifier = verifier(&world);
        let (revoked, started, yeses) = (AtomicUsize::new(0), Barrier::new(THREADS + 1), AtomicUsize::new(0));
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (verifier, secrets, revoked, started, yeses) =
                    (&verifier, &secrets, &revoked, &started, &yeses);
                scope.spawn(move || {
                    started.wait();
                    let mut round = thread;
                    loop {
                        let gone = revoked.load(Ordering::Acquire);
                        // The latest revocations are the most likely to be missed, but an earlier one could be missed
                        // as well.
                        for n in [gone.checked_sub(1), (gone > 0).then(|| round % gone)].into_iter().flatten()
                        {
                            let verdict = verify(verifier, &secrets[n]);
                            assert_eq!(verdict.reason(), Reason::Revoked, "t{n} after {gone} were revoked");
                        }
                        if gone == TOKENS {
                            return;
                        }
                        yeses.fetch_add(
                            usize::from(verify(verifier, &secrets[TOKENS - 1]).is_valid()),
                            Ordering::Relaxed,
                        );
                        round += THREADS;
                        thread::sleep(Duration::from_millis(1));
                    }
                });
            }
            started.wait();
            for n in 0..TOKENS {
                world.run(&["revoke", &format!("t{n}"), "--yes"]).ok();
                revoked.store(n + 1, Ordering::Release);
            }
        });
        assert!(yeses.into_inner() > 0, "no thread verified a secret before its revocation");
    }
}
