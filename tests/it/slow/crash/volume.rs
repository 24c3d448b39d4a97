//! Kills a delivery at every system call, and recovers it while the directory of its file is missing.

use std::fs;

use super::{CHANGING, Scene, assert_none, each, killed, now, sampled};
use crate::support::{MINUTE, World, have};

/// The smallest number of kills for all scenes. If there are fewer, the test does not kill where it should.
const AT_LEAST: usize = 160;

#[test]
fn a_delivery_that_is_recovered_while_its_volume_is_missing_keeps_its_secret() {
    if !have("strace") {
        return;
    }
    let scenes: Vec<_> = Scene::all().into_iter().filter(|scene| scene.destination.keeps_secret()).collect();
    let points =
        scenes.iter().flat_map(|scene| scene.points(CHANGING).into_iter().map(move |it| (scene, it)));
    let jobs: Vec<_> = sampled(points.collect(), 3).into_iter().enumerate().collect();
    let failed = each(&jobs, |(at, (scene, point))| {
        let dir = scene.stage();
        let done = killed(dir.path(), point, &scene.args(dir.path()));
        let place = format!("{} killed before {} {}, {at}", scene.label(), point.0, point.1);
        if !done.killed {
            return Err(format!("{place}: the program was not killed, {:?}", done.ran));
        }
        let because = |why: String| format!("{place}: {why}");
        let dir = recovered_without(dir, at % 2 == 0).map_err(because)?;
        scene.check_at(dir, &done.ran.out, None, now() + 12 * MINUTE).map_err(because)
    });
    println!("kill points with a volume away: {}", jobs.len());
    assert_none(&failed, jobs.len());
    assert!(jobs.len() >= AT_LEAST, "{} points", jobs.len());
}

/// Makes a change, which recovers the delivery, while the directory is missing or is replaced by an empty one, like an
/// unmounted volume.
fn recovered_without(dir: tempfile::TempDir, mounted_over: bool) -> Result<tempfile::TempDir, String> {
    let (volume, away) = (dir.path().join("target"), dir.path().join("away"));
    fs::rename(&volume, &away).expect("the directory can be renamed");
    if mounted_over {
        fs::create_dir(&volume).expect("the directory can be created");
    }
    let world = World::at(dir, now() + 11 * MINUTE);
    let ran = world.run(&["settings", "grace", "26h"]);
    ensure!(ran.code == 0, "a change without the volume: {ran:?}");
    if mounted_over {
        fs::remove_dir(&volume).map_err(|err| format!("a file was written to the empty directory: {err}"))?;
    }
    fs::rename(&away, &volume).expect("the directory can be renamed");
    Ok(world.dir)
}
