//! Real displays: an X server and a Wayland compositor without a screen.
#![cfg(feature = "clipboard")]

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::{Holder, last};
use crate::support::processes::until;
use crate::support::{Ran, World, copy_program, have, run, uid};

/// An X server without a screen, which is killed at the end of the test.
pub struct Screen {
    server: Child,
    pub display: String,
}

impl Screen {
    pub fn new() -> Option<Self> {
        if !have("Xvfb") || !have("xclip") || !have("bash") {
            return None;
        }
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-nolisten", "tcp", "-noreset"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb starts");
        let mut number = String::new();
        BufReader::new(server.stdout.take().expect("stdout is a pipe"))
            .read_line(&mut number)
            .expect("the line can be read");
        assert!(!number.is_empty(), "Xvfb ended");
        Some(Self { server, display: format!(":{}", number.trim()) })
    }

    /// Runs a script in bash that can reach the display.
    fn shell(&self, world: &World, script: &str) -> Ran {
        run(world.bash(script).env("DISPLAY", &self.display), b"")
    }

    /// Pastes with another program. The timeout is for xclip, which waits forever if the owner of the clipboard exits
    /// during the request.
    fn pasted(&self, world: &World) -> Ran {
        self.shell(world, "exec timeout 20 xclip -selection clipboard -out")
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.server), signal).expect("the signal can be sent");
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn the_secret_can_be_pasted_from_an_x_display_until_the_timeout() {
    let Some(screen) = Screen::new() else { return };
    let world = World::of_processes();
    let ran = screen.shell(&world, "tokenctl create demo --copy --copy-timeout 590s").ok();
    let _holder = Holder::of(590);
    assert_eq!(ran.out, "");
    assert_eq!(
        last(&ran.err),
        "copied to the clipboard, cleared in 590 s; a clipboard manager may keep a copy"
    );
    let pasted = screen.pasted(&world).ok();
    assert_eq!((pasted.out.len(), pasted.err.as_str()), (42, ""));
    assert_eq!(world.real(&["verify"], pasted.out.as_bytes()).ok().line(), "valid demo");
    // The secret can be pasted several times, and clipboard managers are asked not to keep it.
    assert_eq!(screen.pasted(&world).ok().out, pasted.out);
    let hint = "xclip -selection clipboard -out -target x-kde-passwordManagerHint";
    assert_eq!(screen.shell(&world, hint).ok().out, "secret");

    screen.shell(&world, "tokenctl rotate demo --copy=display --copy-timeout 1s").ok();
    until("the clipboard is empty", || screen.pasted(&world).code != 0);
    assert_eq!(screen.pasted(&world).out, "");
    until("the holder is gone", || Holder::find(1).is_none());
}

#[test]
fn text_that_is_copied_later_is_not_cleared() {
    let Some(screen) = Screen::new() else { return };
    let world = World::of_processes();
    screen.shell(&world, "tokenctl create demo --copy=display --copy-timeout 589s").ok();
    let holder = Holder::of(589);
    screen.shell(&world, "printf else | xclip -selection clipboard >/dev/null 2>&1").ok();
    until("the holder is gone", || holder.is_gone());
    assert_eq!(screen.pasted(&world).ok().out, "else");
}

