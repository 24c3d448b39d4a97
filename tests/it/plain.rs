//! Checks that the project is written in plain English: no help text, manual page, message, document, comment or test
//! name contains a phrase that readers had to read twice, or a second word for a thing that already has one.

mod texts;

use std::collections::BTreeSet;

use texts::{Kind, Text, words};

/// A phrase that no text must contain.
struct Banned {
    /// Words separated by spaces. A word can be a list of alternatives separated by `|`, a `*` matches any word, and a
    /// list after `!` matches any word that is not in it; `^` is the start or the end of a sentence.
    phrase: &'static str,
    instead: &'static str,
    why: &'static str,
    /// A text that contains it.
    example: &'static str,
}

const ONE_WORD: &str = "one word for one thing";
const FIELD: &str = "the field has an ordinary word for it";
const SUBJECT: &str = "a sentence needs its subject";
const TWICE: &str = "readers had to read it twice";

const fn banned(
    phrase: &'static str,
    instead: &'static str,
    why: &'static str,
    example: &'static str,
) -> Banned {
    Banned { phrase, instead, why, example }
}

const BANNED: [Banned; 49] = [
    banned("heir|heirs", "provisional secret", ONE_WORD, "An heir is valid at once."),
    banned("sink|sinks", "destination", ONE_WORD, "Two sinks are one too many."),
    banned("receiver|receivers", "destination", ONE_WORD, "The receiver has the secret."),
    banned("hand|hands|handed|handing over", "deliver", ONE_WORD, "It may hand over the secret."),
    banned("hand-over|hand-overs", "delivery", ONE_WORD, "A hand-over failed."),
    banned("handed|hands", "deliver, pass or give", ONE_WORD, "The shell hands on what is typed."),
    banned(
        "withdraw|withdraws|withdrawn|withdrew|withdrawal",
        "roll back, or remove",
        ONE_WORD,
        "It is withdrawn.",
    ),
    banned("grace !period|periods", "grace period", ONE_WORD, "The grace starts now."),
    banned("demand|demands|demanded", "require", ONE_WORD, "The store demands an owner."),
    banned("admit|admits|admitted", "allow", ONE_WORD, "Only admitted lifetimes are offered."),
    banned("wanted", "required", ONE_WORD, "No pager is wanted."),
    banned("asked for", "required, or requested", ONE_WORD, "Scopes are asked for."),
    banned("good", "valid, or working", FIELD, "The old stay good for an hour."),
    banned("has|have|had ended", "has expired, was revoked, has exited", FIELD, "The secret has ended."),
    banned("ended secrets|secret|tokens|token|ones", "revoked or expired", FIELD, "Remove ended tokens."),
    banned(
        "end|ends|ended the|a|an|its|their|other|every token|tokens|secret|secrets",
        "revoke",
        FIELD,
        "This will end a token.",
    ),
    banned("end|ends tokens|secrets", "revoke", FIELD, "End tokens at once."),
    banned("end|ends|ended it|us|them", "revoke, stop or exit", FIELD, "A signal ends us."),
    banned("ends|ended with|by exit|0|signal", "exits with", FIELD, "The command ended with 0."),
    banned("real|own end|ends", "expiry", FIELD, "It gets its real end."),
    banned("mend|mends|mended", "fix, or repair", FIELD, "Mend what can be."),
    banned("line end", "newline", FIELD, "The secret without its line end."),
    banned("back to life", "revive", FIELD, "It comes back to life."),
    banned("live|lives on", "keep working", FIELD, "The old secret lives on."),
    banned("anew|afresh", "again", FIELD, "It begins anew."),
    banned("affair|affairs", "leave it out", FIELD, "That is its affair."),
    banned("stand|stands|stood !for", "is, or has", FIELD, "A secret stands in an argument."),
    banned("said", "reported", FIELD, "Nothing more is said."),
    banned("is|are|was|were|be told", "report, or notify", FIELD, "Systemd is told of it."),
    banned("hears|hear of", "get, or notice", FIELD, "It never hears of an error."),
    banned("so many|much", "this many, how much", TWICE, "After so many bytes."),
    banned("!there is|was|are no !longer|:|^", "is not a", TWICE, "It is no token."),
    banned("of its|their|our|an|his own", "separate, or leave it out", TWICE, "A file of its own."),
    banned("so already", "name the state: is already revoked", TWICE, "It is so already."),
    banned("sees|see to the|it", "fix", TWICE, "See to the destination."),
    banned("say|says yes", "confirm", TWICE, "A person must say yes."),
    banned("a yes !or", "a confirmation, or a positive answer", TWICE, "An error is never a yes."),
    banned(
        "comes|come second|late",
        "the loser of a race, a late arrival",
        TWICE,
        "The one that comes late.",
    ),
    banned("as if it had never", "leave it out", TWICE, "It goes as if it had never been."),
    banned("what|which becomes|became of", "the result", TWICE, "It shows what became of it."),
    banned("no more ^|,", "no longer, or only", TWICE, "It can be granted no more."),
    banned("^ no * is longer|larger|greater", "the longest", TWICE, "No line is longer."),
    banned("^ who", "name the subject", SUBJECT, "Who comes first wins."),
    banned("than|for|by|from|as|to|but|if who", "name the subject", SUBJECT, "An answer for who asks."),
    banned(
        "who verifies|reads|waits|asks may|overtakes|gets",
        "name the subject",
        SUBJECT,
        "And who waits gets it.",
    ),
    banned("whoever", "a user who, or name the subject", SUBJECT, "Whoever calls this knows."),
    banned(
        "^ what comes|stands|goes|nobody|others",
        "name the subject",
        SUBJECT,
        "What comes later is read.",
    ),
    banned("what came", "name the subject", SUBJECT, "It counts what came so far."),
    banned("do|does|did not mind", "accept, or ignore", FIELD, "Shells do not mind it."),
];

