//! An entry of the audit log, and the chain that links it to the entries before it.

mod query;

use super::Invalid;
use super::changes::Change;
use super::digest::{Digest, Encoder, Form};
use super::token::Token;
use super::when::Timestamp;
pub use query::Query;

/// The user who made a change. Only the uid is certain; the other fields come from the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actor {
    pub uid: u32,
    pub login: Option<String>,
    pub sudo_user: Option<String>,
    pub host: Option<String>,
}

impl Actor {
    /// The name to show: the user who called sudo, or else the login, or else the uid.
    pub fn display_name(&self) -> String {
        self.sudo_user.clone().or_else(|| self.login.clone()).unwrap_or_else(|| format!("uid:{}", self.uid))
    }
}

/// The actor of a change, the reason, and whether a clock that has gone back is accepted.
#[derive(Debug, Clone)]
pub struct Author {
    pub actor: Actor,
    pub reason: Option<String>,
    pub accept_clock: bool,
}

/// The kind of an event. Its word is part of the hash chain and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Init,
    Create,
    Confirm,
    RollBack,
    Migrate,
    Rotate,
    Adopt,
    Rename,
    Edit,
    ScopesAdd,
    ScopesRemove,
    ScopesSet,
    Disable,
    Enable,
    Revoke,
    Hook,
    CatalogueDefine,
    CatalogueEdit,
    CatalogueRename,
    CatalogueRetire,
    Settings,
    Restore,
    Import,
    Prune,
    Apply,
}

impl Action {
    pub const ALL: [Action; 24] = [
        Self::Init,
        Self::Create,
        Self::Confirm,
        Self::RollBack,
        Self::Rotate,
        Self::Adopt,
        Self::Rename,
        Self::Edit,
        Self::ScopesAdd,
        Self::ScopesRemove,
        Self::ScopesSet,
        Self::Disable,
        Self::Enable,
        Self::Revoke,
        Self::Hook,
        Self::CatalogueDefine,
        Self::CatalogueEdit,
        Self::CatalogueRename,
        Self::CatalogueRetire,
        Self::Settings,
        Self::Restore,
        Self::Import,
        Self::Prune,
        Self::Apply,
    ];

    /// Whether an event with this word records this action. Older versions had a different word for a
    /// rollback.
    pub fn names(self, word: &str) -> bool {
        word == self.word() || self == Self::RollBack && word == WITHDRAW
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Create => "create",
            Self::Confirm => "confirm",
            Self::RollBack => "rollback",
            Self::Migrate => "migrate",
            Self::Rotate => "rotate",
            Self::Adopt => "adopt",
            Self::Rename => "rename",
            Self::Edit => "edit",
            Self::ScopesAdd => "scopes.add",
            Self::ScopesRemove => "scopes.remove",
            Self::ScopesSet => "scopes.set",
            Self::Disable => "disable",
            Self::Enable => "enable",
            Self::Revoke => "revoke",
            Self::Hook => "hook",
            Self::CatalogueDefine => "scope.define",
            Self::CatalogueEdit => "scope.edit",
            Self::CatalogueRename => "scope.rename",
            Self::CatalogueRetire => "scope.retire",
            Self::Settings => "settings",
            Self::Restore => "restore",
            Self::Import => "import",
            Self::Prune => "prune",
            Self::Apply => "apply",
        }
    }

    /// Whether the action is allowed even if the clock is wrong. A confirmation is allowed, because its
    /// destination might already have the secret.
    pub fn works_at_any_time(self) -> bool {
        self.only_removes_access() || matches!(self, Self::Migrate | Self::Confirm | Self::Hook)
    }

    /// Whether the action only removes access. Such actions must always work, so neither a wrong clock nor a
    /// manual edit of the database prevents them.
    pub fn only_removes_access(self) -> bool {
        matches!(self, Self::Disable | Self::Revoke | Self::RollBack)
    }
}

/// The former word for a rollback, which old logs still contain.
const WITHDRAW: &str = "withdraw";

impl std::str::FromStr for Action {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let found = Self::ALL.into_iter().find(|action| action.names(text));
        found.ok_or_else(|| Invalid::no_such("action", text, &Self::ALL.map(Self::word)))
    }
}

/// The reason that is recorded with a change to an object that did not match its last event. It shows where a
/// manual edit of the database became part of the history.
pub fn reason_of_mismatch(reason: Option<&str>) -> String {
    let mismatch = "before this change it was not what its last event says";
    reason.map_or_else(|| mismatch.to_owned(), |reason| format!("{mismatch}; {reason}"))
}

/// The object that an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    Token { id: String, name: String },
    Catalogue,
    Settings,
}

impl Subject {
    pub fn of(token: &Token) -> Self {
        Self::Token { id: token.id.to_string(), name: token.name.to_string() }
    }

    /// The stored text: the id of a token, or a word with a `*`, which no id contains.
    pub fn key(&self) -> &str {
        match self {
            Self::Token { id, .. } => id,
            Self::Catalogue => "*scopes",
            Self::Settings => "*settings",
        }
    }

    pub fn from_key(key: String, name: Option<String>) -> Self {
        // These subjects have no name. If an entry has one, it was altered, and its hash must reveal that.
        match (key.as_str(), &name) {
            ("*scopes", None) => Self::Catalogue,
            ("*settings", None) => Self::Settings,
            _ => Self::Token { id: key, name: name.unwrap_or_default() },
        }
    }

    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Token { name, .. } => Some(name),
            Self::Catalogue | Self::Settings => None,
        }
    }
}

