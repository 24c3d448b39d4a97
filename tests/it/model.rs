//! Whatever happened to them, `verify` answers of secrets as a simple model of the contract does.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use crate::support::{DAY, HOUR, START, World};

const SCOPES: [&str; 4] = ["s0", "s1", "s2", "s3"];

/// What happens, as numbers that choose among what there is.
#[derive(Debug, Clone)]
enum Step {
    Create {
        life: Life,
        start: Option<i64>,
        label: Option<u8>,
        scopes: u8,
        adopt: bool,
    },
    Disable(usize),
    Enable(usize),
    Revoke(usize),
    Live(usize, Life),
    Start(usize, Option<i64>),
    Label(usize, Option<u8>),
    Add(usize, u8),
    Remove(usize, u8),
    Set(usize, u8),
    Include {
        of: usize,
        scopes: u8,
    },
    Retire {
        scope: usize,
        withdraw: bool,
    },
    Reopen(usize),
    Rename(usize),
    Wait(i64),
    /// To the next boundary but some, and this many seconds beside it.
    WaitFor {
        boundary: usize,
        beside: i64,
    },
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
        (1..20 * DAY).prop_map(Life::Ttl),
        (1..20 * DAY).prop_map(Life::Until),
        Just(Life::Endless),
        Just(Life::Default),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let token = || 0usize..12;
    let label = || prop::option::of(0u8..2);
    let start = || prop::option::weighted(0.4, 0..5 * DAY);
    prop_oneof![
        5 => (life(), start(), label(), 1u8..16, any::<bool>())
            .prop_map(|(life, start, label, scopes, adopt)| Step::Create { life, start, label, scopes, adopt }),
        2 => token().prop_map(Step::Disable),
        2 => token().prop_map(Step::Enable),
        1 => token().prop_map(Step::Revoke),
        2 => (token(), life()).prop_map(|(token, life)| Step::Live(token, life)),
        1 => (token(), start()).prop_map(|(token, start)| Step::Start(token, start)),
        1 => (token(), label()).prop_map(|(token, label)| Step::Label(token, label)),
        1 => (token(), 1u8..16).prop_map(|(token, scopes)| Step::Add(token, scopes)),
        1 => (token(), 1u8..16).prop_map(|(token, scopes)| Step::Remove(token, scopes)),
        1 => (token(), 1u8..16).prop_map(|(token, scopes)| Step::Set(token, scopes)),
        2 => (0usize..4, 0u8..16).prop_map(|(of, scopes)| Step::Include { of, scopes }),
        1 => (0usize..4, any::<bool>()).prop_map(|(scope, withdraw)| Step::Retire { scope, withdraw }),
        1 => (0usize..4).prop_map(Step::Reopen),
        1 => token().prop_map(Step::Rename),
        2 => (0..3 * DAY).prop_map(Step::Wait),
        3 => (0usize..3, -1i64..=1).prop_map(|(boundary, beside)| Step::WaitFor { boundary, beside }),
    ]
}

/// A token as the contract speaks of it.
#[derive(Debug)]
struct Token {
    id: String,
    secret: String,
    revoked: bool,
    disabled: bool,
    start: Option<i64>,
    end: Option<i64>,
    label: Option<u8>,
    scopes: BTreeSet<usize>,
}

#[derive(Debug, Default)]
struct Model {
    tokens: Vec<Token>,
    includes: BTreeMap<usize, BTreeSet<usize>>,
    retired: BTreeSet<usize>,
}

fn members(bits: u8) -> BTreeSet<usize> {
    (0..SCOPES.len()).filter(|at| bits >> at & 1 == 1).collect()
}

fn list(scopes: &BTreeSet<usize>) -> String {
    scopes.iter().map(|at| SCOPES[*at]).collect::<Vec<_>>().join(",")
}

impl Model {
    fn reach(&self, from: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut all = from.clone();
        loop {
            let more: BTreeSet<usize> =
                all.iter().filter_map(|it| self.includes.get(it)).flatten().copied().collect();
            if more.is_subset(&all) {
                return all;
            }
            all.extend(more);
        }
    }

    fn grantable(&self, scopes: &BTreeSet<usize>) -> bool {
        scopes.is_disjoint(&self.retired)
    }

