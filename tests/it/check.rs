//! `check`: reports tokens that need attention.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{DAY, HOUR, START, World, have, pages, program_path, run, time};

/// The codes that `check` reports with these arguments, each with the name of the token, in the reported order.
fn findings(world: &World, args: &[&str]) -> Vec<String> {
    let document = world.run(&[&["check", "--json"], args].concat()).json();
    let one =
        |it: &Value| format!("{} {}", it["code"].as_str().unwrap(), it["token"]["name"].as_str().unwrap());
    let findings: Vec<String> = document["findings"].as_array().unwrap().iter().map(one).collect();
    assert_eq!(document["ok"], findings.is_empty());
    findings
}

#[test]
fn a_check_without_findings_prints_nothing() {
    let mut world = World::with_store();
    world.create("demo", &[]);
    let ran = world.run(&["check"]).ok();
    assert_eq!((&*ran.out, &*ran.err), ("", ""));
    let document = world.run(&["check", "--json"]).ok().json();
    assert_eq!(document, json!({"ok": true, "findings": []}));
    assert_eq!(world.run(&["check", "--format", "jsonl"]).ok().out, "");
    world.at_terminal(&[]);
    assert_eq!(world.run(&["check"]).ok().err, "no findings\n");
}

#[test]
fn a_token_is_expiring_in_the_second_half_of_its_life_and_within_the_window() {
    let world = World::with_store();
    world.create("long", &["--ttl", "90d", "--owner", "ann"]);
    world.create("short", &["--ttl", "10d"]);
    world.wait(5 * DAY - 1);
    assert_eq!(findings(&world, &[]), Vec::<String>::new());
    world.wait(1);
    assert_eq!(findings(&world, &[]), ["expiring short"]);
    assert_eq!(findings(&world, &["--window", "4d"]), Vec::<String>::new());
    let since = |args: &[&str]| {
        world.run(&[&["check", "--json"], args].concat()).json()["findings"][0]["since"].clone()
    };
    assert_eq!(since(&[]), time(START + 5 * DAY), "half of its lifetime is over");
    world.wait(2 * DAY);
    assert_eq!(since(&["--window", "4d"]), time(START + 6 * DAY), "the expiry is within the window");
    world.wait(-2 * DAY);
    world.run(&["revoke", "short", "--yes"]).ok();
    world.wait(71 * DAY);
    let ran = world.run(&["check", "--skip", "never_used"]).exit(3);
    let expected = "\
warning: expiring: `long` expires 2027-02-20T12:00:00Z (in 14 days) (owner: ann)
  hint: use `tokenctl rotate long` to deliver a new secret
";
    assert_eq!((&*ran.out, &*ran.err), (expected, ""));
}

#[test]
fn an_expired_token_is_reported_for_a_week() {
    let world = World::with_store();
    world.create("demo", &["--ttl", "10d"]);
    world.create("fixed", &["--expires", "2026-12-02T12:00:00Z"]);
    world.wait(10 * DAY);
    let document = world.run(&["check", "--json"]).exit(3).json();
    let id = world.show("demo")["id"].clone();
    assert_eq!(
        document["findings"][0],
        json!({
            "code": "expired",
            "severity": "error",
            "token": {"id": id, "name": "demo", "owner": null},
            "since": "2026-12-02T12:00:00Z",
            "message": "`demo` expired 2026-12-02T12:00:00Z (just now)",
            "hint": "revive it with `tokenctl rotate demo --revive`, or revoke it with `tokenctl revoke demo`",
        })
    );
    assert_eq!(
        document["findings"][1]["hint"],
        "revive it with `tokenctl edit fixed --expires DATE --revive`, or revoke it with `tokenctl revoke fixed`"
    );
    world.wait(7 * DAY);
    assert_eq!(findings(&world, &["--search", "demo"]), ["expired demo"]);
    world.wait(1);
    assert_eq!(findings(&world, &[]), Vec::<String>::new());
}

#[test]
fn a_rotation_is_overdue_when_it_is_more_than_a_day_late() {
    let world = World::with_store();
    let secret = world.create("demo", &["--rotate-every", "30d"]);
    world.verify(&secret, &[]);
    world.create("paused", &["--rotate-every", "30d"]);
    world.run(&["disable", "paused"]).ok();
    world.wait(31 * DAY);
    assert_eq!(findings(&world, &["--skip", "no_destination"]), Vec::<String>::new());
    world.wait(1);
    let ran = world.run(&["check", "--skip", "no_destination"]).exit(3);
    let expected = "\
error: rotation_overdue: `demo` was due for rotation 2026-12-22T12:00:00Z (24 hours ago)
  hint: run `tokenctl rotate demo`, and find out why the scheduled job did not
";
    assert_eq!(ran.out, expected);
    world.rotate("demo", &[]);
    assert_eq!(findings(&world, &["--skip", "no_destination"]), Vec::<String>::new());
}

