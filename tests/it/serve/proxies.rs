//! The configurations that `--print-config` prints, in the real proxies.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use super::{Answer, Gate, answer};
use crate::support::{World, have, uid};

/// A proxy with a service behind it that answers with the head of each request.
struct Proxied {
    child: Child,
    port: u16,
}

impl Drop for Proxied {
    fn drop(&mut self) {
        // nginx ends its workers only if it is asked to.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").arg(&pid).status();
        let _ = self.child.wait();
    }
}

/// Starts a service; its port.
fn service() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || echo(stream));
        }
    });
    port
}

fn echo(mut stream: TcpStream) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    let _ = write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", head.len());
    let _ = stream.write_all(&head);
}

/// The printed configuration with free ports in it, and the port that the proxy listens on.
fn config(world: &World, proxy: &str) -> (String, u16) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("unix:{}", world.dir.path().join("gate.sock").display());
    let args = [
        "serve",
        "--listen",
        &listen,
        "--route",
        "reports=scope:read",
        "--route",
        "all=",
        "--print-config",
        proxy,
    ];
    let printed = world.run(&args).ok().out;
    // Caddy has the address and the port apart.
    let with_ports = printed
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{}", service()))
        .replace("127.0.0.1:8000", &format!("127.0.0.1:{free}"))
        .replace("http://:8000", &format!("http://:{free}"));
    assert_ne!(with_ports, printed);
    (with_ports, free)
}

fn start(command: &mut Command, port: u16) -> Proxied {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut proxied = Proxied { child, port };
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(proxied.child.try_wait().unwrap().is_none(), "the proxy ended");
        thread::sleep(Duration::from_millis(20));
    }
    proxied
}

fn nginx(world: &World) -> Proxied {
    let (config, port) = config(world, "nginx");
    let dir = world.dir.path().join("nginx");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("site.conf"), config).unwrap();
    let user = if uid() == 0 { "user root;" } else { "" };
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {}/{name};\n", dir.display()))
        .concat();
    let whole = format!(
        "daemon off; {user} pid {0}/pid; error_log {0}/error.log;\nevents {{}}\nhttp {{ access_log off;\n{paths}include {0}/site.conf; }}\n",
        dir.display()
    );
    let path = dir.join("nginx.conf");
    fs::write(&path, whole).unwrap();
    start(Command::new("nginx").arg("-e").arg(dir.join("error.log")).arg("-c").arg(&path), port)
}

fn caddy(world: &World) -> Proxied {
    let (config, port) = config(world, "caddy");
    let path = world.dir.path().join("Caddyfile");
    // Its administrative port is that of the machine.
    fs::write(&path, format!("{{\n\tadmin off\n}}\n{config}")).unwrap();
    let home = |command: &mut Command, dir: &Path| {
        command.env("HOME", dir).env("XDG_DATA_HOME", dir).env("XDG_CONFIG_HOME", dir);
    };
    let mut command = Command::new("caddy");
    home(&mut command, world.dir.path());
    start(command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&path), port)
}

impl Proxied {
    fn get(&self, path: &str, headers: &[&str]) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let head = headers.iter().map(|header| format!("{header}\r\n")).collect::<Vec<_>>().concat();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: any\r\nConnection: close\r\n{head}\r\n").unwrap();
        answer(&mut stream)
    }
}

/// What every proxy must do.
fn check(world: &World, start: impl Fn(&World) -> Proxied) {
    world.define(&["read", "write"]);
    let secret = world.create("app", &["-s", "read", "--ttl", "9999d"]);
    let other = world.create("other", &["-s", "write", "--ttl", "9999d"]);
    let mut gate = Gate::start(world, &["--route", "reports=scope:read", "--route", "all="]);
    let proxy = start(world);
    let bearer = format!("Authorization: Bearer {secret}");
    let others = format!("X-Api-Key: {other}");

    assert_eq!(proxy.get("/reports/x", &[]).status, 401);
    assert!(proxy.get("/reports/x", &[]).header("www-authenticate").is_some());
    assert_eq!(proxy.get("/reports/x", &["Authorization: Bearer nobody-has-this-secret"]).status, 401);
    assert_eq!(proxy.get("/reports/x", &[&others]).status, 403);
    assert_eq!(proxy.get("/all/x", &[&others]).status, 200);
    assert_ne!(proxy.get("/other", &[&bearer]).status, 200);

    let forged: Vec<String> = ["Id", "Name", "Owner", "Scopes", "Labels", "Role", "Expires"]
        .iter()
        .flat_map(|name| {
            [format!("X-Token-{name}: forged"), format!("x-token-{}: forged", name.to_lowercase())]
        })
        .collect();
    let mut headers: Vec<&str> = forged.iter().map(String::as_str).collect();
    headers.extend([bearer.as_str(), "X-Forwarded-For: 203.0.113.1", "X-Forwarded-Uri: /all/"]);
    assert_eq!(proxy.get("/reports/x", &headers[..14]).status, 401);
    let yes = proxy.get("/reports/x?y=z", &headers);
    assert_eq!(yes.status, 200, "{yes:?}");
    let seen = yes.body.to_lowercase();
    assert!(seen.starts_with("get /reports/x?y=z "), "{seen}");
    assert!(seen.contains("x-token-name: app\r\n") && seen.contains("x-token-scopes: read\r\n"), "{seen}");
    assert!(!seen.contains("forged") && !seen.contains(&secret.to_lowercase()), "{seen}");

    world.real(&["revoke", "app", "--yes"], b"").ok();
    assert_eq!(proxy.get("/reports/x", &[&bearer]).status, 401);
    let away = world.dir.path().join("away");
    fs::rename(world.store(), &away).unwrap();
    assert!(proxy.get("/all/x", &[&others]).status >= 500);
    fs::rename(&away, world.store()).unwrap();
    assert_eq!(proxy.get("/all/x", &[&others]).status, 200);
    gate.signal("-TERM");
    gate.end();
    assert!(proxy.get("/all/x", &[&others]).status >= 500);
}

#[test]
fn nginx_lets_in_whom_the_gate_lets_in() {
    if have("nginx") {
        check(&World::with_store(), nginx);
    }
}

#[test]
fn caddy_lets_in_whom_the_gate_lets_in() {
    if have("caddy") {
        check(&World::with_store(), caddy);
    }
}

#[test]
fn a_configuration_that_a_proxy_could_not_use_is_not_printed() {
    let world = World::new();
    let refused = |args: &[&str]| world.refuses(&[&["serve"], args].concat(), 2, "usage");
    refused(&["--listen", "unix:x", "--print-config", "traefik"]);
    refused(&["--listen", "unix:x", "--print-config", "envoy"]);
    refused(&["--listen", "fd://", "--print-config", "nginx"]);
    for proxy in ["traefik", "envoy"] {
        let args = ["serve", "--listen", "127.0.0.1:8787", "--route", "a=", "--print-config", proxy];
        let printed = world.run(&args).ok().out;
        assert!(printed.contains("8787") && printed.to_lowercase().contains("x-token-"), "{printed}");
    }
}
