//! What an argument takes, declared beside it, so that a shell can be told what may stand there.

use clap::builder::ArgExt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    Token,
    /// Any scope of the catalogue.
    Scope,
    /// One of those that can be granted, in a list joined by commas.
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
