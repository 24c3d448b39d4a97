//! The suites that take minutes: `cargo test --test it -- --skip slow::` runs all others.

mod clipboard;
mod concurrent;
mod crash;
mod flips;
mod package;
