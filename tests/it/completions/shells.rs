//! Presses TAB in real shells, which load the scripts as the documents describe.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{World, have, pages, run};
use crate::terminals::Screen;

/// A shell in a separate home directory. Its prompt is `> `.
struct Shell {
    screen: Screen,
    _world: World,
}

impl Shell {
    /// Starts a shell with this start-up file, and waits for its prompt.
    fn start(file: &str, rc: &str, command: &str) -> Self {
        let world = super::filled();
        let home = world.dir.path().join("home");
        let work = home.join("work");
        fs::create_dir_all(work.join("secrets")).expect("the directory can be created");
        fs::write(work.join("see me"), "").expect("the file can be written");
        let file = home.join(file);
        fs::create_dir_all(file.parent().expect("the path has a parent"))
            .expect("the directory can be created");
        fs::write(&file, rc).expect("a start-up file");
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).env("HOME", &home).env("XDG_CONFIG_HOME", &home).current_dir(&work);
        let screen = Screen::of(shell.env("TOKENCTL_STORE", world.store()), (100, 40));
        screen.wait_for("the prompt", |shown| shown.lines().any(|line| line == ">"));
        Self { screen, _world: world }
    }

    /// Fails unless TAB turns `typed` into `line`. A `#` is typed after it to show where the cursor is.
    #[track_caller]
    fn completes(&self, typed: &str, line: &str) {
        self.screen.type_text(typed);
        self.screen.press(&["Tab"]);
        self.screen.type_text("#");
        let line = format!("> {line}#");
        self.screen.wait_for(&line, |shown| shown.lines().any(|shown| shown == line));
        self.screen.press(&["C-u"]);
    }

    /// Fails unless pressing TAB this often shows all of these texts. They stay on the screen.
    #[track_caller]
    fn shows(&self, typed: &str, tabs: usize, expected: &[&str]) {
        self.screen.type_text(typed);
        self.screen.press(&vec!["Tab"; tabs]);
        self.screen.wait_for(&format!("{expected:?}"), |shown| {
            expected.iter().all(|text| format!("{shown}\n").contains(text))
        });
    }
}

/// The line that the documents give for the start-up file of a shell.
fn advised(shell: &str) -> String {
    pages::line(&format!("- {shell}, ")).split('`').nth(3).expect(shell).to_owned()
}

/// The completions that are the same in every shell.
const LINES: [(&str, &str); 8] = [
    ("tokenctl sh", "tokenctl show "),
    ("tokenctl show ci-d", "tokenctl show ci-deploy "),
    ("tokenctl show o", "tokenctl show ops@host "),
    ("tokenctl verify -s events:r", "tokenctl verify -s events:read "),
    ("tokenctl list --owner a", "tokenctl list --owner ann "),
    ("tokenctl list -l env=p", "tokenctl list -l env=prod "),
    ("tokenctl enable ", "tokenctl enable ci-build "),
    ("tokenctl --store /nonexistent show c", "tokenctl --store /nonexistent show c"),
];

fn bash(rc: &str) -> Shell {
    let shell = Shell::start("rc", &format!("PS1='> '\n{rc}\n"), "exec bash --noprofile --rcfile ~/rc");
    for (typed, line) in LINES {
        shell.completes(typed, line);
    }
    for (typed, line) in [
        ("tokenctl show ops@h", "tokenctl show ops@host "),
        ("tokenctl verify -s \"events:r", "tokenctl verify -s \"events:read\" "),
        ("tokenctl verify --scope=events:r", "tokenctl verify --scope=events:read "),
        ("tokenctl verify -s users:read,events:r", "tokenctl verify -s users:read,events:read "),
        ("tokenctl list -l e", "tokenctl list -l env="),
        ("tokenctl create x --out see", "tokenctl create x --out see\\ me "),
        ("tokenctl --store s", "tokenctl --store secrets/"),
        ("true; tokenctl sh", "true; tokenctl show "),
        // An owner with a space in it would have to be quoted.
        ("tokenctl list --owner A", "tokenctl list --owner A"),
    ] {
        shell.completes(typed, line);
    }
    shell.shows("tokenctl show ci-", 2, &["ci-build   ci-deploy  ci-old\n"]);
    shell
}

