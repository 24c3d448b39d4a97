//! A fleet: a primary and two replicas, processes that revoke and processes that verify, links that are held and cut, and a
//! primary that is killed.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::program;
use crate::support::server::{Server, have};

use super::freshness::{Gate, at, primary, replica};
use super::link::{Link, LinkState};

/// What a replica may be behind, as a flag and as a time.
const MOST: (&str, Duration) = ("2s", Duration::from_secs(2));
/// The secrets that are asked together: the last ones whose revocation has begun, and those that are next.
const WINDOW: (usize, usize) = (300, 10);

struct Size {
    writers: usize,
    verifiers: usize,
    revocations: usize,
    /// After how many of them the primary is killed, and a replica takes its place.
    killed_after: Option<usize>,
    /// How long a verifier rests before it asks again.
    rest: Duration,
}

/// Where a verifier asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Primary,
    /// Commits wait for it.
    Synchronous,
    /// Its link is held and cut.
    Disturbed,
}

/// One token, and when the command that revoked it had returned.
struct Token {
    secret: String,
    revoked: OnceLock<Instant>,
}

/// What one process has answered of one token.
#[derive(Clone, Copy, Default)]
struct Heard {
    /// When a question was asked that was answered yes, the last one.
    yes: Option<Instant>,
    /// When the first answer came that did not accept it, to a question after the revocation had returned.
    no: Option<Instant>,
}

/// How far it is.
#[derive(Default)]
struct Course {
    /// The verifiers that have answered `valid`.
    ready: AtomicUsize,
    /// The revocations that have begun, and those that have returned.
    begun: AtomicUsize,
    ended: AtomicUsize,
    is_over: AtomicBool,
    is_promoted: AtomicBool,
}

struct Verifier {
    place: Place,
    heard: Vec<Heard>,
    answers: usize,
    stale: usize,
}

