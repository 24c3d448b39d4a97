//! Connections, with a limit for every wait.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use postgres::config::{Config, SslMode};
use postgres::error::Severity;
use postgres::{Client, NoTls, SimpleQueryMessage};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::{Address, Tls};
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
    /// The first statement of a connection. It makes sure that our tables are found whatever tables another role
    /// has, and limits every wait.
    fn settings(self) -> String {
        let (statement, commit) = match self {
            Self::Read => (PATIENCE, "off"),
            Self::Verify => (LOOK, "off"),
            Self::Glance => (GLANCE, "off"),
            Self::Write => (PATIENCE, "on"),
        };
        format!(
            "SET search_path = tokenctl, tokenctl_read, pg_temp; SET statement_timeout = {0}; SET lock_timeout = {0};
             SET idle_in_transaction_session_timeout = 60000; SET synchronous_commit = {commit};
             SET default_transaction_isolation = 'read committed'; SET standard_conforming_strings = on;
             SET bytea_output = hex; SET client_min_messages = warning",
            statement.as_millis()
        )
    }
}

/// Connects without checking the tables.
pub fn client(address: &Address, access: Access, warned: &Arc<AtomicBool>) -> Result<Client, StoreError> {
    let unreachable = |why: String| StoreError::Unreachable { server: address.url(), why };
    let mut config = Config::new();
    let limit = if access == Access::Glance { GLANCE } else { CONNECT };
    config
        .user(&address.user)
        .dbname(&address.database)
        .port(address.port)
        .connect_timeout(limit)
        .tcp_user_timeout(if access == Access::Write { PATIENCE } else { CONNECT })
        .keepalives_idle(PATIENCE)
        .keepalives_interval(CONNECT)
        .keepalives_retries(3)
        .application_name("tokenctl");
    if address.host.starts_with('/') {
        config.host_path(&address.host);
    } else {
        config.host(&address.host);
    }
    if let Some(password) = &address.password {
        config.password(password);
    }
    let flag = Arc::clone(warned);
    config.notice_callback(move |notice| {
        if notice.parsed_severity() == Some(Severity::Warning) {
            flag.store(true, Ordering::Relaxed);
        }
    });
    let connected = match address.tls {
        Tls::Off => config.ssl_mode(SslMode::Disable).connect(NoTls),
        tls => {
            config.ssl_mode(if tls == Tls::Prefer { SslMode::Prefer } else { SslMode::Require });
            config.connect(encryption(address).map_err(unreachable)?)
        }
    };
    let mut client = connected.map_err(|err| super::failure::of_connecting(address, &err))?;
    let set = client.batch_execute(&access.settings());
    set.map_err(|err| super::failure::of_connecting(address, &err))?;
    Ok(client)
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
        let warned = Arc::<AtomicBool>::default();
        let mut client = client(address, access, &warned)?;
        let sql = "SELECT application, version, usage_since, has_schema_privilege(n.oid, 'USAGE'), EXISTS (SELECT FROM events),
             pg_catalog.pg_is_in_recovery()
             FROM meta, pg_catalog.pg_namespace n WHERE n.nspname = 'tokenctl'";
        let found = client.simple_query(sql).map_err(|err| super::failure::of_store(address, &err))?;
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
            warned,
            usage_since: number(2).and_then(Timestamp::from_unix),
            narrow: row.get(3) != Some("t"),
            recent: RefCell::new(HashMap::new()),
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
        let client = client(&self.address, self.access, &self.warned)?;
        self.statements.borrow_mut().clear();
        self.client.replace(client);
        Ok(())
    }
}

/// The encryption of a connection, and the trusted certificates.
pub fn encryption(address: &Address) -> Result<MakeRustlsConnect, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(|err| err.to_string())?;
    let config = match address.tls {
        Tls::Verify => builder.with_root_certificates(roots(address.roots.as_deref())?),
        _ => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))),
    };
    Ok(MakeRustlsConnect::new(config.with_no_client_auth()))
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    match file {
        Some(path) => {
            let unreadable =
                |err: String| format!("cannot read the certificates in `{}`: {err}", path.display());
            let pem = fs::read(path).map_err(|err| unreadable(err.to_string()))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|err| unreadable(err.to_string()))?;
                store.add(certificate).map_err(|err| unreadable(err.to_string()))?;
            }
        }
        None => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if store.is_empty() { Err("there are no certificates to trust".to_owned()) } else { Ok(store) }
}

/// Trusts any server, for `sslmode=require`.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
