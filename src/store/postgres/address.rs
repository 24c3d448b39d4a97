//! The address of a server and its user, from a URL. As in libpq, missing parts come from a service file, the
//! environment and a password file. A URL must not contain a password, since others can see arguments and
//! variables.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::Lag;
use crate::domain::Invalid;

/// Whether the connection is encrypted, and whether the server must prove its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    Off,
    /// Encrypted if the server supports it, with any server.
    Prefer,
    /// Encrypted, with any server.
    Require,
    /// A certificate that is trusted, whatever its name.
    VerifyAuthority,
    /// The server proves its name.
    Verify,
}

/// A server, and the user that connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A host name, an address, or the directory of a Unix socket.
    pub host: String,
    pub port: u16,
    pub database: String,
    pub user: String,
    pub password: Option<String>,
    pub tls: Tls,
    /// The trusted certificates. `None` means those of the system.
    pub roots: Option<PathBuf>,
    /// The rules for answers of replicas, which no URL holds.
    pub lag: Lag,
}

/// Where Debian's PostgreSQL listens.
const SOCKETS: &str = "/var/run/postgresql";
const PORT: u16 = 5432;

/// The sources of defaults: the user and the environment.
pub struct Surroundings<'a> {
    pub env: &'a dyn Fn(&str) -> Option<OsString>,
    pub home: Option<&'a Path>,
    pub login: Option<&'a str>,
}

impl Address {
    /// Reads a URL such as `postgres://user@host:5432/database?sslmode=verify-full`.
    pub fn read(url: &str, around: &Surroundings<'_>) -> Result<Self, Invalid> {
        let mut given = parts(url)?;
        let env = |key: &str| (around.env)(key).and_then(|value| value.into_string().ok());
        let service = given.remove("service").or_else(|| env("PGSERVICE"));
        let services = service.map(|name| service_of(&name, around)).transpose()?.unwrap_or_default();
        let find = |key: &str, variable: &str| {
            let own = given.get(key).cloned();
            own.or_else(|| services.get(key).cloned()).or_else(|| env(variable)).filter(|it| !it.is_empty())
        };
        let user = find("user", "PGUSER").or_else(|| around.login.map(str::to_owned));
        let user = user.ok_or_else(|| {
            Invalid::new("the server is not told who asks")
                .hint("name a user: `postgres://USER@HOST/DATABASE`")
        })?;
        let host = find("host", "PGHOST").unwrap_or_else(|| SOCKETS.to_owned());
        let port = match find("port", "PGPORT") {
            None => PORT,
            Some(port) => port.parse().map_err(|_| wrong("port", &port))?,
        };
        let database = find("dbname", "PGDATABASE").unwrap_or_else(|| user.clone());
        let roots = find("sslrootcert", "PGSSLROOTCERT").filter(|it| it != "system").map(PathBuf::from);
        let tls = match find("sslmode", "PGSSLMODE").as_deref() {
            None if is_local(&host) => Tls::Off,
            None | Some("verify-full") => Tls::Verify,
            Some("disable") => Tls::Off,
            Some("allow" | "prefer") => Tls::Prefer,
            // As in libpq, a file of roots is not ignored.
            Some("require") if roots.is_none() => Tls::Require,
            Some("require" | "verify-ca") => Tls::VerifyAuthority,
            Some(other) => return Err(wrong("sslmode", other)),
        };
        let mut address =
            Self { host, port, database, user, password: None, tls, roots, lag: Lag::default() };
        address.password = match find("password", "PGPASSWORD") {
            None => {
                let named = find("passfile", "PGPASSFILE").map(PathBuf::from);
                address.kept_password(named.as_deref(), around.home)?
            }
            given => given,
        };
        Ok(address)
    }

    /// The form for people, which contains no secret.
    pub fn url(&self) -> PathBuf {
        let Self { host, port, database, user, .. } = self;
        let port = if *port == PORT { String::new() } else { format!(":{port}") };
        PathBuf::from(if host.starts_with('/') {
            format!("postgres://{user}@{port}/{database}?host={host}")
        } else {
            format!("postgres://{user}@{host}{port}/{database}")
        })
    }