#[test]
fn a_rotation_policy_without_a_destination_is_reported() {
    let world = World::with_store();
    world.create("demo", &["--rotate-every", "30d"]);
    let expected = "\
warning: no_destination: `demo` has a rotation policy and no destination
  hint: set one with `tokenctl edit demo --out FILE`, so that `tokenctl rotate --due` can deliver
";
    assert_eq!(world.run(&["check"]).exit(3).out, expected);
    world.run(&["edit", "demo", "--out", &world.path("secret")]).ok();
    assert_eq!(findings(&world, &[]), Vec::<String>::new());
}

#[test]
fn a_previous_secret_that_is_used_after_the_rotation_is_reported_until_it_expires() {
    let world = World::with_store();
    let old = world.create("demo", &[]);
    world.verify(&old, &[]);
    world.wait(DAY);
    world.rotate("demo", &["--grace", "12h"]);
    assert_eq!(findings(&world, &[]), Vec::<String>::new());
    world.wait(2 * HOUR);
    world.verify(&old, &[]);
    world.wait(HOUR);
    let document = world.run(&["check", "--json"]).exit(3).json();
    let finding = &document["findings"][0];
    assert_eq!(
        (&finding["code"], &finding["since"]),
        (&json!("previous_in_use"), &json!("2026-11-23T12:00:00Z"))
    );
    assert_eq!(
        finding["message"],
        "a client used the previous secret of `demo` 2026-11-23T14:00:00Z (60 minutes ago), after the rotation; it \
         stops working 2026-11-24T00:00:00Z (in 9 hours)"
    );
    world.wait(9 * HOUR);
    assert_eq!(findings(&world, &[]), Vec::<String>::new());
}

#[test]
fn a_token_without_a_recorded_use_is_reported_with_the_start_of_the_record() {
    let world = World::with_store();
    world.create("demo", &["--ttl", "1y"]);
    world.wait(DAY);
    std::fs::remove_file(world.store().join("usage.secrets")).expect("the record of uses");
    world.run(&["edit", "demo", "--owner", "ann"]).ok();
    world.wait(30 * DAY + 1);
    let document = world.run(&["check", "--json"]).exit(3).json();
    let message = "no use of `demo` is recorded since 2026-11-23T12:00:00Z (30 days ago)";
    assert_eq!(document["findings"][0]["message"], message);
    assert_eq!(document["findings"][0]["since"], time(START + DAY));
}

#[test]
fn unused_tokens_and_scopes_are_reported() {
    let world = World::with_store();
    world.define(&["read", "write"]);
    let used = world.create("used", &["--ttl", "1y", "-s", "read,write"]);
    world.create("never", &["--ttl", "1y", "-s", "read"]);
    world.verify(&used, &[]);
    world.wait(30 * DAY);
    assert_eq!(findings(&world, &[]), Vec::<String>::new());
    world.wait(1);
    assert_eq!(findings(&world, &[]), ["never_used never"]);
    world.wait(60 * DAY);
    world.verify(&used, &["-s", "read"]);
    assert_eq!(findings(&world, &["--skip", "never_used"]), ["scope_unused used"]);
    let document = world.run(&["check", "--only", "scope-unused", "--json"]).exit(3).json();
    let finding = &document["findings"][0];
    assert_eq!(
        (&finding["message"], &finding["hint"], &finding["since"]),
        (
            &json!("`used` has scopes that no check has required in 90d: write"),
            &json!("`tokenctl scopes remove used write`"),
            &json!("2026-11-22T12:00:00Z")
        )
    );
    world.wait(90 * DAY);
    assert_eq!(findings(&world, &["--only", "unused,scope_unused"]), ["scope_unused used"]);
    world.wait(1);
    assert_eq!(findings(&world, &["--only", "unused,scope_unused"]), ["unused used"]);
}

#[test]
fn a_token_without_an_expiry_is_reported_at_once() {
    let world = World::with_store();
    world.create("demo", &["--no-expiry"]);
    assert_eq!(findings(&world, &[]), ["no_expiry demo"]);
    world.run(&["disable", "demo"]).ok();
    assert_eq!(findings(&world, &[]), Vec::<String>::new());
}

