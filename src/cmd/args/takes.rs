//! What an argument takes, declared beside it, so that completion can offer candidates.

use clap::builder::ArgExt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    Token,
    /// Any scope of the catalogue.
    Scope,
    /// A scope that can be granted, in a comma-separated list.
    OpenScope,
    Owner,
    Label,
    Status,
    Column,
    Format,
    Setting,
    /// A code of `check`.
    Finding,
    Action,
}

impl ArgExt for Takes {}
