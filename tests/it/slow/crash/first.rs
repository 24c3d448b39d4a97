//! The first creation of a token is killed while it creates the store.

use std::fs;

use super::{CHANGING, NAME, assert_none, each, killed, now, points, scratch, shown, sound, valid, whole};
use crate::support::{MINUTE, World, have};

/// With fewer kills than this, the test no longer kills what it should.
const AT_LEAST: usize = 250;

#[test]
fn a_first_creation_killed_anywhere_leaves_no_store_or_a_whole_one() {
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
            return Err(format!("{place}: it was not, {:?}", done.ran));
        }
        check(&World::at(dir, now()), whole(&done.ran.out)).map_err(|why| format!("{place}: {why}"))
    });
    println!("kill points of the first creation: {}", jobs.len());
    assert_none(&failed, jobs.len());
    assert!(jobs.len() >= AT_LEAST, "{} points", jobs.len());
}

/// The next creation works, whether or not there is a store already. Nothing is left of the first one, except for the
/// secret that was received.
fn check(world: &World, received: Option<String>) -> Result<(), String> {
    let next = world.run(&["create", "next"]);
    want!(next.code == 0, "the next creation: {next:?}");
    valid(world, next.line(), "the next secret")?;
    let mut current = false;
    if let Some(secret) = &received {
        current = valid(world, secret, "the secret")? == "current";
    }
    sound(world)?;
    world.wait(11 * MINUTE);
    let later = world.run(&["create", "later"]);
    want!(later.code == 0, "a later creation: {later:?}");
    if let Some(secret) = received.filter(|_| !current) {
        let answer = world.verify(&secret, &[]);
        want!(answer.0 == 3, "the secret outlived its deadline: {answer:?}");
    }
    want!(shown(world)?.is_some() == current, "the token is there: {}", !current);
    let ran = world.run(&["doctor", "--repair", "--yes"]);
    want!(ran.code == 0, "doctor --repair: {ran:?}");
    let files = fs::read_dir(world.store()).expect("the store");
    let mut names: Vec<_> = files.map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    want!(
        names == ["tokens.db", "usage.refused", "usage.scopes", "usage.secrets"],
        "left in the store: {names:?}"
    );
    Ok(())
}
