//! The tests of the whole program: a module a verb, and one a promise.

mod adopt;
mod create;
mod edit;
mod global;
mod init;
mod list;
mod rename;
mod settings;
mod show;
mod support;
