//! `--allow-from`, the addresses from which a token is accepted.

use std::str::FromStr;

use clap::Args;

use crate::domain::Invalid;
use crate::domain::address::{AllowFrom, Network};
use crate::domain::when::is_none;

#[derive(Args, Clone, Default)]
pub struct AllowArgs {
    /// Accept its secrets only from these addresses and networks; `none` removes the restriction
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',')]
    allow_from: Vec<Source>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Everywhere,
    Network(Network),
}

impl FromStr for Source {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if is_none(text) { Ok(Self::Everywhere) } else { text.parse().map(Self::Network) }
    }
}

impl AllowArgs {
    /// The flag that would give this rule.
    pub fn of(token: Option<&AllowFrom>) -> Self {
        let networks = token.map_or(&[][..], AllowFrom::networks);
        Self { allow_from: networks.iter().copied().map(Source::Network).collect() }
    }

    pub fn is_given(&self) -> bool {
        !self.allow_from.is_empty()
    }

    /// The given rule; `None` allows every address.
    pub fn rule(&self) -> Result<Option<AllowFrom>, Invalid> {
        let networks = self.allow_from.iter().filter_map(|source| match source {
            Source::Everywhere => None,
            Source::Network(network) => Some(*network),
        });
        let networks: Vec<Network> = networks.collect();
        if networks.len() < self.allow_from.len() && self.allow_from.len() > 1 {
            return Err(Invalid::new("`none` cannot be combined with addresses")
                .hint("`none` alone removes the rule"));
        }
        Ok(AllowFrom::new(networks))
    }
}
