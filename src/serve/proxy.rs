//! Configurations for proxies: they clear what clients send in the identity headers, pass on what the gate says, and
//! take the secret off before the request goes on.

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

/// The identity headers as they are written.
const IDENTITY: [&str; 7] = [
    "X-Token-Id",
    "X-Token-Name",
    "X-Token-Owner",
    "X-Token-Scopes",
    "X-Token-Labels",
    "X-Token-Role",
    "X-Token-Expires",
];
/// The headers that may hold a secret.
const SECRET: [&str; 2] = ["Authorization", "X-Api-Key"];
/// What the reader replaces: where the proxy listens, and the service behind it.
const LISTENS: &str = "127.0.0.1:8000";
const SERVICE: &str = "127.0.0.1:8080";

/// A part of the site, and the path of the gate that protects it.
struct Part {
    name: String,
    /// Ends with a slash.
    prefix: String,
    asks: String,
}

/// A configuration that works as it is printed, for the gate at this address.
pub fn config(proxy: Proxy, address: &Address, routes: &Routes, origin: Origin) -> Result<String, Invalid> {
    if *address == Address::Passed {
        return Err(Invalid::new("the address of a passed socket is not known")
            .hint("`--listen` with the address of the `.socket` unit"));
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

/// Lines with an indentation.
fn lines<'a>(
    indent: &str,
    lines: impl IntoIterator<Item = &'a str>,
    each: impl Fn(&str) -> String,
) -> String {
    let lines: Vec<String> = lines.into_iter().map(|line| format!("{indent}{}\n", each(line))).collect();
    lines.concat()
}
