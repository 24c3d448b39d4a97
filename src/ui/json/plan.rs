//! The document of `diff` and `apply`.

use serde::Serialize;

use super::ErrorDoc;
use crate::domain::changes::Change;
use crate::domain::plan::Item;

#[derive(Serialize)]
pub struct PlanDoc<'a> {
    pub changed: bool,
    pub dry_run: bool,
    pub count: usize,
    pub plan: Vec<ItemDoc<'a>>,
}

#[derive(Serialize)]
pub struct ItemDoc<'a> {
    kind: &'static str,
    name: &'a str,
    action: &'static str,
    changes: &'a [Change],
    widens: bool,
    error: Option<ErrorDoc<'a>>,
}

impl<'a> ItemDoc<'a> {
    pub fn new(item: &'a Item, error: Option<ErrorDoc<'a>>) -> Self {
        Self {
            kind: item.kind.word(),
            name: &item.name,
            action: item.doing.word(),
            changes: &item.changes,
            widens: item.widens,
            error,
        }
    }
}
