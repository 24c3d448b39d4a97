//! `doctor`: the problems that it finds, and that its checks change nothing.

use std::collections::BTreeSet;
use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Stdio;
use std::time::SystemTime;

use rusqlite::Connection;
use serde_json::json;

use crate::support::processes::{mode, until};
use crate::support::{DAY, MINUTE, START, World};

/// A world whose simulated clock agrees with the clock of real processes.
fn at_real_time() -> World {
    let world = World::new();
    let real =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("the time is after 1970").as_secs();
    world.wait(i64::try_from(real).expect("the number is in range") - START);
    world
}

/// A store with rows in every table, including a delivery whose process was killed.
fn world() -> World {
    let world = at_real_time();
    for args in [
        &["init"][..],
        &["settings", "grace", "7d"],
        &["settings", "url", "https://api.example.org"],
        &["scopes", "define", "read", "-d", "Read"],
        &["scopes", "define", "write", "--includes", "read"],
        &["scopes", "define", "old"],
        &[
            "create", "full", "-d", "A text", "--owner", "ann", "--icon", "K", "-l", "env=prod", "-l",
            "tier=1",
        ],
        &["create", "until", "--expires", "2999-01-01", "--not-before", "1d", "--rotate-every", "60d"],
        &["create", "other"],
    ] {
        let scopes: &[&str] =
            if args[0] == "create" { &["-s", "write,old", "--reason", "a test"] } else { &[] };
        world.run(&[args, scopes].concat()).ok();
    }
    world.run(&["revoke", "other", "--yes"]).ok();
    world.run(&["scopes", "retire", "old"]).ok();
    killed_while_delivering(&world);
    world.run(&["disable", "full"]).ok();
    world.wait(MINUTE);
    world
}

fn killed_while_delivering(world: &World) {
    let (_reader, mut writer) = std::io::pipe().expect("a pipe can be created");
    writer.write_all(&vec![b'x'; 64 << 10]).expect("the pipe has room for this");
    let mut command = world.program();
    command
        .args(["create", "stuck", "--all-scopes"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .stdout(writer);
    let mut child = command.spawn().expect("the program starts");
    drop(command);
    let count = || -> i64 {
        let conn = Connection::open(world.database()).expect("the database can be opened");
        conn.query_row("SELECT count(*) FROM delivery", [], |row| row.get(0)).unwrap_or(0)
    };
    until("a delivery under way", || count() == 1);
    child.kill().and_then(|()| child.wait()).expect("the process exits");
    assert_eq!(count(), 1);
}

/// Every value of every table.
fn dump(database: &Path) -> rusqlite::Result<Vec<String>> {
    let conn = Connection::open(database)?;
    let mut all = Vec::new();
    for table in TABLES {
        let mut statement = conn.prepare(&format!("SELECT * FROM {table}"))?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let values = (0..columns).map(|at| row.get_ref(at).map(|value| format!("{value:?}")));
            all.push(format!("{table} {}", values.collect::<Result<Vec<_>, _>>()?.join(" ")));
        }
    }
    all.sort();
    Ok(all)
}

const TABLES: [&str; 9] =
    ["setting", "tokens", "secret", "delivery", "label", "scope", "scope_include", "granted", "events"];

struct Column {
    name: String,
    kind: String,
}

/// The columns of a table, and the names of its key columns, separated by commas.
fn columns(conn: &Connection, table: &str) -> (Vec<Column>, String) {
    let mut statement =
        conn.prepare("SELECT name, type, pk FROM pragma_table_info(?1)").expect("the SQL can be executed");
    let rows = statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    let rows: Vec<(String, String, i64)> = rows.expect("rows").collect::<Result<_, _>>().expect("columns");
    let key =
        rows.iter().filter(|(.., pk)| *pk > 0).map(|(name, ..)| name.as_str()).collect::<Vec<_>>().join(", ");
    (rows.into_iter().map(|(name, kind, _)| Column { name, kind }).collect(), key)
}

/// A condition that selects one row of a table.
fn nth(table: &str, key: &str, row: i64) -> String {
    format!("({key}) = (SELECT {key} FROM {table} ORDER BY {key} LIMIT 1 OFFSET {row})")
}

/// Changes the database without foreign keys and checks. Returns false if another constraint prevents the change.
fn tamper(world: &World, sql: &str) -> bool {
    let conn = Connection::open(world.database()).expect("the database can be opened");
    let fast = "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; PRAGMA synchronous = OFF;
         PRAGMA journal_mode = MEMORY";
    conn.execute_batch(fast).expect("the SQL can be executed");
    // The seal of an edited row is corrected too. It is not corrected after edits of the seal itself or of a row
    // number, because no digest covers those, so only the seal can reveal such an edit.
    let of_seals = ["SET seal", "SET counts", "_count = ", "secret SET row", "granted SET row"]
        .iter()
        .any(|it| sql.contains(it));
    let done = conn.execute_batch(sql).is_ok();
    if done && !of_seals {
        // A value that is not text cannot be sealed, so its row keeps the old seal.
        let _ = crate::seals::seal(&conn);
    }
    done
}

/// Other values to try in a column. Constraints can refuse some of them.
fn others(kind: &str) -> &'static [&'static str] {
    match kind {
        "INTEGER" => &["it + 1", "1800000000", "9223372036854775807", "NULL"],
        "TEXT" => &["it || 'x'", "'x'", "substr(it, 2) || 'é'", "CAST(x'ff' AS TEXT)", "NULL"],
        _ => &["zeroblob(32)", "NULL"],
    }
}

