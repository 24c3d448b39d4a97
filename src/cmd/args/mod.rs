//! Flags that several verbs share, and what those verbs do alike with them.

pub mod change;
pub mod describe;
pub mod grants;
pub mod lifetime;
pub mod many;
pub mod select;
pub mod sink;
pub mod takes;
pub mod widen;