    pub fn is_local(&self) -> bool {
        is_local(&self.host)
    }

    /// The password for this address in a file in libpq's format.
    fn kept_password(&self, named: Option<&Path>, home: Option<&Path>) -> Result<Option<String>, Invalid> {
        let Some(path) = named.map(Path::to_owned).or_else(|| home.map(|home| home.join(".pgpass"))) else {
            return Ok(None);
        };
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = fs::File::options().read(true).custom_flags(flags).open(&path);
        let (file, meta) = match file.and_then(|file| file.metadata().map(|meta| (file, meta))) {
            Ok((file, meta)) if meta.is_file() => (file, meta),
            _ if named.is_none() => return Ok(None),
            _ => {
                let what = format!("the password file `{}` cannot be read", path.display());
                return Err(Invalid::new(what).hint("`PGPASSFILE` names it"));
            }
        };
        if meta.mode() & 0o077 != 0 {
            let what = format!("the password file `{}` can be read by others", path.display());
            return Err(Invalid::new(what).hint(format!("chmod 600 {}", path.display())));
        }
        let text = std::io::read_to_string(file).unwrap_or_default();
        Ok(text.lines().filter(|line| !line.starts_with('#')).find_map(|line| self.password_in(line)))
    }

    /// The password in a matching line `host:port:database:user:password`, in which `*` matches everything.
    fn password_in(&self, line: &str) -> Option<String> {
        let host = if self.host.starts_with('/') { "localhost" } else { &self.host };
        let port = self.port.to_string();
        let mut fields = vec![String::new()];
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            let c = match c {
                '\\' => chars.next()?,
                ':' if fields.len() < 5 => {
                    fields.push(String::new());
                    continue;
                }
                c => c,
            };
            fields.last_mut()?.push(c);
        }
        let [for_host, for_port, for_database, for_user, password] = &fields[..] else { return None };
        let fits = |field: &String, is: &str| field == "*" || field == is;
        let all = (fits(for_host, host) || fits(for_host, &self.host))
            && fits(for_port, &port)
            && fits(for_database, &self.database)
            && fits(for_user, &self.user);
        all.then(|| password.clone())
    }
}

fn is_local(host: &str) -> bool {
    host.starts_with('/') || matches!(host, "localhost" | "127.0.0.1" | "::1")
}

fn wrong(what: &str, value: &str) -> Invalid {
    Invalid::new(format!("`{}` is not a {what} of a server", value.escape_debug()))
        .hint("`postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full`")
}

/// The parts of a URL by the names that libpq gives them.
fn parts(url: &str) -> Result<BTreeMap<String, String>, Invalid> {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    let mut found = BTreeMap::new();
    let mut take = |key: &str, value: &str| {
        if !value.is_empty() {
            found.insert(key.to_owned(), decoded(value));
        }
    };
    if user.contains(':') {
        return Err(password_given());
    }
    take("user", user);
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':').unwrap_or("")),
        None => place.rsplit_once(':').unwrap_or((place, "")),
    };
    take("host", host);
    take("port", port);
    take("dbname", database);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match key {
            "password" => return Err(password_given()),
            "host" | "port" | "user" | "dbname" | "sslmode" | "sslrootcert" | "service" | "passfile" => {
                take(key, value);
            }
            _ => {
                let what = format!("`{}` is not a part of a server's URL", key.escape_debug());
                return Err(Invalid::new(what)
                    .hint("there are `host`, `port`, `user`, `dbname`, `sslmode`, `sslrootcert`, `service`, `passfile`"));
            }
        }
    }
    Ok(found)
}

fn password_given() -> Invalid {
    Invalid::new("the URL of the store holds a password; it is now exposed")
        .hint("change it, and keep the new one in a file that `PGPASSFILE` names")
}

