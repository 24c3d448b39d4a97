//! Runs units unchanged under a second systemd, in separate namespaces.

use std::fs;
use std::process::Command;

use super::{World, copy_program, have, run, uid};

/// Runs a script under a separate systemd with these units. The script finds the world's directory at `/out` and its
/// store at `/var/lib/tokenctl`. Returns the script's output, or `None` if this machine cannot run it.
pub fn under_systemd(world: &World, units: &[(&str, String)], script: &str) -> Option<String> {
    if uid() != 0 {
        eprintln!("skipped: only root can start another systemd");
        return None;
    }
    if !["systemctl", "unshare", "pivot_root", "bash"].into_iter().all(have) {
        return None;
    }
    let path = |name: &str| world.dir.path().join(name);
    fs::rename(world.store(), path("state")).expect("the store can be renamed");
    copy_program(&path("tokenctl"));
    fs::write(path("look"), format!("exec >/out/seen 2>&1\n{script}\nsystemctl exit\n"))
        .expect("the file can be written");
    fs::write(path("start"), include_str!("systemd.sh")).expect("the file can be written");
    fs::create_dir(path("units")).expect("the directory can be created");
    let look = "[Service]\nType=oneshot\nExecStart=/bin/sh /out/look\n".to_owned();
    let target = "[Unit]\nRequires=look.service\nAfter=look.service\nAllowIsolate=yes\n".to_owned();
    for (name, text) in [("look.service", look), ("test.target", target)].iter().chain(units) {
        fs::write(path("units").join(name), text).expect("the file can be written");
    }
    let mut unshare = Command::new("timeout");
    unshare.args([
        "--kill-after=5",
        "120",
        "unshare",
        "--fork",
        "--pid",
        "--mount",
        "--uts",
        "--ipc",
        "--cgroup",
    ]);
    unshare.args(["--kill-child", "--propagation=private", "bash"]).arg(path("start")).arg(world.dir.path());
    let ran = run(&mut unshare, b"");
    let seen = fs::read_to_string(path("seen"));
    if seen.is_err() {
        eprintln!("skipped: a second systemd cannot be started on this machine: {}", ran.err);
    }
    seen.ok()
}