/// Two clauses joined by a colon. Messages are exempt, because a colon separates their parts.
const SPLICED: [Banned; 2] = [
    banned(
        ": it|they|he|we|who|whoever|then|nobody",
        "a full stop, or since",
        TWICE,
        "It is cut: nobody reads it.",
    ),
    banned(": nothing * be", "a full stop, or since", TWICE, "It is private: nothing can be read."),
];

/// Texts in which a phrase is correct: the start of the file's path, the phrase, the text around it, and the reason.
const ALLOWED: &[(&str, &str, &str, &str)] = &[
    ("", "wanted", "wanted tokens", "the name of the file of `diff` and `apply`"),
    ("", "wanted", "wanted state", "the same"),
    ("", "wanted", "wanted settings", "the same"),
    ("", "wanted", "wanted.toml", "the same"),
    ("", "wanted", "docs/wanted.md", "the same"),
    ("", "grace !period|periods", "max-ttl, grace,", "the name of the setting"),
    ("", "grace !period|periods", "rotate_every", "the name of the key and of the column"),
    ("src/store", "grace !period|periods", "expires_at, ", "the name of the column"),
    ("src/store", "grace !period|periods", "CREATE TABLE", "the name of the column"),
    ("src/store/sqlite/v1.rs", "sink|sinks", "sink", "a column of version 1"),
];

/// Whether the words that start at `at` match the phrase.
fn matches(words: &[String], at: usize, phrase: &str) -> bool {
    let mut next = at;
    for (n, part) in phrase.split(' ').enumerate() {
        let is_one = |word: &String, part: &str| part.split('|').any(|it| it == word);
        if let Some(part) = part.strip_prefix('!') {
            if n == 0 {
                if at > 0 && is_one(&words[at - 1], part) {
                    return false;
                }
                continue;
            }
            if words.get(next).is_none_or(|word| is_one(word, part)) {
                return false;
            }
        } else {
            let Some(word) = words.get(next) else { return false };
            let is_word = word.starts_with(|c: char| c.is_alphanumeric());
            if !(is_one(word, part) || part == "*" && is_word) {
                return false;
            }
        }
        next += 1;
    }
    true
}

