//! The parts of each verb's help that are not about its flags: its group, the words of other programs for it,
//! paragraphs, examples, and exit codes. `parse::command` has the flags.

/// The groups of verbs, in the order of the help.
pub const GROUPS: [Group; 6] = [
    Group {
        name: "Tokens",
        verbs: &["create", "adopt", "list", "show", "rename", "edit", "disable", "enable", "revoke"],
        about: None,
    },
    Group { name: "Secrets", verbs: &["rotate", "verify", "serve", "scan"], about: None },
    Group { name: "Scopes", verbs: &["scopes"], about: None },
    Group { name: "Store", verbs: &["init", "settings", "check", "audit", "doctor"], about: None },
    Group {
        name: "Moving",
        verbs: &["backup", "restore", "export", "import", "prune", "diff", "apply"],
        about: Some("Copy, move, keep"),
    },
    Group { name: "Shell", verbs: &["completions", "man"], about: Some("Set up TAB, read the manual") },
];

pub struct Group {
    pub name: &'static str,
    pub verbs: &'static [&'static str],
    /// Describes all of them, in a group that gets one line of the short help.
    pub about: Option<&'static str>,
}

pub struct Verb {
    /// The words after `tokenctl`; empty for the program itself.
    pub path: &'static str,
    /// Words that users of other programs type instead.
    pub also: &'static [&'static str],
    /// Paragraphs, each without its last full stop, which help and manual add.
    pub more: &'static [&'static str],
    pub examples: &'static [Example],
    /// Numbers from [`crate::domain::code::EXITS`].
    pub exits: &'static [u8],
}

/// A description of a command line, and the line itself, for `sh`.
pub struct Example(pub &'static str, pub &'static str);

