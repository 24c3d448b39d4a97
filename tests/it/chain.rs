//! Checks the audit chain with a Python program that was written from docs/audit-format.md alone.

use std::process::Command;

use serde_json::json;

use crate::migration;
use crate::support::{World, have};

fn python(args: &[&str]) -> (bool, String, String) {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
    let mut command = Command::new("python3");
    let ran = command.arg("-B").args(args).current_dir(data).output().expect("python3 starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    (ran.status.success(), text(&ran.stdout), text(&ran.stderr))
}

fn check(world: &World) -> (bool, String, String) {
    python(&["check-chain.py", world.database().to_str().expect("the path is UTF-8")])
}

#[test]
fn the_python_program_computes_blake3() {
    if !have("python3") {
        return;
    }
    let lengths = [0, 1, 63, 64, 65, 1_023, 1_024, 1_025, 2_048, 2_049, 3_073, 9_000];
    let script = "import sys; from blake3 import blake3\n\
        for n in sys.argv[1:]: print(blake3(bytes(i % 251 for i in range(int(n)))).hex())";
    let args: Vec<String> = lengths.iter().map(ToString::to_string).collect();
    let args: Vec<&str> = ["-c", script].into_iter().chain(args.iter().map(String::as_str)).collect();
    let expected = lengths.map(|len: u32| {
        let bytes: Vec<u8> =
            (0..len).map(|at| u8::try_from(at % 251).expect("the number is in range")).collect();
        blake3::hash(&bytes).to_hex().to_string()
    });
    assert_eq!(python(&args).1.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn the_python_program_agrees_with_audit_verify() {
    if !have("python3") {
        return;
    }
    let world = migration::old();
    world.run(&["revoke", "edited", "--yes", "--reason", "é"]).ok();
    world.run(&["edit", "token-001", "-d", "x\"y", "--owner", "ann"]).ok();
    world.run(&["audit", "verify"]).ok();
    let (ok, head, err) = check(&world);
    assert_eq!((ok, &*head), (true, world.run(&["audit", "head"]).ok().line()), "{err}");
    let changes = world.run(&["audit", "--token", "token-001", "--json"]).ok().json();
    let last = changes.as_array().and_then(|all| all.last()).expect("there is an event")["changes"].clone();
    assert_eq!(
        last,
        json!([{"field": "description", "from": null, "to": "x\"y"}]),
        "the owner was `ann` before, so only the description changed"
    );
    world.sql("UPDATE events SET reason = 'x' WHERE seq = 7");
    assert_eq!(check(&world), (false, String::new(), "entry 7".to_owned()));
    assert_eq!(world.run(&["audit", "verify", "--json"]).exit(3).json()["first_bad"]["seq"], 7);
}
