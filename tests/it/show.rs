//! `show`.
