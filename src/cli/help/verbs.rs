//! Of each verb what its flags do not say: the group it is listed in, what others call it, paragraphs, examples, and
//! the exit codes it can end with. `parse::command` has the rest.

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
    /// What they do together, where the short help has one line for all of them.
    pub about: Option<&'static str>,
}

pub struct Verb {
    /// The words after `tokenctl`; none for the program itself.
    pub path: &'static str,
    /// What people used to other programs type.
    pub also: &'static [&'static str],
    /// A sentence or two each, without the last full stop.
    pub more: &'static [&'static str],
    pub examples: &'static [Example],
    /// Of [`crate::domain::code::EXITS`].
    pub exits: &'static [u8],
}

/// What a command line does, and the line, for `sh`.
pub struct Example(pub &'static str, pub &'static str);

pub const VERBS: [Verb; 38 + cfg!(feature = "serve") as usize] = [
    Verb {
        path: "",
        also: &[],
        more: &[
            "A token is what its users know: a name, an owner, scopes, a lifetime. A secret is the string that a \
             client presents; the store keeps its hash only, so that it can be delivered once and never again",
            "Data goes to standard output, all else to standard error. Nothing is asked without a terminal",
            "`tokenctl help COMMAND` is `tokenctl COMMAND --help`, and `tokenctl version` is `tokenctl --version`",
        ],
        examples: &[
            Example(
                "Create a token; without `--out` its secret is printed, once",
                "tokenctl create nightly --all-scopes --ttl 30d --out nightly.key",
            ),
            Example(
                "Ask whether a secret is good: exit 0 if so, 3 if not",
                "tokenctl verify --scope events:read < nightly.key",
            ),
            Example(
                "Replace it; the old one stays good for an hour",
                "tokenctl rotate nightly --grace 1h --out nightly.key",
            ),
            Example("See what ends soon", "tokenctl list --expires-within 14d"),
        ],
        exits: &[0, 1, 2, 3, 4, 5, 6, 7, 130],
    },
    Verb {
        path: "create",
        also: &["new", "add", "generate", "gen", "issue", "mint", "make"],
        more: &[
            "The secret goes to standard output, one line and nothing else, or to the one place that a flag names. A \
             delivery that fails exits with 7 and leaves no token",
            "A command of `--exec` gets the secret on standard input, without a line end, and TOKENCTL_NAME, \
             TOKENCTL_ID and TOKENCTL_EXPIRES_AT in its environment",
            "Without a lifetime the setting `default-ttl` applies. A store with scopes wants `--scope` or \
             `--all-scopes`",
            "`--if-missing` waits for a delivery of that name which is under way, and warns where the existing token or \
             its destination is not as the flags say",
        ],
        examples: &[
            Example(
                "Keep the secret in a new file of mode 0600",
                "tokenctl create nightly --scope events:read --ttl 30d --out nightly.key",
            ),
            Example(
                "Set a variable of an environment file, and make the token due every 30 days",
                "tokenctl create worker --all-scopes --rotate-every 30d --env-file app.env --env-name KEY",
            ),
            Example(
                "Give the secret to a password store",
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
            "The secret comes from standard input, from a file, or from a prompt that does not show it. One of less than \
                 128 bits is refused, and so is one that the store knows",
            "`--from` takes many at once, from CSV with a heading or from JSON lines: `name`, `secret` (or `hash`, 64 hexadecimal \
                 digits as `export` writes them), and as needed `owner`, `description`, `scopes`, `labels` and `expires`. What a line \
                 does not say is as the flags say. Either all lines are adopted or none",
        ],
        examples: &[
            Example(
                "Take over the key of an older system",
                "tokenctl adopt legacy --scope events:read --no-expiry < legacy.txt",
            ),
            Example(
                "From a file, with a first due date",
                "tokenctl adopt partner -s admin --ttl 90d --secret-file partner.txt",
            ),
            Example(
                "A table of names and secrets; run again, it passes over those that are there",
                "tokenctl adopt --from team.csv --all-scopes --if-missing",
            ),
        ],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "list",
        also: &["tokens"],
        more: &[
            "A terminal gets a table, of as many columns as fit. A pipe gets tab-separated lines without a heading, in \
                 an order that never changes: id, name, status, scopes, owner, expires_at, last_used_at, created_at, \
                 created_by, labels, description",
        ],
        examples: &[
            Example(
                "See what ends within two weeks, the next end first",
                "tokenctl list --expires-within 14d --sort expires",
            ),
            Example(
                "Print the names of what nobody has used for 90 days",
                "tokenctl list --unused-for 90d --format names",
            ),
            Example(
                "Make a spreadsheet of everything there ever was",
                "tokenctl list --all --format csv > tokens.csv",
            ),
            Example(
                "See what is due for rotation, the first due date first",
                "tokenctl list --due-within 7d --sort due",
            ),
        ],
        exits: &[0, 1, 2, 4, 6],
    },
    Verb {
        path: "show",
        also: &["get", "info", "describe", "view", "inspect"],
        more: &[
            "Its secrets are shown by their first four characters, with their ends and when they were last used; below \
                 them its last ten events, without the confirmations of deliveries",
        ],
        examples: &[
            Example("See whether the secret before the last rotation is still used", "tokenctl show backup"),
            Example("The same for a script", "tokenctl show backup --json"),
        ],
        exits: &[0, 1, 2, 4, 6],
    },
    Verb {
        path: "rename",
        also: &["mv", "move"],
        more: &["Its id, its secrets and its history stay. The old name is free at once"],
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
            "What is not named stays. A lifetime counts from now and holds for the present secret too; an expired token \
             gets one only with `--revive`",
            "A label that is added or changed lets a token pass where it was refused, so the command asks, or needs \
             `--allow-widen`; removing a label is free",
        ],
        examples: &[
            Example(
                "Pass a token on",
                "tokenctl edit ci-deploy --owner bob --description 'Deploys the site'",
            ),
            Example(
                "Set one label and remove another",
                "tokenctl edit ci-deploy -l env=test -l team= --allow-widen",
            ),
            Example(
                "Let it live 30 days, due for rotation every 10",
                "tokenctl edit ci-deploy --ttl 30d --rotate-every 10d",
            ),
        ],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "disable",
        also: &["pause", "suspend", "lock"],
        more: &[
            "Its secrets are refused as `disabled` until `enable`; they keep their ends. Filters select as in `list`",
        ],
        examples: &[
            Example("Pause one token", "tokenctl disable ci-deploy --reason 'odd requests at night'"),
            Example("See whom it would hit, then pause them", "tokenctl disable --owner ann --dry-run"),
            Example(
                "Refuse unless exactly one would be paused",
                "tokenctl disable --owner ann --expect 1 --yes",
            ),
        ],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "enable",
        also: &["resume", "unpause", "unlock"],
        more: &["What has expired meanwhile stays expired"],
        examples: &[
            Example("End one pause", "tokenctl enable ci-deploy"),
            Example("End all of them", "tokenctl enable --status disabled --yes"),
        ],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "revoke",
        also: &["delete", "del", "remove", "rm", "destroy", "kill", "invalidate", "expire"],
        more: &[
            "It cannot be undone. The token stays in `list --all` and in the log, and its name is free",
            "A leaked secret of a current or coming delivery ends its token; one that was replaced ends alone",
        ],
        examples: &[
            Example("End a token", "tokenctl revoke ci-deploy --yes --reason 'pipeline is gone'"),
            Example(
                "End whatever a leaked secret belongs to",
                "tokenctl revoke --secret-file leaked.txt --yes",
            ),
            Example("End a grace before its time", "tokenctl revoke backup --previous --yes"),
            Example("See what nobody has used", "tokenctl revoke --never-used --dry-run"),
        ],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "rotate",
        also: &["regenerate", "roll", "reroll", "renew", "refresh", "reissue", "cycle"],
        more: &[
            "The old secret starts to end only when the new one has been delivered, and is good for its grace. A \
             delivery that fails exits with 7 and leaves all as it was",
            "A token that has expired comes back to life only with `--revive`. Its policy may catch up without that for \
             one interval after the expiry, with a warning",
            "With `--due` and no name it rotates all that their policies make due, prints their names, and says \
             nothing when there are none: a line for cron",
        ],
        examples: &[
            Example("Replace the secret in a file", "tokenctl rotate backup --out backup.key"),
            Example(
                "Rotate all that is due, each into the file of its name",
                "tokenctl rotate --due --quiet --out-dir /etc/service-tokens",
            ),
            Example(
                "Replace a secret that has leaked: no grace",
                "tokenctl rotate ci-deploy --now > ci-deploy.key",
            ),
            Example(
                "Keep it in a password store",
                "tokenctl rotate ci-deploy --exec 'pass insert -m -f tokens/$TOKENCTL_NAME'",
            ),
        ],
        exits: &[0, 1, 2, 4, 5, 6, 7, 130],
    },
    Verb {
        path: "verify",
        also: &["whoami", "identify", "lookup", "validate", "introspect", "authenticate", "auth", "test"],
        more: &[
            "The secret comes from standard input, from a file, or from a prompt. The answer is one line: `valid \
             NAME`, `valid NAME previous`, or the reason against it, the first that holds of malformed, unknown, \
             revoked, disabled, superseded, expired, not_yet_valid, source_not_allowed, scope_missing, \
             label_mismatch",
            "It needs only to read the store",
            "With `--stream` it answers one line after another until its input ends, in order and at once, so that a \
             service keeps one process. A line is a secret, answered with the line above or `error CODE`, or a JSON \
             object of `secret`, `scopes`, `labels`, `address` and `id`, answered with the document of `--json` and the `id`. \
             `--scope` and `--label` hold for every line, `--address` for those without one. Errors of the store are answers, and it goes on once the \
             store can be read; then it exits with 0",
        ],
        examples: &[
            Example(
                "Ask for a scope and a label too",
                "tokenctl verify --scope events:read --label env=prod < secret.txt",
            ),
            Example(
                "Look at the exit code alone",
                "tokenctl verify --quiet < secret.txt && echo 'let it in'",
            ),
            Example(
                "Ask whether it will be good in two weeks",
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
            "Each secret found is one line: path, line, column, and the token's name, status and owner. The secret is \
             never printed. A secret with a correct checksum that is not in the store is `unknown`. Exit 3 means that \
             a secret works: its status is active, provisional, pending or disabled",
            "Folders are walked as ripgrep walks them: without hidden files, what ignore files exclude, and binary \
             files. A file named as an argument and standard input are searched to their end. UTF-16 is searched if it \
             begins with a byte order mark; packed files are named and not searched; encoded text, like base64, is not \
             recognized",
            "An adopted secret has no checksum. It is found where its first four characters appear and it is followed \
             by anything but a letter or a digit",
            "Standard input may be the output of `git log -p` or `git diff`; each secret is then reported with its \
             file and commit. Lines that a commit removes count in a history and not in a diff, so the commit that \
             removes a secret passes a pre-commit hook",
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
        more: &["With how many unrevoked tokens hold each directly"],
        examples: &[
            Example("See them", "tokenctl scopes list"),
            Example("The same for a script", "tokenctl scopes list --json"),
        ],
        exits: &[0, 1, 2, 6],
    },
    Verb {
        path: "scopes define",
        also: &["create", "new", "make"],
        more: &["Whoever still holds a retired scope that is reopened keeps it"],
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
        more: &["A wider scope lets every token that holds it do more, so it asks, or needs `--allow-widen`"],
        examples: &[
            Example("Describe it", "tokenctl scopes edit events:read --description 'Read all events'"),
            Example("Let it include less", "tokenctl scopes edit admin --includes events:read"),
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
        more: &["Tokens that hold it keep it, unless it is withdrawn; `scopes define` reopens it"],
        examples: &[
            Example("Leave it to those that hold it", "tokenctl scopes retire events:write"),
            Example("Take it from them", "tokenctl scopes retire events:write --ungrant --yes"),
        ],
        exits: &[0, 1, 2, 4, 6, 130],
    },
    Verb {
        path: "scopes add",
        also: &["grant"],
        more: &["It asks, or needs `--allow-widen`"],
        examples: &[Example(
            "Let a token do more",
            "tokenctl scopes add ci-deploy events:write --allow-widen",
        )],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "scopes remove",
        also: &["withdraw", "take"],
        more: &["What it holds through another scope it keeps"],
        examples: &[Example("Let a token do less", "tokenctl scopes remove ci-deploy events:read")],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "scopes set",
        also: &["replace"],
        more: &["It asks, or needs `--allow-widen`, when that is more than before"],
        examples: &[Example(
            "Exchange what a token holds",
            "tokenctl scopes set ci-deploy events:write --allow-widen",
        )],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "init",
        also: &["setup"],
        more: &[
            "`create` and `adopt` make a missing store by themselves, for you alone. Members of a group can list and \
                 verify; only its owner can change it",
        ],
        examples: &[
            Example("Make your own", "tokenctl init"),
            Example(
                "Make one that a web server may read",
                "sudo tokenctl --store /var/lib/tokenctl init --group www-data",
            ),
        ],
        exits: &[0, 1, 2, 6],
    },
    Verb {
        path: "settings",
        also: &["config", "configure", "set"],
        more: &["Settings hold for what is created or rotated from now on"],
        examples: &[
            Example("See all of them", "tokenctl settings"),
            Example("Let new tokens live 30 days", "tokenctl settings default-ttl 30d"),
            Example("Return to the default", "tokenctl settings default-ttl ''"),
        ],
        exits: &[0, 1, 2, 6],
    },
    Verb {
        path: "check",
        also: &["monitor", "report", "alerts", "stale"],
        more: &[
            "Each finding is two lines: severity, code, what it is and whose token, then what to do. Nothing is printed \
             when there is nothing to report, so cron sends mail only when somebody has to act. Revoked and expired \
             tokens are examined too; filters narrow it as in `list`",
            "The codes: `expiring` (in the second half of its life and within `--window`), `expired` (in the last week), \
             `rotation_overdue` (by more than a day), `previous_in_use` (a client still uses the secret before the last \
             rotation), `unused` (for 90 days), `never_used` (in 30 days of recording), `no_expiry`, `scope_unused` (a \
             token in use holds a scope that no verification required in 90 days of recording), `provisional` (a \
             delivery was killed and not settled)",
            "With `--format prometheus` it exits with 0 whatever it finds: an alert rule decides",
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
            "Each change is an event in a chain of hashes: when, who, what, why. A terminal gets a table that opens at the \
                 newest event and shows a confirmed delivery on one line; a pipe gets tab-separated lines: number, time, \
                 action, id, name, actor, reason, changes",
            "Who gave a token which scope, and when: `tokenctl audit --token ci-deploy --action \
                 create,scopes.add,scopes.set`. Who owned it before: `tokenctl audit --token ci-deploy --action \
                 create,edit`. What changed this week: `tokenctl audit --since 7d`. What one administrator did: `tokenctl \
                 audit --actor ann`. Which secrets were revoked, and why: `tokenctl audit --action revoke --format csv`",
        ],
        examples: &[
            Example(
                "See what happened to one token in a month, the newest first",
                "tokenctl audit --token ci-deploy --since 30d --reverse",
            ),
            Example("See who created or revoked tokens", "tokenctl audit --action create,adopt,revoke"),
            Example(
                "Keep the head where the owner of the store cannot write",
                "tokenctl audit head > head.txt",
            ),
            Example(
                "Prove that history only grew since",
                "tokenctl audit verify --anchor \"$(cat head.txt)\"",
            ),
        ],
        exits: &[0, 1, 2, 4, 6],
    },
    Verb {
        path: "audit head",
        also: &["last"],
        more: &["It pins all that came before it"],
        examples: &[Example("Keep it", "tokenctl audit head > head.txt")],
        exits: &[0, 1, 2, 6],
    },
    Verb {
        path: "audit verify",
        also: &["check"],
        more: &[
            "It finds accidents, edits by hand, and history rewritten after a head that is kept elsewhere; not somebody \
                 who owns the store and writes all of it anew",
        ],
        examples: &[
            Example("Check everything", "tokenctl audit verify"),
            Example(
                "Prove that history only grew",
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
            "For nginx `auth_request`, Caddy `forward_auth`, Traefik ForwardAuth and Envoy ext_authz: `/verify?scope=A&label=K=V` \
             and `/route/NAME` answer 200 with the headers X-Token-Id, -Name, -Owner, -Scopes, -Labels, -Role and \
             -Expires; 401 without a valid secret; 403 for a missing scope or label, or an address that is not allowed; 503 when the store cannot be \
             read. Text in these headers is percent-encoded where it is not plain ASCII",
            "Services post `{\"secret\", \"scopes\", \"labels\", \"address\", \"id\"}`, or an array of up to 1,000, to `/api/verify` and \
             get the document of `verify --json` with the `id`; the status is 200 whatever the verdict",
            "A secret comes from `Authorization: Bearer`, `X-Api-Key` or the password of `Authorization: Basic`, never \
             from a query; two different secrets are refused with 400. A revocation counts from the next request on",
            "Tokens with `--allow-from` need an address: by default that of the other end, or with `--address-from` what \
             the proxy says. Believe a header only where clients cannot reach the gate past the proxy",
            "It runs until SIGTERM, which ends it with exit 0 after the requests that it has read are answered. It needs only to \
             read the store; it cannot create or change a token",
        ],
        examples: &[
            Example(
                "Serve nginx on a Unix socket; `/route/reports` requires a scope",
                "tokenctl serve --listen unix:gate.sock --route reports=scope:events:read",
            ),
            Example(
                "Print the configuration of nginx for it",
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
            "It looks at the database, the audit log, each object, permissions, the clock, what killed commands left, and \
                 tokens beyond the settings; and changes nothing without `--repair`",
            "A delivery whose file is missing in an empty directory stays open, since its volume may not be mounted. \
                 `--repair` takes the file for gone, and rolls the delivery back",
        ],
        examples: &[
            Example("Look", "tokenctl doctor"),
            Example("Mend what can be mended", "tokenctl doctor --repair --yes"),
        ],
        exits: &[0, 1, 2, 3, 6, 130],
    },
    Verb {
        path: "backup",
        also: &["dump", "save", "snapshot"],
        more: &[
            "The copy is consistent while others write, readable by you alone, and on disk when the command ends. Standard \
             output gets the head of the log, to be kept elsewhere: `audit verify --anchor` proves later that the log only \
             grew. When and how often a secret was used is not part of it",
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
            "The backup is checked as `doctor` checks a store, and the store is changed in one transaction or not at all. What \
             was revoked, disabled, expired or pruned since the backup stays so. The log keeps all that happened since, and \
             gets an event for each object that the backup changes",
            "Tokens, secrets and open deliveries that are newer than the backup are given up only with `--discard-newer`, \
             and nothing gets more scopes without `--allow-widen`. Without a store one is made. Commands that rotations would run, and that the store does \
             not know, are listed and need `--accept-commands`",
        ],
        examples: &[
            Example(
                "See what it would change",
                "tokenctl backup today.db; tokenctl restore today.db --dry-run",
            ),
            Example("Bring it back", "tokenctl restore today.db --yes"),
        ],
        exits: &[0, 1, 2, 5, 6, 130],
    },
    Verb {
        path: "export",
        also: &["dump-json"],
        more: &[
            "One JSON document a line, all of one moment: the heading, settings, scopes, tokens with the hashes of their secrets, \
             the log, and an end that counts them. No secret is part of it, since the store has none. With `--tokens` or a \
             filter, scopes and tokens only",
        ],
        examples: &[
            Example("Move a store to another directory", "tokenctl export | tokenctl --store new import -"),
            Example("Hand over the tokens of one team", "tokenctl export --label team=web > web.jsonl"),
        ],
        exits: &[0, 1, 2, 4, 6],
    },
    Verb {
        path: "import",
        also: &["load"],
        more: &[
            "A store that does not exist, or in which nothing has happened, becomes the exported one: the same tokens, log and \
             head, once every line, the log and each object are found to be sound. A store that has content gets the tokens \
             only, with their delivered secrets, all of them or none; their scopes must exist",
            "Commands that rotations would run are listed and need `--accept-commands`",
        ],
        examples: &[
            Example(
                "Make a copy of a store",
                "tokenctl export > all.jsonl; tokenctl --store copy import all.jsonl",
            ),
            Example(
                "Take what is not there yet",
                "tokenctl export --tokens | tokenctl import - --skip-existing",
            ),
        ],
        exits: &[0, 1, 2, 4, 5, 6],
    },
    Verb {
        path: "prune",
        also: &["purge", "clean", "gc"],
        more: &[
            "Revoked and expired tokens go, and of the others the previous secrets that have ended. The log keeps what happened \
             to them. Hashes of removed secrets are kept too, so that none of them can be adopted or imported again. A token \
             that is due for rotation, or whose delivery or hook is pending, stays",
        ],
        examples: &[
            Example("See what would go", "tokenctl prune --older-than 90d --dry-run"),
            Example("Remove what ended a year ago", "tokenctl prune --older-than 1y --yes"),
        ],
        exits: &[0, 1, 2, 4, 5, 6, 130],
    },
    Verb {
        path: "diff",
        also: &["drift", "plan"],
        more: &[
            "The file is TOML: `[settings]`, `[scopes.NAME]` and `[tokens.NAME]`. A key that it does not have, and a token that \
             it does not name, are no difference. `tokenctl export --toml` writes such a file",
            "`+` is to be created, `~` to be updated, `-` to be revoked. `(widens)` marks a change by which tokens may do more than before",
        ],
        examples: &[
            Example(
                "Begin a file, and see that nothing differs from it",
                "tokenctl export --toml > wanted.toml; tokenctl diff wanted.toml",
            ),
            Example(
                "See what differs, and change it",
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
            "A key that is absent leaves its value as it is; `\"\"` clears a text, `\"none\"` everything else. A token that does \
             not exist is created, and its secret delivered to its destination, or into a file of its name in `--out-dir`. \
             All changes in place are one transaction, in which nothing happens unless every one of them is allowed",
            "Tokens that the file does not name are left alone, unless `--exclusive` revokes them. A second run changes \
             nothing. If a run was killed, the next one completes it. A file that others can write is refused, since rotations \
             run its commands",
        ],
        examples: &[
            Example(
                "See what it would do",
                "tokenctl apply tokens.toml --out-dir /etc/service-tokens --dry-run",
            ),
            Example(
                "Let tokens do more, and put new secrets into files",
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
            "Complete in bash from the next login on",
            "tokenctl completions bash > ~/.local/share/bash-completion/completions/tokenctl",
        )],
        exits: &[0, 1, 2],
    },
    Verb {
        path: "man",
        also: &["manual", "docs"],
        more: &[
            "Without a directory the page of the program goes to standard output. With one, which is made if it is \
                 missing, each command gets a page in it",
        ],
        examples: &[
            Example("Read the page", "tokenctl man | man -l -"),
            Example("Install them all for you", "tokenctl man ~/.cargo/share/man/man1"),
        ],
        exits: &[0, 1, 2],
    },
];
