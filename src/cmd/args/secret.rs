//! Reads the secret that a user gives to a command: from a file, from standard input, or typed at a prompt.

use std::io::{ErrorKind, Read};
use std::path::Path;

use zeroize::Zeroizing;

use crate::app::{App, asking};
use crate::domain::Invalid;
use crate::domain::secret::INPUT_MAX;
use crate::error::Error;

/// Whether the secret has to be typed, because it comes from standard input and that is a terminal.
pub fn is_prompt(app: &App<'_>, file: Option<&Path>) -> bool {
    file.is_none_or(|path| path == Path::new("-")) && app.ctx.terminal.stdin
}

/// Reads a secret from a file or from standard input, or asks for it if that is a terminal. It stops reading when
/// the input is too long for a secret.
pub fn read_secret(
    app: &mut App<'_>,
    file: Option<&Path>,
    question: &str,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut opened;
    let (source, what): (&mut dyn Read, String) = match file.filter(|path| *path != Path::new("-")) {
        Some(path) => {
            let what = format!("`{}`", path.display());
            opened = app.ctx.machine.open(path).map_err(|err| Error::Input { what: what.clone(), err })?;
            (&mut *opened, what)
        }
        None if is_prompt(app, file) => {
            if !app.can_ask() {
                return Err(Error::InputNeeded(
                    Invalid::new("no secret is given, and nobody can be asked")
                        .hint("use `--secret-file FILE` or a pipe"),
                ));
            }
            app.ctx.machine.keep_memory_private();
            return app.ctx.machine.ask_hidden(question).map_err(asking);
        }
        None => (&mut *app.ctx.stdin, "stdin".to_owned()),
    };
    app.ctx.machine.keep_memory_private();
    let mut text = Zeroizing::new(vec![0; INPUT_MAX]);
    let mut len = 0;
    while len < text.len() {
        match source.read(&mut text[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(err) if err.kind() == ErrorKind::Interrupted => {}
            Err(err) => return Err(Error::Input { what, err }),
        }
    }
    text.truncate(len);
    Ok(text)
}
