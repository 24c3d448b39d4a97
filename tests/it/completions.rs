//! `completions`: the scripts, what they are answered, and the shells that press TAB.

use std::fs;
use std::path::Path;

use clap_complete::env::{Elvish, EnvCompleter, Fish, Powershell};

use crate::support::World;

/// A shell and the file with its script.
const SCRIPTS: [(&str, &str); 5] = [
    ("bash", "tokenctl.bash"),
    ("zsh", "_tokenctl"),
    ("fish", "tokenctl.fish"),
    ("elvish", "tokenctl.elv"),
    ("powershell", "_tokenctl.ps1"),
];

fn script(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions").join(file);
    fs::read_to_string(path).expect(file)
}

#[test]
fn the_files_are_what_is_printed() {
    let world = World::new();
    for (shell, file) in SCRIPTS {
        let ran = world.run(&["completions", shell]).ok();
        assert_eq!((ran.out, &*ran.err), (script(file), ""), "{shell}");
        assert!(!world.store().exists());
    }
}

/// They ask in the form that clap's script for the shell does, and only a release of clap changes it.
#[test]
fn the_scripts_of_fish_elvish_and_powershell_are_those_of_clap() {
    let theirs: [(&str, &dyn EnvCompleter); 3] =
        [("tokenctl.fish", &Fish), ("tokenctl.elv", &Elvish), ("_tokenctl.ps1", &Powershell)];
    for (file, shell) in theirs {
        let mut text = Vec::new();
        shell.write_registration("TOKENCTL_COMPLETE", "tokenctl", "tokenctl", "tokenctl", &mut text).expect(file);
        let text = String::from_utf8(text).expect("UTF-8");
        assert_eq!(script(file).trim(), text.trim(), "{file}");
    }
}
