//! The tables in PostgreSQL: the same columns in the same order as in SQLite, so that each query is one text and
//! each seal the same. `meta` has what SQLite keeps in the header of its file; `head` is the row that every
//! change locks first.
//!
//! The verifier's role sees another schema, `tokenctl_read`: views of the same names that leave out what no verdict needs,
//! and the one function by which it may write.

/// Makes what is missing. Everything in it can be run again.
pub const TABLES: &str = include_str!("schema.sql");

/// The roles, and what each may do.
pub const ROLES: &str = include_str!("roles.sql");

/// The tables of a store, each with the columns that order its rows, parents first.
pub const COPIED: &[(&str, &[&str])] = &[
    ("setting", &["key"]),
    ("tokens", &["row"]),
    ("secret", &["row"]),
    ("delivery", &["secret"]),
    ("hook", &["secret"]),
    ("label", &["token", "key"]),
    ("scope", &["row"]),
    ("scope_include", &["scope", "included"]),
    ("granted", &["row"]),
    ("pruned", &["hash"]),
    ("events", &["seq"]),
];

/// Those whose rows get numbers.
pub const NUMBERED: [&str; 4] = ["tokens", "secret", "scope", "granted"];
