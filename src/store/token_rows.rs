//! Reads tokens, secrets and deliveries from rows.

use std::collections::BTreeMap;

use rusqlite::types::ValueRef;

use super::cells::Cells;
use super::sql::{RowNumber, wrong};
use crate::domain::destination::{Destination, RememberedDestination};
use crate::domain::hook::{Claim, PendingHook};
use crate::domain::lifetime::Lifetime;
use crate::domain::token::{Delivery, DestinationKind, Grant, StoredSecret, Token};
use crate::domain::when::{Span, Timestamp};

/// The number of columns of a token and of a secret, with their seals.
pub const OF_TOKEN: usize = 25;
pub const OF_SECRET: usize = 10;
/// The columns of a delivery, with the alias of its table.
pub const DELIVERY: &str = "d.kind, d.target, d.uid, d.pid, d.started_at, d.deadline, d.expires_at, d.grace,
     d.variable, d.command, d.hook, d.remember, d.host";
const OF_DELIVERY: usize = 13;
/// The columns of a pending hook, with the alias of its table.
pub const HOOK: &str =
    "h.command, h.destination, h.previous_expires_at, h.host, h.uid, h.claimed_at, h.claimed_pid,
     h.failed_at, h.created_at";

/// The number of columns of a delivery and a pending hook together.
pub const OF_BOTH: usize = OF_DELIVERY + 9;

/// The statement that reads labels, without a condition.
pub const LABELS: &str = "SELECT token, key, value, seal FROM label";
pub const OF_LABEL: usize = 4;
/// The statement that reads grants with their scopes, without a condition. The index contains a whole grant.
/// The row is also read from the table, because a damaged index could grant a scope.
pub const GRANTS: &str =
    "SELECT t.row, t.token, t.scope, t.seal, s.name, s.id, g.token, g.scope FROM granted g
     LEFT JOIN scope s ON s.row = g.scope LEFT JOIN granted t ON t.row = g.row";
pub const OF_GRANT: usize = 8;
/// The number of columns that belong to the row of a grant, which ends with its seal.
pub const OF_GRANT_ROW: usize = 4;

/// How many labels, grants and secrets a token should have.
pub type Counts = [usize; 3];

/// Reads these counts from the row of a token.
pub fn read_counts(cells: &Cells<'_>) -> Counts {
    let mut counts = [usize::MAX; 3];
    if let ValueRef::Text(text) = cells.values()[23] {
        for (count, digits) in counts.iter_mut().zip(text.split(|byte| *byte == b',')) {
            *count = std::str::from_utf8(digits).ok().and_then(|it| it.parse().ok()).unwrap_or(usize::MAX);
        }
    }
    counts
}

pub fn read_token(cells: &Cells<'_>) -> rusqlite::Result<Token> {
    let lifetime = match (cells.get::<Option<Span>>(6)?, cells.get::<Option<Timestamp>>(7)?) {
        (Some(_), Some(_)) => return Err(wrong(cells.column(7), "a token with a `ttl` has no `until`")),
        (Some(ttl), None) if ttl.is_zero() => {
            return Err(wrong(cells.column(6), "a lifetime must not be zero"));
        }
        (Some(ttl), None) => Lifetime::Ttl(ttl),
        (None, Some(until)) => Lifetime::Until(until),
        (None, None) => Lifetime::Endless,
    };
    let rotate_every: Option<Span> = cells.get(9)?;
    if rotate_every.is_some_and(Span::is_zero) {
        return Err(wrong(cells.column(9), "a rotation interval must not be zero"));
    }
    Ok(Token {
        row: cells.get::<RowNumber>(0)?.0,
        id: cells.get(1)?,
        name: cells.get(2)?,
        description: cells.get(3)?,
        owner: cells.get(4)?,
        icon: cells.get(5)?,
        labels: BTreeMap::new(),
        grants: BTreeMap::new(),
        lifetime,
        not_before: cells.get(8)?,
        rotate_every,
        grace: cells.get(10)?,
        created_at: cells.get(11)?,
        created_by: cells.get(12)?,
        disabled_at: cells.get(13)?,
        revoked_at: cells.get(14)?,
        destination: read_destination(cells)?,
        hook: cells.get(21)?,
        allow_from: cells.get(22)?,
        secrets: Vec::new(),
        delivery: None,
        pending_hook: None,
    })
}

fn read_destination(cells: &Cells<'_>) -> rusqlite::Result<Option<RememberedDestination>> {
    let Some(kind) = cells.get::<Option<String>>(15)? else {
        let rest = cells.values()[16..=20].iter().any(|value| *value != ValueRef::Null);
        return if rest { Err(wrong(cells.column(15), "a destination without a kind")) } else { Ok(None) };
    };
    let destination = Destination::new(&kind, cells.get(16)?, cells.get(17)?, cells.get(18)?)
        .ok_or_else(|| wrong(cells.column(15), "a destination that no token can have"))?;
    Ok(Some(RememberedDestination { destination, host: cells.get(19)?, uid: cells.get(20)? }))
}

/// Reads a secret from its columns.
pub fn read_secret(cells: &Cells<'_>) -> rusqlite::Result<StoredSecret> {
    let [delivered_at, superseded_at, revoked_at]: [Option<Timestamp>; 3] =
        [cells.get(6)?, cells.get(7)?, cells.get(8)?];
    if delivered_at.is_none() && (superseded_at.is_some() || revoked_at.is_some()) {
        return Err(wrong(
            cells.column(6),
            "a secret that was never delivered is neither superseded nor revoked",
        ));
    }
    Ok(StoredSecret {
        row: cells.get::<RowNumber>(0)?.0,
        hash: cells.get(2)?,
        hint: cells.get(3)?,
        created_at: cells.get(4)?,
        expires_at: cells.get(5)?,
        delivered_at,
        superseded_at,
        revoked_at,
        last_used_at: None,
        refused_at: None,
    })
}

