//! Reads the file that describes the wanted settings, scopes and tokens. It is TOML, and an unknown key is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use toml::{Table, Value};

use super::memory::HookCommand;
use crate::app::App;
use crate::deliver::Variable;
use crate::domain::Invalid;
use crate::domain::address::{AllowFrom, Network};
use crate::domain::destination::Destination;
use crate::domain::lifetime::Lifetime;
use crate::domain::name::{Name, NewName};
use crate::domain::scope::Scope;
use crate::domain::secret::find_secret;
use crate::domain::settings::{Key, Settings};
use crate::domain::text::{Icon, Line, SetLabel};
use crate::domain::token::Field;
use crate::domain::wanted::{Wanted, WantedScope, WantedToken};
use crate::domain::when::{Edge, Expiry, Span, Timestamp, When, Zone, is_never, is_none, ttl};
use crate::error::Error;
use crate::store;

/// The maximum size of the file, in bytes. A longer file is read only up to this size.
const MAX_FILE: u64 = 64 << 20;
const SECTIONS: [&str; 3] = ["settings", "scopes", "tokens"];
const SCOPE_KEYS: [&str; 2] = ["description", "includes"];
const TOKEN_KEYS: [&str; 18] = [
    "description",
    "owner",
    "icon",
    "scopes",
    "labels",
    "ttl",
    "expires",
    "no_expiry",
    "not_before",
    "rotate_every",
    "grace",
    "allow_from",
    "out",
    "env_file",
    "env_name",
    "exec",
    "after",
    "disabled",
];

#[derive(Args)]
pub struct WantedArgs {
    /// The TOML file that describes the tokens, scopes and settings; `-` reads stdin
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
}

impl WantedArgs {
    /// Reads the file. If commands in it will be run, nobody but this user and root must be able to write it.
    pub fn read(&self, app: &mut App<'_>, runs_commands: bool) -> Result<Wanted, Error> {
        let what = || format!("`{}`", self.file.display());
        let failed = |err| Error::Input { what: what(), err };
        let mut text = String::new();
        if self.file == Path::new("-") {
            (&mut app.ctx.stdin).take(MAX_FILE).read_to_string(&mut text).map_err(failed)?;
        } else {
            let file = File::open(&self.file).map_err(failed)?;
            if runs_commands {
                let path = fs::canonicalize(&self.file).map_err(failed)?;
                if let Some((why, fix)) = store::unsafe_file(&path, &file.metadata().map_err(failed)?)? {
                    let bad = Invalid::new(format!("{} is refused: {why}", what()));
                    return Err(Error::Policy(bad.hint(fix)));
                }
            }
            file.take(MAX_FILE).read_to_string(&mut text).map_err(failed)?;
        }
        if let Some(secret) = find_secret(text.as_bytes(), 0) {
            let line = 1 + text[..secret.start].matches('\n').count();
            let bad = Invalid::new(format!("line {line} of {} contains a secret", what()));
            return Err(bad
                .hint("the file must not contain secrets; rotate that token, and remove the secret from the file")
                .into());
        }
        let machine = &*app.ctx.machine;
        Ok(read(&text, machine.now()?, machine as &dyn Zone)?)
    }
}

fn read(text: &str, now: Timestamp, zone: &dyn Zone) -> Result<Wanted, Invalid> {
    let table: Table = text.parse().map_err(|err: toml::de::Error| {
        let line = err.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        Invalid::new(format!("line {line} is not valid TOML: {}", err.message()))
    })?;
    let mut file = Section { path: String::new(), table };
    file.check(&SECTIONS)?;
    let mut wanted = Wanted::default();
    let mut settings = file.section("settings")?;
    settings.check(&Key::ALL.map(Key::word))?;
    for key in Key::ALL {
        if let Some(value) = settings.boolean_or_text(key.word())? {
            Settings::default().set(key, &value).map_err(|err| settings.with_path(key.word(), &err))?;
            wanted.settings.push((key, value));
        }
    }
    for mut section in file.section("scopes")?.sections()? {
        let name = section.name::<Scope>()?;
        section.check(&SCOPE_KEYS)?;
        let description = section.line("description")?;
        let includes = section.set("includes")?;
        wanted.scopes.insert(name, WantedScope { description, includes });
    }
    for section in file.section("tokens")?.sections()? {
        let name = section.name::<NewName>().map(|NewName(name)| name);
        // Older versions allowed names that look like ids, so such names are accepted here.
        let name = name.or_else(|err| section.name::<Name>().map_err(|_| err))?;
        wanted.tokens.insert(name, token(section, now, zone)?);
    }
    Ok(wanted)
}

