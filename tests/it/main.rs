//! The tests of the whole program: a module a verb, and one a promise.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and looks at the machine itself"
)]

mod audit;
mod create;
mod disable;
mod doctor;
mod enable;
mod model;
mod revoke;
mod scopes;
mod selecting;
mod support;
mod verify;