/// Whether the sentence that starts at `at` is a question. A question can begin with `who` or `what`.
fn is_question(words: &[String], at: usize) -> bool {
    words[at + 1..].iter().take_while(|word| *word != "^").any(|word| word == "?")
}

/// Searches a text for the phrase. Returns the phrase with the words around it.
fn find(words: &[String], phrase: &str) -> Option<String> {
    let has =
        |at: &usize| matches(words, *at, phrase) && !(phrase.starts_with('^') && is_question(words, *at));
    let at = (0..words.len()).find(has)?;
    Some(words[at.saturating_sub(5)..(at + 8).min(words.len())].join(" "))
}

fn is_allowed(text: &Text, phrase: &str) -> Option<usize> {
    ALLOWED.iter().position(|(path, of, around, _)| {
        *of == phrase && text.path.starts_with(path) && text.content.contains(around)
    })
}

#[test]
fn every_text_is_in_plain_english() {
    let mut faults = Vec::new();
    let mut used = BTreeSet::new();
    let texts = texts::all();
    for text in &texts {
        let words = words(&text.content);
        let spliced = SPLICED.iter().filter(|_| text.kind == Kind::Prose);
        for Banned { phrase, instead, why, .. } in BANNED.iter().chain(spliced) {
            let Some(around) = find(&words, phrase) else { continue };
            match is_allowed(text, phrase) {
                Some(at) => drop(used.insert(at)),
                None => faults.push(format!(
                    "{}:{}: `{phrase}` ({why}; say: {instead}): {around}",
                    text.path, text.line
                )),
            }
        }
    }
    faults.sort();
    assert!(faults.is_empty(), "{} texts\n{}", faults.len(), faults.join("\n"));
    for (at, (path, phrase, around, _)) in ALLOWED.iter().enumerate() {
        assert!(used.contains(&at), "nothing needs the exception for `{phrase}` in {path} at `{around}`");
    }
    // Make sure that every kind of text was read.
    for (path, kind, part) in [
        ("src/cli/help/verbs.rs", Kind::Message, "A revocation cannot be undone"),
        ("src/cmd/revoke.rs", Kind::Prose, "Revoke only the previous secrets"),
        ("src/error.rs", Kind::Message, "no such {} `{name}`"),
        ("src/domain/when/typed.rs", Kind::Name, "an expiry is never a duration"),
        ("tests/it/revoke.rs", Kind::Name, "revocation is final and the row is kept"),
        ("man/tokenctl.1", Kind::Prose, "Create a token and deliver its secret"),
        ("completions/tokenctl.bash", Kind::Prose, "before the cursor"),
        ("README.md", Kind::Prose, "It is one program with one SQLite store"),
        ("docs/cron.md", Kind::Prose, "cron"),
        ("Cargo.toml", Kind::Prose, "htpasswd for API tokens"),
    ] {
        let is_there = |text: &Text| text.path == path && text.kind == kind && text.content.contains(part);
        assert!(texts.iter().any(is_there), "`{part}` of {path} was not read as {kind:?}");
    }
}

/// Every phrase is found in its example, and no phrase is found in plain text.
#[test]
fn each_banned_phrase_is_found() {
    for Banned { phrase, example, .. } in BANNED.iter().chain(&SPLICED) {
        assert!(find(&words(example), phrase).is_some(), "`{phrase}` was not found in `{example}`");
    }
    let plain = "Who comes first? There is no such token. It is no longer valid. The grace period starts. The \
                 answer is no. `heir` is a word, and HTTP stands for a protocol. A yes or no.";
    for Banned { phrase, .. } in BANNED.iter().chain(&SPLICED) {
        assert_eq!(find(&words(plain), phrase), None, "`{phrase}`");
    }
}
