//! Configurations for proxies. They clear identity headers that clients send, pass on those of the gate, and
//! remove the secret before they forward a request.

mod caddy;
mod envoy;
mod nginx;
mod traefik;

use super::listen::Address;
use super::origin::Origin;
use super::route::Routes;
use crate::domain::Invalid;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Proxy {
    Nginx,
    Caddy,
    Traefik,
    Envoy,
}

/// The identity headers in their usual spelling.
const IDENTITY: [&str; 7] = [
    "X-Token-Id",
    "X-Token-Name",
    "X-Token-Owner",
    "X-Token-Scopes",
    "X-Token-Labels",
    "X-Token-Role",
    "X-Token-Expires",
];
/// The headers that may contain a secret.
const SECRET: [&str; 2] = ["Authorization", "X-Api-Key"];
/// Placeholders for the reader: the proxy's address, and the service behind it.
const LISTENS: &str = "127.0.0.1:8000";
const SERVICE: &str = "127.0.0.1:8080";

/// A part of the site, and the gate's path that protects it.
struct Part {
    name: String,
    /// The part's path, which ends with a slash.
    prefix: String,
    asks: String,
}

/// A complete configuration for the gate at this address.
pub fn config(proxy: Proxy, address: &Address, routes: &Routes, origin: Origin) -> Result<String, Invalid> {
    if *address == Address::Passed {
        return Err(Invalid::new("the address of a passed socket is not known")
            .hint("pass `--listen` with the address of the `.socket` unit"));
    }
    let mut parts: Vec<Part> = routes
        .iter()
        .map(|route| Part {
            name: route.name.to_string(),
            prefix: format!("/{}/", route.name),
            asks: format!("/route/{}", route.name),
        })
        .collect();
    if parts.is_empty() {
        parts.push(Part { name: "all".to_owned(), prefix: "/".to_owned(), asks: "/verify".to_owned() });
    }
    if proxy == Proxy::Envoy && origin == Origin::XRealIp {
        return Err(Invalid::new("Envoy adds no `X-Real-IP`").hint("`--address-from x-forwarded-for`"));
    }
    match proxy {
        Proxy::Nginx => Ok(nginx::config(address, &parts)),
        Proxy::Caddy => Ok(caddy::config(address, &parts)),
        Proxy::Traefik => traefik::config(address, &parts),
        Proxy::Envoy => envoy::config(address, &parts),
    }
}

/// Indents lines.
fn lines<'a>(
    indent: &str,
    lines: impl IntoIterator<Item = &'a str>,
    each: impl Fn(&str) -> String,
) -> String {
    let lines: Vec<String> = lines.into_iter().map(|line| format!("{indent}{}\n", each(line))).collect();
    lines.concat()
}
