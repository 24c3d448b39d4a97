//! Measures speed as ratios. The programs that are compared run alternately, so that other load on the machine affects
//! all of them. For a few commands it also counts the user instructions, which are the same in every run.
//!
//!     cargo bench                  all measurements
//!     cargo bench -- PART…         only these parts: processes, streams, gate, moving, postgres, instructions
//!     cargo bench -- --many=N      with N tokens in the larger store instead of 1,000,000
//!     cargo bench -- --smoke       run each once, and check the instructions of `verify` against `benches/instructions`
//!     cargo bench -- --accept      like --smoke, but write the new number to that file
//!     cargo bench -- --order       write the order of functions for the linker (`order.rs`)
//!
//! If `TOKENCTL_PROGRAM=PATH` is set, that program is measured instead of the one that is built here.

#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]
#![expect(clippy::disallowed_methods, reason = "the environment selects what it measures")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot run has no result")]

mod gate;
mod instructions;
mod load;
mod moving;
mod order;
mod rounds;
mod server;
mod stocked;
mod stream;

use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use instructions::{count, is_kept};
use moving::Exported;
use rounds::{Pair, compare, compare_times};
use stocked::{Stocked, Whole};
use stream::Requests;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    let smoke = has("--smoke") || has("--accept");
    build();
    if has("--order") {
        order::write(&Stocked::new(50));
        return ExitCode::SUCCESS;
    }
    let parts = ["processes", "streams", "gate", "moving", "postgres", "instructions"];
    let chosen = |part: &str| !parts.iter().any(|part| has(part)) || has(part);
    let (rounds, few, many) = if smoke { (1, 50, 100) } else { (200, 1_000, 1_000_000) };
    let given = args.iter().find_map(|arg| arg.strip_prefix("--many="));
    let many = given.map_or(many, |number| number.parse().expect("a number of tokens"));
    if chosen("processes") || chosen("streams") || chosen("gate") {
        let (few, many) = (Stocked::new(few), Stocked::new(many));
        if chosen("streams") {
            streams(smoke, [&few, &many]);
        }
        if chosen("gate") {
            gates(smoke, [&few, &many]);
        }
        if chosen("processes") {
            processes(rounds, &few, &many);
        }
    }
    if chosen("moving") {
        moving(if smoke { 1 } else { 5 }, if smoke { 100 } else { 100_000 });
    }
    if chosen("postgres") {
        server::compare(smoke);
    }
    let verify = if chosen("instructions") { instructions() } else { None };
    // A missing valgrind is a failure too, because nothing would check the limit.
    let kept =
        !(smoke && chosen("instructions")) || verify.is_some_and(|verify| is_kept(verify, has("--accept")));
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Builds the program as it would be installed, and replaces the one that was built with this benchmark. That one
/// includes crate features that only tests need, which cost 74,000 instructions.
fn build() {
    if std::env::var_os("TOKENCTL_PROGRAM").is_some() {
        return;
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--locked", "--quiet"]);
    if cfg!(feature = "postgres") {
        cargo.args(["--features", "postgres"]);
    }
    let cargo = cargo.status();
    assert!(cargo.expect("cargo runs").success(), "it builds");
}

/// Wall times of whole processes.
fn processes(rounds: usize, few: &Stocked, many: &Stocked) {
    let size = |store: &Stocked| format!("{} tokens", store.tokens);
    let (small, large) = (size(few), size(many));
    println!("{}", machine());
    println!("| median of {rounds} rounds | ms | against | ms | ratio |\n|---|---|---|---|---|");
    let row = |name: &str, other: &str, pair: Pair| {
        println!("| {name} | {:.2} | {other} | {:.2} | {:.2} |", pair.first, pair.second, pair.ratio);
    };
    let quick = |name: &str, other: &str, first: &dyn Fn() -> Command, second: &dyn Fn() -> Command| {
        row(name, other, compare(rounds, first, second));
    };
    quick("`--version`", "`/bin/true`", &|| few.run(&["--version"]), &|| Command::new("/bin/true"));
    if has("sqlite3") {
        for (store, size) in [(few, &small), (many, &large)] {
            quick(&format!("`verify`, {size}"), "`sqlite3`, the same look-up", &|| store.verify(), &|| {
                store.look_up()
            });
        }
    }
    if has("htpasswd") {
        for (hash, flag) in [("SHA-1", "-s"), ("bcrypt", "-B")] {
            let check = few.htpasswd(flag);
            quick(
                &format!("`verify`, {small}"),
                &format!("`htpasswd -v`, {hash}, the same number of users"),
                &|| few.verify(),
                &check,
            );
        }
    }
    let grown = |verb: &str, rounds: usize, run: &dyn Fn(&Stocked) -> Command| {
        row(&format!("`{verb}`, {large}"), &small, compare(rounds, &|| run(many), &|| run(few)));
    };
    grown("verify", rounds, &Stocked::verify);
    grown("show", rounds, &|store| store.run(&["show", "real"]));
    grown("completion", rounds, &Stocked::complete);
    grown("create", rounds.div_ceil(3), &Stocked::create);
    grown("rotate", rounds.div_ceil(3), &Stocked::rotate);
    quick("`create`", "`verify`", &|| few.create(), &|| few.verify());
    if has("sqlite3") {
        let list = || many.measured(&many.run(&["list", "--format", "jsonl"]));
        let dump = || many.measured(&many.dump());
        let millis = |millis: f64| Duration::from_secs_f64(millis / 1000.0);
        for (name, of) in [("", (|it| it.millis) as fn(Whole) -> f64), (", CPU time", |it| it.cpu)] {
            row(
                &format!("`list --format jsonl`, {large}{name}"),
                "`sqlite3 -json`, the same columns",
                compare_times(rounds.div_ceil(30), &|| millis(of(list())), &|| millis(of(dump()))),
            );
        }
    }
    for verb in [["list", "--format", "jsonl"].as_slice(), &["check"], &["doctor"], &["audit", "verify"]] {
        let (few, many) = (few.whole(verb), many.whole(verb));
        println!(
            "| `{}`, {large} | {:.0}, {} KiB | {small} | {:.2}, {} KiB | {:.1} each |",
            verb.join(" "),
            many.millis,
            many.peak,
            few.millis,
            few.peak,
            many.millis / few.millis
        );
    }
    let first = many.first_line();
    println!("| first line of `list --format jsonl`, {large} | {first:.1} | | | |");
    println!("{}", machine());
}

/// The number of processors and the load.
fn machine() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<&str> = load.split(' ').take(3).collect();
    format!(
        "\n{} processors, load {}\n",
        std::thread::available_parallelism().map_or(0, usize::from),
        load.join(" ")
    )
}

