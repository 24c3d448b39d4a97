//! The tests of the whole program: a module a verb, and one a promise.

mod adopt;
mod arguments;
mod concurrent;
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
