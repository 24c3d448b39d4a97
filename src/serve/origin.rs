//! The client's address of a request.

use std::net::IpAddr;

use super::http::Headers;
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
    pub fn of(self, peer: Option<IpAddr>, headers: Headers<'_, '_>) -> Option<IpAddr> {
        let text = match self {
            Self::Peer => return peer,
            Self::XForwardedFor => {
                headers.all("x-forwarded-for").last()?.rsplit(|byte| *byte == b',').next()?
            }
            Self::XRealIp => {
                let mut all = headers.all("x-real-ip");
                let first = all.next()?;
                all.next().is_none().then_some(first)?
            }
        };
        address(std::str::from_utf8(text).ok()?.trim()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_proxy_added_is_believed() {
        let of = |origin: Origin, all: &[(&'static str, &'static str)]| {
            let peer = "127.0.0.1".parse().ok();
            let headers: Vec<_> =
                all.iter().map(|(name, value)| httparse::Header { name, value: value.as_bytes() }).collect();
            origin.of(peer, Headers::of(&headers)).map(|address| address.to_string())
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
