//! The flags that every verb takes.

use std::convert::Infallible;
use std::ffi::OsString;

use clap::{Args, ValueHint};

use crate::ui::Color;

/// The heading of the flags in the help.
pub const HEADING: &str = "Global options";

/// A flag without a value is an `Option`: clap would copy a default of `false` into each verb, which costs a
/// tenth of a `verify`.
#[derive(Args, Default)]
pub struct Global {
    /// Use the store in this directory [env: TOKENCTL_STORE] [default: ~/.local/share/tokenctl]
    #[arg(long, value_name = "DIR", global = true, help_heading = HEADING, value_parser = clap::builder::OsStringValueParser::new())]
    #[arg(value_hint = ValueHint::DirPath)]
    pub store: Option<OsString>,
    /// Accept the store of `--store` even if its group can write its files [env: TOKENCTL_TRUST_GROUP]
    #[arg(long, global = true, help_heading = HEADING, num_args = 0, default_missing_value = "", value_parser = given)]
    pub trust_group: Option<bool>,
    /// Print JSON, also for errors
    #[arg(long, global = true, help_heading = HEADING, num_args = 0, default_missing_value = "", value_parser = given)]
    pub json: Option<bool>,
    /// Never ask, as if there were no terminal
    #[arg(long, global = true, help_heading = HEADING, num_args = 0, default_missing_value = "", value_parser = given)]
    pub no_input: Option<bool>,
    /// Answer yes to confirmations
    #[arg(short, long, global = true, help_heading = HEADING, num_args = 0, default_missing_value = "", value_parser = given)]
    pub yes: Option<bool>,
    /// Print only errors, warnings and results
    #[arg(short, long, global = true, help_heading = HEADING, num_args = 0, default_missing_value = "", value_parser = given)]
    pub quiet: Option<bool>,
    /// When to colour
    #[arg(long, value_name = "WHEN", global = true, value_enum, hide_possible_values = true)]
    #[arg(help_heading = HEADING, help = "When to colour: auto, always or never [default: auto]")]
    pub color: Option<Color>,
    /// Do not use a pager for long output
    #[arg(long, global = true, help_heading = HEADING, num_args = 0, default_missing_value = "", value_parser = given)]
    pub no_pager: Option<bool>,
}

/// A parser without possible values, so that help and completions do not show `true` and `false`.
#[expect(clippy::unnecessary_wraps, reason = "the form of a parser")]
fn given(_: &str) -> Result<bool, Infallible> {
    Ok(true)
}
