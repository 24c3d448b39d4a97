//! `adopt --from` creates a token for each secret of a file, or none at all.

use std::io::Read;
use std::path::Path;

use super::records::{Record, Value, each};
use super::{Adopt, adopt_secret, rule};
use crate::app::{App, Outcome};
use crate::cmd::args::arrivals::{self, Arrivals};
use crate::cmd::args::describe::{Halt, TokenArgs};
use crate::cmd::args::lifetime::LifetimeArgs;
use crate::domain::Invalid;
use crate::domain::name::NewName;
use crate::domain::secret::SecretHash;
use crate::domain::text::{SetLabel, hidden_in};
use crate::domain::token::Token;
use crate::domain::when::is_never;
use crate::error::Error;
use crate::store::{Step, Write};

/// How many lines are read between two updates of the progress.
const PAGE: u64 = 1_000;
/// The hint of a secret of which only the hash is known.
const NO_HINT: &str = "…";
/// The longest hint: a prefix of ten characters, `_`, four characters of the secret and `…`.
const LONGEST_HINT: usize = 16;

/// A record that can become a token.
struct Candidate {
    line: u64,
    name: NewName,
    hash: SecretHash,
    hint: String,
    token: TokenArgs,
}

/// A record that cannot become a token, with its line.
type Bad = (u64, Error);

impl Adopt {
    pub(super) fn many(&self, app: &mut App<'_>, file: &Path) -> Result<Outcome, Error> {
        let author = self.change.author(app);
        let (candidates, bad) = self.read(app, file)?;
        if !bad.is_empty() && !self.skip_bad {
            let all = candidates.len() + bad.len();
            return Err(all_of(app, bad, all));
        }
        let mut store = arrivals::store(app, &author, self.dry_run)?;
        store.keep_pages()?;
        let all = candidates.len() + bad.len();
        let entered = store.write(&*app.ctx.machine, &author, |tx| {
            let (entered, refused) = enter_all(app, tx, &candidates)?;
            // An error rolls the whole transaction back.
            if refused.is_empty() || self.skip_bad { Ok((entered, refused)) } else { Err(Stop::Bad(refused)) }
        });
        let (entered, refused) = match entered {
            Ok(entered) => entered,
            Err(Stop::Bad(refused)) => return Err(all_of(app, refused, all)),
            Err(Stop::Error(err)) => return Err(err),
        };
        if !self.dry_run {
            store = arrivals::settle(app, &author, store)?;
        }
        let mut left_out: Vec<Bad> = bad.into_iter().chain(refused).collect();
        left_out.sort_by_key(|(line, _)| *line);
        for (line, err) in left_out {
            app.talk().warn(&format!("line {line} is left out: {err}"));
        }
        arrivals::report(app, &store, &entered, "adopted", self.dry_run)
    }

    fn read(&self, app: &mut App<'_>, file: &Path) -> Result<(Vec<Candidate>, Vec<Bad>), Error> {
        let mut source: Box<dyn Read> = if file == Path::new("-") {
            std::mem::replace(&mut app.ctx.stdin, Box::new(std::io::empty()))
        } else {
            let failed = |err| Error::Input { what: format!("`{}`", file.display()), err };
            app.ctx.machine.open(file).map_err(failed)?
        };
        // This must come after the input is opened, since `/dev/stdin` cannot be opened afterwards.
        app.ctx.machine.keep_memory_private();
        let (mut candidates, mut bad) = (Vec::new(), Vec::new());
        each(&mut source, |line, record| {
            if line.is_multiple_of(PAGE) {
                app.step(&Step::new("reading lines", line, 0))?;
            }
            match record.map_err(Error::from).and_then(|record| self.candidate(line, record)) {
                Ok(candidate) => candidates.push(candidate),
                Err(err) => bad.push((line, err)),
            }
            Ok(())
        })?;
        Ok((candidates, bad))
    }

