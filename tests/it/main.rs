//! The tests of the whole program: a module a verb, and one a promise.

mod arguments;
mod concurrent;
mod create;
mod hygiene;
mod processes;
mod store;
mod streams;
mod stuck;
mod support;
mod tidy;
mod users;