/// One entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// From 1, without gaps.
    pub seq: i64,
    pub time: Timestamp,
    /// A word of [`Action`]. It is text, so that a version that does not know the action can still read the
    /// log.
    pub action: String,
    pub subject: Subject,
    pub actor: Actor,
    pub reason: Option<String>,
    /// The form in which this entry and its digest are hashed.
    pub form: Form,
    /// The changed fields; empty in the form of version 1.
    pub changes: Vec<Change>,
    /// The digest of the subject after the change. `None` if the subject was removed.
    pub row_digest: Option<Digest>,
    /// The hash of this entry, which covers all entries before it.
    pub hash: Digest,
}

impl Event {
    /// The hash that this entry must have if the hash of the entry before it is `previous`.
    pub fn chained(&self, previous: &Digest) -> Digest {
        let mut encoder = match self.form {
            Form::One => Encoder::plain("tokenctl audit entry v1"),
            Form::Two => Encoder::new("event"),
        };
        encoder.bytes(previous.as_bytes());
        encoder.int(self.seq).int(self.time.unix()).text(&self.action);
        encoder.text(self.subject.key()).opt_text(self.subject.name());
        encoder.int(i64::from(self.actor.uid));
        for claim in [&self.actor.login, &self.actor.sudo_user, &self.actor.host, &self.reason] {
            encoder.opt_text(claim.as_deref());
        }
        encoder.opt_bytes(self.row_digest.as_ref().map(|digest| &digest.as_bytes()[..]));
        if self.form == Form::Two {
            encoder.len(self.changes.len());
            for change in &self.changes {
                encoder.text(&change.field).opt_text(change.from.as_deref()).opt_text(change.to.as_deref());
            }
        }
        encoder.finish()
    }
}

/// The hash before the first entry.
pub const GENESIS: Digest = blake3::Hash::from_bytes([0; 32]);

/// The number and hash of an entry. If it is kept elsewhere, it can later prove that the log has only grown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    pub seq: i64,
    pub hash: Digest,
}

impl std::fmt::Display for Anchor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash.to_hex())
    }
}

impl std::str::FromStr for Anchor {
    type Err = super::Invalid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split_once(':')
            .filter(|(seq, _)| seq.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|(seq, hash)| Some(Self { seq: seq.parse().ok()?, hash: Digest::from_hex(hash).ok()? }))
            .ok_or_else(|| {
                super::Invalid::new(format!("`{}` is not an anchor", text.escape_debug()))
                    .hint("use SEQ:HASH as `tokenctl audit head` prints it")
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_an_entry_is_in_its_hash() {
        let base = Event {
            seq: 1,
            time: Timestamp::MIN,
            action: "create".to_owned(),
            subject: Subject::Token { id: "abcdef123456".to_owned(), name: "demo".to_owned() },
            actor: Actor { uid: 0, login: Some("root".to_owned()), sudo_user: None, host: None },
            reason: None,
            form: Form::Two,
            changes: Vec::new(),
            row_digest: None,
            hash: GENESIS,
        };
        let token = |id: &str, name: &str| Subject::Token { id: id.to_owned(), name: name.to_owned() };
        let actor = |uid, sudo: Option<&str>, host: Option<&str>| Actor {
            uid,
            login: Some("root".to_owned()),
            sudo_user: sudo.map(str::to_owned),
            host: host.map(str::to_owned),
        };
        let change = |from: Option<&str>, to: Option<&str>| Change {
            field: "owner".to_owned(),
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
        };
        let changed = [
            Event { seq: 2, ..base.clone() },
            Event { time: Timestamp::MAX, ..base.clone() },
            Event { action: "revoke".to_owned(), ..base.clone() },
            Event { subject: token("abcdef123457", "demo"), ..base.clone() },
            Event { subject: token("abcdef123456", "dem"), ..base.clone() },
            Event { subject: Subject::Catalogue, ..base.clone() },
            Event { actor: actor(1, None, None), ..base.clone() },
            Event { actor: actor(0, Some("a"), None), ..base.clone() },
            Event { actor: actor(0, None, Some("a")), ..base.clone() },
            Event { reason: Some(String::new()), ..base.clone() },
            Event { row_digest: Some(GENESIS), ..base.clone() },
            Event { form: Form::One, ..base.clone() },
            Event { changes: vec![change(None, None)], ..base.clone() },
            Event { changes: vec![change(Some("a"), None)], ..base.clone() },
            Event { changes: vec![change(None, Some("a"))], ..base.clone() },
        ];
        let mut hashes: Vec<Digest> = changed.iter().map(|event| event.chained(&GENESIS)).collect();
        hashes.push(base.chained(&GENESIS));
        hashes.push(base.chained(&blake3::hash(b"other")));
        let distinct: std::collections::HashSet<_> = hashes.iter().map(|h| *h.as_bytes()).collect();
        assert_eq!(distinct.len(), hashes.len());
    }

    #[test]
    fn a_printed_anchor_can_be_parsed() {
        let anchor = Anchor { seq: 7, hash: blake3::hash(b"x") };
        assert_eq!(anchor.to_string().parse(), Ok(anchor));
        for text in ["", "7", "7:", ":00", "-1:00", "7:zz"] {
            assert!(text.parse::<Anchor>().is_err(), "{text}");
        }
    }
}