    fn reason(&self, token: &Token, at: i64, asked: Option<usize>, label: Option<u8>) -> &'static str {
        if token.revoked {
            "revoked"
        } else if token.disabled {
            "disabled"
        } else if token.end.is_some_and(|end| at >= end) {
            "expired"
        } else if token.start.is_some_and(|start| at < start) {
            "not_yet_valid"
        } else if asked.is_some_and(|scope| !self.reach(&token.scopes).contains(&scope)) {
            "scope_missing"
        } else if label.is_some_and(|label| token.label != Some(label)) {
            "label_mismatch"
        } else {
            "valid"
        }
    }

    /// Every instant to come at which a verdict may change.
    fn boundaries(&self, now: i64) -> Vec<i64> {
        let ends = self.tokens.iter().flat_map(|token| [token.start, token.end]).flatten();
        ends.filter(|it| *it > now).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// The arguments of a lifetime, and the end that it gives.
fn lifetime(life: Life, now: i64) -> (Vec<String>, Option<i64>) {
    let until = |secs: i64| {
        let time = chrono::DateTime::from_timestamp(now + secs, 0).expect("in range");
        time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    };
    match life {
        Life::Ttl(secs) => (vec!["--ttl".into(), format!("{secs}s")], Some(now + secs)),
        Life::Until(secs) => (vec!["--expires".into(), until(secs)], Some(now + secs)),
        Life::Endless => (vec!["--no-expiry".into()], None),
        Life::Default => (Vec::new(), Some(now + 90 * DAY)),
    }
}

struct Run {
    world: World,
    model: Model,
    made: usize,
}

impl Run {
    fn new() -> Self {
        let world = World::with_store();
        for scope in SCOPES {
            world.run(&["scopes", "define", scope]).ok();
        }
        Self { world, model: Model::default(), made: 0 }
    }

    /// Runs a change, which must be admitted or refused as the model says. Returns whether it was admitted.
    fn change(&self, admitted: bool, args: &[&str], input: &str) -> Option<Value> {
        let ran = self.world.run_with(&[args, &["--json"]].concat(), input.as_bytes());
        assert_eq!(ran.code == 0, admitted, "{args:?}: {}", ran.err);
        admitted.then(|| ran.json())
    }

    fn create(&mut self, life: Life, start: Option<i64>, label: Option<u8>, scopes: u8, adopt: bool) {
        let (mut args, end) = lifetime(life, self.world.now());
        let begin = start.map(|secs| self.world.now() + secs);
        args.extend(start.map(|secs| format!("--not-before={secs}s")));
        args.extend(label.map(|label| format!("--label=env={label}")));
        let scopes = members(scopes);
        args.push(format!("--scope={}", list(&scopes)));
        self.made += 1;
        let name = format!("t{}", self.made);
        let foreign = format!("a-secret-made-elsewhere-{:08}", self.made);
        let verb = if adopt { "adopt" } else { "create" };
        let args: Vec<&str> = [verb, &name].into_iter().chain(args.iter().map(String::as_str)).collect();
        let in_order = begin.zip(end).is_none_or(|(start, end)| start < end);
        let admitted = in_order && self.model.grantable(&scopes);
        let Some(document) = self.change(admitted, &args, if adopt { &foreign } else { "" }) else { return };
        let text = |key: &str| document[key].as_str().expect(key).to_owned();
        let secret = if adopt { foreign } else { text("secret") };
        let id = text("id");
        let (revoked, disabled) = (false, false);
        self.model.tokens.push(Token { id, secret, revoked, disabled, start: begin, end, label, scopes });
    }

    fn of_token(&mut self, step: &Step, at: usize) {
        let now = self.world.now();
        let Some(at) = at.checked_rem(self.model.tokens.len()) else { return };
        let token = &self.model.tokens[at];
        let (id, open, was) = (token.id.clone(), !token.revoked, token.disabled);
        match step {
            Step::Revoke(_) => {
                self.change(true, &["revoke", &id, "--yes"], "");
                self.model.tokens[at].revoked = true;
            }
            Step::Disable(_) | Step::Enable(_) => {
                let disable = matches!(step, Step::Disable(_));
                self.change(open, &[if disable { "disable" } else { "enable" }, &id], "");
                self.model.tokens[at].disabled = if open { disable } else { was };
            }
            Step::Live(_, life) => {
                let (args, end) = lifetime(*life, now);
                let args: Vec<&str> =
                    ["edit", &id].into_iter().chain(args.iter().map(String::as_str)).collect();
                let given = args.len() > 2;
                let in_order = token.start.zip(end).is_none_or(|(start, end)| start < end);
                if self.change(open && given && in_order, &args, "").is_some() {
                    self.model.tokens[at].end = end;
                }
            }
            Step::Start(_, start) => {
                let begin = start.map(|secs| now + secs);
                let arg = start.map_or("--not-before=".to_owned(), |secs| format!("--not-before={secs}s"));
                let in_order = begin.zip(token.end).is_none_or(|(start, end)| start < end);
                if self.change(open && in_order, &["edit", &id, &arg], "").is_some() {
                    self.model.tokens[at].start = begin;
                }
            }
            Step::Label(_, label) => {
                let arg = format!("--label=env={}", label.map(|it| it.to_string()).unwrap_or_default());
                if self.change(open, &["edit", &id, &arg, "--allow-widen"], "").is_some() {
                    self.model.tokens[at].label = *label;
                }
            }
            Step::Rename(_) => {
                self.made += 1;
                self.change(open, &["rename", &id, &format!("t{}", self.made)], "");
            }
            Step::Add(_, scopes) | Step::Remove(_, scopes) | Step::Set(_, scopes) => {
                self.grant(step, at, &members(*scopes));
            }
            _ => unreachable!("no step of a token"),
        }
    }

    fn grant(&mut self, step: &Step, at: usize, scopes: &BTreeSet<usize>) {
        let token = &self.model.tokens[at];
        let held = &token.scopes;
        let (verb, after): (_, BTreeSet<usize>) = match step {
            Step::Add(..) => ("add", held | scopes),
            Step::Remove(..) => ("remove", held - scopes),
            _ => ("set", scopes.clone()),
        };
        let admitted = !token.revoked && self.model.grantable(&(&after - held));
        let args = ["scopes", verb, &token.id, &list(scopes), "--allow-widen"];
        if self.change(admitted, &args, "").is_some() {
            self.model.tokens[at].scopes = after;
        }
    }

    fn of_scope(&mut self, step: &Step) {
        match *step {
            Step::Include { of, scopes } => {
                let wanted = members(scopes);
                let held = self.model.includes.get(&of).cloned().unwrap_or_default();
                let circle = self.model.reach(&wanted).contains(&of);
                let admitted = !circle && self.model.grantable(&(&wanted - &held));
                let includes = format!("--includes={}", list(&wanted));
                if self
                    .change(admitted, &["scopes", "edit", SCOPES[of], &includes, "--allow-widen"], "")
                    .is_some()
                {
                    self.model.includes.insert(of, wanted);
                }
            }
            Step::Retire { scope, withdraw } => {
                let flags: &[&str] = if withdraw { &["--withdraw", "--yes"] } else { &[] };
                self.change(true, &[&["scopes", "retire", SCOPES[scope]], flags].concat(), "");
                self.model.retired.insert(scope);
                if withdraw {
                    let live = self.model.tokens.iter_mut().filter(|token| !token.revoked);
                    let taken = live.map(|token| &mut token.scopes).chain(self.model.includes.values_mut());
                    taken.for_each(|scopes| scopes.retain(|other| *other != scope));
                }
            }
            Step::Reopen(scope) => {
                self.change(true, &["scopes", "define", SCOPES[scope], "--allow-widen"], "");
                self.model.retired.remove(&scope);
            }
            _ => unreachable!("no step of a scope"),
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Create { life, start, label, scopes, adopt } => {
                self.create(life, start, label, scopes, adopt)
            }
            Step::Disable(at) | Step::Enable(at) | Step::Revoke(at) | Step::Rename(at) => {
                self.of_token(step, at)
            }
            Step::Live(at, _) | Step::Start(at, _) | Step::Label(at, _) => self.of_token(step, at),
            Step::Add(at, _) | Step::Remove(at, _) | Step::Set(at, _) => self.of_token(step, at),
            Step::Include { .. } | Step::Retire { .. } | Step::Reopen(_) => self.of_scope(step),
            Step::Wait(secs) => self.world.wait(secs),
            Step::WaitFor { boundary, beside } => {
                let now = self.world.now();
                let next = self.model.boundaries(now);
                let then = next.get(boundary).map_or(now + HOUR, |it| it + beside);
                self.world.wait((then - now).max(0));
            }
        }
    }

    /// Asks for every secret: plainly, or with a scope, a label and perhaps another time.
    fn compare(&self, asked: usize, label: u8) {
        let now = self.world.now();
        let later = self.model.boundaries(now).get(asked % 2).copied();
        let at = later.map(|it| format!("--at={}s", it - now));
        let (scope, env) = (format!("--scope={}", SCOPES[asked]), format!("--label=env={label}"));
        for (place, token) in self.model.tokens.iter().enumerate() {
            let plainly = (place + asked).is_multiple_of(2);
            let (reason, args) = if plainly {
                (self.model.reason(token, now, None, None), Vec::new())
            } else {
                let reason = self.model.reason(token, later.unwrap_or(now), Some(asked), Some(label));
                (reason, [&*scope, &env].into_iter().chain(at.as_deref()).collect())
            };
            assert_eq!(self.verdict(&token.secret, &args), reason, "{args:?} {token:?} at {now}");
        }
        assert_eq!(self.verdict("a-secret-that-nobody-has-made", &[&scope]), "unknown");
        assert_eq!(self.verdict("malformed", &[&scope]), "malformed");
    }

    fn verdict(&self, secret: &str, args: &[&str]) -> String {
        let ran = self.world.run_with(&[&["verify", "--json"], args].concat(), secret.as_bytes());
        let document = ran.json();
        let reason = document["reason"].as_str().expect("a reason").to_owned();
        assert_eq!(ran.code, if reason == "valid" { 0 } else { 3 });
        assert_eq!(document["valid"], reason == "valid");
        reason
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn verify_answers_as_the_model_does(steps in vec((step(), 0usize..4, 0u8..2), 25)) {
        let mut run = Run::new();
        assert_eq!(run.world.now(), START);
        for (step, asked, label) in &steps {
            run.step(step);
            run.compare(*asked, *label);
        }
        run.world.run(&["audit", "verify"]).ok();
    }
}
