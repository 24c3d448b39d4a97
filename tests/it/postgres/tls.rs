//! Tests of encrypted connections to a server that has a certificate.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::server::{Server, directory, have};
use crate::support::{Ran, program, run, uid};

/// A server with two addresses and a certificate for the first one.
struct Encrypted {
    server: Server,
    certificates: PathBuf,
    addresses: [String; 2],
}

/// Creates two root certificates, and a server certificate for this address that is signed by the first.
fn certificates(dir: &Path, address: &str) {
    let script = r#"set -e; cd "$1"
        key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        for name in root other; do
            openssl req -x509 $key -keyout $name.key -out $name.pem -days 30 -subj "/CN=$name"
        done
        openssl req $key -keyout server.key -out server.csr -subj /CN=server
        printf 'subjectAltName=IP:%s\nbasicConstraints=CA:FALSE\n' "$2" >names
        openssl x509 -req -in server.csr -CA root.pem -CAkey root.key -CAcreateserial -days 30 -extfile names -out server.pem
        chmod 600 server.key; chmod 644 ./*.pem"#;
    run(Command::new("sh").args(["-c", script, "sh"]).arg(dir).arg(address), b"").ok();
    if uid() == 0 {
        run(Command::new("chown").arg("-R").arg("postgres").arg(dir), b"").ok();
    }
}

impl Encrypted {
    fn start() -> Self {
        // Each process has separate addresses, so that no other server is in the way.
        let pid = std::process::id();
        let addresses = [1, 2].map(|last| format!("127.{}.{}.{last}", 100 + pid / 250 % 100, 1 + pid % 250));
        let certificates = directory();
        self::certificates(&certificates, &addresses[0]);
        let listen = format!("listen_addresses={}", addresses.join(","));

        let file = |name: &str| certificates.join(name).display().to_string();
        let (cert, key) =
            (format!("ssl_cert_file={}", file("server.pem")), format!("ssl_key_file={}", file("server.key")));
        let server = Server::start(&[&listen, "ssl=on", &cert, &key, "log_connections=on", "fsync=off"]);
        server.sql("postgres", "CREATE DATABASE tokens");
        let url = server.url("postgres", "tokens");
        run(program().args(["init", "--apply", "--store", &url]), b"").ok();
        Self { server, certificates, addresses }
    }

    /// Connection parameters for one of the addresses.
    fn parameters(&self, address: usize, mode: Option<&str>, root: Option<&str>) -> Vec<String> {
        let root = root.map(|name| format!("sslrootcert={}", self.certificates.join(name).display()));
        let mode = mode.map(|mode| format!("sslmode={mode}"));
        [Some(format!("host={}", self.addresses[address])), mode, root].into_iter().flatten().collect()
    }

    /// Returns whether the last connection was encrypted, according to the log of the server.
    fn was_encrypted(&self) -> bool {
        let log = std::fs::read_to_string(self.server.dir().join("log")).expect("the log can be read");
        let line = log
            .lines()
            .rfind(|line| line.contains("connection authorized"))
            .expect("the log has a connection");
        line.contains("SSL enabled")
    }
}

impl Drop for Encrypted {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.certificates);
    }
}

fn ours(parameters: &[String]) -> Ran {
    let url = format!("postgres://postgres@/tokens?{}", parameters.join("&"));
    run(program().args(["list", "--store", &url]), b"")
}

fn psql(parameters: &[String]) -> Ran {
    let conninfo = format!("user=postgres dbname=tokens {}", parameters.join(" "));
    let mut psql = Command::new("psql");
    psql.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", "/nonexistent");
    run(psql.args(["-X", "-A", "-t", "-c", "SELECT 1", "-d", &conninfo]), b"")
}

/// The outcome of a connection attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Encrypted,
    Plain,
    Refused(&'static str),
}

#[test]
fn connections_are_encrypted_and_refused_like_those_of_psql() {
    use End::{Encrypted as Safe, Plain, Refused};
    if !have() || !crate::support::have("openssl") {
        return;
    }
    let it = Encrypted::start();
    let (right, wrong) = (Some("root.pem"), Some("other.pem"));
    let unknown = Refused("UnknownIssuer");
    // The number of the address, the mode, the root certificate and the expected outcome.
    let table = [
        (0, Some("verify-full"), right, Safe),
        (0, Some("verify-full"), wrong, unknown),
        (0, Some("verify-full"), None, unknown),
        (1, Some("verify-full"), right, Refused("not valid for name")),
        (0, Some("verify-full"), Some("missing.pem"), Refused("cannot read the certificates")),
        (0, Some("verify-ca"), right, Safe),
        (0, Some("verify-ca"), wrong, unknown),
        (1, Some("verify-ca"), right, Safe),
        (1, Some("require"), None, Safe),
        (1, Some("require"), right, Safe),
        (0, Some("require"), wrong, unknown),
        (1, Some("prefer"), None, Safe),
        (0, Some("disable"), None, Plain),
    ];
    for (address, mode, root, end) in table {
        let parameters = it.parameters(address, mode, root);
        let end_of = |ran: &Ran| {
            if ran.code == 0 { if it.was_encrypted() { Safe } else { Plain } } else { Refused("") }
        };
        let ran = ours(&parameters);
        let is = end_of(&ran);
        match end {
            Refused(why) => {
                assert_eq!((ran.code, &*ran.out), (6, ""), "{parameters:?}: {ran:?}");
                assert!(ran.err.contains(why), "{parameters:?}: {}", ran.err);
            }
            end => assert_eq!(is, end, "{parameters:?}: {ran:?}"),
        }
        assert_eq!(end_of(&psql(&parameters)), is, "psql with {parameters:?}");
    }
    // If no mode is set, tokenctl requires a network server to prove its name. `psql` does not.
    assert!(ours(&it.parameters(0, None, right)).ok().out.is_empty() && it.was_encrypted());
    assert!(ours(&it.parameters(1, None, right)).exit(6).err.contains("not valid for name"));
    // If a server requires encryption, its error is shown.
    let hba = it.server.dir().join("data/pg_hba.conf");
    std::fs::write(&hba, "local all all trust\nhostssl all all all trust\n")
        .expect("the file can be written");
    it.server.sql("postgres", "SELECT pg_reload_conf()");
    crate::support::processes::until("the server has reloaded its rules", || {
        ours(&it.parameters(0, Some("disable"), None)).code == 6
    });
    let refused = ours(&it.parameters(0, Some("disable"), None)).exit(6);
    assert!(refused.err.contains("no encryption"), "{}", refused.err);
}