/// Adds a secret to its token, with its delivery and its pending hook, if any. `both` contains their columns.
pub fn add_secret(token: &mut Token, secret: StoredSecret, both: &Cells<'_>) -> rusqlite::Result<()> {
    if both.values()[0] != ValueRef::Null {
        let delivery = read_delivery(both, secret.row)?;
        if secret.delivered_at.is_some() || token.delivery.replace(delivery).is_some() {
            return Err(wrong(both.column(0), "a delivery that cannot be under way"));
        }
    }
    token.pending_hook = read_hook(both, secret.row)?.or(token.pending_hook.take());
    token.secrets.push(secret);
    Ok(())
}

fn read_delivery(cells: &Cells<'_>, secret: i64) -> rusqlite::Result<Delivery> {
    Ok(Delivery {
        secret,
        destination: cells.get::<DestinationKind>(0)?,
        target: cells.get(1)?,
        uid: cells.get(2)?,
        pid: cells.get(3)?,
        started_at: cells.get(4)?,
        deadline: cells.get(5)?,
        expires_at: cells.get(6)?,
        grace: cells.get(7)?,
        variable: cells.get(8)?,
        command: cells.get(9)?,
        hook: cells.get(10)?,
        remember: read_switch(cells, 11)?,
        host: cells.get(12)?,
    })
}

/// Reads the pending hook of a secret, if there is one.
fn read_hook(cells: &Cells<'_>, secret: i64) -> rusqlite::Result<Option<PendingHook>> {
    let Some(command) = cells.get(OF_DELIVERY)? else { return Ok(None) };
    let at = |column: usize| OF_DELIVERY + column;
    let claim = cells.get::<Option<Timestamp>>(at(5))?.zip(cells.get::<Option<u32>>(at(6))?);
    Ok(Some(PendingHook {
        secret,
        command,
        destination: cells.get(at(1))?,
        previous_expires_at: cells.get(at(2))?,
        host: cells.get(at(3))?,
        uid: cells.get(at(4))?,
        claim: claim.map(|(at, pid)| Claim { at, pid }),
        failed_at: cells.get(at(7))?,
        created_at: cells.get(at(8))?,
    }))
}

/// Reads a grant from the columns of [`GRANTS`], and the row number of its scope.
pub fn read_grant(cells: &Cells<'_>) -> rusqlite::Result<(i64, Grant)> {
    let (by_index, by_table): ([Option<i64>; 2], [Option<i64>; 2]) =
        ([cells.get(6)?, cells.get(7)?], [cells.get(1)?, cells.get(2)?]);
    if by_index != by_table {
        return Err(wrong(cells.column(1), "the table and its index differ"));
    }
    let grant = Grant {
        row: cells.get::<RowNumber>(0)?.0,
        scope: cells.get(4)?,
        scope_id: cells.get(5)?,
        last_required_at: None,
    };
    Ok((cells.get::<RowNumber>(2)?.0, grant))
}

fn read_switch(cells: &Cells<'_>, column: usize) -> rusqlite::Result<bool> {
    match cells.get(column)? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(rusqlite::Error::IntegralValueOutOfRange(cells.column(column), other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NULL: ValueRef<'_> = ValueRef::Null;
    const TIME: ValueRef<'_> = ValueRef::Integer(1_800_000_000);

    /// The columns of a token with this lifetime.
    fn token(ttl: ValueRef<'static>, until: ValueRef<'static>) -> rusqlite::Result<Token> {
        let mut values = [NULL; OF_TOKEN];
        values[0] = ValueRef::Integer(1);
        (values[1], values[2]) = (ValueRef::Text(b"0123456789ab"), ValueRef::Text(b"demo"));
        (values[6], values[7]) = (ttl, until);
        (values[11], values[12]) = (TIME, ValueRef::Text(b"ann"));
        read_token(&Cells::of_values(&values))
    }

    #[test]
    fn a_lifetime_is_a_duration_above_zero_or_an_end() {
        let day = ValueRef::Integer(86_400);
        assert!(token(NULL, NULL).is_ok());
        assert!(token(day, NULL).is_ok());
        assert!(token(NULL, TIME).is_ok());
        assert!(token(day, TIME).is_err());
        assert!(token(ValueRef::Integer(0), NULL).is_err());
    }

    #[test]
    fn only_a_delivered_secret_can_be_superseded_or_revoked() {
        let secret = |[delivered, superseded, revoked]: [ValueRef<'static>; 3]| {
            let mut values = [NULL; OF_SECRET];
            (values[0], values[1]) = (ValueRef::Integer(1), ValueRef::Integer(1));
            (values[2], values[3]) = (ValueRef::Blob(&[7; 32]), ValueRef::Text(b"hint"));
            (values[4], values[6], values[7], values[8]) = (TIME, delivered, superseded, revoked);
            read_secret(&Cells::of_values(&values))
        };
        for sound in [[NULL; 3], [TIME, NULL, NULL], [TIME, TIME, NULL], [TIME, NULL, TIME], [TIME; 3]] {
            let read = secret(sound);
            assert!(read.is_ok(), "{sound:?}: {read:?}");
        }
        for wrong in [[NULL, TIME, NULL], [NULL, NULL, TIME], [NULL, TIME, TIME]] {
            assert!(secret(wrong).is_err(), "{wrong:?}");
        }
    }
}
