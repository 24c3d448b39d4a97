//! How old an answer of a replica may be, and where its uses are recorded.

use clap::Args;

use crate::app::App;
use crate::domain::Invalid;
use crate::domain::when::Span;
use crate::error::Error;
use crate::store::Location;
#[cfg(feature = "postgres")]
use crate::store::{Address, Lag, Relay, is_url};

#[derive(Args, Default)]
pub struct Replica {
    /// On a replica, refuse to answer if its data is older than this
    #[arg(long, value_name = "DURATION", value_parser = max_lag)]
    max_lag: Option<Span>,
    /// On a replica, record uses in this store, which is the primary
    #[arg(long, value_name = "URL")]
    usage_store: Option<String>,
}

impl Replica {
    /// The store that is asked. `waits` says whether who asks waits for the first sign of a replica that it goes on.
    pub fn location(&self, app: &App<'_>, waits: bool) -> Result<Location, Error> {
        let location = app.location()?;
        #[cfg(feature = "postgres")]
        if let Location::Server(mut address) = location {
            let uses = self.primary(app)?.map(Relay::start).transpose().map_err(Error::Serve)?;
            address.lag = Lag { most: self.most(), waits, uses };
            return Ok(Location::Server(address));
        }
        let _ = waits;
        if self.usage_store.is_some() {
            return Err(Invalid::new("`--usage-store` is for a replica of a store in PostgreSQL")
                .hint("files record uses beside the store")
                .into());
        }
        Ok(location)
    }

    /// The primary, where it is named.
    #[cfg(feature = "postgres")]
    pub fn primary(&self, app: &App<'_>) -> Result<Option<Address>, Error> {
        let Some(url) = &self.usage_store else { return Ok(None) };
        if !is_url(url) {
            return Err(Invalid::new("`--usage-store` needs a URL of PostgreSQL")
                .hint("`--usage-store postgres://USER@HOST/DATABASE`")
                .into());
        }
        app.address(url).map(Some)
    }

    #[cfg(feature = "postgres")]
    pub fn most(&self) -> Option<std::time::Duration> {
        let secs = self.max_lag.and_then(|span| u64::try_from(span.secs()).ok());
        secs.map(std::time::Duration::from_secs)
    }
}

fn max_lag(text: &str) -> Result<Span, Invalid> {
    let span: Span = text.parse()?;
    if span.is_zero() {
        return Err(Invalid::new("no replica is as new as its primary").hint("`--max-lag 2s`"));
    }
    Ok(span)
}
