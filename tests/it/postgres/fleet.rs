//! Tests of a fleet. There are a primary, two replicas, many processes that revoke and verify, links that are paused
//! and cut, and a primary that is killed.

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

/// The maximum lag of a replica, as the value of the flag and as a duration.
const MOST: (&str, Duration) = ("2s", Duration::from_secs(2));
/// Which secrets are verified together: how many of those whose revocation has begun, and how many of the next ones.
const WINDOW: (usize, usize) = (300, 10);

struct Size {
    writers: usize,
    verifiers: usize,
    revocations: usize,
    /// After how many revocations the primary is killed and replaced by a replica.
    killed_after: Option<usize>,
    /// How long a verifier pauses between two rounds.
    rest: Duration,
}

/// The server that a verifier uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Primary,
    /// The replica that commits wait for.
    Synchronous,
    /// The replica whose link is paused and cut.
    Disturbed,
}

/// A token, and when the command that revoked it returned.
struct Token {
    secret: String,
    revoked: OnceLock<Instant>,
}

/// The answers of one process about one token.
#[derive(Clone, Copy, Default)]
struct Heard {
    /// When the last request was sent that was answered `valid`.
    yes: Option<Instant>,
    /// When the first answer other than `valid` arrived to a request that was sent after the revocation had returned.
    no: Option<Instant>,
}

/// The progress of the whole test.
#[derive(Default)]
struct Course {
    /// How many verifiers have received the answer `valid`.
    ready: AtomicUsize,
    /// How many revocations have begun, and how many of them have returned.
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

/// Verifies secrets with one process until the test is over and the process knows every revocation.
fn verify((server, place): (&Server, Place), tokens: &[Token], course: &Course, rest: Duration) -> Verifier {
    let mut command = program();
    command.env("TOKENCTL_STORE", server.url("tokenctl_verify", "tokens"));
    command.args(["verify", "--stream", "--max-lag", MOST.0]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut input = child.stdin.take().expect("stdin is a pipe");
    let mut output = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
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
        input.write_all(lines.as_bytes()).expect("the program reads its input");
        let mut all_no = true;
        for nth in range {
            line.clear();
            output.read_line(&mut line).expect("the answer can be read");
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
        // After a failover, only the verifiers of the new primary can know every revocation.
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
        threads.into_iter().flat_map(|thread| thread.join().expect("the thread does not panic")).collect()
    });
    let mut made = made;
    made.sort();
    let token = |(_, secret)| Token { secret, revoked: OnceLock::new() };
    let tokens: Vec<Token> = made.into_iter().map(token).collect();
    let ((first, _), (second, link)) = (replica(&primary, "r1", &[]), replica(&primary, "r2", &[]));
    primary.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'r1'");
    primary.sql("postgres", "SELECT pg_reload_conf()");
    let dir = tempfile::tempdir().expect("a temporary directory can be created");
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
            assert!(!threads.iter().any(|it| it.is_finished()), "a verifier has exited early");
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
                    tokens[nth].revoked.set(Instant::now()).expect("each token is revoked once");
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
        chaos.join().expect("the thread does not panic");
        course.is_over.store(true, Ordering::SeqCst);
        threads.into_iter().map(|thread| thread.join().expect("the thread does not panic")).collect()
    });
    judge(&tokens, &verifiers);
    if size.killed_after.is_some() {
        at(&first, &["audit", "verify"], b"").ok();
    }
}

/// Revokes a token. If the primary was killed meanwhile, the new one is used.
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

/// Pauses and cuts a link repeatedly until `is_done`. Each pause is longer than the maximum lag.
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
        let revoked = *token.revoked.get().expect("every token was revoked");
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
    assert_eq!(
        synchronous,
        Duration::ZERO,
        "the synchronous replica answered `valid` after a revocation had returned"
    );
    assert!(
        disturbed <= MOST.1,
        "a replica answered `valid` {disturbed:?} after a revocation had returned, which is more than the maximum lag"
    );
    assert!(stale > 0, "no verifier answered `store_stale`, although a link was paused");
}

#[test]
fn a_revoked_secret_is_accepted_only_by_replicas_and_only_within_max_lag() {
    if have() {
        let rest = Duration::from_millis(1);
        fleet(&Size { writers: 2, verifiers: 6, revocations: 24, killed_after: None, rest });
    }
}

#[test]
fn no_revocation_is_lost_if_a_replica_replaces_a_killed_primary() {
    if have() {
        let rest = Duration::from_millis(1);
        fleet(&Size { writers: 4, verifiers: 6, revocations: 40, killed_after: Some(20), rest });
    }
}

/// Measures with an optimised build: `cargo test --release --features postgres --test it -- --ignored a_large_fleet`
#[test]
#[ignore = "takes minutes"]
fn a_large_fleet_accepts_a_revoked_secret_only_within_max_lag() {
    if have() {
        let rest = Duration::from_millis(300);
        fleet(&Size { writers: 50, verifiers: 200, revocations: 1_000, killed_after: Some(900), rest });
    }
}
