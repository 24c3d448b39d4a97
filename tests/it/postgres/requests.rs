//! Counts the requests of a command to the server, because each request takes a full round trip.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

use crate::support::server::have;
use crate::support::{program_path, run};

use super::cuts::{Cut, Proxy};
use super::{Fixture, socket};

/// Runs a creation and returns how many requests it sent.
fn creation(store: &Fixture, name: &str, dir: &Path) -> usize {
    let proxy = Proxy::start(socket(), Cut::Before, "", usize::MAX);
    let args = ["create", name, "--no-remember", "--out"];
    run(store.through(proxy.port).args(args).arg(dir.join(name)), b"").ok();
    proxy.seen.load(Ordering::SeqCst)
}

/// Kills a creation before it has written its file, and empties the directory. For recovery, this looks like a file
/// system that is not mounted.
fn leave_open(store: &Fixture, name: &str, dir: &Path) {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync"]);
    command.args(["-e", "inject=fsync:signal=SIGKILL:when=1"]).arg(program_path());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("TOKENCTL_STORE", store.0.url());
    command.args(["create", name, "--no-remember", "--out"]).arg(dir.join(name));
    let killed = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(!killed.status().expect("strace runs").success());
    for left in fs::read_dir(dir).expect("the directory can be read") {
        fs::remove_file(left.expect("the entry can be read").path()).expect("the file can be removed");
    }
}

#[test]
fn a_change_sends_no_more_requests_after_many_interrupted_creations() {
    if !have() || !crate::support::have("strace") {
        return;
    }
    let store = Fixture::new();
    let [dir, empty] =
        [(), ()].map(|()| tempfile::tempdir_in("/dev/shm").expect("a temporary directory can be created"));
    let open = |upto: usize| {
        let there: usize =
            store.sql("SELECT count(*) FROM tokenctl.delivery").parse().expect("it is a number");
        (there..upto).for_each(|nth| leave_open(&store, &format!("open{nth}"), empty.path()));
        store.sql("UPDATE tokenctl.delivery SET deadline = 1600000000");
        assert_eq!(store.sql("SELECT count(*) FROM tokenctl.delivery"), upto.to_string());
    };
    let none = creation(&store, "none", dir.path());
    open(2);
    let few = creation(&store, "few", dir.path());
    open(12);
    let many = creation(&store, "many", dir.path());
    println!("{none} requests of a creation, {few} with 2 open deliveries, {many} with 12");
    assert_eq!(few, many);
    assert!(none <= 80, "{none} requests");
}
