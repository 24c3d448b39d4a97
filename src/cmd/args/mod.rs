//! Flags that several verbs share, and the code for them.

pub mod allow;
pub mod arrivals;
pub mod at;
pub mod change;
pub mod choice;
pub mod commands;
pub mod delivery;
pub mod describe;
pub mod destination;
pub mod fold;
pub mod grants;
pub mod hooks;
pub mod lifetime;
pub mod lines;
pub mod many;
pub mod memory;
pub mod newcomer;
pub mod plan;
pub mod rare;
pub mod replica;
pub mod route;
pub mod secret;
pub mod select;
pub mod takes;
pub mod wanted;
pub mod widen;
