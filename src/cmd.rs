//! The verbs, one file each. The questions of a verb are in its child `ask`; flags that verbs share are in
//! `args`.

pub(crate) mod adopt;
pub(crate) mod apply;
pub(crate) mod args;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod create;
pub(crate) mod diff;
pub(crate) mod disable;
pub(crate) mod doctor;
pub(crate) mod edit;
pub(crate) mod enable;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod list;
pub(crate) mod prune;
pub(crate) mod rename;
pub(crate) mod restore;
pub(crate) mod revoke;
pub(crate) mod rotate;
pub(crate) mod scan;
pub(crate) mod scopes;
#[cfg(feature = "serve")]
pub(crate) mod serve;
pub(crate) mod settings;
pub(crate) mod show;
pub(crate) mod verify;