#[test]
fn the_zsh_script_says_what_is_missing_if_completion_is_not_started() {
    if !have("zsh") {
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/completions/_tokenctl");
    let ran = run(Command::new("zsh").args(["-f", "-c", "source $1; echo goes on", "zsh", script]), b"").ok();
    let missing = "tokenctl: no completion yet: run `autoload -Uz compinit && compinit` before this script\n";
    assert_eq!((&*ran.out, &*ran.err), ("goes on\n", missing));
}

#[test]
fn completion_works_in_bash() {
    if have("tmux") && have("bash") {
        bash(&advised("bash"));
    }
}

#[test]
fn completion_works_in_bash_with_the_bash_completion_package() {
    // The package is detected by its only command.
    if have("tmux") && have("bash") && have("dh_bash-completion") {
        bash(&format!(". /usr/share/bash-completion/bash_completion\n{}", advised("bash")));
    }
}

fn zsh(rc: &str) {
    let rc = format!("PS1='> '\nautoload -Uz compinit\n{rc}\n");
    // Even the very first TAB must work.
    let shell = Shell::start(".zshrc", &rc, "exec zsh -d");
    for (typed, line) in LINES {
        shell.completes(typed, line);
    }
    for (typed, line) in [
        ("tokenctl verify -s \"events:r", "tokenctl verify -s \"events:read\" "),
        ("tokenctl verify --scope=events:r", "tokenctl verify --scope=events:read "),
        ("tokenctl verify -s users:read,events:r", "tokenctl verify -s users:read,events:read "),
        ("tokenctl list -l e", "tokenctl list -l env="),
        ("tokenctl list --owner A", "tokenctl list --owner Ann\\ Smith "),
        ("tokenctl create x --out=see", "tokenctl create x --out=see\\ me "),
    ] {
        shell.completes(typed, line);
    }
    shell.shows("tokenctl verify -s ev", 2, &["events:read   -- See: events\n", "events:write\n"]);
}

#[test]
fn completion_works_in_zsh() {
    if have("tmux") && have("zsh") {
        zsh(&format!("compinit -u\n{}", advised("zsh")));
    }
}

#[test]
fn completion_works_in_zsh_from_fpath_at_the_first_tab() {
    if have("tmux") && have("zsh") {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions");
        zsh(&format!("fpath=({} $fpath)\ncompinit -u", scripts.display()));
    }
}

#[test]
fn completion_works_in_fish() {
    if !have("tmux") || !have("fish") {
        return;
    }
    let rc =
        "function fish_prompt; echo '> '; end\nset -g fish_greeting\nset -g fish_autosuggestion_enabled 0";
    let shell = Shell::start("fish/config.fish", &format!("{rc}\n{}\n", advised("fish")), "exec fish");
    for (typed, line) in LINES {
        shell.completes(typed, line);
    }
    shell.completes("tokenctl list --owner A", "tokenctl list --owner Ann\\ Smith ");
    shell.completes("tokenctl create x --out see", "tokenctl create x --out see\\ me ");
    shell.completes("tokenctl list -l e", "tokenctl list -l env=");
    shell.shows("tokenctl verify -s ev", 1, &["events:read", "(See: events)"]);
}

#[test]
fn completion_works_in_elvish() {
    if !have("tmux") || !have("elvish") {
        return;
    }
    let rc = "set edit:prompt = { put '> ' }\nset edit:rprompt = { }";
    // The daemon of elvish exits with the last shell that uses it.
    let command = "exec elvish -rc ~/rc.elv -sock ~/sock -db ~/db";
    let shell = Shell::start("rc.elv", &format!("{rc}\n{}\n", advised("elvish")), command);
    for (typed, line) in LINES {
        // Elvish opens a list for candidates that it has to quote, and adds no space after a candidate.
        if !typed.contains('=') {
            shell.completes(typed, line.trim_end());
        }
    }
    shell.shows("tokenctl list --owner A", 1, &["COMPLETING argument", "'Ann Smith'"]);
}
