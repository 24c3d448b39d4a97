//! Standard output as the destination. The secret is a single write, whose result is checked. The newline
//! follows after the confirmation.

use std::path::Path;

use zeroize::Zeroizing;

use super::{Accepted, DeliverError, OpenDestination, Refusal};
use crate::context::{Output, OutputFile};
use crate::domain::secret::{Secret, SecretHash};
use crate::domain::token::{DestinationKind, Token};

/// What surrounds the secret in the output.
pub enum Form<'a> {
    /// Nothing. The secret is alone on its line.
    Plain,
    /// A JSON object, in which these members precede the secret. The function returns them in braces.
    Json(&'a dyn Fn(&Token) -> Vec<u8>),
}

pub struct Stdout<'a> {
    /// The directory of the store. Standard output must not be a file in it.
    pub store: &'a Path,
    pub out: &'a mut dyn Output,
    pub form: Form<'a>,
}

impl OpenDestination for Stdout<'_> {
    fn kind(&self) -> DestinationKind {
        DestinationKind::Stdout
    }

    fn check(&mut self, _: &[SecretHash]) -> Result<(), Refusal> {
        if self.out.is_nowhere() {
            let why = "standard output is closed, deleted or a device like /dev/null";
            return Err(why.to_owned().into());
        }
        let is_in_store = |file: &OutputFile| {
            file.path
                .parent()
                .is_some_and(|dir| std::fs::canonicalize(self.store).is_ok_and(|store| store == dir))
        };
        if self.out.file().is_some_and(|file| is_in_store(&file)) {
            return Err("standard output is a file of the store".to_owned().into());
        }
        Ok(())
    }

    fn deliver(&mut self, secret: &Secret, token: &Token) -> Result<Accepted, Refusal> {
        let (before, after): (Vec<u8>, &[u8]) = match &self.form {
            Form::Plain => (Vec::new(), b""),
            Form::Json(members) => {
                let mut text = members(token);
                let closing = text.pop();
                debug_assert_eq!(closing, Some(b'}'), "the members are an object");
                text.extend_from_slice(b",\"secret\":\"");
                (text, b"\"")
            }
        };
        // The buffer has its final size from the start, because growing it would leave copies of its content
        // behind. Generated secrets need no escapes in JSON.
        let mut text = Zeroizing::new(Vec::with_capacity(before.len() + secret.expose().len() + after.len()));
        for part in [&before, secret.expose(), after] {
            text.extend_from_slice(part);
        }
        let written =
            self.out.write_all(&text).and_then(|()| self.out.flush()).and_then(|()| self.out.sync());
        match written {
            Ok(()) => Ok(Accepted::Whole),
            Err(err) => Err(format!("the secret could not be written to standard output: {err}").into()),
        }
    }

    fn finish(&mut self) -> Result<(), DeliverError> {
        let (rest, is_required): (&[u8], bool) = match self.form {
            Form::Plain => (b"\n", false),
            Form::Json(_) => (b"}\n", true),
        };
        let written = self.out.write_all(rest).and_then(|()| self.out.flush()).and_then(|()| self.out.sync());
        match written {
            Err(err) if is_required => Err(DeliverError::Cut(err.to_string())),
            // The whole secret was written, so a missing newline does no harm.
            _ => Ok(()),
        }
    }
}