#[test]
fn an_intact_store_has_no_findings() {
    let world = world();
    assert_eq!(world.run(&["doctor"]).ok().out, "ok\n");
    assert_eq!(world.run(&["doctor", "--json"]).ok().json(), json!({"ok": true, "findings": []}));
}

#[test]
fn a_changed_value_in_any_column_is_found() {
    let world = world();
    let (sound, values) =
        (std::fs::read(world.database()).expect("the database can be read"), dump(&world.database()));
    let (mut untried, mut unseen) = (BTreeSet::new(), Vec::new());
    for table in TABLES {
        let conn = Connection::open(world.database()).expect("the database can be opened");
        let (columns, key) = columns(&conn, table);
        let count = conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0));
        let count: i64 = count.expect("a number");
        assert!(count > 0, "{table}");
        drop(conn);
        let rows = BTreeSet::from([0, 1.min(count - 1), count / 2, count - 1]);
        for Column { name, kind } in &columns {
            untried.insert(format!("{table}.{name}"));
            for (row, other) in rows.iter().flat_map(|row| others(kind).iter().map(move |other| (row, other)))
            {
                let other = other.replace("it", name);
                let sql = format!("UPDATE {table} SET {name} = {other} WHERE {}", nth(table, &key, *row));
                if !tamper(&world, &sql) || dump(&world.database()) == values {
                    continue;
                }
                untried.remove(&format!("{table}.{name}"));
                let ran = world.run(&["doctor"]);
                if ran.code != 3 {
                    unseen.push(format!("{}: {sql}\n{}{}", ran.code, ran.out, ran.err));
                }
                std::fs::write(world.database(), &sound).expect("the database can be written");
            }
        }
    }
    assert!(unseen.is_empty(), "{}", unseen.join("\n"));
    assert_eq!(untried, BTreeSet::new());
    world.run(&["doctor"]).ok();
}

#[test]
fn a_deleted_row_in_any_table_is_found() {
    let world = world();
    let (sound, values) =
        (std::fs::read(world.database()).expect("the database can be read"), dump(&world.database()));
    for table in TABLES {
        let (_, key) =
            columns(&Connection::open(world.database()).expect("the database can be opened"), table);
        for row in 0.. {
            assert!(tamper(&world, &format!("DELETE FROM {table} WHERE {}", nth(table, &key, row))));
            if dump(&world.database()) == values {
                assert!(row > 0, "{table}");
                break;
            }
            assert_eq!(world.run(&["doctor"]).code, 3, "{table} {row}");
            std::fs::write(world.database(), &sound).expect("the database can be written");
        }
    }
}

