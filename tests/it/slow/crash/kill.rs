//! Kills a delivery before every system call that changes something.

use super::{CHANGING, Scene, assert_none, each, killed};
use crate::support::have;

/// The smallest number of kills for a scene. If there are fewer, the test does not kill where it should.
const AT_LEAST: usize = 120;

#[test]
fn a_delivery_that_is_killed_anywhere_neither_loses_nor_orphans_a_secret() {
    if !have("strace") {
        return;
    }
    let scenes = Scene::all();
    let jobs: Vec<_> = scenes
        .iter()
        .flat_map(|scene| scene.points(CHANGING).into_iter().map(move |point| (scene, point)))
        .collect();
    let kills = std::sync::Mutex::new(std::collections::BTreeMap::<String, usize>::new());
    let failed = each(&jobs, |(scene, point)| {
        let (dir, done) = loop {
            let dir = scene.stage();
            let done = killed(dir.path(), point, &scene.args(dir.path()));
            // On a busy machine, strace itself sometimes fails before it has killed anything.
            if !done.ran.err.contains("strace: Unexpected wait status") {
                break (dir, done);
            }
        };
        let place = format!("{} killed before {} {}", scene.label(), point.0, point.1);
        if !done.killed {
            return Err(format!("{place}: the program was not killed, {:?}", done.ran));
        }
        *kills.lock().expect("no thread panicked").entry(scene.label()).or_default() += 1;
        scene.check(dir, &done.ran.out, None).map_err(|why| format!("{place}: {why}"))
    });
    let kills = kills.into_inner().expect("no thread panicked");
    println!("kill points: {} {kills:?}", kills.values().sum::<usize>());
    assert_none(&failed, jobs.len());
    assert!(kills.len() == scenes.len() && kills.values().all(|count| *count >= AT_LEAST), "{kills:?}");
}
