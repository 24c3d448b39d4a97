//! Simultaneous deliveries for one token.

use std::process::Stdio;
use std::sync::Barrier;
use std::thread;

use super::Scene;
use crate::support::processes::finished;
use crate::support::{Ran, World, program, run};

#[test]
fn simultaneous_rotations_succeed_one_at_a_time_and_the_last_secret_is_current() {
    const AT_ONCE: usize = 20;
    let world = World::of_processes();
    let old = world.mint("demo");
    let (store, start) = (world.store(), Barrier::new(AT_ONCE));
    let rotate = || {
        let mut command = program();
        command.env("TOKENCTL_STORE", &store).args(["rotate", "demo", "--json"]);
        start.wait();
        run(&mut command, b"")
    };
    let results: Vec<Ran> = thread::scope(|scope| {
        let all: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(rotate)).collect();
        all.into_iter().map(|ran| ran.join().expect("the thread does not panic")).collect()
    });
    let mut secrets = Vec::new();
    for ran in &results {
        if ran.code == 0 {
            secrets.push(ran.json()["secret"].as_str().expect("the secret is a string").to_owned());
        } else {
            assert_eq!((ran.code, ran.failure()["code"].as_str()), (5, Some("under_way")), "{ran:?}");
        }
    }
    println!("rotations at once: {AT_ONCE}, {} of them done", secrets.len());
    assert!(!secrets.is_empty());
    let role = |secret: &str| {
        let answer = world.real(&["verify", "--json"], secret.as_bytes()).ok().json();
        answer["secret"]["role"].as_str().expect("the role is a string").to_owned()
    };
    assert_eq!(role(&old), "previous");
    let roles: Vec<_> = secrets.iter().map(|secret| role(secret)).collect();
    assert_eq!(roles.iter().filter(|role| *role == "current").count(), 1, "{roles:?}");
    assert!(roles.iter().all(|role| role == "current" || role == "previous"), "{roles:?}");
    let token = world.look_at("demo");
    assert_eq!(token["secrets"].as_array().map(Vec::len), Some(secrets.len() + 1));
    world.assert_intact();
}

#[test]
fn after_a_revocation_during_a_delivery_no_secret_is_valid() {
    let world = World::of_processes();
    let old = world.mint("demo");
    let dir = world.dir.path();
    let (got, go) = (dir.join("got"), dir.join("go"));
    assert!(std::process::Command::new("mkfifo").args([&got, &go]).status().expect("mkfifo runs").success());
    let command = format!("cat > {0}; cat {1} > {1}.end", got.display(), go.display());
    let child = Scene::program(dir)
        .args(["rotate", "demo", "--json", "--exec", &command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // The client has received the secret and uses it immediately.
    let new = std::fs::read_to_string(&got).expect("the secret can be read");
    assert_eq!(world.real(&["verify"], new.as_bytes()).ok().line(), "valid demo");
    world.real(&["revoke", "demo", "--yes"], b"").ok();
    for secret in [&old, &new] {
        world.real(&["verify"], secret.as_bytes()).exit(3);
    }
    std::fs::write(&go, "on").expect("the file can be written");
    let ran = finished(child).exit(7);
    assert_eq!((ran.failure()["code"].as_str(), &*ran.out), (Some("delivery_failed"), ""), "{ran:?}");
    for secret in [&old, &new] {
        world.real(&["verify"], secret.as_bytes()).exit(3);
    }
    assert_eq!(world.look_at("demo")["status"], "revoked");
    world.assert_intact();
}
