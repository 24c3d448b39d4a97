//! A clipboard as the destination. The first method that works is used. The clipboard is cleared if the
//! secret is not confirmed.

use std::time::Duration;

use super::{Accepted, DeliverError, OpenDestination, Refusal};
use crate::context::{self, CopyMethod, Machine};
use crate::domain::secret::{Secret, SecretHash, random_text};
use crate::domain::token::{DestinationKind, Token};

pub struct Clipboard<'a> {
    machine: &'a dyn Machine,
    /// The methods to try, in this order.
    methods: &'a [CopyMethod],
    /// How long the secret stays in the clipboard.
    stay: Duration,
    reached: Option<Reached>,
}

struct Reached {
    method: CopyMethod,
    /// The name of the tmux buffer.
    name: String,
    clipboard: Box<dyn context::Clipboard>,
    /// Whether the secret was still there when it was confirmed.
    stays: bool,
}

impl<'a> Clipboard<'a> {
    pub fn new(machine: &'a dyn Machine, methods: &'a [CopyMethod], stay: Duration) -> Self {
        Self { machine, methods, stay, reached: None }
    }

    fn reach(&self) -> Result<Reached, Refusal> {
        let mut tag = [0; 6];
        random_text(&mut tag, b"abcdefghijklmnopqrstuvwxyz", &mut |bytes| self.machine.fill_random(bytes))
            .map_err(|err| Refusal::from(err.to_string()))?;
        let name = format!("tokenctl-{}", String::from_utf8_lossy(&tag));
        let mut tried = Vec::new();
        for method in self.methods {
            match self.machine.clipboard(*method, self.stay, &name) {
                Ok(clipboard) => return Ok(Reached { method: *method, name, clipboard, stays: false }),
                Err(err) => tried.push(format!("{} ({err})", method.word())),
            }
        }
        Err(Refusal::NoClipboard(format!("no clipboard can be reached: {}", tried.join(", "))))
    }
}

impl OpenDestination for Clipboard<'_> {
    fn kind(&self) -> DestinationKind {
        DestinationKind::Clipboard
    }

    fn check(&mut self, _: &[SecretHash]) -> Result<(), Refusal> {
        self.reached = Some(self.reach()?);
        Ok(())
    }

    fn deliver(&mut self, secret: &Secret, _: &Token) -> Result<Accepted, Refusal> {
        let reached = match self.reached.take() {
            Some(reached) => reached,
            None => self.reach()?,
        };
        let Reached { method, clipboard, .. } = self.reached.insert(reached);
        match clipboard.put(secret.expose()) {
            Ok(()) => Ok(Accepted::Whole),
            Err(err) => {
                Err(Refusal::NoClipboard(format!("{} did not take the secret: {err}", method.word())))
            }
        }
    }

    fn where_it_went(&self) -> Option<String> {
        let Reached { method, name, stays, .. } = self.reached.as_ref()?;
        let secs = self.stay.as_secs();
        Some(match (method, stays) {
            (CopyMethod::Display, true) => {
                format!("copied to the clipboard, cleared in {secs} s; a clipboard manager may keep a copy")
            }
            (CopyMethod::Display, false) => {
                "copied to the clipboard, which another program has taken over; it will not be cleared"
                    .to_owned()
            }
            (CopyMethod::Tmux, true) => {
                format!("in the tmux buffer {name}, deleted in {secs} s; your terminal may keep a copy")
            }
            (CopyMethod::Tmux, false) => {
                format!("in the tmux buffer {name}, which is not deleted automatically")
            }
            (CopyMethod::Osc52, _) => {
                "sent to your terminal, which may ignore it; its clipboard is not cleared".to_owned()
            }
        })
    }

    fn finish(&mut self) -> Result<(), DeliverError> {
        if let Some(reached) = &mut self.reached {
            // The secret was read back before. A clipboard manager that takes over copied text does so at
            // once.
            reached.stays = reached.clipboard.stay().is_ok();
        }
        Ok(())
    }
}
