//! The flags that every verb takes.

use std::convert::Infallible;
use std::ffi::OsString;

use clap::{Args, ValueHint};

use crate::ui::Color;

/// Their heading.
pub const HEADING: &str = "Global options";

/// Of a flag without a value there is `Some` or nothing: a `false` where it is absent would be copied into each verb on the
/// line, for a tenth of all that `verify` does.
#[derive(Args, Default)]
pub struct Global {
    /// Use the store in this directory [env: TOKENCTL_STORE] [default: tokenctl in the XDG data directory]
    #[arg(long, value_name = "DIR", global = true, help_heading = HEADING, value_parser = clap::builder::OsStringValueParser::new())]
    #[arg(value_hint = ValueHint::DirPath)]
    pub store: Option<OsString>,
    /// Let the members of the group of the named store change its files [env: TOKENCTL_TRUST_GROUP]
    #[arg(long, global = true, help_heading = HEADING, num_args = 0, default_missing_value = "", value_parser = given)]
    pub trust_group: Option<bool>,
    /// Answer in JSON, errors too
    #[arg(long, global = true, help_heading = HEADING, num_args = 0, default_missing_value = "", value_parser = given)]
    pub json: Option<bool>,
    /// Never ask, as if there were no terminal
    #[arg(long, global = true, help_heading = HEADING, num_args = 0, default_missing_value = "", value_parser = given)]
    pub no_input: Option<bool>,
    /// Answer yes to the question whether to go on
    #[arg(short, long, global = true, help_heading = HEADING, num_args = 0, default_missing_value = "", value_parser = given)]
    pub yes: Option<bool>,
    /// Say only errors and warnings
    #[arg(short, long, global = true, help_heading = HEADING, num_args = 0, default_missing_value = "", value_parser = given)]
    pub quiet: Option<bool>,
    /// When to colour
    #[arg(long, value_name = "WHEN", global = true, value_enum, hide_possible_values = true)]
    #[arg(help_heading = HEADING, help = "When to colour: auto, always or never [default: auto]")]
    pub color: Option<Color>,
    /// Never show long output through the pager
    #[arg(long, global = true, help_heading = HEADING, num_args = 0, default_missing_value = "", value_parser = given)]
    pub no_pager: Option<bool>,
}

/// A parser that offers no values, or `true` and `false` would be told of in help and completions.
#[expect(clippy::unnecessary_wraps, reason = "the form of a parser")]
fn given(_: &str) -> Result<bool, Infallible> {
    Ok(true)
}