/// Bytes that are written as `%2F`.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let byte = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], byte) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The entries of a service, from the user's file or the system's.
fn service_of(name: &str, around: &Surroundings<'_>) -> Result<BTreeMap<String, String>, Invalid> {
    let named = (around.env)("PGSERVICEFILE").map(PathBuf::from);
    let own = named.or_else(|| around.home.map(|home| home.join(".pg_service.conf")));
    let system = (around.env)("PGSYSCONFDIR").map_or(PathBuf::from("/etc/postgresql-common"), PathBuf::from);
    for path in own.into_iter().chain([system.join("pg_service.conf")]) {
        let Ok(text) = fs::read_to_string(path) else { continue };
        let heading = format!("[{name}]");
        let mut lines = text.lines().map(str::trim).skip_while(|line| *line != heading);
        if lines.next().is_none() {
            continue;
        }
        let entries = lines.take_while(|line| !line.starts_with('['));
        let pairs = entries.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
        return Ok(pairs.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect());
    }
    let what = format!("there is no service `{}`", name.escape_debug());
    Err(Invalid::new(what).hint("`PGSERVICEFILE` names the file that defines it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_with(url: &str, env: &[(&str, &str)]) -> Result<Address, Invalid> {
        let env = |key: &str| env.iter().find(|(name, _)| *name == key).map(|(_, value)| value.into());
        Address::read(url, &Surroundings { env: &env, home: None, login: Some("ada") })
    }

    #[test]
    fn what_a_url_leaves_open_comes_from_the_environment() {
        let read = read_with("postgres://", &[]).unwrap();
        assert_eq!((&*read.host, read.port, &*read.database, &*read.user), (SOCKETS, 5432, "ada", "ada"));
        assert_eq!(read.tls, Tls::Off, "a socket of this machine");
        let env = [("PGHOST", "db.example"), ("PGPORT", "6000"), ("PGUSER", "eve"), ("PGDATABASE", "tokens")];
        let read = read_with("postgres:///", &env).unwrap();
        assert_eq!(read.url(), Path::new("postgres://eve@db.example:6000/tokens"));
        assert_eq!(read.tls, Tls::Verify, "over a network the server must prove its name");
        let read = read_with("postgres://bob@[::2]:7000/other?sslmode=require", &env).unwrap();
        assert_eq!(read.url(), Path::new("postgres://bob@::2:7000/other"));
        assert_eq!(read.tls, Tls::Require);
        let read = read_with("postgres:///t?host=%2Frun%2Fpg", &[]).unwrap();
        assert_eq!(read.url(), Path::new("postgres://ada@/t?host=/run/pg"));
    }

    #[test]
    fn a_password_in_a_url_is_refused() {
        for url in ["postgres://ada:x@db/t", "postgres://db/t?password=x", "postgresql://ada:@db"] {
            let refused = read_with(url, &[]).expect_err(url);
            assert!(
                refused.message.contains("exposed")
                    && !refused.message.contains('x'.to_string().repeat(2).as_str()),
                "{refused:?}"
            );
        }
        assert!(read_with("postgres://db/t?sslmode=off", &[]).is_err());
        assert!(read_with("postgres://db/t?options=-c", &[]).is_err());
        assert!(read_with("postgres://db:port/t", &[]).is_err());
    }

    #[test]
    fn a_password_is_found_in_its_file_and_a_service_in_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let (kept, services) = (dir.path().join("pass"), dir.path().join("services"));
        fs::write(&kept, "# a comment\nother:*:*:*:no\ndb:5432:tokens:ada:s\\:1\n*:*:*:*:all\n").unwrap();
        fs::write(&services, "[x]\nhost=no\n[shop]\nhost=db\ndbname = tokens\n[y]\nhost=no\n").unwrap();
        let env = [
            ("PGPASSFILE", kept.to_str().unwrap()),
            ("PGSERVICEFILE", services.to_str().unwrap()),
            ("PGSERVICE", "shop"),
        ];
        fs::set_permissions(&kept, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        assert!(read_with("postgres://", &env).unwrap_err().message.contains("can be read by others"));
        fs::set_permissions(&kept, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let read = read_with("postgres://", &env).unwrap();
        assert_eq!((&*read.host, &*read.database, read.password.as_deref()), ("db", "tokens", Some("s:1")));
        let read = read_with("postgres://elsewhere/", &env).unwrap();
        assert_eq!((&*read.host, read.password.as_deref()), ("elsewhere", Some("all")));
        assert!(read_with("postgres://?service=none", &env).is_err());
    }
}
