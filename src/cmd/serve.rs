//! `serve`: the answers of `verify` over HTTP.

use std::ffi::OsString;
use std::io;

use clap::Args;

use crate::app::{App, Outcome};
use crate::cmd::args::replica::Replica;
use crate::domain::Invalid;
use crate::error::Error;
use crate::serve::{
    self, Address, Gate, Limits, ListenError, Listener, Log, Manners, Origin, Passed, Proxy, Route, Routes,
    Signals, SocketMode, Source, StopReason,
};
use crate::store::Location;
#[cfg(feature = "postgres")]
use crate::store::{StoreError, start_heartbeat};

#[derive(Args)]
pub struct Serve {
    /// Listen here: `unix:PATH`, `ADDR:PORT`, or `fd://` for the sockets that systemd passes
    #[arg(long, value_name = "ADDRESS", required = true)]
    listen: Vec<Address>,
    /// Add `/route/NAME`, which requires these scopes and labels; `NAME=` requires only a valid secret
    #[arg(long = "route", value_name = "NAME=scope:A,label:K=V")]
    routes: Vec<Route>,
    /// Serve `/healthz` and `/metrics` here
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Vec<Address>,
    /// Allow addresses that other machines can reach
    #[arg(long)]
    allow_remote: bool,
    /// Set the mode of the socket files
    #[arg(long, value_name = "MODE", default_value = "660")]
    socket_mode: SocketMode,
    /// Read secrets from these headers: bearer, x-api-key, basic
    #[arg(long, value_name = "A,B", value_delimiter = ',', value_enum, hide_possible_values = true)]
    #[arg(default_value = "bearer,x-api-key,basic")]
    secret_from: Vec<Source>,
    /// Take the client's address from peer, x-forwarded-for or x-real-ip
    #[arg(long, value_name = "WHERE", value_enum, default_value = "peer", hide_possible_values = true)]
    address_from: Origin,
    /// The realm of the WWW-Authenticate header in answers with status 401
    #[arg(long, value_name = "NAME", default_value = "tokenctl", value_parser = realm)]
    realm: String,
    /// Tell clients why a secret is refused
    #[arg(long)]
    explain: bool,
    /// Write a line of JSON to standard error for each request
    #[arg(long)]
    log: bool,
    /// Serve at most this many connections at once
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    max_connections: u32,
    #[command(flatten)]
    replica: Replica,
    /// Write the time to the primary four times per `--max-lag`, so that replicas know how old their data is
    #[arg(long, requires = "max_lag")]
    heartbeat: bool,
    /// Print a configuration for nginx, caddy, traefik or envoy, and exit
    #[arg(long, value_name = "PROXY", value_enum, hide_possible_values = true)]
    print_config: Option<Proxy>,
}

impl Serve {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let routes = Routes::new(self.routes.clone())?;
        if let Some(proxy) = self.print_config {
            let first = self.listen.first().unwrap_or(&Address::Passed);
            app.print(&serve::config(proxy, first, &routes, self.address_from)?)?;
            return Ok(Outcome::Done);
        }
        self.check_reach()?;
        app.ctx.machine.keep_memory_private();
        let mut passed = Passed::from_environment();
        let log = self.log.then(Log::start).transpose().map_err(Error::Output)?;
        let manners = Manners {
            sources: self.secret_from.clone(),
            origin: self.address_from,
            realm: self.realm.clone(),
            explain: self.explain,
        };
        let location = self.replica.location(app, false)?;
        self.follow(app, &location)?;
        let gate = Gate::open(location.clone(), routes, manners, log)?;
        let signals = Signals::new().map_err(Error::Serve)?;
        // The socket exists only once the server can answer.
        let listeners = self.bind(&self.listen, &mut passed)?;
        let admins = self.bind(&self.admin_listen, &mut passed)?;
        for listener in listeners.iter().chain(&admins) {
            app.talk().note(&format!("listening on {}", listener.address()));
        }
        let notify: Option<OsString> = app.ctx.machine.env("NOTIFY_SOCKET");
        let limits = Limits { connections: usize::try_from(self.max_connections).unwrap_or(usize::MAX) };
        let ended = serve::run(&signals, gate, listeners, admins, &limits, notify.as_deref());
        location.finish_uses();
        match ended {
            Ok(StopReason::Terminated) => Ok(Outcome::Done),
            Ok(StopReason::CtrlC) => Err(Error::Interrupted),
            Err(err) => Err(Error::Serve(err)),
        }
    }

    /// Begins the heartbeat, and to look at the replica if the store is one.
    #[cfg(feature = "postgres")]
    fn follow(&self, app: &mut App<'_>, location: &Location) -> Result<(), Error> {
        let Location::Server(address) = location else { return self.refuse_heartbeat() };
        let Some(most) = address.lag.most else { return Ok(()) };
        if self.heartbeat {
            let primary = self.replica.primary(app)?.unwrap_or_else(|| (**address).clone());
            match start_heartbeat(primary, most / 4) {
                Err(StoreError::Replica(path)) => {
                    let what = format!(
                        "`--heartbeat` writes into the primary, and `{}` is a replica",
                        path.display()
                    );
                    return Err(Invalid::new(what).hint("name the primary with `--usage-store`").into());
                }
                done => done?,
            }
        }
        match serve::follow((**address).clone(), most) {
            Err(err @ StoreError::Stale { .. }) => app.talk().warn(&err.to_string()),
            done => done?,
        }
        Ok(())
    }

    #[cfg(not(feature = "postgres"))]
    fn follow(&self, _: &mut App<'_>, _: &Location) -> Result<(), Error> {
        self.refuse_heartbeat()
    }

    fn refuse_heartbeat(&self) -> Result<(), Error> {
        if !self.heartbeat {
            return Ok(());
        }
        let what = Invalid::new("`--heartbeat` is for a store in PostgreSQL");
        Err(what.hint("a store in files has no replicas").into())
    }

    /// Refuses addresses that other machines can reach, unless `--allow-remote` is given.
    fn check_reach(&self) -> Result<(), Error> {
        let reached = self
            .listen
            .iter()
            .chain(&self.admin_listen)
            .find(|address| matches!(address, Address::Tcp(address) if !address.ip().is_loopback()));
        match reached.filter(|_| !self.allow_remote) {
            None => Ok(()),
            Some(address) => Err(Invalid::new(format!(
                "other machines can reach `{address}`, and secrets would travel unencrypted"
            ))
            .hint("listen on 127.0.0.1 or a Unix socket behind a proxy, or pass `--allow-remote`")
            .into()),
        }
    }

    fn bind(&self, addresses: &[Address], passed: &mut Passed) -> Result<Vec<Listener>, Error> {
        let mut all = Vec::new();
        for address in addresses {
            let bound = Listener::bind(address, self.socket_mode, passed);
            all.extend(bound.map_err(|err| failed(address, err))?);
        }
        Ok(all)
    }
}

fn failed(address: &Address, err: ListenError) -> Error {
    match err {
        ListenError::Taken(why) => Error::AddressTaken { address: address.to_string(), why },
        ListenError::Failed(err) => {
            Error::Serve(io::Error::new(err.kind(), format!("cannot listen on `{address}`: {err}")))
        }
    }
}

/// Parses text that can be quoted in a header.
fn realm(text: &str) -> Result<String, Invalid> {
    let plain = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\' || c == ' ';
    if text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err(Invalid::new("the realm is not plain text").hint("use ASCII without quotes and backslashes"))
}
