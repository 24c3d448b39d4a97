//! What the help of each verb adds to its flags: its group, other programs' words for it, paragraphs, examples,
//! and the exit codes that it uses. `parse::command` has the rest.

/// The groups of verbs, as listed.
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
    /// Paragraphs, each without its last full stop.
    pub more: &'static [&'static str],
    pub examples: &'static [Example],
    /// Numbers from [`crate::domain::code::EXITS`].
    pub exits: &'static [u8],
}

/// What a command line does, and the line itself, for `sh`.
pub struct Example(pub &'static str, pub &'static str);

pub const VERBS: [Verb; 38 + cfg!(feature = "serve") as usize] = [
    Verb {
        path: "",
        also: &[],
        more: &[
            "A token has a name, an owner, scopes and a lifetime. A secret is the string that a client presents. The \
             store keeps only its hash, so a secret can be shown once and never again",
            "Data goes to standard output, everything else to standard error. Without a terminal, nothing is asked",
            "`tokenctl help COMMAND` is `tokenctl COMMAND --help`, and `tokenctl version` is `tokenctl --version`",
        ],
        examples: &[
            Example(
                "Create a token; without `--out` its secret is printed, once",
                "tokenctl create nightly --all-scopes --ttl 30d --out nightly.key",
            ),
            Example(
                "Check a secret: exit 0 if it is valid, 3 if it is not",
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
            "The secret goes to standard output, as one line and nothing else, or to the destination that a flag \
             names. If the delivery fails, the exit code is 7 and no token is left",
            "A command given with `--exec` gets the secret on standard input, without a newline, and TOKENCTL_NAME, \
             TOKENCTL_ID and TOKENCTL_EXPIRES_AT in its environment",
            "Without a lifetime, the setting `default-ttl` applies. A store with scopes requires `--scope` or \
             `--all-scopes`",
            "`--if-missing` waits for another command that is delivering a token of that name, and warns if the \
             existing token or its destination differs from the flags",
        ],
        examples: &[
            Example(
                "Write the secret to a new file of mode 0600",
                "tokenctl create nightly --scope events:read --ttl 30d --out nightly.key",
            ),
            Example(
                "Set a variable of an environment file, and make the token due every 30 days",
                "tokenctl create worker --all-scopes --rotate-every 30d --env-file app.env --env-name KEY",
            ),
            Example(
                "Put the secret into a password store",
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
             128 bits is refused, and so is one that is in the store already",
            "`--from` reads many tokens from CSV with a heading or from JSON lines. Each has a `name` and a `secret` \
             (or a `hash` of 64 hexadecimal digits as `export` writes it), and optionally `owner`, `description`, \
             `scopes`, `labels` and `expires`. The flags apply to what a line leaves out. Either all lines are adopted \
              or none",
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
            "On a terminal, the output is a table with as many columns as fit. In a pipe, it is tab-separated lines \
             without a heading, whose columns never change: id, name, status, scopes, owner, expires_at, last_used_at, \
             created_at, created_by, labels, description",
        ],
        examples: &[
            Example(
                "List what expires within two weeks, the earliest first",
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
                "List what is due for rotation within a week, the earliest first",
                "tokenctl list --due-within 7d --sort due",
            ),
        ],
        exits: &[0, 1, 2, 4, 6],
    },
    Verb {
        path: "show",
        also: &["get", "info", "describe", "view", "inspect"],
        more: &[
            "Each secret is shown by its first four characters, with its expiry and its last use. The token's last ten \
             events follow, without confirmations of deliveries",
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
        more: &["The token keeps its id, its secrets and its history. The old name is free at once"],
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
            "Only what the flags name is changed. A lifetime counts from now, and applies to the current secret too. \
             An expired token gets a new lifetime only with `--revive`",
            "Adding or changing a label may let a token in where it was refused before, so the command asks, or needs \
             `--allow-widen`. Removing a label needs no confirmation",
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
                "Let it expire in 30 days, and make it due for rotation every 10",
                "tokenctl edit ci-deploy --ttl 30d --rotate-every 10d",
            ),
        ],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "disable",
        also: &["pause", "suspend", "lock"],
        more: &[
            "Its secrets are refused as `disabled` until `enable`. They still expire at their time. Filters select \
             tokens as in `list`",
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
        more: &["A secret that has expired meanwhile stays expired"],
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
            "A revocation cannot be undone. The token stays in `list --all` and in the log, and its name can be used \
             again",
            "If a leaked secret is the current one or is being delivered, the whole token is revoked. If a rotation \
             has replaced it, only that secret is revoked",
        ],
        examples: &[
            Example("Revoke a token", "tokenctl revoke ci-deploy --yes --reason 'the pipeline is gone'"),
            Example(
                "Revoke what a leaked secret belongs to",
                "tokenctl revoke --secret-file leaked.txt --yes",
            ),
            Example("End a grace period early", "tokenctl revoke backup --previous --yes"),
            Example("See which tokens nobody has ever used", "tokenctl revoke --never-used --dry-run"),
        ],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "rotate",
        also: &["regenerate", "roll", "reroll", "renew", "refresh", "reissue", "cycle"],
        more: &[
            "Once the new secret is delivered, the old one keeps working for its grace period. If the delivery fails, \
             the exit code is 7 and nothing has changed",
            "An expired token is rotated only with `--revive`, except that `--due` still rotates it, with a warning, \
             within one interval of its policy after the expiry",
            "With `--due` and no name, it rotates every token whose policy makes it due and prints their names. If \
             there are none it prints nothing, which suits cron",
        ],
        examples: &[
            Example("Replace the secret in a file", "tokenctl rotate backup --out backup.key"),
            Example(
                "Rotate all that are due, each into a file of its name",
                "tokenctl rotate --due --quiet --out-dir /etc/service-tokens",
            ),
            Example(
                "Replace a leaked secret, without a grace period",
                "tokenctl rotate ci-deploy --now > ci-deploy.key",
            ),
            Example(
                "Put the new secret into a password store",
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
             NAME previous`, or the first reason that applies of malformed, unknown, revoked, disabled, superseded, \
             expired, not_yet_valid, source_not_allowed, scope_missing, label_mismatch",
            "It only has to read the store",
            "With `--stream` it answers line after line until its input ends, in order and without delay, so that a \
             service keeps one process. A line that is a secret gets the answer above, or `error CODE`. A line that is \
             a JSON object of `secret`, `scopes`, `labels`, `address` and `id` gets the document of `--json` with the \
             `id`. `--scope` and `--label` apply to every line, `--address` to those without an address. If the store \
             cannot be read, the answer is an error, and the stream goes on; at the end of input it exits with 0",
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
            "Each secret found is one line with path, line, column, and the token's name, status and owner. The secret \
             is never printed. A secret with a correct checksum that is not in the store is `unknown`. Exit 3 means \
             that a secret works or may work again, because its status is active, provisional, pending or disabled",
            "In folders, hidden files, binary files and what ignore files exclude are skipped, as ripgrep does. A file \
             named as an argument and standard input are always searched. UTF-16 is searched if it begins with a byte \
             order mark. Compressed files are reported and not searched. Encoded text, like base64, is not recognized",
            "An adopted secret has no checksum. It is found by its first four characters, and only where no letter or \
             digit follows it",
            "Standard input may be the output of `git log -p` or `git diff`; each secret is then reported with its \
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
            "A scope is a permission with a name, like `events:read`; one may include others. A store without scopes \
                 issues plain keys",
        ],
        examples: &[
            Example("Add one", "tokenctl scopes define reports:read --description 'Read reports'"),
            Example("Grant it", "tokenctl scopes add ci-deploy reports:read --allow-widen"),
            Example("See them all, and how many tokens hold each", "tokenctl scopes list"),
        ],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "scopes list",
        also: &["show"],
        more: &["The count is of unrevoked tokens that hold the scope directly"],
        examples: &[
            Example("See them", "tokenctl scopes list"),
            Example("The same for a script", "tokenctl scopes list --json"),
        ],
        exits: &[0, 1, 2, 6],
    },
    Verb {
        path: "scopes define",
        also: &["create", "new", "make"],
        more: &["A retired scope is reopened; tokens that still hold it keep it"],
        examples: &[
            Example("Add one", "tokenctl scopes define reports:read --description 'Read reports'"),
            Example(
                "Add one that allows what others allow",
                "tokenctl scopes define auditor --includes events:read,reports:read",
            ),
        ],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "scopes edit",
        also: &["update", "change"],
        more: &["Widening a scope lets every token that holds it do more, so the command asks, or needs \
                 `--allow-widen`"],
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
            "Tokens keep the scope under its new name. A verifier that requires the old name refuses them, and one that \
             requires the new name accepts them, so the command asks, or needs `--allow-widen`, if tokens hold it",
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
            "A retired scope can no longer be granted. Tokens that hold it keep it, unless `--ungrant` removes it \
                 from them; `scopes define` reopens it",
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
        more: &["The command asks, or needs `--allow-widen`"],
        examples: &[Example(
            "Let a token do more",
            "tokenctl scopes add ci-deploy events:write --allow-widen",
        )],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "scopes remove",
        also: &["withdraw", "take"],
        more: &["The token keeps what another of its scopes includes"],
        examples: &[Example("Let a token do less", "tokenctl scopes remove ci-deploy events:read")],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "scopes set",
        also: &["replace"],
        more: &["If the token may then do more than before, the command asks, or needs `--allow-widen`"],
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
            "`create`, `adopt` and `scopes define` make a missing store themselves, for you alone. With `--group`, \
             members of the group can list and verify; only the owner of the store can change it",
        ],
        examples: &[
            Example("Make a store for yourself", "tokenctl init"),
            Example(
                "Make a store that a web server may read",
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
            Example("Let new tokens expire after 30 days", "tokenctl settings default-ttl 30d"),
            Example("Return to the default", "tokenctl settings default-ttl ''"),
        ],
        exits: &[0, 1, 2, 6],
    },
    Verb {
        path: "check",
        also: &["monitor", "report", "alerts", "stale"],
        more: &[
            "A finding is two lines: severity, code, a description and the token's owner, then what to do. Without \
             findings nothing is printed, so cron sends mail only when somebody has to act. Revoked and expired tokens \
             are examined too. Filters select tokens as in `list`",
            "The codes: `expiring` (within `--window` and in the second half of its lifetime), `expired` (in the last \
             week), `rotation_overdue` (by more than a day), `hook_pending` (the command after a rotation has not \
             succeeded), `previous_in_use` (a client still uses a previous secret), `refused_in_use` (a client still \
             presents a revoked or expired secret), `unused` (for 90 days), `never_used` (in 30 days of recording), \
             `no_expiry`, `no_destination` (the token has a rotation policy, but no destination), `scope_unused` (a \
             token in use holds a scope that no verification required in 90 days of recording), `provisional` (a \
             delivery was interrupted and is not settled)",
            "With `--format prometheus` it exits with 0 whatever it finds, since alert rules decide",
        ],
        examples: &[
            Example("See what needs attention", "tokenctl check || echo 'see above'"),
            Example(
                "Report only what breaks a client, a month ahead",
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
            "Each change is an event in a chain of hashes. It says when, who, what and why. On a terminal, the output \
             is a table that opens at the newest event and shows a confirmed delivery on one line. In a pipe, it is \
             tab-separated lines: number, time, action, id, name, actor, reason, changes",
            "Which administrator gave a token a scope, and when: `tokenctl audit --token ci-deploy --action \
             create,scopes.add,scopes.set`. The previous owners of a token: `tokenctl audit --token ci-deploy --action \
             create,edit`. What changed this week: `tokenctl audit --since 7d`. What one administrator did: `tokenctl \
             audit --actor ann`. Which secrets were revoked, and why: `tokenctl audit --action revoke --format csv`",
        ],
        examples: &[
            Example(
                "See what happened to one token in 30 days, the newest first",
                "tokenctl audit --token ci-deploy --since 30d --reverse",
            ),
            Example("See who created or revoked tokens", "tokenctl audit --action create,adopt,revoke"),
            Example(
                "Keep the head where the owner of the store cannot write",
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
        examples: &[Example("Save it", "tokenctl audit head > head.txt")],
        exits: &[0, 1, 2, 6],
    },
    Verb {
        path: "audit verify",
        also: &["check"],
        more: &[
            "It finds accidental damage and edits by hand. With a head that was kept elsewhere, it also finds that the \
             log was rewritten; without one, the owner of the store could replace the whole log unnoticed",
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
             `/verify?scope=A&label=K=V` and `/route/NAME` answer 200 with the headers X-Token-Id, -Name, -Owner, \
             -Scopes, -Labels, -Role and -Expires; 401 without a valid secret; 403 for a missing scope or label, or an \
             address that is not allowed; 503 when the store cannot be read. Characters other than plain ASCII are \
             percent-encoded in these headers",
            "Services post `{\"secret\", \"scopes\", \"labels\", \"address\", \"id\"}`, or an array of up to 1,000, to `/api/verify` and \
             get the document of `verify --json` with the `id`; the status is 200 whatever the verdict",
            "A secret comes from `Authorization: Bearer`, `X-Api-Key` or the password of `Authorization: Basic`, never \
             from a query. A request with two different secrets is refused with 400. A revocation applies from the \
             next request on",
            "For tokens with `--allow-from` it needs the client's address. That is the address of the connection, or \
             with `--address-from` the one in a header of the proxy. Use a header only if clients cannot bypass the \
             proxy",
            "On SIGTERM it answers the requests that it has read and exits with 0. It only reads the store, and cannot \
             create or change a token",
        ],
        examples: &[
            Example(
                "Serve nginx on a Unix socket; `/route/reports` requires a scope",
                "tokenctl serve --listen unix:gate.sock --route reports=scope:events:read",
            ),
            Example(
                "Print the matching configuration of nginx",
                "tokenctl serve --listen unix:/run/gate.sock --route reports=scope:events:read --print-config nginx",
            ),
            Example(
                "Serve services on this machine, with metrics and a log",
                "tokenctl serve --listen 127.0.0.1:8787 --admin-listen 127.0.0.1:8788 --log",
            ),
        ],
        exits: &[0, 1, 2, 5, 6, 130],
    },
    Verb {
        path: "doctor",
        also: &["fsck", "status", "health"],
        more: &[
            "It checks the database, the audit log, each object, permissions and the clock, and looks for leftovers of \
             killed commands and for tokens that exceed the settings. It changes nothing without `--repair`",
            "If the file of a delivery is missing and its directory is empty, the delivery stays open, since a volume \
             may not be mounted. `--repair` assumes that the file is gone, and rolls the delivery back",
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
            "The copy is consistent even while others write. Only you can read it, and it is on disk when the command \
             returns. Standard output gets the head of the log. Keep it elsewhere, so that `audit verify --anchor` can \
             prove later that the log has only grown. The copy does not say when and how often secrets were used",
        ],
        examples: &[
            Example(
                "Keep a copy for each day of the week",
                "tokenctl backup --force \"store-$(date +%u).db\"",
            ),
            Example("Send a copy elsewhere", "tokenctl backup - > elsewhere.db"),
        ],
        exits: &[0, 1, 2, 5, 6],
    },
    Verb {
        path: "restore",
        also: &["recover", "rollback", "undo"],
        more: &[
            "The backup is checked as `doctor` checks a store, and the store is changed in one transaction or not at \
             all. Tokens that were revoked, disabled, expired or pruned since the backup stay so. The log keeps all \
             events since then, and gets one for each object that the restore changes",
            "Tokens, secrets and open deliveries that are newer than the backup are discarded only with \
             `--discard-newer`, and no token gains scopes without `--allow-widen`. A missing store is made. Commands \
             that rotations would run, and that are new to the store, are listed and need `--accept-commands`",
        ],
        examples: &[
            Example(
                "See what it would change",
                "tokenctl backup today.db; tokenctl restore today.db --dry-run",
            ),
            Example("Restore it", "tokenctl restore today.db --yes"),
        ],
        exits: &[0, 1, 2, 5, 6, 130],
    },
    Verb {
        path: "export",
        also: &["dump-json"],
        more: &[
            "The output is JSON lines, all from one moment: a header, settings, scopes, tokens with the hashes of \
             their secrets, the log, and a last line that counts them. It contains no secret, since the store has \
             none. With `--tokens` or a filter it is scopes and tokens only",
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
            "A store that is missing, or in which nothing has happened, becomes a copy of the exported one, with the \
             same tokens, log and head, after every line, the log and each object were checked. A store with content \
             gets only the tokens and their delivered secrets, all or none; their scopes must exist",
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
            "It removes revoked and expired tokens, and the superseded secrets of other tokens. The log keeps their \
             events. Hashes of removed secrets are kept too, so that none can be adopted or imported again. A token \
             that is due for rotation, or whose delivery or hook is pending, is kept",
        ],
        examples: &[
            Example("See what would be removed", "tokenctl prune --older-than 90d --dry-run"),
            Example(
                "Remove what expired or was revoked over a year ago",
                "tokenctl prune --older-than 1y --yes",
            ),
        ],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "diff",
        also: &["drift", "plan"],
        more: &[
            "The file is TOML: `[settings]`, `[scopes.NAME]` and `[tokens.NAME]`. Keys that are absent and tokens that \
             are not named are not compared. `tokenctl export --toml` writes such a file",
            "`+` marks what would be created, `~` what would be updated, `-` what would be revoked. `(widens)` marks a \
             change by which tokens may do more than before",
        ],
        examples: &[
            Example(
                "Write a first file, and see that nothing differs",
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
            "The keys of `[tokens.NAME]` are `description`, `owner`, `icon`, `scopes`, `labels`, one of `ttl`, `expires` and \
             `no_expiry`, `not_before`, `rotate_every`, `grace`, `allow_from`, one of `out`, `env_file` with `env_name`, and \
             `exec`, then `after` and `disabled`. Those of `[scopes.NAME]` are `description` and `includes`, those of \
             `[settings]` the keys of `tokenctl settings`. Paths are absolute",
            "A key that is absent leaves its value as it is; `\"\"` clears a text, `\"none\"` everything else. A token \
             that does not exist is created, and its secret is delivered to its destination or into a file of its \
             name in `--out-dir`. Changes of existing objects are one transaction, and happen only if every one of \
             them is allowed",
            "Tokens that the file does not name are left alone, unless `--exclusive` revokes them. A second run \
             changes nothing. If a run was killed, the next one completes it. A file that others can write is refused, \
             since rotations run its commands",
        ],
        examples: &[
            Example(
                "See what it would do",
                "tokenctl apply tokens.toml --out-dir /etc/service-tokens --dry-run",
            ),
            Example(
                "Allow wider scopes, and put new secrets into files",
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
            "Without a directory, the page of the program goes to standard output. With one, a page for each command \
             is written there; a missing directory is made",
        ],
        examples: &[
            Example("Read the page", "tokenctl man | man -l -"),
            Example("Install all pages for yourself", "tokenctl man ~/.cargo/share/man/man1"),
        ],
        exits: &[0, 1, 2],
    },
];
