//! Checks and reads the rows of a page.

use std::collections::HashMap;

use super::rows::{Row, Rows, Table};
use super::{Engine, Page};
use crate::domain::token::{StoredSecret, Token};
use crate::domain::verdict::refusal;
use crate::domain::when::Timestamp;
use crate::store::Store;
use crate::store::cells::Cells;
use crate::store::sql::wrong;
use crate::store::token_rows::{
    OF_BOTH, OF_GRANT, OF_LABEL, OF_SECRET, OF_TOKEN, add_secret, read_counts, read_grant, read_secret,
    read_token,
};
use crate::store::usage::{Block, Kind, Usages, secret_tag};

/// Reads pages without using the store, which takes the next page meanwhile.
pub struct Reader {
    /// `None` for a server, whose pages have already been read.
    usages: Option<Usages>,
    block: Block,
    now: Timestamp,
}

/// The rows of labels and grants, by the row number of their token.
type Others<'p> = HashMap<i64, Vec<&'p Row>>;

impl Reader {
    pub(super) fn new(store: &Store, now: Timestamp) -> Self {
        let usages = match &store.engine {
            Engine::Sqlite(it) => Some(it.usages.fresh()),
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => None,
        };
        Self { usages, block: Block::default(), now }
    }

    /// Passes each token of a page to `take`, in order. Returns whether all of them are intact. If not, the
    /// caller takes the page again, table by table, to find the damaged row.
    pub fn each(&mut self, page: &Page, mut take: impl FnMut(&Token)) -> bool {
        page.read.iter().for_each(&mut take);
        let all = &page.rows.all;
        let is_own = |row: &&Row| matches!(row.table, Table::Tokens | Table::Secret);
        let (own, rest) = all.split_at(all.iter().take_while(is_own).count());
        let mut others = Others::new();
        for row in rest {
            let owner = match row.table {
                Table::Label => page.rows.values::<1>(row)[0],
                _ => page.rows.values::<OF_GRANT>(row)[6],
            };
            others.entry(owner.as_i64().unwrap_or(0)).or_default().push(row);
        }
        own.chunk_by(|_, next| next.table != Table::Tokens)
            .all(|rows| self.token(&page.rows, rows, &others).map(|token| take(&token)).is_ok())
    }

    /// Reads a token from the first of these rows, and its secrets from the others.
    fn token(&mut self, page: &Rows, rows: &[Row], others: &Others<'_>) -> rusqlite::Result<Token> {
        let (mut token, counts) = {
            let values = page.unbroken::<OF_TOKEN>(&rows[0])?;
            let cells = Cells::of_values(&values);
            (read_token(&cells)?, read_counts(&cells))
        };
        for row in &rows[1..] {
            if row.columns == OF_SECRET {
                let values = page.unbroken::<OF_SECRET>(row)?;
                let secret = self.used(&token, read_secret(&Cells::of_values(&values))?);
                token.secrets.push(secret);
            } else {
                let values = page.unbroken::<{ OF_SECRET + OF_BOTH }>(row)?;
                let (of_secret, both) = values.split_at(OF_SECRET);
                let secret = self.used(&token, read_secret(&Cells::of_values(of_secret))?);
                add_secret(&mut token, secret, &Cells::of_values(both))?;
            }
        }
        token.secrets.sort_unstable_by_key(|secret| secret.row);
        for row in others.get(&token.row).into_iter().flatten() {
            self.add_other(page, row, &mut token)?;
        }
        if page.is_sealed && counts != [token.labels.len(), token.grants.len(), token.secrets.len()] {
            return Err(wrong(0, "rows of it are missing"));
        }
        Ok(token)
    }

    /// Adds a label or a grant to its token.
    fn add_other(&self, page: &Rows, row: &Row, token: &mut Token) -> rusqlite::Result<()> {
        if row.table == Table::Label {
            let values = page.unbroken::<OF_LABEL>(row)?;
            let cells = Cells::of_values(&values);
            token.labels.insert(cells.get(1)?, cells.get(2)?);
        } else {
            let values = page.unbroken::<OF_GRANT>(row)?;
            let (scope, mut grant) = read_grant(&Cells::of_values(&values))?;
            let asked = |usages: &Usages| usages.last_required(token, &grant, self.now);
            grant.last_required_at = self.usages.as_ref().and_then(asked);
            token.grants.insert(scope, grant);
        }
        Ok(())
    }

    /// Returns the secret with the times of its uses.
    fn used(&mut self, token: &Token, secret: StoredSecret) -> StoredSecret {
        let Some(usages) = &self.usages else { return secret };
        let (row, tag, created, now) = (secret.row, secret_tag(&secret.hash), secret.created_at, self.now);
        let last_used_at = usages.of(Kind::Uses).last_in(&mut self.block, row, tag, created, now);
        let refused = |_| usages.of(Kind::Refusals).last(row, tag, created, now);
        let refused_at = refusal(token, &secret, now).and_then(refused);
        StoredSecret { last_used_at, refused_at, ..secret }
    }
}
