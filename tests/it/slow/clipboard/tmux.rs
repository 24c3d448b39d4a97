//! `--copy` in a real tmux on a separate socket, with a client whose terminal the tests read.

use std::io::Read;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::{Holder, last, terminal::unpacked};
use crate::support::processes::{eventually, until};
use crate::support::{Ran, World, have, run};
use crate::terminals::Screen;

/// A tmux server with a client in a terminal.
struct Tmux<'a> {
    world: &'a World,
    screen: Screen,
    client: Child,
    /// The output to the terminal of the client.
    seen: Receiver<Vec<u8>>,
}

impl<'a> Tmux<'a> {
    fn new(world: &'a World) -> Option<Self> {
        if !have("tmux") || !have("script") {
            return None;
        }
        let screen = Screen::new(world, (120, 24), &[]);
        let mut client = world.bash("exec script -qec 'tmux -u -S $SOCKET attach' /dev/null");
        client.env("TERM", "xterm-256color").env("SOCKET", screen.socket());
        // `script` would type Ctrl-D if its stdin were closed, so it gets a pipe that stays open.
        let mut client = client
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("script starts");
        let mut terminal = client.stdout.take().expect("stdout is a pipe");
        let (bytes, seen) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = terminal.read(&mut buffer) {
                if bytes.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        let it = Self { world, screen, client, seen };
        until("a client", || !it.tmux(&["list-clients"]).out.is_empty());
        Some(it)
    }

    fn tmux(&self, args: &[&str]) -> Ran {
        self.screen.tmux(args)
    }

    /// Runs `tokenctl` in the pane. Returns its messages.
    #[track_caller]
    fn tokenctl(&self, args: &str) -> String {
        self.screen.run(&format!("tokenctl {args} >out 2>said"));
        self.screen.wait("EXIT 0");
        let read = |name: &str| std::fs::read_to_string(self.world.path(name)).expect("the file can be read");
        assert_eq!(read("out"), "");
        read("said")
    }

    fn buffers(&self) -> Vec<String> {
        self.tmux(&["list-buffers", "-F", "#{buffer_name}"]).out.lines().map(str::to_owned).collect()
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

#[test]
fn the_secret_is_put_into_a_new_tmux_buffer_and_sent_to_the_terminal() {
    let world = World::of_processes();
    let Some(tmux) = Tmux::new(&world) else { return };
    let said = tmux.tokenctl("create demo --copy --copy-timeout 581s");
    let _holder = Holder::of(581);
    let buffers = tmux.buffers();
    let [name] = &buffers[..] else { panic!("{buffers:?}") };
    assert_eq!(
        last(&said),
        format!("in the tmux buffer {name}, deleted in 581 s; your terminal may keep a copy")
    );
    let secret = tmux.tmux(&["show-buffer", "-b", name]).ok().out;
    assert_eq!(secret.len(), 42);
    assert_eq!(world.real(&["verify"], secret.as_bytes()).ok().line(), "valid demo");
    let mut screen = Vec::new();
    until("the sequence on the terminal", || {
        screen.extend(tmux.seen.try_iter().flatten());
        unpacked(&screen).as_deref() == Some(secret.as_bytes())
    });
}

#[test]
fn a_tmux_buffer_is_deleted_at_the_timeout_unless_its_content_has_changed() {
    let world = World::of_processes();
    let Some(tmux) = Tmux::new(&world) else { return };
    tmux.tmux(&["set-buffer", "-b", "mine", "something"]).ok();
    tmux.tokenctl("create demo --copy=tmux --copy-timeout 1s");
    eventually(|| {
        let listed = tmux.tmux(&["list-buffers", "-F", "#{buffer_name}"]);
        if listed.out == "mine\n" { Ok(()) } else { Err(format!("not deleted: {listed:?}")) }
    });
    tmux.tokenctl("rotate demo --copy=tmux --copy-timeout 6s");
    let holder = Holder::of(6);
    let name = tmux.buffers().into_iter().find(|name| name != "mine").expect("there is a buffer");
    tmux.tmux(&["set-buffer", "-b", &name, "else"]).ok();
    until("the holder is gone", || holder.is_gone());
    assert_eq!(tmux.tmux(&["show-buffer", "-b", &name]).ok().out, "else");
}

#[test]
fn nothing_is_delivered_to_a_tmux_that_is_gone() {
    let world = World::of_processes();
    let bytes = world.bytes();
    let tmux = |socket: &str| {
        let mut command = world.program();
        run(command.env("TMUX", format!("{socket},1,0")).args(["create", "demo", "--copy=tmux"]), b"").exit(7)
    };
    for socket in [world.path("none"), world.dir.path().display().to_string()] {
        let ran = tmux(&socket);
        assert!(ran.err.starts_with("error: no clipboard can be reached: tmux ("), "{}", ran.err);
    }
    assert!(world.bytes() == bytes, "the store was changed");
}

#[test]
fn the_tmux_buffer_of_a_secret_that_cannot_be_confirmed_is_deleted() {
    let world = World::of_processes();
    let Some(tmux) = Tmux::new(&world) else { return };
    if !have("strace") {
        return;
    }
    let old = world.mint("demo");
    // The fault is injected at the end of the second commit.
    let fault = "exec strace -o trace -e inject=unlink:error=EIO:when=2";
    let mut command = world.bash(&format!("{fault} tokenctl rotate demo --copy=tmux --copy-timeout 580s"));
    let ran = run(command.env("TMUX", format!("{},1,0", tmux.screen.socket().display())), b"").exit(7);
    assert!(ran.err.contains("nothing was changed"), "{}", ran.err);
    assert!(Holder::find(580).is_none(), "the holder is still running");
    assert_eq!(tmux.buffers(), Vec::<String>::new());
    assert_eq!(world.real(&["verify"], old.as_bytes()).ok().line(), "valid demo");
}

#[test]
fn nothing_is_delivered_to_a_tmux_that_hangs_and_no_process_is_left() {
    let world = World::of_processes();
    let Some(tmux) = Tmux::new(&world) else { return };
    let bytes = world.bytes();
    let socket = tmux.screen.socket().display().to_string();
    let server = tmux.tmux(&["display-message", "-p", "#{pid}"]).ok().line().parse().expect("it is an id");
    let server = Pid::from_raw(server).expect("an id");
    kill_process(server, Signal::STOP).expect("the signal can be sent");
    let mut command = world.program();
    command.env("TMUX", format!("{socket},1,0")).args(["create", "demo", "--copy=tmux"]);
    let ran = run(&mut command, b"").exit(7);
    // A killed process can take a moment to disappear. The server must continue before an assertion fails, because the
    // end of the test waits for it.
    let gone = (0..1000).any(|_| {
        thread::sleep(Duration::from_millis(10));
        !is_in_an_environment(&format!("TMUX={socket},1,0"))
    });
    kill_process(server, Signal::CONT).expect("the signal can be sent");
    assert!(ran.err.contains("tmux (no answer within 5 s)"), "{}", ran.err);
    assert!(gone, "a process of the delivery is still running");
    assert!(world.bytes() == bytes, "the store was changed");
}

/// Whether any process has this variable in its environment.
fn is_in_an_environment(variable: &str) -> bool {
    std::fs::read_dir("/proc").expect("the directory can be read").any(|entry| {
        let environment =
            std::fs::read(entry.expect("the entry can be read").path().join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|it| it == variable.as_bytes())
    })
}