#[test]
fn a_delivery_that_was_killed_is_reported_after_its_deadline() {
    let world = World::with_store();
    let file = world.dir.path().join("demo.key");
    world.create("demo", &["--ttl", "90d"]);
    world.rotate("demo", &[]);
    // The state of the database after the first transaction of a delivery to a file.
    world.sql(&format!(
        "INSERT INTO secret (token, hash, hint, created_at) SELECT token, zeroblob(32), hint, created_at FROM secret LIMIT 1;
         INSERT INTO delivery (secret, kind, target, uid, pid, started_at, deadline, grace, remember)
         SELECT max(row), 'file', '{}', 1234, 1, {START}, {START} + 600, 3600, 0 FROM secret",
        file.display()
    ));
    world.wait(599);
    assert_eq!(findings(&world, &[]), Vec::<String>::new());
    world.wait(1);
    let ran = world.run(&["check"]).exit(3);
    let expected = "\
warning: provisional: a delivery of `demo` by uid 1234 was not confirmed by 2026-11-22T12:10:00Z (just now)
  hint: run `tokenctl doctor --repair` as uid 1234 to confirm it or roll it back
";
    assert_eq!(ran.out, expected);
}

#[test]
fn filters_and_codes_narrow_the_report() {
    let world = World::with_store();
    for (name, owner) in [("a", "ann"), ("b", "bob")] {
        world.create(name, &["--no-expiry", "--owner", owner]);
    }
    assert_eq!(findings(&world, &["--owner", "bob"]), ["no_expiry b"]);
    assert_eq!(findings(&world, &["--skip", "no_expiry"]), Vec::<String>::new());
    assert_eq!(findings(&world, &["--only", "no_expiry", "--skip", "no_expiry"]), Vec::<String>::new());
    let failure = world.refuses(&["check", "--only", "no_expire"], 2, "usage");
    assert_eq!(failure["hint"], "did you mean `no_expiry`?");
}

#[test]
fn every_format_contains_the_same_findings() {
    let world = World::with_store();
    for name in ["a", "b"] {
        world.create(name, &["--no-expiry"]);
    }
    let document = world.run(&["check", "--json"]).exit(3).json();
    let lines = world.run(&["check", "--format", "jsonl"]).exit(3).out;
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(document["findings"], Value::Array(lines));
    let ran = world.run(&["check", "--quiet"]).exit(3);
    assert_eq!((&*ran.out, &*ran.err), ("", ""));
    world.refuses(&["check", "--format", "csv"], 2, "usage");
    world.run(&["check", "--json", "--format", "text"]).exit(2);
}

#[test]
fn the_metrics_contain_the_number_of_findings_and_every_expiry() {
    let world = World::with_store();
    world.create("endless", &["--no-expiry"]);
    world.create("demo", &["--ttl", "10d", "--owner", "a\"n\\n"]);
    world.create("gone", &["--ttl", "10d"]);
    world.run(&["revoke", "gone", "--yes"]).ok();
    world.wait(10 * DAY);
    let id = world.show("demo")["id"].clone();
    let end = START + 10 * DAY;
    let ran = world.run(&["check", "--format", "prometheus", "--only", "expired,expiring,no_expiry"]).ok();
    let expected = format!(
        r#"# HELP tokenctl_token_expires_timestamp_seconds When the token expires, in Unix seconds.
# TYPE tokenctl_token_expires_timestamp_seconds gauge
tokenctl_token_expires_timestamp_seconds{{id={id},name="demo",owner="a\"n\\n"}} {end}
# HELP tokenctl_check_findings How many tokens `tokenctl check` reports, by code.
# TYPE tokenctl_check_findings gauge
tokenctl_check_findings{{code="expiring",severity="warning"}} 0
tokenctl_check_findings{{code="expired",severity="error"}} 1
tokenctl_check_findings{{code="no_expiry",severity="warning"}} 1
"#
    );
    assert_eq!((&*ran.out, &*ran.err), (&*expected, ""));
    if have("promtool") {
        for metrics in [ran.out, world.run(&["check", "--format", "prometheus", "--owner", "none"]).ok().out]
        {
            let lint = run(Command::new("promtool").args(["check", "metrics"]), metrics.as_bytes()).ok();
            assert_eq!((&*lint.out, &*lint.err), ("", ""));
        }
    }
}

