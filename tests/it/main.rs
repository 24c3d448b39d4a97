//! The tests of the whole program: a module a verb, and one a promise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and runs on a real machine"
)]

mod adopt;
mod arguments;
mod concurrent;
mod create;
mod cron;
mod edit;
mod global;
mod hygiene;
mod init;
mod leaks;
mod list;
mod processes;
mod recovery;
mod rename;
mod rotate;
mod settings;
mod show;
mod sinks;
mod store;
mod streams;
mod stuck;
mod support;
mod tidy;
mod users;
