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
mod crash;
mod create;
mod edit;
mod global;
mod hygiene;
mod init;
mod list;
mod processes;
mod rename;
mod settings;
mod show;
mod store;
mod streams;
mod stuck;
mod support;
mod tidy;
mod users;
