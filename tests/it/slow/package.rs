//! Builds, installs, uses and removes the Debian package, and then runs `cargo install` with the same build.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use crate::support::{Ran, World, have, run, uid};
use crate::terminals::Screen;

#[test]
fn the_debian_package_can_be_installed_used_and_removed() {
    // The package of bash completions is detected by its only command.
    let tools = ["cargo-deb", "dpkg", "man", "tmux", "zsh", "fish", "elvish", "dh_bash-completion"];
    if !tools.into_iter().all(have) || !may_install() {
        return;
    }
    let world = World::new();
    let package = world.path("tokenctl.deb");
    cargo(&["deb", "--locked", "--output", &package]);
    let installed = Installed::from(&package);
    assert_works(&world, Path::new("/usr/bin/tokenctl"));
    assert_man_finds_the_pages(&world);
    assert_completes(&world);
    let files = files_of_the_package();
    assert!(files.len() > 10 && files.iter().all(|file| file.exists()), "{files:?}");
    drop(installed);
    let left: Vec<_> = files.iter().filter(|file| file.symlink_metadata().is_ok()).collect();
    assert!(left.is_empty(), "{left:?}");

    // `cargo install` can use the build that exists now.
    let root = world.path("root");
    cargo(&["install", "--path", ".", "--locked", "--offline", "--root", &root]);
    assert_works(&world, &Path::new(&root).join("bin/tokenctl"));
}

/// Fails unless the program works.
#[track_caller]
fn assert_works(world: &World, program: &Path) {
    let at = |args: &[&str], input: &[u8]| {
        let mut command = Command::new(program);
        command.env_clear().env("TOKENCTL_STORE", world.path("store"));
        run(command.args(args), input).ok()
    };
    let version = concat!("tokenctl ", env!("CARGO_PKG_VERSION"));
    assert_eq!(at(&["--version"], b"").line(), version);
    let name = format!("demo-{}", program.components().count());
    let secret = at(&["create", &name], b"");
    assert_eq!(at(&["verify"], secret.out.as_bytes()).line(), format!("valid {name}"));
}

/// Fails unless `man` finds the pages.
#[track_caller]
fn assert_man_finds_the_pages(world: &World) {
    for page in ["tokenctl", "tokenctl-create"] {
        let man = |args: &[&str]| {
            let mut man = Command::new("man");
            man.env_remove("MANPATH")
                .env("MANPAGER", "cat")
                .env("MANWIDTH", "80")
                .env("HOME", world.dir.path());
            run(man.args(args).arg(page), b"").ok()
        };
        assert_eq!(man(&["-w"]).line(), format!("/usr/share/man/man1/{page}.1.gz"));
        assert!(man(&[]).out.to_lowercase().contains(&format!("\n       {page}")), "{page}");
    }
}

/// Fails unless TAB completes in shells without any configuration.
#[track_caller]
fn assert_completes(world: &World) {
    let shells = [
        ("rc", "PS1='> '\n. /usr/share/bash-completion/bash_completion", "bash --noprofile --rcfile rc"),
        (".zshrc", "PS1='> '\nautoload -Uz compinit\ncompinit -u", "zsh -d"),
        (".config/fish/config.fish", "function fish_prompt; echo '> '; end\nset -g fish_greeting", "fish"),
        (
            "rc.elv",
            "set edit:prompt = { put '> ' }\nset edit:rprompt = { }\nuse tokenctl",
            "elvish -rc rc.elv -sock sock -db db",
        ),
    ];
    let home = world.dir.path();
    fs::create_dir_all(home.join(".config/fish")).expect("the directory can be created");
    for (file, rc, shell) in shells {
        fs::write(home.join(file), format!("{rc}\n")).expect("the file can be written");
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec {shell}")]).env("PATH", "/usr/bin:/bin");
        let screen = Screen::of(command.env("HOME", home).current_dir(home), (80, 24));
        screen.wait(">");
        // A `#` is typed to show where the cursor is. Elvish adds no space after a word.
        screen.type_text("tokenctl sh");
        screen.press(&["Tab"]);
        screen.type_text("#");
        screen.wait(if shell.starts_with("elvish") { "> tokenctl show#" } else { "> tokenctl show #" });
    }
}

/// Whether the test is allowed to install a package: as root, unless somebody has installed one already.
fn may_install() -> bool {
    let in_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    let is_root = uid() == 0;
    let mut query = Command::new("dpkg-query");
    let is_there = run(query.args(["--show", "--showformat=${db:Status-Abbrev}", "tokenctl"]), b"")
        .out
        .starts_with("ii");
    assert!(is_root || !in_ci, "not root in CI");
    let may = is_root && (in_ci || !is_there);
    if !may {
        eprintln!(
            "skipped: {}",
            if is_there { "tokenctl is installed" } else { "only root installs packages" }
        );
    }
    may
}

/// Runs cargo on this project. It uses the ordinary target directory, so the project is built only once.
#[track_caller]
fn cargo(args: &[&str]) -> Ran {
    let mut cargo = Command::new(env!("CARGO"));
    run(cargo.args(args).current_dir(env!("CARGO_MANIFEST_DIR")), b"").ok()
}

/// The installed package, which is removed when this value is dropped.
struct Installed;

impl Installed {
    #[track_caller]
    fn from(package: &str) -> Self {
        let installed = Self;
        // Some machines are configured to leave out manual pages, but they are tested here.
        dpkg(&["--path-include=/usr/share/*", "--install", package]).ok();
        installed
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        let gone = dpkg(&["--remove", "tokenctl"]);
        assert!(gone.code == 0 || thread::panicking(), "{gone:?}");
    }
}

fn files_of_the_package() -> Vec<PathBuf> {
    let list = dpkg(&["--listfiles", "tokenctl"]).ok().out;
    list.lines().map(PathBuf::from).filter(|path| !path.is_dir()).collect()
}

fn dpkg(args: &[&str]) -> Ran {
    let path = std::env::var("PATH").unwrap_or_default();
    run(Command::new("dpkg").env("PATH", format!("{path}:/usr/sbin:/sbin")).args(args), b"")
}
