//! A service that lets in clients with a valid secret that has the scope `events:read`.
//!
//! Reads a presented secret from each line of standard input: `service STORE`.

use std::io::{BufRead, Write};

use tokenctl::{Requirements, Verifier};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = std::env::args_os().nth(1).ok_or("usage: service STORE")?;
    let verifier = Verifier::open(store)?;
    let requirements = Requirements { scopes: vec!["events:read".parse()?], ..Requirements::default() };
    let mut out = std::io::stdout();
    for presented in std::io::stdin().lock().split(b'\n') {
        match verifier.verify(&presented?, &requirements) {
            Ok(verdict) => match verdict.token().filter(|_| verdict.is_valid()) {
                Some(token) => writeln!(out, "200 welcome, {}", token.name)?,
                None => writeln!(out, "401 {}", verdict.reason().word())?,
            },
            // An error is never a positive answer.
            Err(err) => writeln!(out, "503 {err}")?,
        }
    }
    Ok(())
}
