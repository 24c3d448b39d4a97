//! Runs in the process that holds a clipboard. This process has a separate session and none of the caller's
//! files. It exits when its time is over, when another program copies something, or when the process that
//! started it takes the secret back.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Read, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{DumpableBehavior, set_dumpable_behavior, setsid};
use zeroize::Zeroizing;

#[cfg(feature = "clipboard")]
use super::display;
use super::hold::{Event, Hold, MARK};
use super::tmux;
use crate::host::{leave_no_core, streams};

/// The longest wait for a confirmation, and the longest time for which a secret is held.
const LONGEST: Duration = Duration::from_secs(600);

/// Runs the process that holds a clipboard, if the arguments request it. Returns its exit code.
pub fn hold(args: &[OsString]) -> Option<u8> {
    let [_, mark, role, stay, name] = args else { return None };
    // The arguments come from this program, so they are not searched for secrets.
    if mark != MARK || name.len() > 16 || io::stdin().is_terminal() {
        return None;
    }
    let (role, stay, name) = (role.to_str()?, stay.to_str()?.parse().ok()?, name.to_str()?);
    let stay = Duration::from_secs(stay).min(LONGEST);
    let (events, incoming) = channel();
    leave_no_core();
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let done = match role {
        #[cfg(feature = "clipboard")]
        "display" => holding(|| display::Display::open(events.clone()), stay, &events, &incoming),
        "tmux" => holding(|| tmux::Tmux::open(name), stay, &events, &incoming),
        #[cfg(feature = "clipboard")]
        display::PROOF => read_line().and_then(|secret| display::prove(&secret)),
        _ => return None,
    };
    if let Err(err) = &done {
        let _ = write_line(&err.to_string());
    }
    Some(u8::from(done.is_err()))
}

fn holding<H: Hold>(
    open: impl FnOnce() -> io::Result<H>,
    stay: Duration,
    events: &Sender<Event>,
    incoming: &Receiver<Event>,
) -> io::Result<()> {
    // In a separate session, the process gets no signals from the caller's terminal, and killing its group
    // kills its children.
    setsid()?;
    let mut clipboard = open()?;
    write_line("")?;
    let secret = read_line()?;
    if secret.is_empty() {
        return Ok(());
    }
    let done = clipboard.put(&secret).and_then(|()| {
        write_line("")?;
        let events = events.clone();
        thread::spawn(move || {
            let event = read_line().map_or(Event::Stay, |_| Event::Leave);
            let _ = events.send(event);
        });
        if let Ok(Event::Stay) = incoming.recv_timeout(LONGEST) {
            // The process that started this one might have exited.
            let _ = write_line("");
            close_pipes()?;
            let _ = incoming.recv_timeout(stay);
        }
        Ok(())
    });
    clipboard.leave();
    done
}

/// Closes the pipes to the process that started this one.
fn close_pipes() -> io::Result<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(rustix::stdio::dup2_stdout(&null)?)
}

/// Reads a line from the process that started this one.
fn read_line() -> io::Result<Zeroizing<Vec<u8>>> {
    let mut input = streams::input();
    // The buffer is larger than a secret and never grows, because growing it would leave a copy behind.
    let mut line = Zeroizing::new(Vec::with_capacity(600));
    let mut byte = Zeroizing::new([0]);
    while line.len() < line.capacity() {
        input.read_exact(&mut byte[..])?;
        match byte[0] {
            b'\n' => return Ok(line),
            byte => line.push(byte),
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

fn write_line(line: &str) -> io::Result<()> {
    streams::output().write_all(format!("{}\n", line.replace('\n', " ")).as_bytes())
}
