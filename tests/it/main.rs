//! The tests of the whole program: one module per verb, and one per promise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and runs on a real machine"
)]

mod addresses;
mod adopt;
mod alone;
mod apply;
mod arguments;
mod audit;
mod backup;
mod chain;
mod check;
mod completions;
mod create;

mod cron;
mod delivery;
mod destinations;
mod diff;
mod disable;
mod doctor;
mod due;
mod edit;
mod enable;
mod env_files;
mod export;
mod global;
mod help;
mod histories;
mod hooks;
mod hygiene;
mod if_missing;
mod import;
mod init;
mod install;
mod leaks;
mod list;
mod log;
mod maintenance;
mod man;
mod migration;
mod model;
mod pager;
mod plain;
mod planted;
#[cfg(feature = "postgres")]
mod postgres;
mod progress;
mod prune;
mod readme;
mod recovery;
mod refused;
mod remembered;
mod rename;
mod restore;
mod revoke;
mod rotate;
mod scan;
mod scopes;
mod seals;
mod selecting;
mod serve;
mod settings;
mod show;
mod slow;
mod store;
mod stream;
mod streams;
mod stuck;
mod support;
mod tables;
mod terminals;
mod tidy;
mod users;
mod verifier;
mod verify;
mod wizard;
