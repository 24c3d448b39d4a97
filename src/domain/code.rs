//! The error codes that scripts read, and their exit codes. They never change.

/// The kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    Io,
    Unsettled,
    HookFailed,
    Usage,
    InputNeeded,
    SecretAsArgument,
    NotFound,
    Ambiguous,
    NameTaken,
    UnderWay,
    Policy,
    NoDestination,
    Revoked,
    CountDiffers,
    NotReplaced,
    NewerExists,
    AddressTaken,
    StoreMissing,
    StoreUnreadable,
    StoreLocked,
    StoreDamaged,
    StoreForeign,
    StoreNewer,
    StoreUnsafe,
    StoreReadOnly,
    StoreWal,
    StoreStale,
    Clock,
    DeliveryFailed,
    Interrupted,
    Declined,
}

impl Code {
    /// In the order of the exit codes.
    pub const ALL: [Self; 31] = [
        Self::Io,
        Self::Unsettled,
        Self::HookFailed,
        Self::Usage,
        Self::InputNeeded,
        Self::SecretAsArgument,
        Self::NotFound,
        Self::Ambiguous,
        Self::NameTaken,
        Self::UnderWay,
        Self::Policy,
        Self::NoDestination,
        Self::Revoked,
        Self::CountDiffers,
        Self::NotReplaced,
        Self::NewerExists,
        Self::AddressTaken,
        Self::StoreMissing,
        Self::StoreUnreadable,
        Self::StoreLocked,
        Self::StoreDamaged,
        Self::StoreForeign,
        Self::StoreNewer,
        Self::StoreUnsafe,
        Self::StoreReadOnly,
        Self::StoreWal,
        Self::StoreStale,
        Self::Clock,
        Self::DeliveryFailed,
        Self::Interrupted,
        Self::Declined,
    ];

    /// The word in JSON documents, and the exit code.
    const fn word_and_exit(self) -> (&'static str, u8) {
        match self {
            Self::Io => ("io", 1),
            Self::Unsettled => ("unsettled", 1),
            Self::HookFailed => ("hook_failed", 1),
            Self::Usage => ("usage", 2),
            Self::InputNeeded => ("input_needed", 2),
            Self::SecretAsArgument => ("secret_as_argument", 2),
            Self::NotFound => ("not_found", 4),
            Self::Ambiguous => ("ambiguous", 4),
            Self::NameTaken => ("name_taken", 5),
            Self::UnderWay => ("under_way", 5),
            Self::Policy => ("policy", 5),
            Self::NoDestination => ("no_destination", 5),
            Self::Revoked => ("revoked", 5),
            Self::CountDiffers => ("count_differs", 5),
            Self::NotReplaced => ("not_replaced", 5),
            Self::NewerExists => ("newer_exists", 5),
            Self::AddressTaken => ("address_taken", 5),
            Self::StoreMissing => ("store_missing", 6),
            Self::StoreUnreadable => ("store_unreadable", 6),
            Self::StoreLocked => ("store_locked", 6),
            Self::StoreDamaged => ("store_damaged", 6),
            Self::StoreForeign => ("store_foreign", 6),
            Self::StoreNewer => ("store_newer", 6),
            Self::StoreUnsafe => ("store_unsafe", 6),
            Self::StoreReadOnly => ("store_read_only", 6),
            Self::StoreWal => ("store_wal", 6),
            Self::StoreStale => ("store_stale", 6),
            Self::Clock => ("clock", 6),
            Self::DeliveryFailed => ("delivery_failed", 7),
            Self::Interrupted => ("interrupted", 130),
            Self::Declined => ("declined", 130),
        }
    }

    pub const fn word(self) -> &'static str {
        self.word_and_exit().0
    }

    pub const fn exit(self) -> u8 {
        self.word_and_exit().1
    }
}

/// An exit code and its meaning.
pub struct Exit {
    pub exit: u8,
    pub meaning: &'static str,
}

impl Exit {
    /// The words of the error codes with this exit code.
    pub fn codes(&self) -> Vec<&'static str> {
        Code::ALL.into_iter().filter(|code| code.exit() == self.exit).map(Code::word).collect()
    }
}

/// Every exit code of the program.
pub const EXITS: [Exit; 9] = [
    Exit { exit: 0, meaning: "the command succeeded, there was nothing to do, or the secret is valid" },
    Exit { exit: 1, meaning: "failed" },
    Exit {
        exit: 2,
        meaning: "the command line is wrong, or a question must be answered and there is no terminal",
    },
    Exit {
        exit: 3,
        meaning: "the secret is not valid (`verify`), or something was found (`scan`, `check`, `audit verify`, `doctor`, `diff`)",
    },
    Exit { exit: 4, meaning: "no token or scope has this name, or more than one does" },
    Exit { exit: 5, meaning: "conflict" },
    Exit { exit: 6, meaning: "the store cannot be used" },
    Exit { exit: 7, meaning: "the secret could not be delivered; nothing was changed" },
    Exit { exit: 130, meaning: "the command was interrupted with Ctrl-C, or the user answered no" },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// A code that is missing from the list would also be missing from the manual and from docs/reference.md.
    #[test]
    fn every_code_is_listed_once_with_an_exit_that_exists() {
        for (index, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, index, "{}", code.word());
            assert!(EXITS.iter().any(|row| row.exit == code.exit()), "{}", code.word());
        }
        assert_eq!(Code::Declined as usize + 1, Code::ALL.len(), "the last code ends the list");
    }
}
