//! Envoy: `ext_authz` over HTTP. Envoy appends the client's path to the prefix, so a path begins with the route.

use std::net::SocketAddr;

use super::{LISTENS, Part, SECRET, SERVICE, lines};
use crate::domain::Invalid;
use crate::serve::listen::Address;

pub fn config(address: &Address, parts: &[Part]) -> Result<String, Invalid> {
    if parts.iter().any(|part| part.asks == "/verify") {
        return Err(Invalid::new("Envoy appends the path of each request, so it needs routes")
            .hint("`--route NAME=`"));
    }
    let gate = match address {
        Address::Unix(path) => format!("pipe: {{ path: {} }}", path.display()),
        Address::Tcp(address) => socket(address),
        Address::Passed => String::new(),
    };
    let routes = parts.iter().map(|part| &*part.prefix);
    let routes = lines("                    ", routes, |prefix| {
        format!("- {{ match: {{ prefix: {prefix} }}, route: {{ cluster: service }} }}")
    });
    let exact = |header: &str| format!("- {{ exact: {} }}", header.to_lowercase());
    let headers = lines("                          ", SECRET.into_iter().chain(["X-Forwarded-For"]), exact);
    let removed = SECRET.map(str::to_lowercase).join(", ");
    let (listens, service) = (typed_socket(LISTENS), typed_socket(SERVICE));
    Ok(format!(
        "# A whole configuration. Replace {LISTENS} and {SERVICE} (your service).
static_resources:
  listeners:
    - address: {{ {listens} }}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: http
                # Adds the address of the client to `X-Forwarded-For`.
                use_remote_address: true
                normalize_path: true
                merge_slashes: true
                path_with_escaped_slashes_action: REJECT_REQUEST
                route_config:
                  # The service does not need the secret.
                  request_headers_to_remove: [{removed}]
                  virtual_hosts:
                  - name: all
                    domains: [\"*\"]
                    routes:
{routes}                http_filters:
                - name: envoy.filters.http.ext_authz
                  typed_config:
                    \"@type\": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
                    failure_mode_allow: false
                    status_on_error: {{ code: ServiceUnavailable }}
                    http_service:
                      server_uri: {{ uri: http://tokenctl, cluster: tokenctl, timeout: 2s }}
                      path_prefix: /route
                      authorization_request:
                        allowed_headers:
                          patterns:
{headers}                      authorization_response:
                        # The gate always sends all of them, so a forged one is replaced.
                        allowed_upstream_headers:
                          patterns:
                          - {{ prefix: x-token- }}
                        allowed_client_headers:
                          patterns:
                          - {{ exact: www-authenticate }}
                          - {{ exact: retry-after }}
                - name: envoy.filters.http.router
                  typed_config:
                    \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
    - name: tokenctl
      connect_timeout: 1s
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          # The gate closes idle connections after 10 seconds.
          common_http_protocol_options: {{ idle_timeout: 5s }}
          explicit_http_config: {{ http_protocol_options: {{}} }}
      load_assignment:
        cluster_name: tokenctl
        endpoints:
          - lb_endpoints: [{{ endpoint: {{ address: {{ {gate} }} }} }}]
    - name: service
      connect_timeout: 1s
      load_assignment:
        cluster_name: service
        endpoints:
          - lb_endpoints: [{{ endpoint: {{ address: {{ {service} }} }} }}]
"
    ))
}

fn socket(address: &SocketAddr) -> String {
    format!("socket_address: {{ address: \"{}\", port_value: {} }}", address.ip(), address.port())
}

fn typed_socket(address: &str) -> String {
    address.parse().map(|address: SocketAddr| socket(&address)).unwrap_or_default()
}
