//! The client's address of a request.

use std::net::IpAddr;

use hyper::header::HeaderMap;

use crate::domain::address::address;

/// The source of the address. A header can be trusted only if no client can bypass the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Origin {
    /// The other end of the connection. A Unix socket has none.
    Peer,
    /// The last entry of `X-Forwarded-For`, which the proxy added. Earlier entries are claims of the client.
    XForwardedFor,
    /// `X-Real-IP`, if there is exactly one.
    XRealIp,
}

impl Origin {
    /// The address. `None` if it is missing or the header does not contain one.
    pub fn of(self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let text = match self {
            Self::Peer => return peer,
            Self::XForwardedFor => {
                let last = headers.get_all("x-forwarded-for").into_iter().next_back()?.to_str().ok()?;
                last.rsplit(',').next()?
            }
            Self::XRealIp => {
                let mut all = headers.get_all("x-real-ip").into_iter();
                let first = all.next()?;
                all.next().is_none().then_some(first)?.to_str().ok()?
            }
        };
        address(text.trim()).ok()
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in all {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn only_what_the_proxy_added_is_believed() {
        let of = |origin: Origin, all: &[(&'static str, &'static str)]| {
            let peer = "127.0.0.1".parse().ok();
            origin.of(peer, &headers(all)).map(|address| address.to_string())
        };
        let forwarded = |all: &[&'static str]| {
            of(Origin::XForwardedFor, &all.iter().map(|it| ("x-forwarded-for", *it)).collect::<Vec<_>>())
        };
        assert_eq!(forwarded(&["10.0.0.1, 192.0.2.7"]).as_deref(), Some("192.0.2.7"));
        assert_eq!(forwarded(&["10.0.0.1", "10.0.0.2, ::ffff:192.0.2.7"]).as_deref(), Some("192.0.2.7"));
        for none in [&[][..], &[""], &["10.0.0.1,"], &["10.0.0.1, unknown"], &["10.0.0.1", ""]] {
            assert_eq!(forwarded(none), None, "{none:?}");
        }
        let real = ("x-real-ip", "2001:db8::7");
        assert_eq!(of(Origin::XRealIp, &[real]).as_deref(), Some("2001:db8::7"));
        assert_eq!(of(Origin::XRealIp, &[real, real]), None);
        assert_eq!(of(Origin::Peer, &[real]).as_deref(), Some("127.0.0.1"));
    }
}
