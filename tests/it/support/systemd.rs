//! Another systemd in separate namespaces, so that units run unchanged.

use std::fs;
use std::process::Command;

use super::{World, copy_program, have, run, uid};

/// Runs this script under a systemd with these units. It sees the world's directory as `/out` and its store as
/// `/var/lib/tokenctl`. Returns the output of the script, or `None` if that is impossible here.
pub fn under_systemd(world: &World, units: &[(&str, String)], script: &str) -> Option<String> {
    if uid() != 0 {
        eprintln!("skipped: only root can start another systemd");
        return None;
    }
    if !["systemctl", "unshare", "pivot_root", "bash"].into_iter().all(have) {
        return None;
    }
    let path = |name: &str| world.dir.path().join(name);
    fs::rename(world.store(), path("state")).expect("a store");
    copy_program(&path("tokenctl"));
    fs::write(path("look"), format!("exec >/out/seen 2>&1\n{script}\nsystemctl exit\n")).expect("a script");
    fs::write(path("start"), include_str!("systemd.sh")).expect("a script");
    fs::create_dir(path("units")).expect("a directory");
    let look = "[Service]\nType=oneshot\nExecStart=/bin/sh /out/look\n".to_owned();
    let target = "[Unit]\nRequires=look.service\nAfter=look.service\nAllowIsolate=yes\n".to_owned();
    for (name, text) in [("look.service", look), ("test.target", target)].iter().chain(units) {
        fs::write(path("units").join(name), text).expect("a unit");
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
        eprintln!("skipped: this machine lets nobody start another systemd: {}", ran.err);
    }
    seen.ok()
}