#[test]
fn the_report_file_is_replaced_completely_or_not_at_all() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::with_store();
    world.create("demo", &["--no-expiry"]);
    let dir = world.directory("metrics");
    let file = format!("{dir}/tokenctl.prom");
    let args = ["check", "--format", "prometheus", "--out", &file];
    let ran = world.run(&args).ok();
    assert_eq!((&*ran.out, &*ran.err), ("", ""));
    let metrics = std::fs::read_to_string(&file).unwrap();
    assert_eq!(metrics, world.run(&args[..3]).ok().out);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    // If the store cannot be read, the file is unchanged and no temporary file is left.
    world.sql("PRAGMA user_version = 99");
    world.run(&args).exit(6);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), metrics);
    world.sql("PRAGMA user_version = 2");
    world.sql("UPDATE tokens SET created_at = 1");
    world.run(&args).exit(6);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), metrics);
    world.sql(&format!("UPDATE tokens SET created_at = {START}"));
    world.run(&["revoke", "demo", "--yes"]).ok();
    world.run(&args).ok();
    assert_ne!(std::fs::read_to_string(&file).unwrap(), metrics);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
    let ran = world.run(&["check", "--out", &format!("{dir}/missing/report")]).exit(1);
    assert!(ran.err.starts_with("error: cannot write `"), "{}", ran.err);
}

#[test]
fn a_closed_pipe_does_not_change_the_exit_code() {
    let world = World::with_store();
    world.create("demo", &["--no-expiry"]);
    world.run_failing(&["check"], 10, std::io::ErrorKind::BrokenPipe).exit(3);
}

#[test]
fn the_crontab_lines_in_the_documents_mail_findings_and_write_metrics() {
    let world = World::with_store();
    let metrics = world.directory("node_exporter");
    let command = |start: &str| {
        let line = pages::line(start);
        line[line.find("tokenctl").unwrap()..].replace("/var/lib/prometheus/node-exporter", &metrics)
    };
    let cron = |line: &str| {
        let mut command = Command::new("sh");
        let path = program_path().parent().unwrap().display();
        command.args(["-c", line]).env_clear().env("PATH", format!("{path}:/usr/bin:/bin"));
        run(command.env("TOKENCTL_STORE", world.store()), b"")
    };
    let mail = command("30 7 * * *");
    // Cron sends mail when a command prints anything.
    let ran = cron(&mail);
    assert_eq!((ran.code, &*ran.out, &*ran.err), (0, "", ""));
    assert!(world.real(&["create", "demo", "--ttl", "2s"], b"").ok().out.starts_with("tkn_"));
    std::thread::sleep(std::time::Duration::from_secs(3));
    let ran = cron(&mail);
    assert!(ran.out.starts_with("error: expired: `demo` expired "), "{ran:?}");
    assert_eq!((ran.code, &*ran.err), (3, ""));
    let ran = cron(&command("*/5 * * * *"));
    assert_eq!((ran.code, &*ran.out, &*ran.err), (0, "", ""));
    let written = std::fs::read_to_string(format!("{metrics}/tokenctl.prom")).unwrap();
    if have("promtool") {
        let lint = run(Command::new("promtool").args(["check", "metrics"]), written.as_bytes()).ok();
        assert_eq!((&*lint.out, &*lint.err), ("", ""));
    }
    assert!(
        written.contains("tokenctl_check_findings{code=\"expired\",severity=\"error\"} 1\n"),
        "{written}"
    );
}

#[test]
fn colours_do_not_count_towards_the_width_of_a_line() {
    let mut world = World::with_store();
    world.create("api-gateway", &["--ttl", "10d", "--owner", "ann"]);
    world.wait(6 * DAY);
    world.at_terminal(&[]);
    world.terminal.width = Some(63);
    let ran = world.run(&["check", "--only", "expiring", "--color", "always"]).exit(3);
    let expected = "\
\u{1b}[33mwarning:\u{1b}[0m expiring: `api-gateway` expires 2026-12-02T12:00:00Z
  (in 4 days) (owner: ann)
  \u{1b}[32mhint:\u{1b}[0m use `tokenctl rotate api-gateway` to deliver a new
  secret
";
    assert_eq!(ran.out, expected);
}

#[test]
fn a_report_never_replaces_a_file_of_the_store() {
    let world = World::with_store();
    world.create("demo", &[]);
    let (link, dir) = (world.path("link"), world.directory("dir"));
    std::os::unix::fs::symlink(world.write("target", "x"), &link).expect("the link can be created");
    let store = world.store();
    let own = |name: &str| store.join(name).display().to_string();
    for path in
        [own("tokens.db"), own("usage.secrets"), own("../store/tokens.db"), link, dir, "/dev/full".into()]
    {
        world.refuses(&["check", "--out", &path], 2, "usage");
    }
    world.run(&["doctor"]).ok();
}
