//! Records of uses of revoked or expired secrets, which show which clients still use an old secret.

use serde_json::{Value, json};

use crate::support::{DAY, HOUR, MINUTE, START, World, time};

/// For each secret of a token, the instant at which it was last refused. The oldest secret is the first.
fn refused(world: &World, name: &str) -> Vec<Value> {
    let shown = world.show(name);
    shown["secrets"]
        .as_array()
        .expect("`secrets` is an array")
        .iter()
        .map(|it| it["refused_at"].clone())
        .collect()
}

#[test]
fn the_use_of_a_revoked_or_expired_secret_is_recorded() {
    let world = World::with_store();
    let old = world.create("rotated", &["--ttl", "30d"]);
    let new = world.rotate("rotated", &["--grace", "1h"]);
    let revoked = world.create("revoked", &[]);
    let disabled = world.create("paused", &[]);
    let expired = world.create("short", &["--ttl", "1h"]);
    world.run(&["revoke", "revoked", "--yes"]).ok();
    world.run(&["disable", "paused"]).ok();
    world.wait(2 * HOUR);
    let database = std::fs::read(world.database()).expect("the database can be read");
    for (secret, name, why) in [
        (&old, "rotated", "superseded"),
        (&revoked, "revoked", "revoked"),
        (&disabled, "paused", "disabled"),
        (&expired, "short", "expired"),
    ] {
        // Questions about another time, and scans, do not show that a client uses the secret.
        world.verify(secret, &["--at", "1d"]);
        world.run_with(&["scan", "-"], secret.as_bytes());
        assert!(refused(&world, name).iter().all(Value::is_null), "{name}");
        assert_eq!(world.verify(secret, &[]), (3, format!("{why} {name}")));
        assert_eq!(refused(&world, name)[0], time(START + 2 * HOUR), "{name}");
        let page = world.run(&["show", name]).ok().out;
        assert!(page.contains(&format!("refused just now ({why})")), "{page}");
    }
    assert_eq!(
        std::fs::read(world.database()).expect("the database can be read"),
        database,
        "a refusal does not change the database"
    );
    // A refusal is not a use, and it is not recorded with the valid secret.
    assert_eq!(world.show("rotated")["last_used_at"], Value::Null);
    world.assert_valid(&new, "rotated");
    assert_eq!(refused(&world, "rotated"), [time(START + 2 * HOUR), Value::Null]);
    // A refusal is recorded at most once a minute.
    world.wait(59);
    world.verify(&old, &[]);
    assert_eq!(refused(&world, "rotated")[0], time(START + 2 * HOUR));
    world.wait(1);
    world.verify(&old, &[]);
    assert_eq!(refused(&world, "rotated")[0], time(START + 2 * HOUR + MINUTE));
    // A secret that is valid again is no longer shown as refused.
    world.run(&["enable", "paused"]).ok();
    assert_eq!(refused(&world, "paused"), [Value::Null]);
}

#[test]
fn a_refusal_for_another_reason_is_not_recorded_as_use_of_an_old_secret() {
    let world = World::with_store();
    world.define(&["read", "write"]);
    let secret = world.create("app", &["-s", "read", "-l", "env=prod", "--allow-from", "10.0.0.0/8"]);
    let early = world.create("early", &["-s", "read", "--not-before", "2d"]);
    for args in
        [&[][..], &["--address", "10.0.0.1", "-s", "write"], &["--address", "10.0.0.1", "-l", "env=dev"]]
    {
        assert_eq!(world.verify(&secret, args).0, 3, "{args:?}");
    }
    assert_eq!(world.verify(&early, &[]).0, 3);
    world.run(&["revoke", "app", "early", "--yes"]).ok();
    assert_eq!((refused(&world, "app"), refused(&world, "early")), (vec![Value::Null], vec![Value::Null]));
}

#[test]
fn check_reports_the_use_of_an_old_secret_for_a_day() {
    let world = World::with_store();
    let old = world.create("app", &["--ttl", "90d"]);
    world.rotate("app", &["--grace", "0s"]);
    let revoked = world.create("gone", &["--ttl", "90d"]);
    world.run(&["revoke", "gone", "--yes"]).ok();
    world.wait(HOUR);
    world.verify(&old, &[]);
    world.verify(&revoked, &[]);
    let found = || {
        let ran = world.run(&["check", "--only", "refused_in_use", "--json"]);
        let all = ran.json()["findings"].as_array().expect("`findings` is an array").clone();
        (
            ran.code,
            all.into_iter()
                .map(|it| (it["token"]["name"].clone(), it["message"].clone(), it["hint"].clone()))
                .collect::<Vec<_>>(),
        )
    };
    let (code, findings) = found();
    let (old_hint, gone_hint) = (format!("{}…", &old[..8]), format!("{}…", &revoked[..8]));
    let finding = |state: &str, hint: &str, name: &str, advice: &str| {
        (
            json!(name),
            json!(format!(
                "a client presented the {state} secret {hint} of `{name}` 2026-11-22T13:00:00Z (just now)"
            )),
            json!(advice),
        )
    };
    assert_eq!(code, 3);
    let renew = "give that client the current secret";
    let find = "find that client, and remove the secret from it or give it one that works";
    assert_eq!(
        findings,
        [finding("superseded", &old_hint, "app", renew), finding("revoked", &gone_hint, "gone", find)]
    );
    world.wait(DAY);
    assert_eq!(found().0, 3);
    world.wait(1);
    assert_eq!(found(), (0, Vec::new()));
}

#[test]
fn a_store_without_the_usage_file_still_refuses_and_the_next_change_creates_the_file() {
    let world = World::with_store();
    let secret = world.create("app", &[]);
    world.run(&["disable", "app"]).ok();
    let file = world.store().join("usage.refused");
    std::fs::remove_file(&file).expect("the file can be removed");
    assert_eq!(world.verify(&secret, &[]), (3, "disabled app".into()));
    assert_eq!(refused(&world, "app"), [Value::Null]);
    world.run(&["settings", "grace", "2h"]).ok();
    world.verify(&secret, &[]);
    assert_eq!(refused(&world, "app"), [time(START)]);
}
