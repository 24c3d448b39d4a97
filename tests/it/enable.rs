//! Tests of `enable`, which makes disabled tokens valid again.

use crate::support::{HOUR, World};

#[test]
fn a_disabled_token_still_expires() {
    let world = World::new();
    let secret = world.create("demo", &["--ttl", "1h"]);
    world.run(&["disable", "demo"]).ok();
    world.wait(HOUR);
    world.run(&["enable", "demo"]).ok();
    assert_eq!(world.verify(&secret, &[]), (3, "expired demo".into()));
}

#[test]
fn enabling_a_token_checks_the_clock_because_it_gives_access() {
    let world = World::new();
    let secret = world.create("demo", &[]);
    world.run(&["disable", "demo"]).ok();
    world.wait(-301);
    world.refuses(&["enable", "demo"], 6, "clock");
    world.run(&["enable", "demo", "--accept-clock"]).ok();
    world.wait(301);
    world.assert_valid(&secret, "demo");
}

#[test]
fn a_revoked_token_cannot_be_enabled() {
    let world = World::new();
    let secret = world.create("demo", &[]);
    world.run(&["disable", "demo"]).ok();
    world.run(&["revoke", "demo", "--yes"]).ok();
    world.refuses(&["enable", "demo"], 5, "revoked");
    world.refuses(&["enable", "--status", "revoked", "--yes"], 5, "revoked");
    assert_eq!(world.verify(&secret, &[]), (3, "revoked demo".into()));
}
