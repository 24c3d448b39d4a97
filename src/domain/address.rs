//! The network addresses from which clients are allowed to use a token.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

use super::Invalid;

/// A network. A single address is a network that contains only this address. A network of IPv4 addresses
/// mapped into IPv6 is stored as an IPv4 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network(IpNet);

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    fn covers(self, other: Self) -> bool {
        self.0.contains(&other.0)
    }
}

impl FromStr for Network {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let network = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => text.parse::<IpNet>().map_err(|_| {
                Invalid::new(format!("`{}` is neither an address nor a network", text.escape_debug()))
                    .hint("like `192.0.2.7`, `192.0.2.0/24` or `2001:db8::/32`")
            })?,
        };
        if network.addr() != network.network() {
            return Err(Invalid::new(format!("`{network}` is an address within a network")).hint(format!(
                "the network is `{}`, the address alone is `{}`",
                network.trunc(),
                network.addr()
            )));
        }
        Ok(Self(unmapped(network)))
    }
}

/// The prefix length of `::ffff:0:0/96`, the IPv6 network that contains the mapped IPv4 addresses.
const MAPPED: u8 = 96;

fn unmapped(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let address = v6.addr().to_ipv4_mapped();
    let len = v6.prefix_len().checked_sub(MAPPED);
    address.zip(len).and_then(|(address, len)| Ipv4Net::new(address, len).ok()).map_or(network, IpNet::V4)
}

/// Parses an address. An IPv4 address mapped into IPv6 is returned as an IPv4 address.
pub fn address(text: &str) -> Result<IpAddr, Invalid> {
    text.parse::<IpAddr>().map(|address| address.to_canonical()).map_err(|_| {
        Invalid::new(format!("`{}` is not an address", text.escape_debug()))
            .hint("like `192.0.2.7` or `2001:db8::7`")
    })
}

impl fmt::Display for Network {
    /// Includes the prefix length, even for a single address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The networks from which clients are allowed to use a token. There is at least one; they are sorted and
/// distinct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowFrom(Vec<Network>);

impl AllowFrom {
    /// `None` if there is no network.
    pub fn new(mut networks: Vec<Network>) -> Option<Self> {
        networks.sort_unstable();
        networks.dedup();
        (!networks.is_empty()).then_some(Self(networks))
    }

    pub fn networks(&self) -> &[Network] {
        &self.0
    }

    /// Whether a client at this address is allowed to use the token.
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(address))
    }

    /// The networks that no network of the other rule covers completely.
    pub fn beyond<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = Network> + 'a {
        let covered = |network: Network| other.0.iter().any(|wider| wider.covers(network));
        self.0.iter().copied().filter(move |network| !covered(*network))
    }
}

impl fmt::Display for AllowFrom {
    /// The stored form, separated by commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, network) in self.0.iter().enumerate() {
            write!(f, "{}{network}", if nth == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for AllowFrom {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let networks = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
        Self::new(networks).ok_or_else(|| Invalid::new("no network is given"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> AllowFrom {
        text.parse().expect(text)
    }

    #[test]
    fn a_rule_is_stored_in_one_spelling() {
        for (given, kept) in [
            ("192.0.2.7", "192.0.2.7/32"),
            ("2001:DB8:0::/32,10.0.0.0/8,10.0.0.0/8", "10.0.0.0/8,2001:db8::/32"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(rule(given).to_string(), kept);
            assert_eq!(rule(kept), rule(given));
        }
        for text in
            ["", "10.0.0.1/8", "10.0.0.0/33", "example.com", "10.0.0", "10.0.0.0/8,", " 10.0.0.1", "::1%lo"]
        {
            assert!(text.parse::<AllowFrom>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_mapped_address_counts_as_its_ipv4_address() {
        let rule = rule("10.0.0.0/8");
        for (address, allowed) in
            [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("11.0.0.1", false), ("::10.1.2.3", false)]
        {
            assert_eq!(rule.allows(address.parse().expect(address)), allowed, "{address}");
        }
    }

    #[test]
    fn a_network_within_another_is_not_beyond_it() {
        let beyond = |new: &str, old: &str| -> Vec<String> {
            rule(new).beyond(&rule(old)).map(|network| network.to_string()).collect()
        };
        assert_eq!(beyond("10.1.0.0/16", "10.0.0.0/8"), Vec::<String>::new());
        assert_eq!(beyond("10.1.0.0/16,192.0.2.0/24", "10.0.0.0/8"), ["192.0.2.0/24"]);
        assert_eq!(beyond("10.0.0.0/8", "10.1.0.0/16"), ["10.0.0.0/8"]);
    }
}