    /// The token that a record describes. The flags apply to what the record leaves out.
    fn candidate(&self, line: u64, record: Record<'_>) -> Result<Candidate, Error> {
        let mut token = self.token.clone();
        let (mut name, mut known, mut hint) = (None, None, None);
        for (column, value) in record {
            let wrong = |invalid: Invalid| {
                let why = Invalid::new(format!("its `{column}` is not valid"));
                Error::Usage(Invalid { hint: invalid.hint, ..why })
            };
            match (column, &value) {
                ("name", Value::Text(text)) => name = Some(text.trim().parse().map_err(wrong)?),
                ("secret" | "hash", _) if known.is_some() => {
                    return Err(Invalid::new("it has both a `secret` and a `hash`").into());
                }
                ("secret", Value::Text(text)) => {
                    let secret = rule::secret(text.as_bytes())?;
                    known = Some((secret.hash(), secret.hint()));
                }
                ("hash", Value::Text(text)) => known = Some((hash(text.trim())?, NO_HINT.to_owned())),
                ("hint", Value::Text(text)) => hint = Some(text.trim().to_owned()),
                ("owner", Value::Text(text)) => token.owner = Some(text.parse().map_err(wrong)?),
                ("description", Value::Text(text)) => {
                    token.description = Some(text.parse().map_err(wrong)?);
                }
                ("scopes", value) => {
                    token.all_scopes = false;
                    token.scopes =
                        words(value).iter().map(|it| it.parse()).collect::<Result<_, _>>().map_err(wrong)?;
                }
                ("labels", value) => {
                    token.labels = words(value)
                        .iter()
                        .map(|it| it.parse())
                        .collect::<Result<Vec<SetLabel>, _>>()
                        .map_err(wrong)?;
                }
                ("expires", Value::Text(text)) if is_never(text.trim()) => {
                    token.lifetime = LifetimeArgs { no_expiry: true, ..LifetimeArgs::default() };
                }
                ("expires", Value::Text(text)) => {
                    let expires = Some(text.trim().parse().map_err(wrong)?);
                    token.lifetime = LifetimeArgs { expires, ..LifetimeArgs::default() };
                }
                (column, _) => return Err(Invalid::new(format!("its `{column}` is not a text")).into()),
            }
        }
        let missing = |what: &str| Invalid::new(format!("it has no {what}"));
        let name = name.ok_or_else(|| missing("`name`"))?;
        let (hash, own) = known.ok_or_else(|| missing("`secret`, and no `hash`"))?;
        // The hint of a secret is computed from it; that of a hash is the one that an export wrote.
        let hint = hint.filter(|_| own == NO_HINT).unwrap_or(own);
        if !hint.ends_with('…') || hint.chars().count() > LONGEST_HINT || hidden_in(&hint).is_some() {
            return Err(Invalid::new("its `hint` is not valid")
                .hint("like `tkn_AbCd…`, as `export` writes it")
                .into());
        }
        Ok(Candidate { line, name, hash, hint, token })
    }
}

fn enter_all(app: &App<'_>, tx: &Write<'_>, candidates: &[Candidate]) -> Result<(Arrivals, Vec<Bad>), Stop> {
    let (mut entered, mut refused) = (Arrivals::default(), Vec::new());
    for it in candidates {
        let NewName(name) = &it.name;
        let secret = (it.hash, it.hint.as_str());
        match adopt_secret(tx, &it.token, name, secret, &*app.ctx.machine) {
            Ok(token) => entered.add(&token),
            Err(Halt::Already(token)) if has(&token, &it.hash) => {}
            Err(Halt::Already(token)) => {
                let other = Invalid::new(format!("`{}` exists with another secret", token.name));
                let hint = "choose another name, or revoke it first";
                refused.push((it.line, Error::Policy(other.hint(hint))));
            }
            Err(Halt::Error(err @ Error::Store(_))) => return Err(Stop::Error(err)),
            Err(Halt::Error(err)) => refused.push((it.line, err)),
        }
    }
    Ok((entered, refused))
}

/// The error when nothing is adopted.
enum Stop {
    Error(Error),
    Bad(Vec<Bad>),
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(err: E) -> Self {
        Self::Error(err.into())
    }
}

fn has(token: &Token, hash: &SecretHash) -> bool {
    token.secrets.iter().any(|secret| secret.hash == *hash && secret.revoked_at.is_none())
}

/// The hash of an export, in hexadecimal digits.
fn hash(text: &str) -> Result<SecretHash, Error> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|it| u8::try_from(it).ok())).collect();
    let bytes: Option<[u8; 32]> = digits.filter(|digits| digits.len() == 64).and_then(|digits| {
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect::<Vec<_>>().try_into().ok()
    });
    bytes.map(SecretHash::from_bytes).ok_or_else(|| {
        let hint = "use 64 hexadecimal digits as `tokenctl export` writes them; hashes of other systems cannot be \
                    looked up";
        Invalid::new("its `hash` is not valid").hint(hint).into()
    })
}

/// The words of a list; in a text they are separated by commas, semicolons or blanks.
fn words(value: &Value<'_>) -> Vec<String> {
    match value {
        Value::Text(text) => {
            let words = text.split([',', ';', ' ']).filter(|word| !word.is_empty());
            words.map(str::to_owned).collect()
        }
        Value::List(words) => words.clone(),
        Value::Pairs(pairs) => pairs.iter().map(|(key, value)| format!("{key}={value}")).collect(),
    }
}

/// Reports what is wrong with each line. The error has the first of these reasons.
fn all_of(app: &mut App<'_>, bad: Vec<Bad>, all: usize) -> Error {
    let failed = bad.len();
    let mut done = "adopted, so none was".to_owned();
    for (at, (line, err)) in bad.iter().enumerate() {
        if app.json() {
            // In JSON, one document lists all lines.
            done += &format!("{} line {line}: {err}", if at == 0 { ":" } else { ";" });
        } else {
            app.talk().error(err.code(), &format!("line {line}: {err}"), err.hint().as_deref());
        }
    }
    let Some((_, first)) = bad.into_iter().next() else { return Invalid::new("nothing was read").into() };
    Error::Some { failed, all, of: "lines", done: done.into(), first: Box::new(first) }
}
