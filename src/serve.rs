//! The gate: the answers of `verify` over HTTP, for proxies and services.
//!
//! - One thread waits for all sockets, speaks HTTP and verifies; another one waits for the store where it must. All requests
//!   that wait are answered in one read transaction, which begins after they arrived. What was read before counts only if
//!   that transaction finds the store unchanged, so a revocation counts from the next request on.
//! - Whatever cannot be decided is not a yes: every request is answered within about a second, if need be with 503.
//! - Which scopes and labels a proxy requires comes from the routes of the command line, never from a client.

mod admin;
mod answer;
mod api;
mod connection;
mod engine;
mod gate;
mod http;
mod listen;
mod log;
mod metrics;
mod notify;
mod origin;
mod poll;
mod present;
mod proxy;
mod query;
mod reply;
mod route;
mod run;
mod server;
mod turn;

pub use gate::{Gate, Manners};
pub use listen::{Address, ListenError, Listener, Passed, SocketMode};
pub use log::Log;
pub use origin::Origin;
pub use present::Source;
pub use proxy::{Proxy, config};
pub use route::{Route, Routes};
pub use run::{End, Limits, Signals, run};
