//! Kills `create` while it creates the store.

use std::fs;

use super::{CHANGING, NAME, assert_none, each, killed, now, points, scratch, shown, sound, valid, whole};
use crate::support::{MINUTE, World, have};

/// The smallest number of kills. If there are fewer, the test does not kill where it should.
const AT_LEAST: usize = 250;

#[test]
fn a_first_creation_that_is_killed_anywhere_leaves_no_store_or_a_complete_one() {
    if !have("strace") {
        return;
    }
    let args = ["create", NAME].map(str::to_owned);
    let jobs = points(scratch().path(), CHANGING, &args);
    let failed = each(&jobs, |point| {
        let dir = scratch();
        let done = killed(dir.path(), point, &args);
        let place = format!("killed before {} {}", point.0, point.1);
        if !done.killed {
            return Err(format!("{place}: the program was not killed, {:?}", done.ran));
        }
        check(&World::at(dir, now()), whole(&done.ran.out)).map_err(|why| format!("{place}: {why}"))
    });
    println!("kill points of the first creation: {}", jobs.len());
    assert_none(&failed, jobs.len());
    assert!(jobs.len() >= AT_LEAST, "{} points", jobs.len());
}

/// The next creation must work, whether or not it finds a store, and nothing must be left of the first one except a
/// secret that was received.
fn check(world: &World, received: Option<String>) -> Result<(), String> {
    let next = world.run(&["create", "next"]);
    ensure!(next.code == 0, "the next creation: {next:?}");
    valid(world, next.line(), "the next secret")?;
    let mut current = false;
    if let Some(secret) = &received {
        current = valid(world, secret, "the secret")? == "current";
    }
    sound(world)?;
    world.wait(11 * MINUTE);
    let later = world.run(&["create", "later"]);
    ensure!(later.code == 0, "a later creation: {later:?}");
    if let Some(secret) = received.filter(|_| !current) {
        let answer = world.verify(&secret, &[]);
        ensure!(answer.0 == 3, "the secret outlived its deadline: {answer:?}");
    }
    ensure!(shown(world)?.is_some() == current, "the token exists: {}", !current);
    let ran = world.run(&["doctor", "--repair", "--yes"]);
    ensure!(ran.code == 0, "doctor --repair: {ran:?}");
    let files = fs::read_dir(world.store()).expect("the directory can be read");
    let mut names: Vec<_> = files.map(|entry| entry.expect("the entry can be read").file_name()).collect();
    names.sort();
    ensure!(
        names == ["tokens.db", "usage.refused", "usage.scopes", "usage.secrets"],
        "left in the store: {names:?}"
    );
    Ok(())
}
