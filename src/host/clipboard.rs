//! A person's clipboard. Its content belongs to a running process, so a second process of this program holds
//! it.

#[cfg(feature = "clipboard")]
mod display;
mod hold;
mod holder;
mod keeper;
mod osc52;
mod tmux;

use std::ffi::OsString;
use std::io;
use std::time::Duration;

use crate::context::{Clipboard, CopyMethod};

pub use holder::hold;

/// Opens a clipboard by this method. `env` reads the caller's environment.
pub fn reach(
    method: CopyMethod,
    stay: Duration,
    name: &str,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> io::Result<Box<dyn Clipboard>> {
    let held = |role, needs: &[&'static str]| {
        let needs = needs.iter().filter_map(|key| Some((*key, env(key)?))).collect();
        keeper::Keeper::start(role, stay, name, needs).map(|keeper| Box::new(keeper) as Box<dyn Clipboard>)
    };
    match method {
        CopyMethod::Display if cfg!(not(feature = "clipboard")) => {
            Err(io::Error::other("this tokenctl is built without the feature `clipboard`"))
        }
        CopyMethod::Display if env("WAYLAND_DISPLAY").or_else(|| env("DISPLAY")).is_none() => {
            Err(io::Error::other("neither WAYLAND_DISPLAY nor DISPLAY is set"))
        }
        CopyMethod::Display => {
            held("display", &["DISPLAY", "HOME", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR"])
        }
        CopyMethod::Tmux if env("TMUX").is_none() => Err(io::Error::other("TMUX is not set")),
        CopyMethod::Tmux => held("tmux", &["PATH", "TMUX", "TMUX_PANE"]),
        CopyMethod::Osc52 => Ok(Box::new(osc52::Osc52::open(env("TERM").as_deref())?)),
    }
}
