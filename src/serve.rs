//! The gate: the answers of `verify` over HTTP, for proxies and services.
//!
//! - One thread handles all sockets, HTTP and verification; another one waits for the store if it is busy. All
//!   waiting requests are answered in one read transaction, which begins after they arrived. Cached rows are
//!   used only if that transaction finds the store unchanged, so a revocation applies from the next request on.
//! - An error is never a positive answer. Every request is answered within about a second, if necessary with
//!   503.
//! - The scopes and labels that a proxy requires are set by the routes of the command line, never by a client.

mod admin;
mod answer;
mod api;
mod connection;
mod engine;
#[cfg(feature = "postgres")]
mod follow;
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

#[cfg(feature = "postgres")]
pub use follow::follow;
pub use gate::{Gate, Manners};
pub use listen::{Address, ListenError, Listener, Passed, SocketMode};
pub use log::Log;
pub use origin::Origin;
pub use present::Source;
pub use proxy::{Proxy, config};
pub use route::{Route, Routes};
pub use run::{Limits, Signals, StopReason, run};
