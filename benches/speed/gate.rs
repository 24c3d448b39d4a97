//! Compares `serve` with `return 204` of nginx: the same requests over the same kind of socket, alternating between the
//! two.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::load::{Target, drive, is_up};
use crate::rounds::median;
use crate::stocked::{Stocked, known_secret};

/// A server process that listens on a Unix socket and on a TCP port.
pub struct Server {
    child: Child,
    unix: Target,
    tcp: Target,
    status: &'static str,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The cost of a request: the CPU time of the server and the wall time, in microseconds.
struct Cost {
    cpu: f64,
    wall: f64,
}

impl Server {
    fn start(command: &mut Command, unix: &str, tcp: SocketAddr, status: &'static str) -> Self {
        Self::listening(command, Target::Unix(unix.into()), Target::Tcp(tcp), status)
    }

    fn listening(command: &mut Command, unix: Target, tcp: Target, status: &'static str) -> Self {
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let server = Self { child, unix, tcp, status };
        let start = Instant::now();
        while !is_up(&server.unix) || !is_up(&server.tcp) {
            assert!(start.elapsed() < Duration::from_secs(30), "{command:?} does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }

    fn nginx(dir: &Path) -> Self {
        let (tcp, unix) = (free(), dir.join("nginx.sock").display().to_string());
        let dir = dir.display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {dir}/{name}; "))
            .concat();
        let config = format!(
            "daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log;
             events {{}}
             http {{ access_log off; keepalive_requests 1000000000; {temporary}
             server {{ listen unix:{unix}; listen {tcp}; location / {{ return 204; }} }} }}"
        );
        let path = format!("{dir}/nginx.conf");
        fs::write(&path, config).expect("the file can be written");
        let mut nginx = Command::new("nginx");
        Self::start(nginx.args(["-e", &format!("{dir}/error.log"), "-c", &path]), &unix, tcp, "HTTP/1.1 204 ")
    }

    fn gate(store: &Stocked) -> Self {
        let (tcp, unix) = (free(), store.path("gate.sock"));
        let (on_unix, on_tcp) = (format!("unix:{unix}"), tcp.to_string());
        let mut gate = store.run(&["--quiet", "serve", "--listen", &on_unix, "--listen", &on_tcp]);
        Self::start(&mut gate, &unix, tcp, "HTTP/1.1 200 ")
    }

    /// A gate that listens on a Unix socket alone.
    pub fn on_unix(command: &mut Command, unix: &str) -> Self {
        let target = Target::Unix(unix.into());
        Self::listening(command, target.clone(), target, "HTTP/1.1 200 ")
    }

    /// Answers a second.
    pub fn rate(&self, connections: usize, requests: &[String], long: Duration) -> f64 {
        1e6 / self.measure(Socket::Unix, connections, requests, long).wall
    }

    fn measure(&self, socket: Socket, connections: usize, requests: &[String], long: Duration) -> Cost {
        let target = if socket == Socket::Unix { &self.unix } else { &self.tcp };
        let (cpu, start) = (self.cpu(), Instant::now());
        let answered = f64::from(drive(target, connections, requests, self.status, long));
        let wall = start.elapsed().as_secs_f64() * 1e6;
        Cost { cpu: (self.cpu() - cpu) / answered, wall: wall / answered }
    }

    /// The CPU time, in microseconds, that the threads of the server have used so far.
    fn cpu(&self) -> f64 {
        let tasks =
            fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("the directory can be read");
        let nanoseconds = tasks.map(|task| {
            let text = fs::read_to_string(task.expect("a thread").path().join("schedstat"));
            text.expect("its times")
                .split(' ')
                .next()
                .and_then(|it| it.parse::<f64>().ok())
                .expect("there is a time")
        });
        nanoseconds.sum::<f64>() / 1000.0
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Socket {
    Unix,
    Tcp,
}

/// A free TCP address.
fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the port is free");
    listener.local_addr().expect("its number")
}

/// The request that a proxy sends.
pub fn request(secret: &str) -> String {
    format!("GET /verify HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer {secret}\r\n\r\n")
}

/// Prints a line for each combination of socket type and number of connections. `used` is how many of the tokens the
/// requests use.
pub fn compare(store: &Stocked, used: usize, rounds: usize, long: Duration) {
    let dir = tempfile::tempdir().expect("a temporary directory can be created");
    let (nginx, gate) = (Server::nginx(dir.path()), Server::gate(store));
    // The step is a prime number, so every token is visited before one is repeated.
    let secrets = (0..used).map(|n| known_secret(2 + n * 7_919 % (store.tokens - 1)));
    let requests: Vec<String> = secrets.map(|secret| request(&secret)).collect();
    for (socket, name) in [(Socket::Unix, "Unix"), (Socket::Tcp, "TCP")] {
        for connections in [16, 64] {
            let measure = |server: &Server| server.measure(socket, connections, &requests, long);
            let pairs: Vec<(Cost, Cost)> = (0..rounds).map(|_| (measure(&gate), measure(&nginx))).collect();
            let of = |value: &dyn Fn(&(Cost, Cost)) -> f64| median(pairs.iter().map(value).collect());
            println!(
                "| `serve`, {} tokens, {used} in use, {name}, {connections} connections | {:.1} | {:.1} | {:.2} | {:.2} |",
                store.tokens,
                of(&|(gate, _)| gate.cpu),
                of(&|(_, nginx)| nginx.cpu),
                of(&|(gate, nginx)| gate.cpu / nginx.cpu),
                of(&|(gate, nginx)| nginx.wall / gate.wall)
            );
        }
    }
}
