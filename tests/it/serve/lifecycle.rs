//! Start and stop of a gate: sockets, systemd, signals, and the permissions that the gate needs.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Gate, app, read_answer};
use crate::support::{World, have, program_path, uid};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_socket_file_has_the_configured_mode_and_is_removed_at_exit() {
    let (world, _) = app();
    let mut gate = Gate::start(&world, &[]);
    assert_eq!(mode(&gate.socket), 0o660);
    gate.signal("-TERM");
    assert_eq!(gate.stop().0, Some(0));
    assert!(!gate.socket.exists());
    let gate = Gate::start(&world, &["--socket-mode", "600"]);
    assert_eq!(mode(&gate.socket), 0o600);
}

#[test]
fn a_socket_file_is_replaced_only_if_no_process_listens_on_it() {
    let (world, secret) = app();
    let path = world.dir.path().join("gate.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(fs::metadata(&path).unwrap().file_type().is_socket());
    let gate = Gate::start(&world, &[]);
    let listen = format!("unix:{}", path.display());
    world.refuses(&["serve", "--listen", &listen], 5, "address_taken");
    assert_eq!(gate.with_secret("/verify", &secret).status, 200);
    let file = world.dir.path().join("file");
    fs::write(&file, "kept").unwrap();
    world.refuses(&["serve", "--listen", &format!("unix:{}", file.display())], 5, "address_taken");
    assert_eq!(fs::read(&file).unwrap(), b"kept");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    world.refuses(&["serve", "--listen", &taken.local_addr().unwrap().to_string()], 5, "address_taken");
}

#[test]
fn a_request_that_was_read_is_answered_after_sigterm() {
    let (world, secret) = app();
    let mut gate = Gate::start(&world, &[]);
    let body = format!("{{\"secret\": \"{secret}\"}}");
    let mut stream = gate.connect();
    let length = body.len();
    write!(
        stream,
        "POST /api/verify HTTP/1.1\r\nHost: g\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    )
    .unwrap();
    // The gate asks for the body, so it has read the head of the request.
    assert_eq!(read_answer(&mut stream).status, 100);
    let mut idle = gate.connect();
    gate.signal("-TERM");
    stream.write_all(body.as_bytes()).unwrap();
    let yes = read_answer(&mut stream);
    assert_eq!((yes.status, yes.json()["valid"].as_bool()), (200, Some(true)));
    assert_eq!(gate.stop().0, Some(0));
    assert!(matches!(idle.read(&mut [0]), Ok(0) | Err(_)));
}

#[test]
fn requests_that_were_sent_before_sigterm_are_answered() {
    let (world, secret) = app();
    let mut gate = Gate::start(&world, &[]);
    let request = format!("GET /verify HTTP/1.1\r\nHost: g\r\nX-Api-Key: {secret}\r\n\r\n");
    let mut kept: Vec<UnixStream> = (0..8).map(|_| gate.connect()).collect();
    for stream in &mut kept {
        stream.write_all(request.as_bytes()).unwrap();
        assert_eq!(read_answer(stream).status, 200);
    }
    // A paused gate reads nothing, so these requests are unread in its sockets when the signal arrives.
    gate.signal("-STOP");
    let mut new: Vec<UnixStream> = (0..8).map(|_| gate.connect()).collect();
    for stream in kept.iter_mut().chain(&mut new) {
        stream.write_all(request.as_bytes()).unwrap();
    }
    gate.signal("-TERM");
    gate.signal("-CONT");
    for stream in kept.iter_mut().chain(&mut new) {
        assert_eq!(read_answer(stream).status, 200);
    }
    assert_eq!(gate.stop().0, Some(0));
}

#[test]
fn a_signal_during_the_start_also_stops_the_gate() {
    if !have("strace") {
        return;
    }
    let (world, _) = app();
    let socket = world.dir.path().join("gate.sock");
    let listen = format!("unix:{}", socket.display());
    for (signal, code) in [("TERM", 0), ("INT", 130)] {
        let mut strace = Command::new("strace");
        strace.args([
            "-f",
            "-o",
            "/dev/null",
            "-e",
            "trace=listen",
            "-e",
            &format!("inject=listen:signal={signal}"),
        ]);
        strace.arg(program_path()).args(["serve", "--listen", &listen]).env("TOKENCTL_STORE", world.store());
        let ran = crate::support::run(&mut strace, b"");
        assert_eq!((ran.code, socket.exists()), (code, false), "{signal}: {}", ran.err);
    }
}

#[test]
fn ctrl_c_stops_the_gate_with_exit_code_130() {
    let (world, _) = app();
    let mut gate = Gate::start(&world, &[]);
    gate.signal("-INT");
    assert_eq!(gate.stop().0, Some(130));
}

#[test]
fn systemd_is_notified_when_a_gate_is_ready_and_when_it_stops() {
    let (world, _) = app();
    let path = world.dir.path().join("notify");
    let notify = UnixDatagram::bind(&path).unwrap();
    notify.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut program = world.program();
    program.env("NOTIFY_SOCKET", &path);
    let mut gate = Gate::start_as(&world, program, &[]);
    let message = || {
        let mut text = [0; 64];
        let length = notify.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    assert_eq!(message(), "READY=1");
    gate.signal("-TERM");
    assert_eq!((message(), gate.stop().0), ("STOPPING=1".to_owned(), Some(0)));
}

#[test]
fn a_gate_can_listen_on_a_socket_passed_by_systemd() {
    if !have("systemd-socket-activate") {
        return;
    }
    let (world, secret) = app();
    let path = world.dir.path().join("passed.sock");
    let mut activate = Command::new("systemd-socket-activate");
    let store = format!("TOKENCTL_STORE={}", world.store().display());
    let child = activate
        .arg("-l")
        .arg(&path)
        .args(["-E", &store])
        .arg(program_path())
        .args(["serve", "--listen", "fd://"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut gate = Gate { child, socket: path };
    while UnixStream::connect(&gate.socket).is_err() {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(gate.with_secret("/verify", &secret).status, 200);
    gate.signal("-TERM");
    assert_eq!(gate.stop().0, Some(0));
    world.refuses(&["serve", "--listen", "fd://"], 1, "io");
}

#[test]
fn the_usage_files_are_opened_only_once() {
    if !have("strace") {
        return;
    }
    let (world, _) = app();
    let secrets: Vec<_> = (0..5).map(|n| world.create(&format!("t{n}"), &["-s", "read"])).collect();
    let trace = world.dir.path().join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-D", "-f", "-e", "trace=openat", "-o"]).arg(&trace).arg(program_path());
    strace.env_clear().env("TOKENCTL_STORE", world.store());
    let gate = Gate::start_as(&world, strace, &[]);
    for secret in &secrets {
        assert_eq!(gate.with_secret("/verify?scope=read", secret).status, 200);
    }
    let opened = |name: &str| fs::read_to_string(&trace).unwrap().matches(&format!("/{name}\"")).count();
    assert_eq!(["usage.secrets", "usage.scopes"].map(opened), [1, 1]);
    let used = world.real(&["list", "--json"], b"").ok().json();
    let used = used.as_array().unwrap().iter().filter(|token| !token["last_used_at"].is_null()).count();
    assert_eq!(used, secrets.len());
}

#[test]
fn a_gate_does_not_start_without_a_store() {
    let world = World::new();
    let listen = format!("unix:{}", world.dir.path().join("gate.sock").display());
    world.refuses(&["serve", "--listen", &listen], 6, "store_missing");
    assert!(!world.dir.path().join("gate.sock").exists());
}

#[test]
fn another_user_can_run_the_gate_but_cannot_create_tokens() {
    if uid() != 0 || !have("setpriv") {
        eprintln!("skipped: needs root");
        return;
    }
    let (world, secret) = app();
    for path in [world.dir.path().to_owned(), world.store()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for entry in fs::read_dir(world.store()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        }
    }
    let run = world.dir.path().join("run");
    fs::create_dir(&run).unwrap();
    std::os::unix::fs::chown(&run, Some(65534), Some(65534)).unwrap();
    let program = world.dir.path().join("tokenctl");
    crate::support::copy_program(&program);
    let nobody = |args: &[&str]| {
        let mut command = Command::new("setpriv");
        command
            .args([
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "--inh-caps=-all",
                "--bounding-set=-all",
            ])
            .arg("--no-new-privs")
            .arg(&program)
            .args(args)
            .env_clear()
            .env("TOKENCTL_STORE", world.store());
        command
    };
    let socket = run.join("gate.sock");
    let listen = format!("unix:{}", socket.display());
    let child = nobody(&["serve", "--listen", &listen]).stderr(Stdio::piped()).spawn().unwrap();
    let mut gate = Gate { child, socket };
    while UnixStream::connect(&gate.socket).is_err() {
        assert!(gate.child.try_wait().unwrap().is_none(), "the gate exited: {}", gate.stop().1);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(fs::metadata(&gate.socket).unwrap().uid(), 65534);
    assert_eq!(gate.with_secret("/verify?scope=read", &secret).status, 200);
    for args in [&["create", "x"][..], &["revoke", "app", "--yes"], &["rotate", "app"]] {
        let ran = crate::support::run(&mut nobody(args), b"");
        assert_eq!((ran.code, &*ran.out), (6, ""), "{args:?}: {}", ran.err);
    }
}
