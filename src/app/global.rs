//! The flags that every verb takes.

use std::ffi::OsString;

use clap::{Args, ValueHint};

use crate::ui::Color;

/// Their heading.
pub const HEADING: &str = "Global options";

#[derive(Args, Default)]
pub struct Global {
    /// Use the store in this directory [env: TOKENCTL_STORE] [default: tokenctl in the XDG data directory]
    #[arg(long, value_name = "DIR", global = true, help_heading = HEADING, value_parser = clap::builder::OsStringValueParser::new())]
    #[arg(value_hint = ValueHint::DirPath)]
    pub store: Option<OsString>,
    /// Let the members of the group of the named store change its files [env: TOKENCTL_TRUST_GROUP]
    #[arg(long, global = true, help_heading = HEADING)]
    pub trust_group: bool,
    /// Answer in JSON, errors too
    #[arg(long, global = true, help_heading = HEADING)]
    pub json: bool,
    /// Never ask, as if there were no terminal
    #[arg(long, global = true, help_heading = HEADING)]
    pub no_input: bool,
    /// Answer yes to the question whether to go on
    #[arg(short, long, global = true, help_heading = HEADING)]
    pub yes: bool,
    /// Say only errors and warnings
    #[arg(short, long, global = true, help_heading = HEADING)]
    pub quiet: bool,
    /// When to colour
    #[arg(
        long,
        value_name = "WHEN",
        global = true,
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    #[arg(help_heading = HEADING, help = "When to colour: auto, always or never")]
    pub color: Color,
    /// Never show long output through the pager
    #[arg(long, global = true, help_heading = HEADING)]
    pub no_pager: bool,
}