pub const VERBS: [Verb; 38 + cfg!(feature = "serve") as usize] = [
    Verb {
        path: "",
        also: &[],
        more: &[
            "A token has a name, an owner, scopes and a lifetime. A secret is the string that a client presents. The \
             store keeps only its hash, so tokenctl can show a secret only once",
            "Results go to standard output, everything else to standard error. Without a terminal, no command asks a \
             question. A duration is a number and a unit: `s`, `m`, `h`, `d`, `w`, `mo` or `y`; a date without a time is \
             a day in local time",
            "`tokenctl help COMMAND` is `tokenctl COMMAND --help`, and `tokenctl version` is `tokenctl --version`",
        ],
        examples: &[
            Example(
                "Create a token; without `--out` its secret is printed, once",
                "tokenctl create nightly --all-scopes --ttl 30d --out nightly.key",
            ),
            Example(
                "Check a secret; the exit code is 0 if it is valid and 3 if it is not",
                "tokenctl verify --scope events:read < nightly.key",
            ),
            Example(
                "Replace it; the old one keeps working for an hour",
                "tokenctl rotate nightly --grace 1h --out nightly.key",
            ),
            Example("List tokens that expire soon", "tokenctl list --expires-within 14d"),
        ],
        exits: &[0, 1, 2, 3, 4, 5, 6, 7, 130],
    },
    Verb {
        path: "create",
        also: &["new", "add", "generate", "gen", "issue", "mint", "make"],
        more: &[
            "The secret goes to the destination that a flag names, or else to standard output, as one line and \
             nothing else. If the delivery fails, the exit code is 7 and no token is created",
            "A command given with `--exec` gets the secret on standard input, without a newline, and TOKENCTL_NAME, \
             TOKENCTL_ID and TOKENCTL_EXPIRES_AT in its environment",
            "If you give no lifetime, the setting `default-ttl` applies, which is 90 days unless you change it. If \
             the store defines scopes, `--scope` or `--all-scopes` is required",
            "With `--if-missing`, nothing happens if the token exists and is neither disabled nor expired; you get a \
             warning if it differs from the flags. If another command is just creating it, this one waits",
        ],
        examples: &[
            Example(
                "Write the secret to a new file of mode 0600",
                "tokenctl create nightly --scope events:read --ttl 30d --out nightly.key",
            ),
            Example(
                "Set a variable in an env file, and rotate the token every 30 days",
                "tokenctl create worker --all-scopes --rotate-every 30d --env-file app.env --env-name KEY",
            ),
            Example(
                "Write the secret to a password store",
                "tokenctl create pages -s events:read --exec 'pass insert -m tokens/$TOKENCTL_NAME'",
            ),
            Example(
                "Copy scopes, owner, labels, lifetime and policy from another token",
                "tokenctl create backup-eu --like backup --if-missing --out backup-eu.key",
            ),
        ],
        exits: &[0, 1, 2, 4, 5, 6, 7, 130],
    },
    Verb {
        path: "adopt",
        also: &["register"],
        more: &[
            "The secret comes from standard input, a file, or a prompt that does not show it. A secret of less than \
             128 bits is refused, and so is one that the store already has",
            "`--from` reads many tokens from CSV with a heading or from JSON lines. Each has a `name` and a `secret` \
             (or a `hash` of 64 hexadecimal digits as `export` writes it), and optionally `owner`, `description`, \
             `scopes`, `labels` and `expires`. A flag applies to every line that does not have the value itself. \
             Either all lines are adopted or none",
        ],
        examples: &[
            Example(
                "Adopt the key of an older system",
                "tokenctl adopt legacy --scope events:read --no-expiry < legacy.txt",
            ),
            Example(
                "Adopt a key from a file, with a lifetime",
                "tokenctl adopt partner -s admin --ttl 90d --secret-file partner.txt",
            ),
            Example(
                "Adopt a table of names and secrets; a second run skips those that exist",
                "tokenctl adopt --from team.csv --all-scopes --if-missing",
            ),
        ],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "list",
        also: &["tokens"],
        more: &[
            "On a terminal, the output is a table with as many columns as fit. In a pipe, the output is lines of \
             tab-separated values without a heading. Without `--columns`, these are always: id, name, status, \
             scopes, owner, expires_at, last_used_at, created_at, created_by, labels, description",
        ],
        examples: &[
            Example(
                "List tokens that expire within two weeks, the earliest first",
                "tokenctl list --expires-within 14d --sort expires",
            ),
            Example(
                "Print the names of tokens that nobody has used for 90 days",
                "tokenctl list --unused-for 90d --format names",
            ),
            Example(
                "Make a spreadsheet of all tokens, revoked and expired ones included",
                "tokenctl list --all --format csv > tokens.csv",
            ),
            Example(
                "List tokens whose rotation is due within a week, the earliest first",
                "tokenctl list --due-within 7d --sort due",
            ),
        ],
        exits: &[0, 1, 2, 4, 6],
    },
    Verb {
        path: "show",
        also: &["get", "info", "describe", "view", "inspect"],
        more: &[
            "Each secret is shown by its hint (its prefix and the next four characters), its expiry and its last \
             use. The last ten events of the token follow, without confirmations of deliveries",
        ],
        examples: &[
            Example("See whether a client still uses the previous secret", "tokenctl show backup"),
            Example("The same for a script", "tokenctl show backup --json"),
        ],
        exits: &[0, 1, 2, 4, 6],
    },
    Verb {
        path: "rename",
        also: &["mv", "move"],
        more: &[
            "The token keeps its id, its secrets and its history. The old name can be used again at once",
        ],
        examples: &[Example(
            "Say why, for the audit log",
            "tokenctl rename ci-deploy ci-prod --reason 'one pipeline for each stage'",
        )],
        exits: &[0, 1, 2, 4, 5, 6],
    },
    Verb {
        path: "edit",
        also: &["update", "modify", "change"],
        more: &[
            "The command changes only the fields whose flags are given. A new lifetime starts now, and also applies \
             to the current secret. An expired token gets a new lifetime only with `--revive`",
            "With a new label, a token may be accepted by a service that refused it before. So adding or changing a \
             label asks for confirmation on a terminal, and needs `--allow-widen` without one; removing a label does \
             not",
        ],
        examples: &[
            Example(
                "Give a token a new owner",
                "tokenctl edit ci-deploy --owner bob --description 'Deploys the site'",
            ),
            Example(
                "Set one label and remove another",
                "tokenctl edit ci-deploy -l env=test -l team= --allow-widen",
            ),
            Example(
                "Make it expire in 30 days, and rotate it every 10 days",
                "tokenctl edit ci-deploy --ttl 30d --rotate-every 10d",
            ),
        ],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "disable",
        also: &["pause", "suspend", "lock"],
        more: &[
            "The secrets of a disabled token are refused until you enable it. They still expire when they would \
             have. Filters select tokens as in `list`",
        ],
        examples: &[
            Example("Pause one token", "tokenctl disable ci-deploy --reason 'odd requests at night'"),
            Example("See which tokens would be paused", "tokenctl disable --owner ann --dry-run"),
            Example(
                "Pause one token, and refuse if the filter matches more",
                "tokenctl disable --owner ann --expect 1 --yes",
            ),
        ],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "enable",
        also: &["resume", "unpause", "unlock"],
        more: &["A secret that expired while the token was disabled stays expired"],
        examples: &[
            Example("Enable one token", "tokenctl enable ci-deploy"),
            Example("Enable all disabled tokens", "tokenctl enable --status disabled --yes"),
        ],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "revoke",
        also: &["delete", "del", "remove", "rm", "destroy", "kill", "invalidate", "expire"],
        more: &[
            "A revocation cannot be undone. The token is still in `list --all` and in the log, and its name can be \
             used again",
            "With `--secret-file`, the whole token is revoked if the leaked secret is its current one or is being \
             delivered. If a rotation has replaced the secret, only that secret is revoked",
        ],
        examples: &[
            Example("Revoke a token", "tokenctl revoke ci-deploy --yes --reason 'the pipeline is gone'"),
            Example("Revoke the token of a leaked secret", "tokenctl revoke --secret-file leaked.txt --yes"),
            Example("End a grace period early", "tokenctl revoke backup --previous --yes"),
            Example(
                "See which tokens older than 30 days nobody has ever used",
                "tokenctl revoke --never-used --dry-run",
            ),
        ],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "rotate",
        also: &["regenerate", "roll", "reroll", "renew", "refresh", "reissue", "cycle"],
        more: &[
            "Once the new secret is delivered, the old one keeps working for a grace period: that of `--grace`, of \
             the token, or of the store's settings. The new secret goes to the destination that a flag names, or else \
             to the one that is stored with the token. If the delivery fails, the exit code is 7 and nothing has \
             changed",
            "An expired token needs `--revive`. Without it, only `rotate --due` rotates it, with a warning, if it \
             expired less than one rotation interval ago",
            "With `--due` and no name, the command rotates every token that is due. It prints the names of the \
             rotated tokens, and none with `--quiet`, so cron then sends mail only for errors and warnings",
        ],
        examples: &[
            Example("Replace the secret in a file", "tokenctl rotate backup --out backup.key"),
            Example(
                "Rotate every token that is due, and write each secret to a file named after the token",
                "tokenctl rotate --due --quiet --out-dir /etc/service-tokens",
            ),
            Example(
                "Replace a leaked secret, without a grace period",
                "tokenctl rotate ci-deploy --now --stdout > new.key",
            ),
            Example(
                "Write the new secret to a password store",
                "tokenctl rotate ci-deploy --exec 'pass insert -m -f tokens/$TOKENCTL_NAME'",
            ),
        ],
        exits: &[0, 1, 2, 4, 5, 6, 7, 130],
    },
    Verb {
        path: "verify",
        also: &["whoami", "identify", "lookup", "validate", "introspect", "authenticate", "auth", "test"],
        more: &[
            "The secret comes from standard input, a file, or a prompt. The answer is one line: `valid NAME`, `valid \
             NAME previous` for a secret in its grace period, or a reason and, if the token is known, its name. The \
             reason is the first of these that applies: malformed, unknown, revoked, disabled, superseded, expired, \
             not_yet_valid, source_not_allowed, scope_missing, label_mismatch",
            "A user who can only read the store can verify",
            "With `--stream`, it answers each line of standard input in order and without delay, so that a service \
             can keep one process running. A line that is a secret gets the answer above, or `error CODE`. The \
             answer to a JSON object with the keys `secret`, `scopes`, `labels`, `address` and `id` is the JSON that \
             `--json` prints, with the same `id`. `--scope` and `--label` apply to every line, `--address` to lines \
             without an address. If the store cannot be read, the answer is an error, and the stream continues. At \
             the end of input, the exit code is 0",
        ],
        examples: &[
            Example(
                "Require a scope and a label too",
                "tokenctl verify --scope events:read --label env=prod < secret.txt",
            ),
            Example("Use the exit code alone", "tokenctl verify --quiet < secret.txt && echo 'let it in'"),
            Example(
                "Check whether it will be valid in two weeks",
                "tokenctl verify --at 14d --json < secret.txt",
            ),
            Example("Answer for a service, line by line", "tokenctl verify --stream --scope events:read"),
        ],
        exits: &[0, 1, 2, 3, 6, 130],
    },
    Verb {
        path: "scan",
        also: &["search", "grep", "leaks", "detect"],
        more: &[
            "For each secret, one line shows the path, line and column, and the token's name, status and owner. The \
             secret is never printed. If a secret has a correct checksum but is not in the store, its status is \
             `unknown`. Exit 3 means that a secret works or may work again, because its status is active, \
             provisional, pending or disabled",
            "In folders, hidden files, binary files, and files that `.gitignore` or `.ignore` excludes are skipped, \
             as ripgrep does. Standard input, and a file that is named as an argument, are always searched. UTF-16 \
             is searched if it begins with a byte order mark. Compressed files are reported and not searched. \
             Encoded text, like base64, is not recognized",
            "An adopted secret has no checksum. It is found by its first four characters, and only if no letter or \
             digit follows it",
            "Standard input can be the output of `git log -p` or `git diff`. Each secret is then reported with its \
             file and commit. Removed lines are searched in a history but not in a diff, so a commit that removes a \
             secret passes a pre-commit hook",
        ],
        examples: &[
            Example(
                "Search a folder, hidden and ignored files too",
                "tokenctl scan --hidden --no-ignore /var/lib/",
            ),
            Example("Search the history of a repository", "git log -p --all | tokenctl scan -"),
            Example("Search the last commit", "git show | tokenctl scan -"),
            Example(
                "Revoke the secrets in a file that was published",
                "tokenctl scan --revoke --yes leaked.txt || echo 'revoked what worked'",
            ),
        ],
        exits: &[0, 1, 2, 3, 6, 130],
    },
    Verb {
        path: "scopes",
        also: &["scope", "permissions", "roles"],
        more: &[
            "A scope is a permission with a name, like `events:read`. A scope can include others. A service requires \
             it with `verify --scope`. If a store defines no scopes, a check only says whether the secret is valid. \
             A change after which a token can do more than before asks for confirmation, or needs `--allow-widen`",
        ],
        examples: &[
            Example("Define a scope", "tokenctl scopes define reports:read --description 'Read reports'"),
            Example(
                "Grant it to a token, which may then do more",
                "tokenctl scopes add ci-deploy reports:read --allow-widen",
            ),
            Example("See all scopes, and how many tokens have each", "tokenctl scopes list"),
        ],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "scopes list",
        also: &["show"],
        more: &["The count is the number of unrevoked tokens that have the scope directly"],
        examples: &[
            Example("See them", "tokenctl scopes list"),
            Example("The same for a script", "tokenctl scopes list --json"),
        ],
        exits: &[0, 1, 2, 6],
    },
    Verb {
        path: "scopes define",
        also: &["create", "new", "make"],
        more: &["If the scope exists and is retired, it can be granted again; tokens that have it keep it"],
        examples: &[
            Example("Define a scope", "tokenctl scopes define reports:read --description 'Read reports'"),
            Example(
                "Define a scope that includes two others",
                "tokenctl scopes define auditor --includes events:read,reports:read",
            ),
        ],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "scopes edit",
        also: &["update", "change"],
        more: &[
            "If the scope includes more, every token that has it can do more. The command then asks for \
             confirmation, or needs `--allow-widen`",
        ],
        examples: &[
            Example("Describe it", "tokenctl scopes edit events:read --description 'Read all events'"),
            Example("Make it include less", "tokenctl scopes edit admin --includes events:read"),
        ],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "scopes rename",
        also: &["mv"],
        more: &[
            "Tokens keep the scope under its new name. A service that requires the old name then refuses them, and \
             one that requires the new name accepts them. If tokens have the scope, the command therefore asks for \
             confirmation, or needs `--allow-widen`",
        ],
        examples: &[Example(
            "Give it another name",
            "tokenctl scopes rename events:read events:view --allow-widen",
        )],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "scopes retire",
        also: &["delete", "rm", "revoke"],
        more: &[
            "A retired scope can no longer be granted. Tokens that have it keep it, unless `--ungrant` removes it \
             from them. `scopes define` brings the scope back",
        ],
        examples: &[
            Example("Retire it, and let tokens keep it", "tokenctl scopes retire events:write"),
            Example("Remove it from them too", "tokenctl scopes retire events:write --ungrant --yes"),
        ],
        exits: &[0, 1, 2, 4, 6, 130],
    },
    Verb {
        path: "scopes add",
        also: &["grant"],
        more: &["The command asks for confirmation, or needs `--allow-widen`"],
        examples: &[Example(
            "Let a token do more",
            "tokenctl scopes add ci-deploy events:write --allow-widen",
        )],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "scopes remove",
        also: &["withdraw", "take"],
        more: &[
            "If another scope of the token includes the removed one, the token can still do what it allows",
        ],
        examples: &[Example("Let a token do less", "tokenctl scopes remove ci-deploy events:read")],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "scopes set",
        also: &["replace"],
        more: &[
            "If the token can then do more than before, the command asks for confirmation, or needs `--allow-widen`",
        ],
        examples: &[Example(
            "Replace the scopes of a token",
            "tokenctl scopes set ci-deploy events:write --allow-widen",
        )],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "init",
        also: &["setup"],
        more: &[
            "If there is no store yet, `create`, `adopt` and `scopes define` create one that only you can use. With \
             `--group`, the members of a group can list and verify tokens; only the owner of the store can change it",
        ],
        examples: &[
            Example("Create a store for yourself", "tokenctl init"),
            Example(
                "Create a store that a web server can read",
                "sudo tokenctl --store /var/lib/tokenctl init --group www-data",
            ),
        ],
        exits: &[0, 1, 2, 6],
    },
    Verb {
        path: "settings",
        also: &["config", "configure", "set"],
        more: &["A setting applies to tokens that are created or rotated from now on"],
        examples: &[
            Example("See all of them", "tokenctl settings"),
            Example("Make new tokens expire after 30 days", "tokenctl settings default-ttl 30d"),
            Example("Return to the default", "tokenctl settings default-ttl ''"),
        ],
        exits: &[0, 1, 2, 6],
    },
    Verb {
        path: "check",
        also: &["monitor", "report", "alerts", "stale"],
        more: &[
            "Each finding has two lines. The first shows the severity, the code, a description and the token's \
             owner; the second says what to do. If there is no finding, nothing is printed, so cron sends mail only \
             if somebody has to act. Revoked and expired tokens are checked too. Filters select tokens as in `list`",
            "`expiring`: the token expires within `--window`, and more than half of its lifetime is over. `expired`: \
             the token expired in the last week. `rotation_overdue`: the rotation of the token has been due for more \
             than a day. `hook_pending`: the hook after a rotation has not succeeded. `previous_in_use`: a client \
             still uses a previous secret. `refused_in_use`: a client still presents a revoked or expired secret. \
             `unused`: the token has not been used for 90 days. `never_used`: the token is older than 30 days, and no \
             use was recorded in that time. `no_expiry`: the token never expires. `no_destination`: the token has a \
             rotation policy, but no destination. `scope_unused`: the token is in use and has a scope that no check \
             has required for 90 days. `provisional`: a delivery was interrupted, and it is not known whether the \
             secret arrived",
            "With `--format prometheus`, the exit code is 0 whatever the command finds, because your alert rules \
             decide what is a problem",
        ],
        examples: &[
            Example("See what needs attention", "tokenctl check"),
            Example(
                "Report only problems that will stop a client within 30 days",
                "tokenctl check --only expiring,expired,rotation_overdue,previous_in_use --window 30d",
            ),
            Example(
                "Write metrics for the textfile collector of node_exporter",
                "tokenctl check --format prometheus --out /var/lib/tokenctl.prom",
            ),
        ],
        exits: &[0, 1, 2, 3, 4, 6],
    },
    Verb {
        path: "audit",
        also: &["log", "logs", "history", "events"],
        more: &[
            "Each change is an event in a hash chain. The event says who changed what, when and why. On a terminal, \
             the output is a table that opens at the newest event. A delivery and its confirmation are two events, \
             but the table shows them on one line. In a pipe, the output is lines of tab-separated values: number, \
             time, action, id, name, actor, reason, changes",
            "Which administrator gave a token a scope, and when: `tokenctl audit --token ci-deploy --action \
             create,scopes.add,scopes.set`. The previous owners of a token: `tokenctl audit --token ci-deploy \
             --action create,edit`. What changed this week: `tokenctl audit --since 7d`. What one administrator did: \
             `tokenctl audit --actor ann`. Which secrets were revoked, and why: `tokenctl audit --action revoke \
             --format csv`",
        ],
        examples: &[
            Example(
                "See what happened to one token in the last 30 days, the newest first",
                "tokenctl audit --token ci-deploy --since 30d --reverse",
            ),
            Example("See who created or revoked tokens", "tokenctl audit --action create,adopt,revoke"),
            Example(
                "Save the head, to keep it in a place where the owner of the store cannot change it",
                "tokenctl audit head > head.txt",
            ),
            Example(
                "Prove that the log has only grown since then",
                "tokenctl audit verify --anchor \"$(cat head.txt)\"",
            ),
        ],
        exits: &[0, 1, 2, 4, 6],
    },
    Verb {
        path: "audit head",
        also: &["last"],
        more: &["The hash of the last event covers all events before it"],
        examples: &[Example("Save the head", "tokenctl audit head > head.txt")],
        exits: &[0, 1, 2, 6],
    },
    Verb {
        path: "audit verify",
        also: &["check"],
        more: &[
            "The command finds accidental damage and edits by hand. With a head that was kept in another place, it \
             also finds out whether the log was rewritten. Without one, the owner of the store could replace the \
             whole log unnoticed",
        ],
        examples: &[
            Example("Check everything", "tokenctl audit verify"),
            Example(
                "Prove that the log has only grown",
                "tokenctl audit head > head.txt; tokenctl audit verify --anchor \"$(cat head.txt)\"",
            ),
        ],
        exits: &[0, 1, 2, 3, 6],
    },
    #[cfg(feature = "serve")]
    Verb {
        path: "serve",
        also: &["gate", "server", "daemon", "listen", "http"],
        more: &[
            "For nginx `auth_request`, Caddy `forward_auth`, Traefik ForwardAuth and Envoy ext_authz: \
             `/verify?scope=A&label=K=V` and `/route/NAME` return the status 200 if the secret is valid, with the \
             headers X-Token-Id, -Name, -Owner, -Scopes, -Labels, -Role and -Expires. They return 401 without a \
             valid secret, 403 for a missing scope or label or an address that is not allowed, and 503 if the store \
             cannot be read. Characters other than plain ASCII are percent-encoded in these headers",
            "Services post an object with the keys `secret`, `scopes`, `labels`, `address` and `id`, or an array of \
             up to 1,000 of them, to `/api/verify`. The answer has the form of `verify --json`, with the `id` of the \
             request; its status is 200 whether the secret is valid or not",
            "A secret comes from `Authorization: Bearer`, `X-Api-Key` or the password of `Authorization: Basic`, \
             never from the query string of the URL. A request with two different secrets is refused with 400. A \
             revocation applies from the next request on",
            "To check a token with `--allow-from`, tokenctl needs the client's address. That is the address of the \
             connection or, with `--address-from`, the one in a header that the proxy sets. Use a header only if \
             clients cannot bypass the proxy",
            "On SIGTERM, it answers the requests that it has read, and exits with 0. It cannot create or change a \
             token; it only records uses",
        ],
        examples: &[
            Example(
                "Answer nginx on a Unix socket; `/route/reports` requires a scope",
                "tokenctl serve --listen unix:gate.sock --route reports=scope:events:read",
            ),
            Example(
                "Print the matching configuration of nginx",
                "tokenctl serve --listen unix:gate.sock --route reports=scope:a --print-config nginx",
            ),
            Example(
                "Answer services on this machine, with metrics and a log of requests",
                "tokenctl serve --listen 127.0.0.1:8787 --admin-listen 127.0.0.1:8788 --log",
            ),
        ],
        exits: &[0, 1, 2, 5, 6, 130],
    },
    Verb {
        path: "doctor",
        also: &["fsck", "status", "health"],
        more: &[
            "The command checks the database, the audit log, each object, permissions and the clock. It also looks \
             for files that killed commands left behind, and for tokens that the settings would no longer allow. It \
             changes nothing without `--repair`",
            "If the file of an interrupted delivery is missing and its directory is empty, a volume may not be \
             mounted, so the delivery stays open. `--repair` assumes that the file is gone, and rolls the delivery \
             back",
        ],
        examples: &[
            Example("Check the store", "tokenctl doctor"),
            Example("Repair what can be repaired without data loss", "tokenctl doctor --repair --yes"),
        ],
        exits: &[0, 1, 2, 3, 6, 130],
    },
    Verb {
        path: "backup",
        also: &["dump", "save", "snapshot"],
        more: &[
            "The copy is consistent even while others write. Only you can read it, and it is on disk when the \
             command returns. The command prints the head of the log. Keep it in another place, so that `audit \
             verify --anchor` can later prove that the log has only grown. The copy does not contain the times of use",
        ],
        examples: &[
            Example(
                "Keep one copy for each day of the week",
                "tokenctl backup --force \"store-$(date +%u).db\"",
            ),
            Example("Write the copy to standard output", "tokenctl backup - > elsewhere.db"),
        ],
        exits: &[0, 1, 2, 5, 6],
    },
    Verb {
        path: "restore",
        also: &["recover", "rollback", "undo"],
        more: &[
            "The backup is checked as `doctor` checks a store, and the store is changed in one transaction or not at \
             all. Tokens that were revoked, disabled, expired or pruned after the backup stay revoked, disabled, \
             expired or pruned. The log keeps all later events, and gets one for each object that the restore changes",
            "Tokens, secrets and open deliveries that are newer than the backup are discarded only with \
             `--discard-newer`, and no token gains scopes without `--allow-widen`. If the store is missing, it is \
             created. Commands that rotations would run, and that the store does not have yet, are listed and need \
             `--accept-commands`",
        ],
        examples: &[
            Example(
                "See what the restore would change",
                "tokenctl backup today.db; tokenctl restore today.db --dry-run",
            ),
            Example("Restore the backup", "tokenctl restore today.db --yes"),
        ],
        exits: &[0, 1, 2, 5, 6, 130],
    },
    Verb {
        path: "export",
        also: &["dump-json"],
        more: &[
            "The output is JSON lines from one moment: a header, settings, scopes, tokens with the hashes of their \
             secrets, the log, and a last line that counts them. It contains no secret, since the store has none. \
             With `--tokens` or a filter, it contains only scopes and tokens",
        ],
        examples: &[
            Example("Move a store to another directory", "tokenctl export | tokenctl --store new import -"),
            Example("Export the tokens of one team", "tokenctl export --label team=web > web.jsonl"),
        ],
        exits: &[0, 1, 2, 4, 6],
    },
    Verb {
        path: "import",
        also: &["load"],
        more: &[
            "If the store is missing or unused, it becomes a copy of the exported one, with the same tokens, log and \
             head. Every line, the log and each object are checked before that. A store with content gets only the \
             tokens and their delivered secrets, either all of them or none; their scopes must exist",
            "Commands that rotations would run are listed and need `--accept-commands`",
        ],
        examples: &[
            Example(
                "Make a copy of a store",
                "tokenctl export > all.jsonl; tokenctl --store copy import all.jsonl",
            ),
            Example(
                "Import the tokens that do not exist yet",
                "tokenctl export --tokens | tokenctl import - --skip-existing",
            ),
        ],
        exits: &[0, 1, 2, 4, 5, 6],
    },
    Verb {
        path: "prune",
        also: &["purge", "clean", "gc"],
        more: &[
            "The command removes revoked and expired tokens, and superseded secrets of other tokens. Their events \
             stay in the log. Hashes of removed secrets are kept too, so that none of them can be adopted or \
             imported again. A token that is due for rotation, or whose delivery or hook is pending, is kept",
        ],
        examples: &[
            Example("See what would be removed", "tokenctl prune --older-than 90d --dry-run"),
            Example(
                "Remove tokens and secrets that expired or were revoked over a year ago",
                "tokenctl prune --older-than 1y --yes",
            ),
        ],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "diff",
        also: &["drift", "plan"],
        more: &[
            "The file is TOML: `[settings]`, `[scopes.NAME]` and `[tokens.NAME]`. Keys and tokens that are not in \
             the file are not compared. `tokenctl export --toml` writes such a file",
            "`+` marks an object that would be created, `~` one that would be updated, and `-` a token that would be \
             revoked. `(widens)` marks a change after which tokens can do more than before",
        ],
        examples: &[
            Example(
                "Write a first file; nothing differs from it",
                "tokenctl export --toml > wanted.toml; tokenctl diff wanted.toml",
            ),
            Example(
                "See what differs, then apply it",
                "tokenctl diff tokens.toml || tokenctl apply tokens.toml --out-dir /etc/service-tokens",
            ),
        ],
        exits: &[0, 1, 2, 3, 6],
    },
    Verb {
        path: "apply",
        also: &["sync", "reconcile"],
        more: &[
            "A table `[tokens.NAME]` can have the keys `description`, `owner`, `icon`, `scopes`, `labels`, \
             `not_before`, `rotate_every`, `grace`, `allow_from`, `after` and `disabled`. It can also have one \
             lifetime: `ttl`, `expires` or `no_expiry`. It can also have one destination: `out`, `exec`, or \
             `env_file` together with `env_name`. The keys of `[scopes.NAME]` are `description` and `includes`, and \
             those of `[settings]` are the keys of `tokenctl settings`. Paths must be absolute",
            "A key that is absent leaves its value unchanged; `\"\"` clears a text, and `\"none\"` clears any other \
             value. A token that does not exist is created, and its secret is delivered to its destination or to a \
             file in `--out-dir` that is named after the token. Existing objects are changed in one transaction, and \
             only if every change is allowed",
            "Tokens that the file does not name stay unchanged, unless `--exclusive` revokes them. A second run \
             changes nothing. If a run was killed, the next one completes it. The file is refused if other users can \
             write it, because later rotations run the commands in its `exec` and `after`",
        ],
        examples: &[
            Example(
                "See what the command would do",
                "tokenctl apply tokens.toml --out-dir /etc/service-tokens --dry-run",
            ),
            Example(
                "Allow wider scopes, and write new secrets to files",
                "tokenctl apply tokens.toml --allow-widen --out-dir /etc/service-tokens",
            ),
        ],
        exits: &[0, 1, 2, 4, 5, 6, 7, 130],
    },
    Verb {
        path: "completions",
        also: &["completion"],
        more: &[],
        examples: &[Example(
            "Set up completion in bash, from the next login on",
            "tokenctl completions bash > ~/.local/share/bash-completion/completions/tokenctl",
        )],
        exits: &[0, 1, 2],
    },
    Verb {
        path: "man",
        also: &["manual", "docs"],
        more: &[
            "Without a directory, the page of the program goes to standard output. With a directory, a page for each \
             command is written to it; a missing directory is created",
        ],
        examples: &[
            Example("Read the page", "tokenctl man | man -l -"),
            Example("Install all pages for yourself", "tokenctl man ~/.cargo/share/man/man1"),
        ],
        exits: &[0, 1, 2],
    },
];
