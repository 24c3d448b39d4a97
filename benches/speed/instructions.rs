//! Counts user instructions with callgrind. The count is the same for the same program and input.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::stocked::{Stocked, program};

/// The file with the accepted number for `verify`, and by how many percent the number is allowed to rise.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions");
const PERCENT: u64 = 3;

/// Counts the instructions of a `tokenctl` command on a store. The real secret is on its stdin.
pub fn count(store: &Stocked, args: &[&str]) -> u64 {
    let report = callgrind(store, args, &["--callgrind-out-file=/dev/null"]);
    let collected =
        report.lines().find_map(|line| line.split_once("Collected : ")).expect("there is a count").1;
    collected.trim().parse().expect("it is a number")
}

/// Runs a `tokenctl` command under callgrind, and returns what callgrind reports on stderr.
pub fn callgrind(store: &Stocked, args: &[&str], flags: &[&str]) -> String {
    let mut valgrind = Command::new("valgrind");
    valgrind.arg("--tool=callgrind").args(flags).arg(program()).args(args);
    valgrind.env_clear().env("PATH", "/usr/bin:/bin").env("TOKENCTL_STORE", store.path("store"));
    let done = valgrind.stdin(store.secret()).output().expect("valgrind runs");
    let report = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{report}");
    report
}

/// Whether `verify` stays within the limit. With `accept`, writes the new number to the file instead.
pub fn is_kept(counted: u64, accept: bool) -> bool {
    if accept {
        fs::write(Path::new(KEPT), format!("{counted}\n")).expect("the file can be written");
        return true;
    }
    let kept: u64 =
        fs::read_to_string(KEPT).expect("the number can be read").trim().parse().expect("it is a number");
    let (least, most) = (kept - kept * PERCENT / 100, kept + kept * PERCENT / 100);
    if counted > most {
        println!("`verify` takes {counted} instructions, more than {PERCENT} % over the {kept} of `{KEPT}`");
    } else if counted < least {
        println!(
            "`verify` takes {counted} instructions; `cargo bench -- --accept` holds it to that, not to {kept}"
        );
    }
    counted <= most
}
