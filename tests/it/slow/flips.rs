//! Simulates a disk that flips a bit: every verdict is correct, or there is an error instead. With `FLIPS=all` in the
//! environment, every bit in use is flipped, and otherwise one in 37.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use tokenctl::context::Clock;
use tokenctl::{Reason, Requirements, Verifier};

use crate::support::{DAY, World};

struct Fixed(i64);

impl Clock for Fixed {
    fn unix(&self) -> i64 {
        self.0
    }
}

/// A question and the only correct verdict.
struct Question {
    what: &'static str,
    secret: String,
    requirements: Requirements,
    right: Reason,
}

/// A store with a token in every state, and questions about each token.
fn world() -> (World, Vec<Question>) {
    let world = World::with_store();
    world.define(&["read", "admin"]);
    world.run(&["scopes", "define", "write", "--includes", "read"]).ok();
    let mut all = Vec::new();
    let mut question = |what, secret: &str, scope: &str, label: &str, right| {
        let scopes =
            scope.split(',').filter(|scope| !scope.is_empty()).map(|it| it.parse().expect("it is a scope"));
        let labels =
            label.split(',').filter(|label| !label.is_empty()).map(|it| it.parse().expect("it is a label"));
        let requirements =
            Requirements { scopes: scopes.collect(), labels: labels.collect(), ..Requirements::default() };
        all.push(Question { what, secret: secret.to_owned(), requirements, right });
    };
    let create = |name: &str, args: &[&str]| world.create(name, args);
    let good = create("good", &["-s", "write", "-l", "env=prod"]);
    question("good", &good, "", "", Reason::Valid);
    question("good for an included scope", &good, "read", "", Reason::Valid);
    question("good for another scope", &good, "admin", "", Reason::ScopeMissing);
    question("good with its label", &good, "", "env=prod", Reason::Valid);
    question("good with another label", &good, "", "env=test", Reason::LabelMismatch);
    for (name, right) in
        [("revoked", Reason::Revoked), ("expired", Reason::Expired), ("disabled", Reason::Disabled)]
    {
        let secret = create(
            name,
            if right == Reason::Expired { &["-s", "read", "--ttl", "1d"] } else { &["-s", "admin"] },
        );
        question(name, &secret, "", "", right);
    }
    let old = create("rotated", &["-s", "read"]);
    let new = world.rotate("rotated", &["--grace", "1h"]);
    question("superseded", &old, "", "", Reason::Superseded);
    question("current", &new, "read", "", Reason::Valid);
    question("of nobody", "nobody-knows-this-secret", "", "", Reason::Unknown);
    world.run(&["revoke", "revoked", "--yes"]).ok();
    world.run(&["disable", "disabled"]).ok();
    world.wait(2 * DAY);
    (world, all)
}

/// The positions of all bytes that b-trees use. <https://www.sqlite.org/fileformat.html>, section 1.6.
fn used_bytes(database: &[u8]) -> Vec<usize> {
    let mut all: Vec<usize> = (0..100).collect();
    for page in (0..database.len()).step_by(4096) {
        let start = if page == 0 { 100 } else { page };
        let int = |at: usize| usize::from(u16::from_be_bytes([database[at], database[at + 1]]));
        let head = match database[start] {
            10 | 13 => 8,
            2 | 5 => 12,
            _ => continue,
        };
        all.extend(start..start + head + 2 * int(start + 3));
        all.extend(page + int(start + 5)..page + 4096);
    }
    all
}

#[test]
fn a_flipped_bit_never_causes_a_wrong_verdict() {
    let (world, questions) = world();
    // The answer is `None` if the store cannot be opened or gives no verdict.
    let ask = || -> Vec<Option<Reason>> {
        let verifier = Verifier::with_clock(world.store(), Fixed(world.now())).ok();
        let ask = |question: &Question| {
            let verdict =
                verifier.as_ref()?.verify(question.secret.as_bytes(), &question.requirements).ok()?;
            Some(verdict.reason())
        };
        questions.iter().map(ask).collect()
    };
    let right: Vec<_> = questions.iter().map(|question| Some(question.right)).collect();
    assert_eq!(ask(), right);
    let sound = fs::read(world.database()).expect("the database can be read");
    let file = File::options().write(true).open(world.database()).expect("the database can be opened");
    let every = if std::env::var_os("FLIPS").is_some_and(|which| which == "all") { 1 } else { 37 };
    let flips = used_bytes(&sound).into_iter().flat_map(|at| (0..8).map(move |bit| (at, bit))).step_by(every);
    let (mut counts, mut wrong, mut tried) = (BTreeMap::<&str, usize>::new(), Vec::new(), 0);
    for (at, bit) in flips {
        let place = u64::try_from(at).expect("the number is in range");
        file.write_all_at(&[sound[at] ^ (1 << bit)], place).expect("the file can be written");
        for (question, answer) in questions.iter().zip(ask()) {
            let outcome = match answer {
                None => "refused",
                Some(reason) if reason == question.right => "right",
                Some(reason) => {
                    wrong.push(format!("{} at byte {at}, bit {bit}: {reason:?}", question.what));
                    "wrong"
                }
            };
            *counts.entry(outcome).or_default() += 1;
        }
        file.write_all_at(&[sound[at]], place).expect("the file can be written");
        tried += 1;
    }
    println!("flips: {tried} of {} bytes, verdicts {counts:?}", sound.len());
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
    assert!(tried > 2_000 && counts["refused"] > 1_000, "{tried} {counts:?}");
}
