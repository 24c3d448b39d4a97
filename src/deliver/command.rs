//! A command as the destination. Its standard input is exactly the secret. The command must read all of it
//! and exit with 0.

use std::io;
use std::time::Duration;

use super::{Accepted, OpenDestination, Refusal};
use crate::context::{Job, JobEnd, Machine};
use crate::domain::destination::Destination;
use crate::domain::secret::{Secret, SecretHash};
use crate::domain::token::{DestinationKind, Token};

pub struct Command<'a> {
    pub machine: &'a dyn Machine,
    /// The command line for `sh -c`.
    pub text: &'a str,
    pub timeout: Duration,
    /// Whether the output of the command is discarded.
    pub mute: bool,
}

impl OpenDestination for Command<'_> {
    fn kind(&self) -> DestinationKind {
        DestinationKind::Command
    }

    fn rememberable(&self) -> Option<Destination> {
        Some(Destination::Command { command: self.text.to_owned() })
    }

    fn check(&mut self, _: &[SecretHash]) -> Result<(), Refusal> {
        if self.text.trim().is_empty() {
            return Err("the command is empty".to_owned().into());
        }
        Ok(())
    }

    fn deliver(&mut self, secret: &Secret, token: &Token) -> Result<Accepted, Refusal> {
        let end = token.expires_at().map(|end| end.to_string()).unwrap_or_default();
        let job = Job {
            command: self.text,
            input: secret.expose(),
            env: &[("TOKENCTL_NAME", &token.name), ("TOKENCTL_ID", &token.id), ("TOKENCTL_EXPIRES_AT", &end)],
            timeout: self.timeout,
            mute: self.mute,
        };
        let failed = |why: String| Err(format!("the command {why}").into());
        match self.machine.run(&job) {
            Ok(JobEnd::Done { unread: 0 }) => Ok(Accepted::Whole),
            Ok(JobEnd::Done { .. }) => failed("did not read the secret".to_owned()),
            Ok(JobEnd::Interrupted) => Err(Refusal::Interrupted),
            result => failed(failure(&result, self.timeout)),
        }
    }
}

/// Describes how a command failed, as the rest of a sentence.
pub fn failure(result: &io::Result<JobEnd>, timeout: Duration) -> String {
    match result {
        Ok(JobEnd::Done { .. }) => "ended".to_owned(),
        Ok(JobEnd::Exit(code)) => format!("failed with exit {code}"),
        Ok(JobEnd::Signal(signal)) => format!("was killed by signal {signal}"),
        Ok(JobEnd::TimedOut) => format!("did not finish within {} s and was killed", timeout.as_secs()),
        Ok(JobEnd::Interrupted) => "was interrupted".to_owned(),
        Err(err) => format!("could not be run: {err}"),
    }
}
