//! Rotation dates of tokens, and how an expired token is revived.

use serde_json::Value;

use crate::support::{DAY, HOUR, START, World};

/// A world in which `weekly` is due after 7 days, `monthly` after 30 days, and `plain` never.
fn world() -> World {
    let world = World::with_store();
    world.create("monthly", &["--ttl", "60d", "--rotate-every", "30d"]);
    world.create("plain", &[]);
    world.create("weekly", &["--ttl", "10d", "--rotate-every", "7d"]);
    world
}

#[test]
fn the_document_of_a_token_shows_when_it_is_due() {
    let world = world();
    assert_eq!(world.show("weekly")["due_at"], "2026-11-29T12:00:00Z");
    assert_eq!(world.show("plain")["due_at"], Value::Null);
    world.wait(8 * DAY);
    world.rotate("weekly", &[]);
    assert_eq!(world.show("weekly")["due_at"], "2026-12-07T12:00:00Z");
    world.run(&["revoke", "weekly", "--yes"]).ok();
    assert_eq!(world.show("weekly")["due_at"], Value::Null);
}

#[test]
fn the_page_of_a_token_shows_when_it_is_due_and_that_it_was_not_rotated() {
    let world = world();
    let due = || {
        let page = world.run(&["show", "weekly"]).ok().out;
        page.lines().find(|line| line.starts_with("  due")).expect("there is a line").to_owned()
    };
    assert_eq!(due(), "  due          2026-11-29T12:00:00Z (in 7 days)");
    world.wait(9 * DAY);
    assert_eq!(due(), "  due          2026-11-29T12:00:00Z (2 days ago), not rotated yet");
}

#[test]
fn a_list_can_be_sorted_and_filtered_by_due_date() {
    let world = world();
    let listed = world.run(&["list", "--sort", "due", "--columns", "name,due"]).ok().out;
    assert_eq!(listed, "weekly\t2026-11-29T12:00:00Z\nmonthly\t2026-12-22T12:00:00Z\nplain\t\n");
    assert_eq!(world.names(&["--overdue"]), Vec::<String>::new());
    assert_eq!(world.names(&["--due-within", "7d"]), ["weekly"]);
    assert_eq!(world.names(&["--due-within", "30d"]), ["monthly", "weekly"]);
    assert_eq!(world.names(&["--overdue", "--at", "8d"]), ["weekly"]);
    world.wait(7 * DAY);
    assert_eq!(world.names(&["--overdue"]), ["weekly"]);
    let disabled = world.run(&["disable", "--overdue", "--dry-run", "--json"]).ok().json();
    assert_eq!((&disabled["count"], &disabled["tokens"][0]["name"]), (&1.into(), &"weekly".into()));
    assert_eq!(
        world.run(&["rotate", "--due-within", "24d", "--exec", "false", "-n", "--json"]).ok().json()["count"],
        2
    );
}

#[test]
fn an_expired_token_is_rotated_only_with_revive() {
    let world = world();
    world.wait(61 * DAY);
    let failure = world.refuses(&["rotate", "monthly"], 5, "policy");
    assert_eq!(
        (&failure["message"], &failure["hint"]),
        (
            &"`monthly` expired at 2027-01-21T12:00:00Z; this would revive it".into(),
            &"revive it with `--revive` of `tokenctl rotate` or `tokenctl edit`, or revoke it".into()
        )
    );
    let rehearsed = world.run(&["rotate", "monthly", "--dry-run"]).exit(5);
    assert!(rehearsed.err.contains("`--revive`"), "{}", rehearsed.err);
    let ran = world.run(&["rotate", "monthly", "--revive"]).ok();
    assert_eq!(world.verify(ran.line(), &[]), (0, "valid monthly".to_owned()));
    let warning = "warning: `monthly` had expired at 2027-01-21T12:00:00Z; the rotation revived it\n";
    assert!(ran.err.contains(warning), "{}", ran.err);
    // There is no warning for a token that has not expired.
    assert!(!world.run(&["rotate", "monthly", "--revive"]).ok().err.contains("warning"));
}

#[test]
fn a_due_rotation_revives_a_token_up_to_one_interval_after_its_expiry() {
    let world = world();
    let dir = world.directory("out");
    let args = ["rotate", "--due", "--quiet", "--out-dir", &dir];
    world.wait(17 * DAY);
    let ran = world.run(&args).ok();
    assert_eq!(ran.out, "weekly\n");
    let warning = "warning: `weekly` had expired at 2026-12-02T12:00:00Z; the rotation revived it\n";
    assert_eq!(ran.err, warning);
    world.wait(17 * DAY + 1);
    let ran = world.run(&args).exit(5);
    assert_eq!(ran.out, "monthly\n");
    assert!(ran.err.contains("error: `weekly`: `weekly` expired at 2026-12-19T12:00:00Z"), "{}", ran.err);
    let ran = world.run(&[&args[..], &["--revive"]].concat()).ok();
    assert_eq!(ran.out, "weekly\n");
}

#[test]
fn an_expired_token_gets_a_new_lifetime_only_with_revive() {
    let world = world();
    world.wait(10 * DAY + HOUR);
    for lifetime in [&["--ttl", "20d"][..], &["--expires", "2027-05-01"], &["--no-expiry"]] {
        let args = [&["edit", "weekly"], lifetime].concat();
        world.refuses(&args, 5, "policy");
    }
    world.run(&["edit", "weekly", "--owner", "ann"]).ok();
    world.run(&["edit", "weekly", "--ttl", "20d", "--revive"]).ok();
    assert_eq!((world.now(), &world.show("weekly")["status"]), (START + 10 * DAY + HOUR, &"active".into()));
    world.run(&["edit", "weekly", "--ttl", "30d"]).ok();
}
