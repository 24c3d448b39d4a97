//! Lists of many tokens, which come from the store page by page.

use serde_json::Value;

use crate::support::{DAY, World};

#[test]
fn a_list_of_several_database_pages_is_complete() {
    let world = World::with_store();
    world.create("template", &["--no-expiry"]);
    // A fifth of the 2,500 tokens is revoked, and another fifth is expired.
    world.sql(
        "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i <= 2500)
         INSERT INTO tokens (row, id, name, created_at, created_by, revoked_at)
         SELECT i, printf('%012d', i), printf('t%04d', i * 7919 % 10007), created_at + i, 'x',
         iif(i % 5 = 0, created_at + i, NULL) FROM n, tokens WHERE tokens.row = 1;
         INSERT INTO secret (token, hash, hint, created_at, expires_at, delivered_at)
         SELECT row, randomblob(32), 'tkn_AbCd…', created_at, iif(row % 5 = 1, created_at + 1, NULL), created_at
         FROM tokens WHERE row > 1;
         UPDATE tokens SET revoked_at = created_at WHERE row = 1",
    );
    world.wait(DAY);
    let by_number = |keep: fn(u32) -> bool| {
        (2..=2_501).filter(|i| keep(*i)).map(|i| format!("t{:04}", i * 7_919 % 10_007)).collect::<Vec<_>>()
    };
    let live = by_number(|i| i % 5 > 1);
    assert_eq!(world.names(&["--sort", "created"]), live);
    let mut sorted = live.clone();
    sorted.sort();
    assert_eq!(world.names(&[]), sorted);
    assert_eq!(world.names(&["--limit", "1200"]), sorted[..1_200]);
    let document = world.run(&["list", "--json"]).ok().json();
    let names: Vec<_> =
        document.as_array().unwrap().iter().map(|token| token["name"].as_str().unwrap()).collect();
    assert_eq!(names, sorted);
    sorted.reverse();
    assert_eq!(world.names(&["--reverse"]), sorted);
    let mut all = by_number(|_| true);
    all.push("template".to_owned());
    all.sort();
    assert_eq!(world.names(&["--all"]), all);
}

/// The documents of a list, in order of name.
fn documents(world: &World, args: &[&str]) -> Vec<Value> {
    let document = world.run(&[&["list", "--json"], args].concat()).ok().json();
    let mut all = document.as_array().unwrap().clone();
    all.sort_by_key(|token| token["name"].as_str().unwrap().to_owned());
    all
}

#[test]
fn a_token_is_the_same_in_every_order() {
    let world = World::with_store();
    world.create("plain", &["--no-expiry"]);
    world.multiply("plain", 600);
    world.define(&["events:read", "other"]);
    let secret =
        world.create("rich", &["-s", "events:read,other", "-l", "env=prod", "-l", "team=a", "-d", "Größe"]);
    world.verify(&secret, &["-s", "other"]);
    world.rotate("rich", &["--grace", "1h"]);
    world.create("unlabelled", &["-s", "other"]);
    world.wait(2 * DAY);
    world.verify(&secret, &[]);
    assert_eq!(documents(&world, &[]), documents(&world, &["--sort", "created"]));
    // A delivery that is under way, and a hook that has not run.
    world.create("delivering", &["-s", "other", "--allow-from", "192.0.2.0/24"]);
    world.sql(
        "UPDATE secret SET delivered_at = NULL, expires_at = created_at + 600 WHERE row = (SELECT max(row) FROM secret);
         INSERT INTO delivery (secret, kind, target, uid, pid, started_at, deadline, remember)
         SELECT row, 'file', '/nowhere', 1234, 1, created_at, created_at + 600, 0 FROM secret WHERE delivered_at IS NULL;
         INSERT INTO hook (secret, command, uid, created_at)
         SELECT s.row, 'true', 1234, s.created_at FROM secret s JOIN tokens t ON t.row = s.token
         WHERE t.name = 'rich' AND s.superseded_at IS NULL",
    );
    let listed = documents(&world, &[]);
    assert_eq!(listed, documents(&world, &["--sort", "created"]));
    let of = |name: &str| listed.iter().find(|token| token["name"] == name).unwrap();
    assert_eq!(of("delivering")["status"], "provisional");
    assert_eq!(of("rich")["hook"]["command"], "true");
    assert_eq!(of("rich")["scopes"], serde_json::json!(["events:read", "other"]));
}

#[test]
fn damage_in_a_later_page_is_named_after_the_pages_before_it() {
    for (damage, place) in [
        (
            "UPDATE tokens SET owner = 'eve' WHERE name = 'plain-00002500'",
            "`seal` in `tokens` where `row` is 2501",
        ),
        (
            "UPDATE secret SET revoked_at = NULL, hint = 'x' WHERE token = 2501",
            "`seal` in `secret` where `row` is 2501",
        ),
        ("DELETE FROM secret WHERE token = 2501", "rows of token row 2501 are missing"),
        (
            "INSERT INTO label (token, key, value) VALUES (2501, 'a', 'b')",
            "`seal` in `label` where `token` is 2501",
        ),
    ] {
        let world = World::with_store();
        world.create("plain", &["--no-expiry"]);
        world.multiply("plain", 3_000);
        world.sql_unsealed(damage);
        let ran = world.run(&["list", "--format", "names"]).exit(6);
        assert!(ran.err.contains(place), "{damage}: {}", ran.err);
        let names: Vec<_> = ran.out.lines().collect();
        let expected: Vec<_> =
            ["plain".to_owned()].into_iter().chain((1..2_500).map(|i| format!("plain-{i:08}"))).collect();
        assert!(
            names.len() > 2_000 && expected.iter().zip(&names).all(|(one, other)| one == other),
            "{damage}"
        );
    }
}
