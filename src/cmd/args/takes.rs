//! What an argument takes, declared beside it, so that completion can offer candidates.

use clap::builder::ArgExt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    Token,
    /// Any scope that the store defines, even a retired one.
    Scope,
    /// Scopes that can be granted, separated by commas.
    OpenScope,
    Owner,
    Label,
    Status,
    Column,
    Format,
    Setting,
    /// The code of a problem that `tokenctl check` can find.
    Finding,
    Action,
}

impl ArgExt for Takes {}
