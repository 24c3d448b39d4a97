//! Traefik: `ForwardAuth`.

use super::{IDENTITY, Part, SECRET, SERVICE, lines};
use crate::domain::Invalid;
use crate::serve::listen::Address;

pub fn config(address: &Address, parts: &[Part]) -> Result<String, Invalid> {
    let Address::Tcp(gate) = address else {
        return Err(
            Invalid::new("Traefik cannot ask a gate on a Unix socket").hint("`--listen 127.0.0.1:8787`")
        );
    };
    let routers: String = parts.iter().map(router).collect();
    let asks: String = parts.iter().map(|part| forward_auth(part, &gate.to_string())).collect();
    let empty = |header: &str| format!("{header}: \"\"");
    let forged = lines("          ", IDENTITY, empty);
    let secret = lines("          ", SECRET, empty);
    Ok(format!(
        "# A file of the dynamic configuration. Replace {SERVICE} (your service). If that reads `X_Token_Id` as `X-Token-Id`,
# as CGI, WSGI and PHP do, set `aliasHeadersStrategy: delete` on the entry point.
http:
  routers:
{routers}  middlewares:
    tokenctl-forged:
      headers:
        customRequestHeaders:
{forged}{asks}    tokenctl-secret:
      headers:
        customRequestHeaders:
{secret}  services:
    service:
      loadBalancer:
        servers:
          - url: http://{SERVICE}
"
    ))
}

fn router(part: &Part) -> String {
    let Part { name, prefix, .. } = part;
    format!(
        "    tokenctl-{name}:
      rule: PathPrefix(`{prefix}`)
      middlewares: [tokenctl-forged, tokenctl-{name}, tokenctl-secret]
      service: service
"
    )
}

fn forward_auth(part: &Part, gate: &str) -> String {
    let Part { name, asks, .. } = part;
    let headers = lines("          ", IDENTITY, |header| format!("- {header}"));
    format!(
        "    tokenctl-{name}:
      forwardAuth:
        address: http://{gate}{asks}
        trustForwardHeader: false
        authResponseHeaders:
{headers}"
    )
}
