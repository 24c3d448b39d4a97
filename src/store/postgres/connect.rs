//! Connections, with a limit for every wait.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::config::{Config, SslMode};

use super::address::{Address, Tls};
use super::client::Client;
use super::encryption::encryption;
use super::failure::{of_connecting, of_store};
use super::{Postgres, uses};
use crate::domain::when::Timestamp;
use crate::store::StoreError;
use crate::store::sqlite::{APPLICATION_ID, PATIENCE, VERSION};

/// The limit for connecting.
const CONNECT: Duration = Duration::from_secs(5);
/// The limit for one statement of a verification.
const LOOK: Duration = Duration::from_secs(2);
/// The limit for completion, while somebody types.
const GLANCE: Duration = Duration::from_millis(500);

/// The purpose of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    /// To verify, which nobody waits for long, and for which a replica is too old.
    Verify,
    Glance,
    Write,
}

impl Access {
    /// The limit of a statement.
    fn limit(self) -> Duration {
        match self {
            Self::Read | Self::Write => PATIENCE,
            Self::Verify => LOOK,
            Self::Glance => GLANCE,
        }
    }

    /// The first statement of a connection. It makes sure that our tables are found whatever tables another role
    /// has, and limits every wait.
    fn settings(self) -> String {
        let commit = if self == Self::Write { "on" } else { "off" };
        format!(
            "SET search_path = tokenctl, tokenctl_read, pg_temp; SET statement_timeout = {0}; SET lock_timeout = {0};
             SET idle_in_transaction_session_timeout = 60000; SET synchronous_commit = {commit};
             SET default_transaction_isolation = 'read committed'; SET standard_conforming_strings = on;
             SET bytea_output = hex; SET client_min_messages = warning",
            self.limit().as_millis()
        )
    }
}

/// How long the client waits for an answer to a statement that the server ends after `limit`.
pub fn patience(limit: Duration) -> Duration {
    limit * 3 / 2
}

/// Connects without checking the tables.
pub fn client(address: &Address, access: Access) -> Result<Client, StoreError> {
    let mut client = bare_client(address, access)?;
    client.batch_execute(&access.settings()).map_err(|err| of_connecting(address, &err))?;
    Ok(client)
}

/// Connects without the settings.
fn bare_client(address: &Address, access: Access) -> Result<Client, StoreError> {
    let mut config = Config::new();
    config
        .user(&address.user)
        .dbname(&address.database)
        .port(address.port)
        .tcp_user_timeout(if access == Access::Write { PATIENCE } else { CONNECT })
        .keepalives_idle(PATIENCE)
        .keepalives_interval(CONNECT)
        .keepalives_retries(3)
        .application_name("tokenctl")
        .ssl_mode(match address.tls {
            Tls::Off => SslMode::Disable,
            Tls::Prefer => SslMode::Prefer,
            Tls::Require | Tls::VerifyAuthority | Tls::Verify => SslMode::Require,
        });
    if address.host.starts_with('/') {
        config.host_path(&address.host);
    } else {
        config.host(&address.host);
    }
    if let Some(password) = &address.password {
        config.password(password);
    }
    let tls = (address.tls != Tls::Off).then(|| encryption(address)).transpose();
    let tls = tls.map_err(|why| StoreError::Unreachable { server: address.url(), why })?;
    let limit = if access == Access::Glance { GLANCE } else { CONNECT };
    let connected = Client::connect(&config, tls, limit, patience(access.limit()));
    connected.map_err(|err| of_connecting(address, &err))
}

impl Postgres {
    /// Connects to a store, which must be one.
    pub fn connect(address: &Address, access: Access) -> Result<Self, StoreError> {
        match Self::tables(address, access)? {
            (it, true) => Ok(it),
            (_, false) => Err(StoreError::Missing(address.url())),
        }
    }

    /// Connects to the tables of a store, and says whether its log has begun.
    pub fn tables(address: &Address, access: Access) -> Result<(Self, bool), StoreError> {
        let mut client = bare_client(address, access)?;
        let sql = "SELECT application, version, usage_since, has_schema_privilege(n.oid, 'USAGE'), EXISTS (SELECT FROM events),
             pg_catalog.pg_is_in_recovery()
             FROM meta, pg_catalog.pg_namespace n WHERE n.nspname = 'tokenctl'";
        let found = client
            .simple_query(&format!("{}; {sql}", access.settings()))
            .map_err(|err| of_store(address, &err))?;
        let row = found.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let foreign = |why: &str| StoreError::Foreign { path: address.url(), why: why.to_owned() };
        let row = row.ok_or_else(|| foreign("its table `meta` is empty"))?;
        let number = |at: usize| row.get(at).and_then(|text| text.parse::<i64>().ok());
        if number(0) != Some(APPLICATION_ID) {
            return Err(foreign("its table `meta` is of another program"));
        }
        let (known, found) = (VERSION, number(1).unwrap_or(0));
        if found != known {
            return Err(StoreError::Newer { found, known });
        }
        if access == Access::Verify && row.get(5) == Some("t") && address.lag.most.is_none() {
            return Err(StoreError::Replica(address.url()));
        }
        let begun = row.get(4) == Some("t");
        let it = Self {
            client: RefCell::new(client),
            address: address.clone(),
            access,
            url: address.url(),
            statements: RefCell::new(HashMap::new()),
            changes: Cell::new(0),
            broken: Cell::new(false),
            pending: Cell::new(false),
            usage_since: number(2).and_then(Timestamp::from_unix),
            narrow: row.get(3) != Some("t"),
            recent: RefCell::new(HashMap::new()),
            uses: RefCell::new(Vec::new()),
            stays: Cell::new(false),
            blocks: RefCell::new(uses::Blocks::default()),
            look: Cell::new(None),
        };
        Ok((it, begun))
    }

    /// Whether the connection is gone.
    pub fn is_lost(&self) -> bool {
        self.client.borrow().is_closed()
    }

    /// A new connection that replaces a lost one.
    pub fn reconnect(&self) -> Result<(), StoreError> {
        let client = client(&self.address, self.access)?;
        self.statements.borrow_mut().clear();
        self.client.replace(client);
        Ok(())
    }
}