fn token(mut it: Section, now: Timestamp, zone: &dyn Zone) -> Result<WantedToken, Invalid> {
    it.check(&TOKEN_KEYS)?;
    Ok(WantedToken {
        description: it.line("description")?,
        owner: it.line("owner")?,
        icon: it.parsed::<Icon>("icon")?.map_or(Field::Keep, |icon| Field::Set(icon.into_option())),
        scopes: it.set("scopes")?,
        lifetime: it.lifetime(now, zone)?,
        not_before: it.not_before(now, zone)?,
        rotate_every: it.span("rotate_every")?,
        grace: it.span("grace")?,
        allow_from: it.allow_from()?,
        destination: it.destination()?,
        hook: it.hook()?,
        disabled: it.boolean("disabled")?,
        labels: it.labels()?,
    })
}

/// A table of the file, and its path.
struct Section {
    path: String,
    table: Table,
}

impl Section {
    fn check(&self, known: &[&str]) -> Result<(), Invalid> {
        let unknown = self.table.keys().find(|key| !known.contains(&key.as_str()));
        unknown.map_or(Ok(()), |key| {
            let place = if self.path.is_empty() { "the file".to_owned() } else { format!("`{}`", self.path) };
            Err(Invalid::no_such(&format!("key of {place}"), key, known))
        })
    }

    fn section(&mut self, key: &str) -> Result<Section, Invalid> {
        match self.table.remove(key) {
            None => Ok(Section { path: self.path_of(key), table: Table::new() }),
            Some(Value::Table(table)) => Ok(Section { path: self.path_of(key), table }),
            Some(_) => Err(self.is_not(key, "a table")),
        }
    }

    fn sections(mut self) -> Result<Vec<Section>, Invalid> {
        let keys: Vec<String> = self.table.keys().cloned().collect();
        keys.iter().map(|key| self.section(key)).collect()
    }