/// Asks one process of the program until everything is revoked and known to be.
fn verify((server, place): (&Server, Place), tokens: &[Token], course: &Course, rest: Duration) -> Verifier {
    let mut command = program();
    command.env("TOKENCTL_STORE", server.url("tokenctl_verify", "tokens"));
    command.args(["verify", "--stream", "--max-lag", MOST.0]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut input = child.stdin.take().expect("a pipe");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut it = Verifier { place, heard: vec![Heard::default(); tokens.len()], answers: 0, stale: 0 };
    let mut line = String::new();
    let mut is_ready = false;
    loop {
        let is_last = course.is_over.load(Ordering::SeqCst);
        let begun = course.begun.load(Ordering::SeqCst);
        let some = begun.saturating_sub(WINDOW.0)..(begun + WINDOW.1).min(tokens.len());
        let range = if is_last { 0..tokens.len() } else { some };
        let asked = Instant::now();
        let lines: String = tokens[range.clone()].iter().flat_map(|token| [&*token.secret, "\n"]).collect();
        input.write_all(lines.as_bytes()).expect("it reads");
        let mut all_no = true;
        for nth in range {
            line.clear();
            output.read_line(&mut line).expect("an answer");
            it.answers += 1;
            let heard = &mut it.heard[nth];
            let is_yes = line.starts_with("valid ");
            all_no &= line.starts_with("revoked ");
            it.stale += usize::from(line == "error store_stale\n");
            if is_yes && !is_ready {
                is_ready = true;
                course.ready.fetch_add(1, Ordering::SeqCst);
            }
            if is_yes {
                heard.yes = Some(asked);
            } else if heard.no.is_none() && tokens[nth].revoked.get().is_some_and(|at| *at < asked) {
                heard.no = Some(Instant::now());
            }
            assert!(is_yes || line.starts_with("revoked ") || line.starts_with("error store_"), "{line}");
        }
        // After a failover, only the new primary knows.
        let knows = !course.is_promoted.load(Ordering::SeqCst) || place == Place::Synchronous;
        if is_last && (all_no || !knows) {
            break;
        }
        thread::sleep(rest);
    }
    drop(input);
    let _ = child.wait();
    it
}

fn fleet(size: &Size) {
    let primary = primary();
    let made: Vec<_> = thread::scope(|scope| {
        let writer = |writer: usize| {
            let mine = (writer..size.revocations).step_by(size.writers);
            let made = mine.map(|nth| (nth, at(&primary, &["create", &format!("t{nth}")], b"").ok()));
            made.map(|(nth, ran)| (nth, ran.line().to_owned())).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..size.writers).map(|nth| scope.spawn(move || writer(nth))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a writer")).collect()
    });
    let mut made = made;
    made.sort();
    let token = |(_, secret)| Token { secret, revoked: OnceLock::new() };
    let tokens: Vec<Token> = made.into_iter().map(token).collect();
    let ((first, _), (second, link)) = (replica(&primary, "r1", &[]), replica(&primary, "r2", &[]));
    primary.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'r1'");
    primary.sql("postgres", "SELECT pg_reload_conf()");
    let dir = tempfile::tempdir().expect("a directory");
    let _beat = Gate::start(&primary, dir.path(), &["--heartbeat", "--max-lag", MOST.0]);
    let course = Course::default();
    let servers = [(&primary, Place::Primary), (&first, Place::Synchronous), (&second, Place::Disturbed)];
    let verifiers: Vec<Verifier> = thread::scope(|scope| {
        let (tokens, course, servers) = (&tokens, &course, &servers);
        let threads: Vec<_> = (0..size.verifiers)
            .map(|nth| servers[nth % servers.len()])
            .map(|server| scope.spawn(move || verify(server, tokens, course, size.rest)))
            .collect();
        while course.ready.load(Ordering::SeqCst) < size.verifiers {
            assert!(!threads.iter().any(|it| it.is_finished()), "a verifier has ended");
            thread::sleep(Duration::from_millis(20));
        }
        let chaos = scope.spawn(|| disturb(&link, || course.ended.load(Ordering::SeqCst) == tokens.len()));
        for _ in 0..size.writers {
            scope.spawn(move || {
                loop {
                    let nth = course.begun.fetch_add(1, Ordering::SeqCst);
                    if nth >= tokens.len() {
                        break;
                    }
                    revoke(nth, servers, course);
                    tokens[nth].revoked.set(Instant::now()).expect("once");
                    course.ended.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        if let Some(count) = size.killed_after {
            while course.ended.load(Ordering::SeqCst) < count {
                thread::sleep(Duration::from_millis(2));
            }
            primary.kill_processes();
            first.sql("postgres", "SELECT pg_promote()");
            course.is_promoted.store(true, Ordering::SeqCst);
        }
        chaos.join().expect("the links");
        course.is_over.store(true, Ordering::SeqCst);
        threads.into_iter().map(|thread| thread.join().expect("a verifier")).collect()
    });
    judge(&tokens, &verifiers);
    if size.killed_after.is_some() {
        at(&first, &["audit", "verify"], b"").ok();
    }
}

/// Revokes a token, on the new primary where the old one was killed meanwhile.
fn revoke(nth: usize, servers: &[(&Server, Place); 3], course: &Course) {
    loop {
        let is_promoted = course.is_promoted.load(Ordering::SeqCst);
        let ran = at(servers[usize::from(is_promoted)].0, &["revoke", &format!("t{nth}"), "--yes"], b"");
        if ran.code == 0 {
            return;
        }
        assert!(matches!(ran.code, 1 | 6), "{ran:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Holds and cuts a link, as long as it takes and at least longer than a replica may be behind.
fn disturb(link: &Link, is_done: impl Fn() -> bool) {
    loop {
        link.set(LinkState::Held);
        thread::sleep(MOST.1 + Duration::from_secs(2));
        link.set(LinkState::Cut);
        thread::sleep(Duration::from_millis(200));
        link.set(LinkState::Open);
        if is_done() {
            break;
        }
        thread::sleep(MOST.1);
    }
}

fn judge(tokens: &[Token], verifiers: &[Verifier]) {
    let mut worst = [Duration::ZERO; 3];
    let mut known: Vec<Duration> = Vec::new();
    for (nth, token) in tokens.iter().enumerate() {
        let revoked = *token.revoked.get().expect("revoked");
        for verifier in verifiers {
            let late = verifier.heard[nth].yes.and_then(|asked| asked.checked_duration_since(revoked));
            let worst = &mut worst[verifier.place as usize];
            *worst = (*worst).max(late.unwrap_or_default());
        }
        let last = verifiers.iter().filter_map(|verifier| verifier.heard[nth].no).max();
        known.extend(last.and_then(|last| last.checked_duration_since(revoked)));
    }
    known.sort();
    let answers: usize = verifiers.iter().map(|it| it.answers).sum();
    let stale: usize = verifiers.iter().map(|it| it.stale).sum();
    let [primary, synchronous, disturbed] = worst;
    println!(
        "{} revocations, {} verifiers, {answers} answers of which {stale} `store_stale`; the last `valid` was asked \
         {primary:?} after on the primary, {synchronous:?} on the synchronous replica, {disturbed:?} on the other one; the \
         last verifier had refused after {:?} (median), {:?} (most)",
        tokens.len(),
        verifiers.len(),
        known.get(known.len() / 2),
        known.last(),
    );
    assert_eq!(primary, Duration::ZERO, "the primary answered `valid` after a revocation had returned");
    assert_eq!(synchronous, Duration::ZERO, "the replica that commits wait for did");
    assert!(disturbed <= MOST.1, "a replica answered `valid` {disturbed:?} after a revocation had returned");
    assert!(stale > 0, "the held link made no replica too old");
}

#[test]
fn after_a_revocation_only_replicas_within_their_lag_still_accept_the_secret() {
    if have() {
        let rest = Duration::from_millis(1);
        fleet(&Size { writers: 2, verifiers: 6, revocations: 24, killed_after: None, rest });
    }
}

#[test]
fn no_revocation_comes_back_when_a_replica_replaces_a_killed_primary() {
    if have() {
        let rest = Duration::from_millis(1);
        fleet(&Size { writers: 4, verifiers: 6, revocations: 40, killed_after: Some(20), rest });
    }
}

/// For figures, with an optimised build: `cargo test --release --features postgres --test it -- --ignored a_large_fleet`
#[test]
#[ignore = "takes minutes"]
fn a_large_fleet_accepts_no_revoked_secret_either() {
    if have() {
        let rest = Duration::from_millis(300);
        fleet(&Size { writers: 50, verifiers: 200, revocations: 1_000, killed_after: Some(900), rest });
    }
}