#[test]
fn every_flipped_bit_is_found_and_none_causes_a_panic() {
    let world = world();
    let sound = std::fs::read(world.database()).expect("the database can be read");
    let values = dump(&world.database()).expect("every value");
    let file = File::options().write(true).open(world.database()).expect("the database can be opened");
    // Try every byte of the first 140, which are the file header and the header of the first b-tree, and then one byte
    // in 131. Also try every byte that contains the row number of a token.
    let places = (0..140).chain((140..sound.len()).step_by(131)).zip((0..8).cycle());
    let heads = rows_of_tokens(&world, &sound).into_iter().flat_map(|at| (0..8).map(move |bit| (at, bit)));
    let (mut found, mut wrong) = (0, Vec::new());
    for (at, bit) in places.chain(heads) {
        let place = u64::try_from(at).expect("the number is in range");
        file.write_all_at(&[sound[at] ^ (1 << bit)], place).expect("the file can be written");
        let ran = world.run(&["doctor"]);
        match ran.code {
            0 if dump(&world.database()).as_ref() == Ok(&values) => {}
            3 | 6 => found += 1,
            code => wrong.push(format!("doctor {code} after byte {at}, bit {bit}: {}", ran.err)),
        }
        for args in [&["list", "--all"][..], &["audit", "verify"], &["show", "full"], &["disable", "until"]] {
            let ran = world.run(args);
            if ![0, 3, 4, 6].contains(&ran.code) {
                wrong.push(format!("{args:?} {} after byte {at}, bit {bit}: {}", ran.code, ran.err));
            }
        }
        file.write_all_at(&sound, 0).expect("the file can be written");
        file.set_len(sound.len() as u64).expect("the length can be set");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(found > 100, "{found}");
    world.run(&["doctor"]).ok();
}

/// The bytes that contain the row numbers in the leaf page of `tokens`. Damage to them can make the page circular.
/// <https://www.sqlite.org/fileformat.html>, section 1.6.
fn rows_of_tokens(world: &World, database: &[u8]) -> Vec<usize> {
    let conn = Connection::open(world.database()).expect("the database can be opened");
    let page =
        conn.query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'tokens'", [], |row| row.get(0));
    let page: u32 = page.expect("a page");
    let start = (page as usize - 1) * 4096;
    assert_eq!(database[start], 13, "a leaf");
    let int = |at: usize| usize::from(u16::from_be_bytes([database[at], database[at + 1]]));
    let cells = (0..int(start + 3)).map(|cell| start + int(start + 8 + 2 * cell));
    // Before the row number is the length of the row, in two bytes if it is 128 or more.
    cells.map(|at| if database[at] < 128 { at + 1 } else { at + 2 }).collect()
}

type Spoil<'a> = &'a dyn Fn(&World);

#[test]
fn a_finding_contains_its_code_and_whether_it_can_be_repaired() {
    let chmod = |path: &Path, mode| {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("the mode can be set");
    };
    let touch = |path: &Path| std::fs::write(path, "").expect("the file can be written");
    let cases: [(&str, bool, Spoil); 9] = [
        ("permissions", true, &|world| chmod(&world.database(), 0o666)),
        ("permissions", true, &|world| chmod(&world.store(), 0o777)),
        ("leftover", true, &|world| touch(&world.store().join("tokens.db.new-abc"))),
        ("leftover", true, &|world| {
            killed_while_delivering(world);
            world.wait(DAY);
        }),
        ("usage", true, &|world| {
            std::fs::remove_file(world.store().join("usage.secrets")).expect("the file can be removed");
        }),
        ("clock", false, &|world| world.wait(-DAY)),
        ("policy", false, &|world| drop(world.run(&["settings", "max-ttl", "1d"]).ok())),
        ("schema", false, &|world| world.sql("CREATE TABLE x (y)")),
        ("audit_chain", false, &|world| world.sql("UPDATE events SET reason = 'x' WHERE seq = 3")),
    ];
    for (code, repairable, spoil) in cases {
        let world = at_real_time();
        world.create("demo", &[]);
        spoil(&world);
        let before = world.bytes();
        let document = world.run(&["doctor", "--json"]).exit(3).json();
        let finding = &document["findings"][0];
        assert_eq!(
            (&finding["code"], &finding["repairable"]),
            (&json!(code), &json!(repairable)),
            "{document}"
        );
        assert_eq!((&document["ok"], &finding["repaired"]), (&json!(false), &json!(false)));
        assert!(world.run(&["doctor"]).exit(3).out.contains(&format!(": {code}: ")));
        assert_eq!(world.bytes(), before);
    }
}

#[test]
fn a_repair_changes_no_mode_outside_the_store() {
    let world = at_real_time();
    world.create("demo", &[]);
    let (outside, left) = (world.dir.path(), world.store().join("tokens.db.new-abc"));
    std::fs::set_permissions(outside, Permissions::from_mode(0o777)).expect("the mode can be set");
    std::fs::write(&left, "").expect("the file can be written");
    // The directory above the store makes it unsafe, which only its owner can correct.
    world.run(&["doctor", "--repair", "--yes"]).exit(6);
    assert!(!left.exists());
    assert_eq!(mode(outside), 0o777);
}

#[test]
fn an_unfinished_delivery_can_be_repaired_by_its_user_and_by_the_owner_of_the_store() {
    const OWNER: u32 = 64_001;
    let mut world = at_real_time();
    world.create("demo", &[]);
    killed_while_delivering(&world);
    world.wait(DAY);
    let repairable = |world: &World| {
        let finding = world.run(&["doctor", "--json"]).exit(3).json()["findings"][0].take();
        assert!(finding["message"].as_str().is_some_and(|it| it.contains("was never finished")), "{finding}");
        finding["repairable"] == true
    };
    assert!(repairable(&world));
    let user = world.uid;
    world.uid = 64_002;
    assert!(!repairable(&world));
    if user != 0 {
        eprintln!("skipped: only root can give files to others");
        return;
    }
    for path in ["", "tokens.db", "usage.secrets", "usage.scopes", "usage.refused"] {
        chown(world.store().join(path), Some(OWNER), None).expect("the owner can be set");
    }
    world.uid = OWNER;
    assert!(repairable(&world));
    world.uid = user;
    assert!(repairable(&world));
}

#[test]
fn a_lifetime_of_exactly_max_ttl_is_allowed() {
    let world = World::with_store();
    world.create("demo", &["--ttl", "30d"]);
    world.run(&["settings", "max-ttl", "30d"]).ok();
    assert_eq!(world.run(&["doctor"]).ok().out, "ok\n");
    world.run(&["settings", "max-ttl", "29d"]).ok();
    assert!(world.run(&["doctor"]).exit(3).out.contains("`demo` has a longer lifetime than max-ttl (29d)"));
}

#[test]
fn a_directory_that_is_not_a_store_has_a_separate_error_code() {
    let missing = World::new();
    missing.refuses(&["doctor"], 6, "store_missing");
    for (code, offset, bytes) in [
        ("store_foreign", 0, &b"PK"[..]),
        ("store_foreign", 68, b"\0\0\0\0"),
        ("store_newer", 60, b"\0\0\x01\0"),
    ] {
        let world = World::with_store();
        let file = File::options().write(true).open(world.database()).expect("the database can be opened");
        file.write_all_at(bytes, offset).expect("the file can be written");
        let before = world.bytes();
        for args in [&["doctor"][..], &["list"], &["create", "new"], &["init"]] {
            world.refuses(args, 6, code);
        }
        assert_eq!(world.bytes(), before);
    }
    let world = World::with_store();
    std::fs::write(world.database(), "").expect("the database can be written");
    world.refuses(&["doctor"], 6, "store_foreign");
}

#[test]
fn reading_commands_do_not_change_a_byte() {
    let world = world();
    let before = world.bytes();
    let head = world.run(&["audit", "head"]).ok().out;
    for args in [
        &["list", "--all"][..],
        &["list", "--sort", "expires", "--format", "csv"],
        &["list", "--json", "--at", "1y", "-s", "read", "--search", "x"],
        &["show", "full"],
        &["scopes", "list"],
        &["settings"],
        &["settings", "grace"],
        &["audit"],
        &["audit", "--token", "full"],
        &["audit", "verify", "--anchor", head.trim_end()],
        &["doctor"],
        &["verify"],
        &["disable", "full", "until", "--dry-run"],
        &["enable", "--owner", "ann", "--dry-run"],
        &["revoke", "full", "--dry-run"],
    ] {
        let code = world.run(args).code;
        assert!([0, 3].contains(&code), "{args:?} {code}");
        assert_eq!(world.bytes(), before, "{args:?}");
        let real = world.real(args, b"");
        assert_eq!(real.code, code, "{args:?} {}", real.err);
        assert_eq!(world.bytes(), before, "{args:?}");
    }
}

#[test]
fn a_row_that_violates_a_check_is_reported_as_damage_by_every_command() {
    for (tampering, column) in [
        ("UPDATE tokens SET until = 2000000000", "`until` in `tokens` where `row` is 1: "),
        ("UPDATE tokens SET ttl = 0", "`ttl` in `tokens` where `row` is 1: "),
        ("UPDATE tokens SET ttl = -5", "`ttl` in `tokens` where `row` is 1: "),
        ("UPDATE tokens SET rotate_every = 0", "`rotate_every` in `tokens` where `row` is 1: "),
        ("UPDATE tokens SET grace = -1", "`grace` in `tokens` where `row` is 1: "),
        ("UPDATE tokens SET id = 'short'", "`id` in `tokens` where `row` is 1: "),
        ("UPDATE tokens SET name = ''", "`name` in `tokens` where `row` is 1: "),
        ("UPDATE tokens SET name = '/etc/cron.d/x'", "`name` in `tokens` where `row` is 1: "),
        ("UPDATE tokens SET name = '$(id)'", "`name` in `tokens` where `row` is 1: "),
        ("UPDATE secret SET hash = x'00'", "`hash` in `secret` where `row` is 1: "),
        (
            "UPDATE secret SET delivered_at = NULL, revoked_at = 1800000000",
            "`delivered_at` in `secret` where `row` is 1: ",
        ),
        ("UPDATE secret SET expires_at = -1", "`expires_at` in `secret` where `row` is 1: "),
        (
            "INSERT INTO delivery (secret, kind, target, uid, pid, started_at, deadline, remember)
             VALUES (1, 'stdout', NULL, 0, 1, 1800000000, 2000000000, 0)",
            "`kind` in `secret` where `row` is 1: ",
        ),
    ] {
        let world = World::new();
        let secret = world.create("demo", &["--ttl", "90d"]);
        assert!(tamper(&world, tampering), "{tampering}");
        let listed = world.run(&["list", "--json"]).exit(6).failure();
        assert_eq!(listed["code"], "store_damaged", "{tampering}");
        assert!(listed["message"].to_string().contains(column), "{tampering}: {listed}");
        // A verdict does not depend on deliveries.
        let needed = !tampering.contains("INTO delivery");
        assert_eq!(world.verify(&secret, &[]).0 != 0, needed, "{tampering}");
        assert_eq!(world.run(&["doctor"]).code, 3, "{tampering}");
    }
}

/// The bytes in use on the leaf page of a small table: its header, the positions of its rows, and the rows.
fn used_bytes(world: &World, database: &[u8], table: &str) -> Vec<usize> {
    let conn = Connection::open(world.database()).expect("the database can be opened");
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
    let page: u32 = conn.query_row(sql, [table], |row| row.get(0)).expect("the query returns a page");
    let start = (page as usize - 1) * 4096;
    assert_eq!(database[start], 13, "a leaf");
    let int = |at: usize| usize::from(u16::from_be_bytes([database[at], database[at + 1]]));
    (start..start + 8 + 2 * int(start + 3)).chain(start + int(start + 5)..start + 4096).collect()
}

#[test]
fn no_flipped_bit_makes_a_revoked_or_expired_secret_valid() {
    let world = World::new();
    let (revoked, expired) = (world.create("revoked", &[]), world.create("expired", &["--ttl", "1d"]));
    world.run(&["revoke", "revoked", "--yes"]).ok();
    world.wait(2 * DAY);
    let sound = std::fs::read(world.database()).expect("the database can be read");
    let file = File::options().write(true).open(world.database()).expect("the database can be opened");
    let (mut flips, mut wrong) = (0, Vec::new());
    for table in ["tokens", "secret"] {
        for at in used_bytes(&world, &sound, table) {
            let place = u64::try_from(at).expect("the number is in range");
            for bit in 0..8 {
                file.write_all_at(&[sound[at] ^ (1 << bit)], place).expect("the file can be written");
                let is_valid = |secret: &str| world.run_with(&["verify"], secret.as_bytes()).code == 0;
                if is_valid(&revoked) || is_valid(&expired) {
                    wrong.push(format!("{table} byte {at} bit {bit}"));
                }
                flips += 1;
            }
            file.write_all_at(&[sound[at]], place).expect("the file can be written");
        }
    }
    assert!(flips > 2_000, "{flips}");
    assert!(wrong.is_empty(), "{} of {flips}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_row_that_is_missing_is_damage_wherever_its_token_is_read() {
    for rows in ["label", "granted", "secret WHERE superseded_at IS NOT NULL"] {
        let world = World::with_store();
        world.define(&["read"]);
        world.create("app", &["-s", "read", "-l", "env=prod"]);
        let secret = world.rotate("app", &["--grace", "1h"]);
        world.sql_unsealed(&format!("DELETE FROM {rows}"));
        let shown = world.refuses(&["show", "app"], 6, "store_damaged");
        let asked = ["verify", "-s", "read", "-l", "env=prod"];
        let damaged = [shown].into_iter().chain(
            (!rows.contains("secret"))
                .then(|| world.refuses_with(&asked, secret.as_bytes(), 6, "store_damaged")),
        );
        for failure in damaged {
            let message = failure["message"].as_str().unwrap();
            assert!(message.ends_with("rows of token row 1 are missing"), "{rows}: {message}");
        }
    }
}