#[test]
fn the_clipboard_process_inherits_nothing_and_its_caller_does_not_wait_for_it() {
    let Some(screen) = Screen::new() else { return };
    let world = World::of_processes();
    // The command substitution lasts until every process has closed its pipe. The holder must not keep the pipe or the
    // lock open.
    let script = "export HOME=/nowhere LANG=C SECRET=1; exec 7>lock 42<lock
        said=$(tokenctl create demo --copy=display --copy-timeout 588s 2>&1) || exit; echo \"$said\"";
    let ran = screen.shell(&world, script).ok();
    assert!(last(&ran.out).starts_with("copied to the clipboard"), "{ran:?}");
    let holder = Holder::of(588);
    let proc = holder.path();
    let secret = screen.pasted(&world).ok().out;
    assert!(secret.starts_with("tkn_") && !holder.arguments.contains(&secret[4..12]), "{}", holder.arguments);
    assert!(holder.arguments.starts_with("tokenctl --hold-clipboard display 588 "), "{}", holder.arguments);
    let limits = fs::read_to_string(format!("{proc}/limits")).expect("the file can be read");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("there is a limit");
    assert_eq!(core.split_whitespace().nth(4), Some("0"));
    // The session id is field 6 in proc(5), the fourth after the name.
    let stat = fs::read_to_string(format!("{proc}/stat")).expect("the file can be read");
    let session =
        stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(3)).expect("there is a session");
    assert_eq!(session, holder.id.to_string());
    // Only root can read the memory and the environment of the holder.
    assert_eq!(fs::metadata(format!("{proc}/environ")).expect("a process").uid(), 0);
    let Ok(environment) = fs::read(format!("{proc}/environ")) else { return };
    let expected = format!("DISPLAY={}\0HOME=/nowhere\0", screen.display);
    assert_eq!(String::from_utf8_lossy(&environment), expected);
    assert_eq!(fs::read_link(format!("{proc}/cwd")).expect("the link can be read").to_str(), Some("/"));
    for entry in fs::read_dir(format!("{proc}/fd")).expect("the directory can be read") {
        let file = fs::read_link(entry.expect("the entry can be read").path()).expect("the link can be read");
        let file = file.to_str().expect("the path is UTF-8");
        assert!(file == "/dev/null" || file.starts_with("socket:"), "{file}");
    }
}

#[test]
fn nothing_is_delivered_to_a_display_that_is_gone_or_hangs() {
    let Some(screen) = Screen::new() else { return };
    let world = World::of_processes();
    let old = world.mint("old");
    let bytes = world.bytes();
    let refused = |why: &str| {
        for verb in ["create demo", "rotate old"] {
            let ran = screen.shell(&world, &format!("tokenctl {verb} --copy=display --copy-timeout 587s"));
            let message = format!("error: no clipboard can be reached: display ({why}); nothing was changed");
            assert_eq!((ran.code, ran.out.as_str(), ran.err.lines().next()), (7, "", Some(message.as_str())));
        }
        assert!(Holder::find(587).is_none(), "the holder is still running");
        assert!(world.bytes() == bytes, "the store was changed");
    };
    screen.signal(Signal::STOP);
    refused("no answer within 5 s");
    screen.signal(Signal::KILL);
    until("the display is gone", || screen.pasted(&world).code != 0);
    refused("it does not answer, or lets only windows copy");
    assert_eq!(world.real(&["verify"], old.as_bytes()).ok().line(), "valid old");
}

/// Runs `rotate` under strace with these options.
fn rotate_traced(screen: &Screen, world: &World, strace: &str, stay: &str) -> Ran {
    let rotate = format!("tokenctl rotate demo --copy=display --copy-timeout {stay}");
    screen.shell(world, &format!("exec strace -o trace {strace} {rotate}"))
}

#[test]
fn the_secret_of_a_killed_delivery_can_still_be_pasted() {
    let Some(screen) = Screen::new() else { return };
    if !have("strace") {
        return;
    }
    let world = World::of_processes();
    world.mint("demo");
    rotate_traced(&screen, &world, "-e trace=fdatasync", "1s").ok();
    let syncs =
        fs::read_to_string(world.path("trace")).expect("the file can be read").matches("fdatasync(").count();
    // The process is killed before or after the second commit, which deletes the journal. In both cases nobody could
    // report the result.
    for (kill, confirmed) in
        [("unlink:signal=SIGKILL:when=2", false), ("fdatasync:signal=SIGKILL:when=LAST", true)]
    {
        let strace = format!("-e inject={}", kill.replace("LAST", &syncs.to_string()));
        let ran = rotate_traced(&screen, &world, &strace, "583s");
        assert_eq!(ran.code, -1, "not killed: {ran:?}");
        let _holder = Holder::of(583);
        let pasted = screen.pasted(&world).ok().out;
        assert_eq!(world.real(&["verify"], pasted.as_bytes()).ok().line(), "valid demo");
        let token = world.look_at("demo");
        let secrets = token["secrets"].as_array().expect("`secrets` is an array");
        assert_eq!(secrets.iter().all(|it| it["role"] != "provisional"), confirmed);
        world.real(&["rotate", "demo", "--replace-pending"], b"").ok();
    }
}

