//! After random changes to tokens and scopes, `verify` gives the same answers as a simple model of the contract.

mod contract;

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use crate::support::{DAY, HOUR, World};
use contract::{Model, Token};

const SCOPES: [&str; 4] = ["s0", "s1", "s2", "s3"];

/// A step of the test. Numbers select one of the existing objects, and bits select scopes.
#[derive(Debug, Clone)]
enum Step {
    Create {
        life: Life,
        start: Option<i64>,
        label: Option<u8>,
        scopes: u8,
        adopt: bool,
    },
    Token(usize, OfToken),
    Scope(usize, OfScope),
    Wait(i64),
    /// Waits until one of the next instants at which an answer changes, or until a second before or after it.
    WaitFor {
        boundary: usize,
        beside: i64,
    },
}

#[derive(Debug, Clone)]
enum OfToken {
    Disable,
    Enable,
    Revoke,
    Rename,
    Live(Life),
    Start(Option<i64>),
    Label(Option<u8>),
    Add(u8),
    Remove(u8),
    Set(u8),
}

#[derive(Debug, Clone)]
enum OfScope {
    Include(u8),
    Retire { ungrant: bool },
    Reopen,
}

#[derive(Debug, Clone, Copy)]
enum Life {
    Ttl(i64),
    Until(i64),
    Endless,
    Default,
}

fn life() -> impl Strategy<Value = Life> {
    prop_oneof![
        (1..40 * DAY).prop_map(Life::Ttl),
        (1..40 * DAY).prop_map(Life::Until),
        Just(Life::Endless),
        Just(Life::Default),
    ]
}

fn start() -> impl Strategy<Value = Option<i64>> {
    prop::option::weighted(0.2, 0..5 * DAY)
}

fn label() -> impl Strategy<Value = Option<u8>> {
    prop::option::of(0u8..2)
}

fn of_token() -> impl Strategy<Value = OfToken> {
    prop_oneof![
        2 => Just(OfToken::Disable),
        2 => Just(OfToken::Enable),
        1 => Just(OfToken::Revoke),
        1 => Just(OfToken::Rename),
        2 => life().prop_map(OfToken::Live),
        1 => start().prop_map(OfToken::Start),
        1 => label().prop_map(OfToken::Label),
        1 => scopes().prop_map(OfToken::Add),
        1 => scopes().prop_map(OfToken::Remove),
        1 => scopes().prop_map(OfToken::Set),
    ]
}

fn of_scope() -> impl Strategy<Value = OfScope> {
    prop_oneof![
        4 => scopes().prop_map(OfScope::Include),
        1 => Just(OfScope::Include(0)),
        1 => any::<bool>().prop_map(|ungrant| OfScope::Retire { ungrant }),
        1 => Just(OfScope::Reopen),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (life(), start(), label(), scopes(), any::<bool>())
            .prop_map(|(life, start, label, scopes, adopt)| Step::Create { life, start, label, scopes, adopt }),
        13 => (0usize..12, of_token()).prop_map(|(token, step)| Step::Token(token, step)),
        8 => (0..SCOPES.len(), of_scope()).prop_map(|(scope, step)| Step::Scope(scope, step)),
        1 => (0..3 * DAY).prop_map(Step::Wait),
        2 => (0usize..3, -1i64..=1).prop_map(|(boundary, beside)| Step::WaitFor { boundary, beside }),
    ]
}

/// What `verify` requires after a step.
#[derive(Debug, Clone)]
struct Requirements {
    scopes: u8,
    label: Option<u8>,
    /// Whether to ask for the next instant at which an answer changes.
    later: bool,
}

fn requirements() -> impl Strategy<Value = Requirements> {
    let some = prop_oneof![1 => Just(0), 3 => scopes()];
    (some, prop::option::weighted(0.2, 0u8..2), any::<bool>())
        .prop_map(|(scopes, label, later)| Requirements { scopes, label, later })
}

/// A single scope is more frequent than several.
fn scopes() -> impl Strategy<Value = u8> {
    prop_oneof![2 => (0..SCOPES.len()).prop_map(|at| 1 << at), 1 => 1u8..16]
}

fn members(bits: u8) -> BTreeSet<usize> {
    (0..SCOPES.len()).filter(|at| bits >> at & 1 == 1).collect()
}

fn list(scopes: &BTreeSet<usize>) -> String {
    scopes.iter().map(|at| SCOPES[*at]).collect::<Vec<_>>().join(",")
}

