//! Tokens, secrets and deliveries as they stand in rows.

use std::collections::BTreeMap;

use rusqlite::Row;
use rusqlite::types::ValueRef;

use super::sql::{RowNumber, wrong};
use crate::domain::destination::{Destination, Receiver};
use crate::domain::lifetime::Lifetime;
use crate::domain::name::{Name, TokenId};
use crate::domain::token::{Delivery, DestinationKind, StoredSecret, Token};
use crate::domain::when::{Span, Timestamp};

pub fn read_token(row: &Row<'_>) -> rusqlite::Result<Token> {
    let lifetime = match (row.get::<_, Option<Span>>(6)?, row.get::<_, Option<Timestamp>>(7)?) {
        (Some(_), Some(_)) => return Err(wrong(7, "a token with a `ttl` has no `until`")),
        (Some(ttl), None) if ttl.is_zero() => return Err(wrong(6, "a lifetime is longer than nothing")),
        (Some(ttl), None) => Lifetime::Ttl(ttl),
        (None, Some(until)) => Lifetime::Until(until),
        (None, None) => Lifetime::Endless,
    };
    let rotate_every: Option<Span> = row.get(9)?;
    if rotate_every.is_some_and(Span::is_zero) {
        return Err(wrong(9, "a rotation is due after more than no time"));
    }
    Ok(Token {
        row: row.get::<_, RowNumber>(0)?.0,
        id: row.get::<_, TokenId>(1)?.as_str().to_owned(),
        name: row.get::<_, Name>(2)?.to_string(),
        description: row.get(3)?,
        owner: row.get(4)?,
        icon: row.get(5)?,
        labels: BTreeMap::new(),
        grants: BTreeMap::new(),
        lifetime,
        not_before: row.get(8)?,
        rotate_every,
        grace: row.get(10)?,
        created_at: row.get(11)?,
        created_by: row.get(12)?,
        disabled_at: row.get(13)?,
        revoked_at: row.get(14)?,
        destination: read_destination(row)?,
        hook: row.get(21)?,
        allow_from: row.get(22)?,
        secrets: Vec::new(),
        delivery: None,
    })
}

pub fn read_destination(row: &Row<'_>) -> rusqlite::Result<Option<Destination>> {
    let Some(kind) = row.get::<_, Option<String>>(15)? else {
        let rest = (16..=20).any(|column| row.get_ref(column).is_ok_and(|value| value != ValueRef::Null));
        return if rest { Err(wrong(15, "a destination without a kind")) } else { Ok(None) };
    };
    let receiver = Receiver::new(&kind, row.get(16)?, row.get(17)?, row.get(18)?)
        .ok_or_else(|| wrong(15, "a destination that no token can have"))?;
    Ok(Some(Destination { receiver, host: row.get(19)?, uid: row.get(20)? }))
}

/// A secret whose columns begin at `first`: its row, its token, and the rest.
pub fn read_secret(row: &Row<'_>, first: usize) -> rusqlite::Result<StoredSecret> {
    let [delivered_at, superseded_at, revoked_at]: [Option<Timestamp>; 3] =
        [row.get(first + 6)?, row.get(first + 7)?, row.get(first + 8)?];
    if delivered_at.is_none() && (superseded_at.is_some() || revoked_at.is_some()) {
        return Err(wrong(first + 6, "a secret that was never delivered is neither superseded nor revoked"));
    }
    Ok(StoredSecret {
        row: row.get::<_, RowNumber>(first)?.0,
        hash: row.get(first + 2)?,
        hint: row.get(first + 3)?,
        created_at: row.get(first + 4)?,
        expires_at: row.get(first + 5)?,
        delivered_at,
        superseded_at,
        revoked_at,
        last_used_at: None,
        refused_at: None,
    })
}

pub fn read_delivery(row: &Row<'_>, secret: i64) -> rusqlite::Result<Delivery> {
    Ok(Delivery {
        secret,
        destination: row.get::<_, DestinationKind>(10)?,
        target: row.get(11)?,
        uid: row.get(12)?,
        pid: row.get(13)?,
        started_at: row.get(14)?,
        deadline: row.get(15)?,
        expires_at: row.get(16)?,
        grace: row.get(17)?,
        variable: row.get(18)?,
        command: row.get(19)?,
        hook: row.get(20)?,
        remember: row.get(21)?,
        host: row.get(22)?,
    })
}
