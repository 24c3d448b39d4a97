//! nginx: `auth_request`.

use super::{IDENTITY, LISTENS, Part, SECRET, SERVICE, lines};
use crate::serve::listen::Address;

pub fn config(address: &Address, parts: &[Part]) -> String {
    let locations: String = parts.iter().map(location).collect();
    format!(
        "# For a file in /etc/nginx/conf.d. Replace {LISTENS} and {SERVICE} (your service).
upstream tokenctl {{
    server {address};
    # Without it each request opens a connection; the gate closes idle ones after 10 seconds.
    keepalive 16;
    keepalive_timeout 5s;
}}

server {{
    listen {LISTENS};
    # As by default: `X_Token_Id` must not reach a service that reads it as `X-Token-Id`.
    underscores_in_headers off;
{locations}}}
"
    )
}

fn location(part: &Part) -> String {
    let Part { name, prefix, asks } = part;
    let variable = |header: &str| header.to_lowercase().replace('-', "_");
    let keep = lines("        ", IDENTITY, |header| {
        format!("auth_request_set ${0} $upstream_http_{0};", variable(header))
    });
    let set =
        lines("        ", IDENTITY, |header| format!("proxy_set_header {header} ${};", variable(header)));
    let clear = lines("        ", SECRET, |header| format!("proxy_set_header {header} \"\";"));
    format!(
        "
    location = /_tokenctl/{name} {{
        internal;
        proxy_pass http://tokenctl{asks};
        proxy_http_version 1.1;
        proxy_set_header Connection \"\";
        proxy_set_header Content-Length \"\";
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_pass_request_body off;
        proxy_connect_timeout 1s;
        proxy_read_timeout 2s;
    }}

    location {prefix} {{
        auth_request /_tokenctl/{name};
{keep}{set}        # The service does not need the secret.
{clear}        proxy_pass http://{SERVICE};
    }}
"
    )
}