/// Compares `verify --stream` and `Verifier` on many requests.
fn streams(smoke: bool, stores: [&Stocked; 2]) {
    println!("\n| median of a few rounds | ms | against | ms | ratio |\n|---|---|---|---|---|");
    let (rounds, count) = if smoke { (1, 1_000) } else { (5, 500_000) };
    for (store, used) in in_use(stores) {
        for (name, Pair { first, second, ratio }) in Requests::new(store, used, count).compare(rounds) {
            println!(
                "| {name}, {count} requests, {} tokens, {used} in use | {first:.0} | hash and prepared look-up | {second:.0} \
                 | {ratio:.2}, {:.2} of the rate |",
                store.tokens,
                1.0 / ratio
            );
        }
    }
}

/// The stores, and how many of their tokens the requests use: a few or all.
fn in_use([few, many]: [&Stocked; 2]) -> [(&Stocked, usize); 3] {
    [(few, few.tokens), (many, few.tokens), (many, many.tokens)]
}

/// Compares `serve` under load with nginx.
fn gates(smoke: bool, stores: [&Stocked; 2]) {
    if !has("nginx") {
        return;
    }
    println!(
        "\n| | CPU µs per request | nginx, `return 204` | ratio | throughput ratio |\n|---|---|---|---|---|"
    );
    let (rounds, long) = if smoke { (1, Duration::from_millis(20)) } else { (9, Duration::from_secs(1)) };
    for (store, used) in in_use(stores) {
        gate::compare(store, used, rounds, long);
    }
}

/// Compares `import` of this many tokens with bare inserts.
fn moving(rounds: usize, tokens: usize) {
    println!("\n| median of {rounds} rounds | ms | against | ms | ratio |\n|---|---|---|---|---|");
    let store = Stocked::new(tokens);
    let exported = Exported::new(&store);
    let row = |what: &str, Pair { first, second, ratio }: Pair| {
        println!(
            "| `import`, {tokens} tokens {what} | {first:.0} | bare inserts | {second:.0} | {ratio:.2} |"
        );
    };
    row("with their history, into a new store", exported.whole(rounds));
    row("into a store that has another token", exported.tokens(rounds));
    let few = Stocked::new(tokens.div_ceil(10));
    println!(
        "\n| peak memory | KiB, {tokens} tokens | KiB, {} tokens | ratio |\n|---|---|---|---|",
        few.tokens
    );
    for verb in [["export"].as_slice(), &["revoke", "--search", "token", "--yes"], &["prune", "--yes"]] {
        let (few, many) = (few.whole(verb).peak, store.whole(verb).peak);
        let ratio = many / few;
        println!("| `{}` | {many} | {few} | {ratio:.2} |", verb.join(" "));
    }
}

/// Counts user instructions on a store of 50 tokens. Returns the count for `verify`.
fn instructions() -> Option<u64> {
    if !has("valgrind") {
        return None;
    }
    let store = Stocked::new(50);
    println!("\n| on 50 tokens | user instructions |\n|---|---|");
    let counted = |args: &[&str]| {
        let count = count(&store, args);
        println!("| `{}` | {count} |", args[0]);
        count
    };
    let verify = counted(&["verify"]);
    counted(&["--version"]);
    counted(&["show", "real"]);
    counted(&["list", "--format", "jsonl"]);
    counted(&["create", "new", "--out", &store.path("new")]);
    Some(verify)
}

/// Whether a program is installed.
fn has(program: &str) -> bool {
    let there = Command::new(program).arg("-v").stdin(Stdio::null()).output().is_ok();
    if !there {
        println!("{program} is not installed, so nothing is compared with it");
    }
    there
}
