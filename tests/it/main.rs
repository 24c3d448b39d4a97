//! The tests of the whole program: a module a verb, and one a promise.

mod create;
mod support;