    /// The part of its path after the first dot, parsed as a name.
    fn name<T: std::str::FromStr<Err = Invalid>>(&self) -> Result<T, Invalid> {
        let (_, name) = self.path.split_once('.').unwrap_or_default();
        name.parse()
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn is_not(&self, key: &str, what: &str) -> Invalid {
        Invalid::new(format!("`{}` is not {what}", self.path_of(key)))
    }

    fn with_path(&self, key: &str, err: &Invalid) -> Invalid {
        Invalid { message: format!("`{}`: {}", self.path_of(key), err.message), hint: err.hint.clone() }
    }

    /// Takes a string out of the table. A date without quotes is taken as its text.
    fn text(&mut self, key: &str) -> Result<Option<String>, Invalid> {
        match self.table.remove(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(Value::Datetime(time)) => Ok(Some(time.to_string())),
            Some(_) => Err(self.is_not(key, "a string")),
        }
    }

    fn boolean(&mut self, key: &str) -> Result<Option<bool>, Invalid> {
        match self.table.remove(key) {
            None => Ok(None),
            Some(Value::Boolean(value)) => Ok(Some(value)),
            Some(_) => Err(self.is_not(key, "`true` or `false`")),
        }
    }

    fn boolean_or_text(&mut self, key: &str) -> Result<Option<String>, Invalid> {
        match self.table.get(key) {
            Some(Value::Boolean(value)) => Ok(Some(value.to_string())),
            _ => self.text(key),
        }
    }

    fn parsed<T: std::str::FromStr<Err = Invalid>>(&mut self, key: &str) -> Result<Option<T>, Invalid> {
        let text = self.text(key)?;
        text.map(|text| text.parse()).transpose().map_err(|err| self.with_path(key, &err))
    }

    /// Takes a line of text out of the table. An empty string clears the value.
    fn line(&mut self, key: &str) -> Result<Field<String>, Invalid> {
        Ok(self.parsed::<Line>(key)?.map_or(Field::Keep, |line| Field::Set(line.into_option())))
    }

    /// Takes a list of strings out of the table. The string `none` means an empty list.
    fn list<T: std::str::FromStr<Err = Invalid>>(&mut self, key: &str) -> Result<Option<Vec<T>>, Invalid> {
        let texts: Vec<String> = match self.table.remove(key) {
            None => return Ok(None),
            Some(Value::String(text)) if is_none(&text) => return Ok(Some(Vec::new())),
            Some(Value::Array(all)) => {
                let text = |value| if let Value::String(text) = value { Some(text) } else { None };
                all.into_iter().map(text).collect::<Option<_>>()
            }
            Some(_) => None,
        }
        .ok_or_else(|| self.is_not(key, "a list of strings"))?;
        let parse = |text: &String| text.parse().map_err(|err| self.with_path(key, &err));
        texts.iter().map(parse).collect::<Result<_, _>>().map(Some)
    }

    fn set<T: std::str::FromStr<Err = Invalid> + Ord>(
        &mut self,
        key: &str,
    ) -> Result<Option<BTreeSet<T>>, Invalid> {
        Ok(self.list(key)?.map(|all| all.into_iter().collect()))
    }

    fn span(&mut self, key: &str) -> Result<Field<Span>, Invalid> {
        match self.text(key)? {
            None => Ok(Field::Keep),
            Some(text) if is_never(&text) => Ok(Field::Set(None)),
            Some(text) => {
                text.parse().map(|span| Field::Set(Some(span))).map_err(|err| self.with_path(key, &err))
            }
        }
    }

    fn lifetime(&mut self, now: Timestamp, zone: &dyn Zone) -> Result<Option<Lifetime>, Invalid> {
        let ttl = self.text("ttl")?.map(|text| ttl(&text).map_err(|err| self.with_path("ttl", &err)));
        let end = self.parsed::<Expiry>("expires")?.map(|Expiry(when)| {
            when.resolve(now, zone, Edge::End).map_err(|err| self.with_path("expires", &err))
        });
        let endless = match self.boolean("no_expiry")? {
            Some(false) => return Err(self.is_not("no_expiry", "`true`").hint("leave it out")),
            endless => endless,
        };
        match (ttl, end, endless) {
            (None, None, None) => Ok(None),
            (Some(ttl), None, None) => Ok(Some(Lifetime::Ttl(ttl?))),
            (None, Some(end), None) => Ok(Some(Lifetime::Until(end?))),
            (None, None, Some(_)) => Ok(Some(Lifetime::Endless)),
            _ => Err(self.more_than_one_of("`ttl`, `expires` and `no_expiry`")),
        }
    }

    fn more_than_one_of(&self, keys: &str) -> Invalid {
        Invalid::new(format!("`{}` has more than one of {keys}", self.path)).hint("keep only one of them")
    }

    /// Takes a point in time out of the table. A duration is refused, because it would be counted from each `apply`.
    fn not_before(&mut self, now: Timestamp, zone: &dyn Zone) -> Result<Field<Timestamp>, Invalid> {
        let key = "not_before";
        match self.text(key)? {
            None => Ok(Field::Keep),
            Some(text) if is_none(&text) => Ok(Field::Set(None)),
            Some(text) => match text.parse().map_err(|err| self.with_path(key, &err))? {
                When::In(_) => {
                    Err(self.is_not(key, "a point in time").hint("use a date or an RFC 3339 time"))
                }
                when => when
                    .resolve(now, zone, Edge::Start)
                    .map(|start| Field::Set(Some(start)))
                    .map_err(|err| self.with_path(key, &err)),
            },
        }
    }

    fn allow_from(&mut self) -> Result<Field<AllowFrom>, Invalid> {
        let networks = self.list::<Network>("allow_from")?;
        Ok(networks.map_or(Field::Keep, |networks| Field::Set(AllowFrom::new(networks))))
    }

    fn destination(&mut self) -> Result<Field<Destination>, Invalid> {
        let (out, env_file) = (self.path("out")?, self.path("env_file")?);
        let variable = self.parsed::<Variable>("env_name")?;
        let exec = self.text("exec")?;
        if env_file.is_some() != variable.is_some() {
            let alone = Invalid::new(format!("`{}` needs both `env_file` and `env_name`", self.path));
            return Err(alone.hint("give both, or neither"));
        }
        match (out, env_file.zip(variable), exec) {
            (None, None, None) => Ok(Field::Keep),
            (Some(None), None, None) => Ok(Field::Set(None)),
            (Some(Some(path)), None, None) => Ok(Field::Set(Some(Destination::File { path }))),
            (None, Some((Some(path), variable)), None) => {
                let variable = variable.as_str().to_owned();
                Ok(Field::Set(Some(Destination::EnvFile { path, variable })))
            }
            (None, None, Some(text)) if is_none(&text) => Ok(Field::Set(None)),
            (None, None, Some(text)) => {
                let HookCommand(command) = text.parse().map_err(|err| self.with_path("exec", &err))?;
                Ok(Field::Set(Some(Destination::Command { command })))
            }
            _ => Err(self.more_than_one_of("`out`, `env_file` and `exec`")),
        }
    }

    /// Takes an absolute path out of the table, with the symbolic links of its directory resolved, as a delivery would
    /// store it. For `out`, the string `none` clears the value.
    #[expect(clippy::option_option, reason = "the outer one tells whether the key is present")]
    fn path(&mut self, key: &str) -> Result<Option<Option<String>>, Invalid> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        if is_none(&text) && key == "out" {
            return Ok(Some(None));
        }
        let path = PathBuf::from(&text);
        let (Some(parent), Some(name), true) = (path.parent(), path.file_name(), path.is_absolute()) else {
            return Err(self
                .is_not(key, "an absolute path")
                .hint("start it with `/`, since the file can be applied from any directory"));
        };
        let real = fs::canonicalize(parent).ok().and_then(|dir| dir.join(name).to_str().map(str::to_owned));
        Ok(Some(Some(real.unwrap_or(text))))
    }

    fn hook(&mut self) -> Result<Field<String>, Invalid> {
        match self.text("after")? {
            None => Ok(Field::Keep),
            Some(text) if is_none(&text) => Ok(Field::Set(None)),
            Some(text) => {
                let hook = text.parse().map(|HookCommand(command)| Field::Set(Some(command)));
                hook.map_err(|err| self.with_path("after", &err))
            }
        }
    }

    fn labels(&mut self) -> Result<Option<BTreeMap<String, String>>, Invalid> {
        if !self.table.contains_key("labels") {
            return Ok(None);
        }
        if matches!(self.table.get("labels"), Some(Value::String(text)) if is_none(text)) {
            self.table.remove("labels");
            return Ok(Some(BTreeMap::new()));
        }
        let mut labels = self.section("labels")?;
        let keys: Vec<String> = labels.table.keys().cloned().collect();
        let label = |key: &String| {
            let value = labels.text(key)?.unwrap_or_default();
            let SetLabel(label) =
                format!("{key}={value}").parse().map_err(|err| labels.with_path(key, &err))?;
            Ok((label.key, label.value))
        };
        keys.iter().map(label).collect::<Result<_, _>>().map(Some)
    }
}
