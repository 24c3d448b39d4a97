//! The commands that run after rotations. Each is run until it has succeeded once, by one process at a time.

use std::time::Duration;

use super::delivery::{Delivered, document, report};
use super::destination::DestinationArgs;
use super::many::Done;
use crate::app::App;
use crate::context::{Job, JobEnd};
use crate::deliver::failure;
use crate::domain::event::Author;
use crate::domain::hook::{LIMIT, PendingHook};
use crate::domain::token::Token;
use crate::domain::when::Timestamp;
use crate::error::Error;
use crate::store::{Store, StoreError};

/// Runs the pending hook of the rotation that made the current secret. `given` is the command of this command
/// line.
pub fn run_own(
    app: &mut App<'_>,
    store: &Store,
    author: &Author,
    given: Option<&str>,
    token: &Token,
) -> Result<Option<Token>, Error> {
    let current = token.current().map(|secret| secret.row);
    match &token.pending_hook {
        Some(hook) if Some(hook.secret) == current => run_pending(app, store, author, given, token),
        _ => Ok(None),
    }
}

/// Reports a rotation and runs its hook. A person sees the report first; a document also contains the failure of
/// the hook.
pub fn report_and_run(
    app: &mut App<'_>,
    store: &Store,
    author: &Author,
    given: Option<&str>,
    destination: &DestinationArgs,
    delivered: Delivered,
    notes: &[String],
) -> Result<(), Error> {
    report(app, store, destination, &delivered, notes);
    let ran = run_own(app, store, author, given, &delivered.token);
    let token = ran.as_ref().ok().cloned().flatten().unwrap_or(delivered.token);
    let printed = document(app, store, destination, &token, ran.as_ref().err());
    ran.and(printed)
}

/// Runs the pending hook of a token, and returns the token without it. Returns `None` if the hook belongs to another
/// user or is run by another process.
pub fn run_pending(
    app: &mut App<'_>,
    store: &Store,
    author: &Author,
    given: Option<&str>,
    token: &Token,
) -> Result<Option<Token>, Error> {
    let Some(seen) = token.pending_hook.as_ref().filter(|hook| hook.uid == author.actor.uid) else {
        return Ok(None);
    };
    // The rotation is done, so an error of the store must not say that nothing was changed.
    let failed = |what: &str, err: StoreError| match err {
        err @ StoreError::Unsafe { .. } => err.into(),
        StoreError::Io { what: why, .. } => failure_of(token, &seen.command, format!("{what}: {why}")),
        err => failure_of(token, &seen.command, format!("{what}: {err}")),
    };
    // A command of this command line needs no trust in the store.
    if given != Some(&seen.command) {
        if store.spans_hosts() {
            return Ok(None);
        }
        store.check_commands(true).map_err(|err| failed("could not be started", err))?;
    }
    app.clear();
    let machine = &*app.ctx.machine;
    let claimed = store.claim_hook(machine, token, machine.pid());
    let Some(hook) = claimed.map_err(|err| failed("could not be started", err))? else {
        return Ok(None);
    };
    match run(app, token, &hook) {
        Ok(()) => store
            .finish_hook(&*app.ctx.machine, author, token, &hook)
            .map_err(|err| failed("has run, but that could not be recorded", err)),
        Err(err) => {
            // If this fails too, the claim expires at its deadline.
            let _ = store.release_hook(&*app.ctx.machine, &hook);
            Err(err)
        }
    }
}

/// Runs the hooks of the tokens that were just rotated, then those of `others` that earlier runs left. Adds the
/// results to `done`.
pub fn run_all(
    app: &mut App<'_>,
    store: &Store,
    author: &Author,
    given: Option<&str>,
    done: &mut Vec<Done>,
    others: Vec<Token>,
) {
    for one in done.iter_mut().filter(|one| one.changed) {
        match run_own(app, store, author, given, &one.token) {
            Ok(Some(token)) => one.token = token,
            Ok(None) => {}
            Err(err) => one.error = Some(err),
        }
    }
    for token in others {
        let (row, ran) = (token.row, run_pending(app, store, author, given, &token));
        match (done.iter_mut().find(|one| one.token.row == row), ran) {
            (None, Ok(Some(token))) => done.push(Done { token, changed: false, error: None }),
            (None, Err(err)) => done.push(Done { token, changed: false, error: Some(err) }),
            (Some(one), Err(err)) if one.error.is_none() => one.error = Some(err),
            _ => {}
        }
    }
}

fn run(app: &App<'_>, token: &Token, hook: &PendingHook) -> Result<(), Error> {
    let end = |end: Option<Timestamp>| end.map(|end| end.to_string()).unwrap_or_default();
    let (expires_at, previous) = (end(token.expires_at()), end(hook.previous_expires_at));
    let timeout = Duration::from_secs(LIMIT.secs().unsigned_abs());
    let job = Job {
        command: &hook.command,
        input: b"",
        env: &[
            ("TOKENCTL_NAME", &token.name),
            ("TOKENCTL_ID", &token.id),
            ("TOKENCTL_EXPIRES_AT", &expires_at),
            ("TOKENCTL_PREVIOUS_EXPIRES_AT", &previous),
            ("TOKENCTL_DESTINATION", hook.destination.as_deref().unwrap_or_default()),
        ],
        timeout,
        mute: app.quiet(),
    };
    match app.ctx.machine.run(&job) {
        Ok(JobEnd::Done { .. }) => Ok(()),
        Ok(JobEnd::Interrupted) => Err(Error::Interrupted),
        ended => Err(failure_of(token, &hook.command, failure(&ended, timeout))),
    }
}

fn failure_of(token: &Token, command: &str, how: String) -> Error {
    Error::HookFailed { name: token.name.to_string(), command: command.to_owned(), how }
}
