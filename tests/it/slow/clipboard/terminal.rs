//! OSC 52: the sequence for a terminal that supports it, and nothing for one that does not.

use std::process::Stdio;

use super::last;
use crate::support::{Ran, World, have, run};

/// The text of the last OSC 52 sequence in the output to a terminal.
pub fn unpacked(screen: &[u8]) -> Option<Vec<u8>> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let screen = String::from_utf8_lossy(screen);
    let (_, rest) = screen.rsplit_once("\x1b]52;")?;
    let (_, rest) = rest.split_once(';')?;
    let (base64, _) = rest.split_once(['\x07', '\x1b'])?;
    let digits = base64.trim_end_matches('=').bytes();
    let digits: Vec<usize> =
        digits.map(|it| ALPHABET.iter().position(|digit| *digit == it)).collect::<Option<_>>()?;
    let bytes = digits.chunks(4).flat_map(|group| {
        let bits = group.iter().enumerate().fold(0, |bits, (at, digit)| bits | digit << (18 - 6 * at));
        (0..group.len() - 1)
            .map(move |at| u8::try_from(bits >> (16 - 8 * at) & 255).expect("the number is in range"))
    });
    Some(bytes.collect())
}

/// Runs a command in a terminal of this type, in which it can reach no other clipboard.
fn within(world: &World, term: &str, command: &str) -> Ran {
    let mut script = world.bash("exec script -qec \"$COMMAND\" /dev/null");
    script.env("TERM", term).env("COMMAND", format!("{command} >out 2>said"));
    let ran = run(script.stdin(Stdio::null()), b"");
    assert_eq!(std::fs::read_to_string(world.path("out")).expect("the file can be read"), "");
    Ran { err: std::fs::read_to_string(world.path("said")).expect("the file can be read"), ..ran }
}

#[test]
fn the_secret_is_sent_to_the_terminal_in_one_sequence() {
    if !have("script") || !have("bash") {
        return;
    }
    let world = World::of_processes();
    for verb in ["create demo --copy", "rotate demo --copy=osc52"] {
        let ran = within(&world, "xterm", &format!("tokenctl {verb}")).ok();
        let secret = unpacked(ran.out.as_bytes()).expect("a sequence");
        assert_eq!(world.real(&["verify"], &secret).ok().line(), "valid demo");
        assert_eq!(secret.len(), 42);
        assert!(ran.out.starts_with("\x1b]52;c;") && ran.out.ends_with('\x07'), "{:?}", ran.out);
        assert_eq!(
            last(&ran.err),
            "sent to your terminal, which may ignore it; its clipboard is not cleared"
        );
    }
}

#[test]
fn the_sequence_is_not_sent_to_a_terminal_that_would_show_it() {
    if !have("script") || !have("bash") {
        return;
    }
    let world = World::of_processes();
    let bytes = world.bytes();
    for term in ["linux", "dumb", ""] {
        let ran = within(&world, term, "tokenctl create demo --copy=osc52").exit(7);
        assert_eq!(ran.out, "");
        assert!(
            ran.err.starts_with("error: no clipboard can be reached: osc52 (the terminal"),
            "{}",
            ran.err
        );
    }
    assert!(world.bytes() == bytes, "the store was changed");
}

#[test]
fn without_a_terminal_the_sequence_cannot_be_sent() {
    if !have("setsid") {
        return;
    }
    let world = World::of_processes();
    let mut setsid = world.bash("TERM=xterm setsid --wait tokenctl create demo --copy=osc52");
    let ran = run(&mut setsid, b"").exit(7);
    assert!(ran.err.contains("osc52 (there is no terminal)"), "{}", ran.err);
}
