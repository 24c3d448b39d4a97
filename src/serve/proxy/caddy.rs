//! Caddy: `forward_auth`.

use super::{IDENTITY, LISTENS, Part, SECRET, SERVICE, lines};
use crate::serve::listen::Address;

pub fn config(address: &Address, parts: &[Part]) -> String {
    let gate = match address {
        Address::Unix(path) => format!("unix/{}", path.display()),
        other => other.to_string(),
    };
    let routes: String = parts.iter().map(|part| route(part, &gate)).collect();
    // With an address before the colon, Caddy would serve only that `Host`.
    let (host, port) = LISTENS.rsplit_once(':').unwrap_or_default();
    format!(
        "# A Caddyfile. Replace {LISTENS} and {SERVICE} (your service).
http://:{port} {{
	bind {host}
{routes}	respond 404
}}
"
    )
}

fn route(part: &Part, gate: &str) -> String {
    let drop = |header: &str| format!("request_header -{header}");
    let (forged, secret) = (lines("\t\t", IDENTITY, drop), lines("\t\t", SECRET, drop));
    let Part { prefix, asks, .. } = part;
    let headers = IDENTITY.join(" ");
    format!(
        "	# `route` keeps this order.
	route {prefix}* {{
{forged}		forward_auth {gate} {{
			uri {asks}
			copy_headers {headers}
			header_up X-Real-IP {{remote_host}}
			transport http {{
				dial_timeout 1s
				response_header_timeout 2s
				keepalive 5s
			}}
		}}
		# The service does not need the secret.
{secret}		reverse_proxy {SERVICE}
	}}
"
    )
}