/// The arguments for a lifetime, and the expiry that they set.
fn lifetime(life: Life, now: i64) -> (Vec<String>, Option<i64>) {
    match life {
        Life::Ttl(secs) => (vec![format!("--ttl={secs}s")], Some(now + secs)),
        Life::Until(secs) => {
            let time = chrono::DateTime::from_timestamp(now + secs, 0).expect("in range");
            (vec![format!("--expires={}", time.format("%Y-%m-%dT%H:%M:%SZ"))], Some(now + secs))
        }
        Life::Endless => (vec!["--no-expiry".to_owned()], None),
        Life::Default => (Vec::new(), Some(now + 90 * DAY)),
    }
}

/// The program and the model, which get the same changes.
struct Pair {
    world: World,
    model: Model,
    names: usize,
}

impl Pair {
    fn new() -> Self {
        let world = World::with_store();
        for scope in SCOPES {
            world.run(&["scopes", "define", scope]).ok();
        }
        Self { world, model: Model::default(), names: 0 }
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("t{}", self.names)
    }

    /// Runs a change, which must succeed if and only if the model allows it. Returns its document.
    fn change(&self, allowed: bool, args: &[&str], input: &str) -> Option<Value> {
        let ran = self.world.run_with(&[args, &["--json"]].concat(), input.as_bytes());
        assert_eq!(ran.code == 0, allowed, "{args:?}: {}", ran.err);
        allowed.then(|| ran.json())
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Create { life, start, label, scopes, adopt } => {
                self.create(life, start, label, members(scopes), adopt);
            }
            Step::Token(at, ref step) => {
                if let Some(at) = at.checked_rem(self.model.tokens.len()) {
                    self.of_token(at, step);
                }
            }
            Step::Scope(at, ref step) => self.of_scope(at, step),
            Step::Wait(secs) => self.world.wait(secs),
            Step::WaitFor { boundary, beside } => {
                let now = self.world.now();
                let then = self.model.boundaries(now).get(boundary).map_or(now + HOUR, |it| it + beside);
                self.world.wait((then - now).max(0));
            }
        }
    }

    fn create(
        &mut self,
        life: Life,
        start: Option<i64>,
        label: Option<u8>,
        scopes: BTreeSet<usize>,
        adopt: bool,
    ) {
        let name = self.name();
        let foreign = format!("a-secret-made-elsewhere-{name:>8}").replace(' ', "-");
        let (mut args, end) = lifetime(life, self.world.now());
        let begin = start.map(|secs| self.world.now() + secs);
        args.extend(start.map(|secs| format!("--not-before={secs}s")));
        args.extend(label.map(|label| format!("--label=env={label}")));
        args.push(format!("--scope={}", list(&scopes)));
        let verb = if adopt { "adopt" } else { "create" };
        let args: Vec<&str> = [verb, &name].into_iter().chain(args.iter().map(String::as_str)).collect();
        let in_order = begin.zip(end).is_none_or(|(start, end)| start < end);
        let allowed = in_order && self.model.grantable(&scopes);
        let Some(document) = self.change(allowed, &args, if adopt { &foreign } else { "" }) else { return };
        let text = |key: &str| document[key].as_str().expect(key).to_owned();
        self.model.tokens.push(Token {
            id: text("id"),
            secret: if adopt { foreign } else { text("secret") },
            revoked: false,
            disabled: false,
            start: begin,
            end,
            label,
            scopes,
        });
    }

    fn of_token(&mut self, at: usize, step: &OfToken) {
        let (now, new) = (self.world.now(), self.name());
        let token = &self.model.tokens[at];
        let (id, held, open) = (token.id.clone(), token.scopes.clone(), !token.revoked);
        let edit = |allowed: bool, arg: &str| {
            self.change(open && allowed, &["edit", &id, arg, "--allow-widen", "--revive"], "").is_some()
        };
        let grant = |verb: &str, scopes: u8, after: &BTreeSet<usize>| {
            let allowed = open && self.model.grantable(&(after - &held));
            let args = ["scopes", verb, &id, &list(&members(scopes)), "--allow-widen"];
            self.change(allowed, &args, "").is_some()
        };
        let mut after =
            Token { id: id.clone(), secret: token.secret.clone(), scopes: held.clone(), ..*token };
        let done = match *step {
            OfToken::Revoke => {
                after.revoked = true;
                self.change(true, &["revoke", &id, "--yes"], "").is_some()
            }
            OfToken::Disable => {
                after.disabled = true;
                self.change(open, &["disable", &id], "").is_some()
            }
            OfToken::Enable => {
                after.disabled = false;
                self.change(open, &["enable", &id], "").is_some()
            }
            OfToken::Rename => self.change(open, &["rename", &id, &new], "").is_some(),
            OfToken::Live(life) => {
                let (args, end) = lifetime(life, now);
                after.end = end;
                let in_order = after.start.zip(after.end).is_none_or(|(start, end)| start < end);
                args.first().is_some_and(|arg| edit(in_order, arg))
            }
            OfToken::Start(start) => {
                after.start = start.map(|secs| now + secs);
                let in_order = after.start.zip(after.end).is_none_or(|(start, end)| start < end);
                let arg = start.map(|secs| format!("{secs}s")).unwrap_or_default();
                edit(in_order, &format!("--not-before={arg}"))
            }
            OfToken::Label(label) => {
                after.label = label;
                let value = label.map(|it| it.to_string()).unwrap_or_default();
                edit(true, &format!("--label=env={value}"))
            }
            OfToken::Add(scopes) => {
                after.scopes.extend(members(scopes));
                grant("add", scopes, &after.scopes)
            }
            OfToken::Remove(scopes) => {
                after.scopes = &held - &members(scopes);
                grant("remove", scopes, &after.scopes)
            }
            OfToken::Set(scopes) => {
                after.scopes = members(scopes);
                grant("set", scopes, &after.scopes)
            }
        };
        if done {
            self.model.tokens[at] = after;
        }
    }

    fn of_scope(&mut self, at: usize, step: &OfScope) {
        let name = SCOPES[at];
        match *step {
            OfScope::Include(scopes) => {
                let included = members(scopes);
                let held = self.model.includes.get(&at).cloned().unwrap_or_default();
                let circle = self.model.reach(&included).contains(&at);
                let allowed = !circle && self.model.grantable(&(&included - &held));
                let args = ["scopes", "edit", name, "--allow-widen", "--includes", &list(&included)];
                if self.change(allowed, &args, "").is_some() {
                    self.model.includes.insert(at, included);
                }
            }
            OfScope::Retire { ungrant } => {
                let flags: &[&str] = if ungrant { &["--ungrant", "--yes"] } else { &[] };
                self.change(true, &[&["scopes", "retire", name], flags].concat(), "");
                self.model.retired.insert(at);
                if ungrant {
                    let live = self.model.tokens.iter_mut().filter(|token| !token.revoked);
                    let from = live.map(|token| &mut token.scopes).chain(self.model.includes.values_mut());
                    from.for_each(|scopes| scopes.retain(|other| *other != at));
                }
            }
            OfScope::Reopen => {
                self.change(true, &["scopes", "define", name, "--allow-widen"], "");
                self.model.retired.remove(&at);
            }
        }
    }

    /// Verifies every secret, with these requirements, and compares each answer with that of the model.
    fn compare(&self, requirements: &Requirements) {
        let now = self.world.now();
        let later = requirements.later.then(|| self.model.boundaries(now).first().copied()).flatten();
        let scopes = members(requirements.scopes);
        let mut args: Vec<String> =
            requirements.label.map(|label| format!("--label=env={label}")).into_iter().collect();
        args.extend(later.map(|it| format!("--at={}s", it - now)));
        args.extend((!scopes.is_empty()).then(|| format!("--scope={}", list(&scopes))));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        for token in &self.model.tokens {
            let verdict = self.verdict(&token.secret, &args);
            let reason = self.model.reason(token, later.unwrap_or(now), &scopes, requirements.label);
            assert_eq!(verdict["reason"], reason, "{args:?} {token:?} at {now}");
            if reason == "scope_missing" {
                let missing: Vec<_> = verdict["missing_scopes"].as_array().into_iter().flatten().collect();
                let expected = self.model.missing(token, &scopes);
                assert_eq!(missing, expected.iter().map(|at| SCOPES[*at]).collect::<Vec<_>>(), "{token:?}");
            }
        }
        assert_eq!(self.verdict("a-secret-that-nobody-has-made", &args)["reason"], "unknown");
        assert_eq!(self.verdict("malformed", &args)["reason"], "malformed");
    }

    fn verdict(&self, secret: &str, args: &[&str]) -> Value {
        let ran = self.world.run_with(&[&["verify", "--json"], args].concat(), secret.as_bytes());
        let document = ran.json();
        let valid = document["reason"] == "valid";
        assert_eq!((ran.code, &document["valid"]), (if valid { 0 } else { 3 }, &Value::Bool(valid)));
        document
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn verify_gives_the_same_answers_as_the_model(steps in vec((step(), requirements()), 30)) {
        let mut pair = Pair::new();
        for (step, requirements) in &steps {
            pair.take(step);
            pair.compare(requirements);
        }
        pair.world.run(&["doctor"]).ok();
    }
}
