//! Tests that take minutes. `cargo test --test it -- --skip slow::` runs all other tests.

mod clipboard;
mod concurrent;
mod crash;
mod flips;
mod package;