/// A user other than root, because compositors do not start for root.
const USER: u32 = 64_020;

/// A Wayland compositor that runs as another user if the tests run as root. It is killed at the end of the test.
struct Compositor {
    world: World,
    server: Option<Child>,
}

impl Compositor {
    fn new() -> Option<Self> {
        if !["sway", "wl-copy", "wl-paste", "setpriv", "bash"].into_iter().all(have) {
            return None;
        }
        let world = World::new();
        let dir = world.dir.path();
        copy_program(&dir.join("tokenctl"));
        if uid() == 0 {
            chown(dir, Some(USER), Some(USER)).expect("the owner can be set");
        }
        fs::set_permissions(dir, Permissions::from_mode(0o700)).expect("the mode can be set");
        let mut it = Self { world, server: None };
        let mut server = it.bash("exec sway --config /dev/null");
        server.env("WLR_BACKENDS", "headless").env("WLR_LIBINPUT_NO_DEVICES", "1");
        server
            .env("WLR_RENDERER", "pixman")
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        it.server = Some(server.spawn().expect("sway starts"));
        until("a Wayland display", || it.world.dir.path().join("wayland-1").exists());
        until("a compositor that answers", || {
            let message = it.shell("wl-paste --list-types").err;
            message.contains("Nothing is copied") || message.contains("No selection")
        });
        Some(it)
    }

    fn bash(&self, script: &str) -> Command {
        let dir = self.world.dir.path();
        let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap_or_default());
        let root = uid() == 0;
        let mut command = Command::new(if root { "setpriv" } else { "env" });
        if root {
            let user = USER.to_string();
            command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]);
        }
        command.env_clear().env("PATH", path).env("XDG_RUNTIME_DIR", dir).env("HOME", dir);
        command.env("WAYLAND_DISPLAY", "wayland-1").env("TOKENCTL_STORE", self.world.store());
        command.current_dir(dir).args(["bash", "--norc", "-c", script]);
        command
    }

    fn shell(&self, script: &str) -> Ran {
        run(&mut self.bash(script), b"")
    }
}

impl Drop for Compositor {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

#[test]
fn the_secret_can_be_pasted_from_a_wayland_display_until_something_else_is_copied() {
    let Some(compositor) = Compositor::new() else { return };
    let ran =
        compositor.shell("said=$(tokenctl create demo --copy --copy-timeout 585s); echo \"[$said]\"").ok();
    let holder = Holder::of(585);
    assert_eq!(ran.out, "[]\n");
    assert_eq!(
        last(&ran.err),
        "copied to the clipboard, cleared in 585 s; a clipboard manager may keep a copy"
    );
    let pasted = compositor.shell("wl-paste --no-newline").ok().out;
    assert_eq!(pasted.len(), 42);
    assert_eq!(compositor.shell("wl-paste --no-newline | tokenctl verify").ok().out, "valid demo\n");
    let types = compositor.shell("wl-paste --list-types").ok().out;
    assert!(types.lines().any(|line| line == "x-kde-passwordManagerHint"), "{types}");
    // Even its own user cannot read the memory of the holder.
    assert_eq!(fs::metadata(format!("{}/environ", holder.path())).expect("a process").uid(), 0);
    compositor.shell("wl-copy else >/dev/null 2>&1").ok();
    until("the holder is gone", || holder.is_gone());
    assert_eq!(compositor.shell("wl-paste --no-newline").ok().out, "else");

    compositor.shell("tokenctl rotate demo --copy --copy-timeout 2s").ok();
    until("the clipboard is empty", || compositor.shell("wl-paste").code != 0);
    assert!(Holder::find(2).is_none(), "the holder is still running");
}
