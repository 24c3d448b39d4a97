//! User instructions, counted by callgrind: the same for the same program and input.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::stocked::{Stocked, program};

/// The number that `verify` is held to, and what it may rise by.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions");
const PERCENT: u64 = 3;

/// A command of `tokenctl` on a store; the real secret is its standard input.
pub fn count(store: &Stocked, args: &[&str]) -> u64 {
    let program = program();
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", &program]).args(args);
    valgrind.env_clear().env("PATH", "/usr/bin:/bin").env("TOKENCTL_STORE", store.path("store"));
    let done = valgrind.stdin(store.secret()).output().expect("valgrind runs");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    let collected = said.lines().find_map(|line| line.split_once("Collected : ")).expect("a count").1;
    collected.trim().parse().expect("a number")
}

/// Whether `verify` takes no more than it may. Writes the number down if it is accepted.
pub fn is_kept(counted: u64, accept: bool) -> bool {
    if accept {
        fs::write(Path::new(KEPT), format!("{counted}\n")).expect("the file");
        return true;
    }
    let kept: u64 = fs::read_to_string(KEPT).expect("the number").trim().parse().expect("a number");
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
