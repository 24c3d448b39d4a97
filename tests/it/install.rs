//! The installation as described in the README, for a new user: the shell, `man`, sudo and cron find the program.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::pages::{blocks, commands, section};
use crate::support::{Ran, World, copy_program, have, run, uid};

const NEWCOMER: u32 = 64_021;

/// A user whose home contains what `cargo install` writes, on a machine with an empty `/usr/local`.
struct Account {
    dir: TempDir,
}

impl Account {
    /// Returns `None` if the tests cannot switch to another user or mount a file system in a separate namespace.
    fn new() -> Option<Self> {
        if uid() != 0 {
            eprintln!("skipped: only root can become other users");
            return None;
        }
        if !["setpriv", "unshare", "man", "bash"].map(have).iter().all(|found| *found) {
            return None;
        }
        if run(Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "none", "/usr/local"]), b"").code
            != 0
        {
            println!("skipped: mounting is not allowed here");
            return None;
        }
        let world = World::new();
        fs::set_permissions(world.dir.path(), Permissions::from_mode(0o755)).expect("the mode can be set");
        let home = world.directory("home");
        fs::create_dir_all(format!("{home}/.cargo/bin")).expect("the directory can be created");
        copy_program(&Path::new(&home).join(".cargo/bin/tokenctl"));
        for path in ["", "/.cargo", "/.cargo/bin"] {
            chown(format!("{home}{path}"), Some(NEWCOMER), Some(NEWCOMER)).expect("the owner can be set");
        }
        Some(Self { dir: world.dir })
    }

    fn home(&self) -> String {
        self.dir.path().join("home").to_str().expect("the path is UTF-8").to_owned()
    }

    /// Runs a script with three additional commands. `user LINE` runs a line in the newcomer's shell, with the `PATH`
    /// that rustup sets; `cron LINE` runs it as a cron job of that user, with the variables of the crontab; `sudo`
    /// searches the directories that Debian configures for it.
    fn run(&self, script: &str) -> Ran {
        let words = format!(
            r#"
            mount -t tmpfs none /usr/local && mkdir /usr/local/bin
            new() {{ setpriv --reuid {NEWCOMER} --regid {NEWCOMER} --clear-groups env -i HOME="$HOME" "$@"; }}
            user() {{ new PATH="$HOME/.cargo/bin:/usr/local/bin:/usr/bin:/bin" sh -c "$1"; }}
            cron() {{ new PATH=/usr/bin:/bin "${{crontab[@]}}" sh -c "$1"; }}
            sudo() {{ env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"; }}
            crontab=()
            cd "$HOME"
            {script}"#
        );
        let mut command = Command::new("unshare");
        run(command.env("HOME", self.home()).args(["-m", "bash", "-c", &words]), b"")
    }
}

/// The first line in the section "Install" of the README that starts with this text.
fn line(start: &str) -> String {
    let lines = commands(section("## Install"));
    lines.into_iter().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no line `{start}`"))
}

#[test]
fn man_finds_the_manual_pages_that_a_user_installed() {
    let Some(account) = Account::new() else { return };
    let write = line("tokenctl man");
    let ran = account.run(&format!("user '{write} -q && man -w tokenctl tokenctl-scopes-retire'")).ok();
    let pages = format!("{}/.cargo/share/man/man1", account.home());
    assert_eq!(ran.out, format!("{pages}/tokenctl.1\n{pages}/tokenctl-scopes-retire.1\n"));
}

#[test]
fn the_documented_commands_remove_an_installation() {
    let Some(account) = Account::new() else { return };
    // A stand-in for `cargo uninstall`, which removes the program.
    let cargo = r#"cargo() { test "$*" = 'uninstall tokenctl' && rm "$HOME/.cargo/bin/tokenctl"; }"#;
    let (mine, all) = (line("tokenctl man"), line("sudo tokenctl man"));
    let ran = account.run(&format!(
        "user '{mine} -q'; {} && {all} -q; user 'tokenctl create demo -q --out key'
        ls .cargo/share/man/man1/* /usr/local/share/man/man1/* | grep -c tokenctl
        {cargo}; {}; {}
        find .cargo /usr/local -type f; user 'tokenctl --version'; echo $?; ls .local/share/tokenctl/tokens.db",
        line("sudo install"),
        line("cargo uninstall"),
        line("sudo rm"),
    ));
    let (pages, left) = ran.out.split_once('\n').expect("there is a number");
    assert!(pages.parse::<u32>().expect("it is a number") > 20, "{ran:?}");
    assert_eq!(left, "127\n.local/share/tokenctl/tokens.db\n", "{ran:?}");
}

#[test]
fn sudo_and_cron_find_a_system_installation() {
    let Some(account) = Account::new() else { return };
    let crontab = &blocks("crontab")[0];
    let (path, job) = crontab.trim_end().split_once("\n17 * * * *  ").expect("a variable and a job");
    let job = job.replace("/etc/service-tokens", "secrets");
    // Before the installation, neither finds the program.
    let before = format!(
        "user 'mkdir -m 700 secrets'; sudo tokenctl --version; echo $?; crontab=({path}); cron '{job}'; echo $?"
    );
    assert_eq!(account.run(&before).out, "127\n127\n");
    let install = format!("{} && {} -q", line("sudo install"), line("sudo tokenctl man"));
    let start = format!(
        "{install} && cron 'tokenctl --version'; crontab=({path})
        sudo man -w tokenctl; cron 'man -w tokenctl'; cron '{job}'; echo $?"
    );
    let ran = account.run(&start);
    let page = "/usr/local/share/man/man1/tokenctl.1";
    assert_eq!(ran.out, format!("{page}\n{page}\n6\n"));
    // The mail of the job contains a hint, although the job is quiet.
    let mail: Vec<&str> = ran.err.lines().filter(|line| !line.contains("not found")).collect();
    let [error, hint] = mail[..] else { panic!("{mail:?}") };
    assert!(error.starts_with("error: no store at `") && hint.starts_with("hint: "), "{mail:?}");
    // With a store, the job rotates what is due and prints nothing.
    let due = "tokenctl create app -q --ttl 90d --rotate-every 1s --grace 0s --out secrets/app";
    let ran = account.run(&format!(
        "{install}; user '{due}'; sleep 2; cp secrets/app old; crontab=({path}); cron '{job}'; echo $?
        cmp --silent secrets/app old; echo $?"
    ));
    assert_eq!((&*ran.out, ran.err.lines().count()), ("0\n1\n", 1), "{}", ran.err);
    assert!(ran.err.starts_with("warning: created a new store at "), "{}", ran.err);
}
