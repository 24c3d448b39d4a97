//! The clients in docs/recipes.md, with a gate and with a child process.

use std::fs;
use std::process::Command;

use super::{Gate, app};
use crate::support::{Ran, World, have, run, search_path};

const RECIPES: &str = include_str!("../../../docs/recipes.md");

/// The code blocks in a language: first the one for a gate, then the one for a child process.
fn recipes(language: &str) -> Vec<String> {
    let start = format!("```{language}\n");
    RECIPES.split(&start).skip(1).map(|part| part.split_once("```").expect("its end").0.to_owned()).collect()
}

/// Checks what a service prints that runs this command.
fn check(world: &World, secret: &str, ask: impl Fn(&str) -> Command) {
    let ask = |secret: &str| -> Ran {
        let mut command = ask(secret);
        command.env("GATE", world.dir.path().join("gate.sock"));
        command.env("TOKENCTL_STORE", world.store()).env("PATH", search_path());
        run(&mut command, b"")
    };
    assert_eq!(ask(secret).ok().out, "app\n");
    assert_eq!(ask("nobody-has-this-secret").ok().out, "nobody\n");
    fs::rename(world.store(), world.dir.path().join("away")).unwrap();
    let failed = ask(secret);
    assert!(failed.code != 0 && failed.out.is_empty() && !failed.err.is_empty(), "{failed:?}");
    fs::rename(world.dir.path().join("away"), world.store()).unwrap();
}

/// Like [`check`], for a program that uses a gate and must fail without it.
fn check_at_gate(ask: impl Fn(&World, &str) -> Command) {
    let (world, secret) = app();
    let gate = Gate::start(&world, &[]);
    check(&world, &secret, |secret| ask(&world, secret));
    drop(gate);
    let mut alone = ask(&world, &secret);
    assert_ne!(run(alone.env("GATE", world.dir.path().join("gate.sock")), b"").code, 0);
}

fn interpreted(program: &str, flag: &str, code: String) -> Command {
    let mut command = Command::new(program);
    command.arg(flag).arg(code);
    command
}

#[test]
fn a_service_in_python_distinguishes_refusals_from_failures() {
    if have("python3") {
        check_at_gate(|_, secret| {
            let end = format!(
                "import os\ntoken = token_of('{secret}', ['read'], os.environ['GATE'])\nprint(token['name'] if token else 'nobody')\n"
            );
            interpreted("python3", "-c", recipes("python").remove(0) + &end)
        });
    }
}

#[test]
fn a_service_in_node_distinguishes_refusals_from_failures() {
    if !have("node") {
        return;
    }
    let print = "then((token) => console.log(token ? token.name : 'nobody'))";
    check_at_gate(|_, secret| {
        let end = format!("tokenOf('{secret}', ['read'], process.env.GATE).{print};\n");
        interpreted("node", "-e", recipes("js").remove(0) + &end)
    });
    let (world, secret) = app();
    check(&world, &secret, |secret| {
        let end = format!(
            "const tokens = new Tokens();\ntokens.tokenOf('{secret}', ['read']).{print}.finally(() => tokens.child.stdin.end());\n"
        );
        interpreted("node", "-e", recipes("js").remove(1) + &end)
    });
}

#[test]
fn a_service_in_go_distinguishes_refusals_from_failures() {
    if !have("go") {
        return;
    }
    let (world, secret) = app();
    check_at_gate(|world, secret| {
        let call = format!("gate.TokenOf(\"{secret}\", \"read\")");
        go(world, &call)
    });
    check(&world, &secret, |secret| go(&world, &format!("start().TokenOf(\"{secret}\", \"read\")")));
}

/// A Go program that uses the recipes and prints the result of this call.
fn go(world: &World, call: &str) -> Command {
    let dir = world.dir.path().join("go");
    fs::create_dir_all(dir.join("gate")).unwrap();
    for (at, code) in recipes("go").into_iter().enumerate() {
        let socket = world.dir.path().join("gate.sock").display().to_string();
        let code = code.replace("/run/tokenctl/gate.sock", &socket);
        fs::write(dir.join(format!("gate/{at}.go")), code).unwrap();
    }
    let main = format!(
        "package main\n\nimport (\n\t\"fmt\"\n\t\"os\"\n\n\t\"recipes/gate\"\n)\n
func fail(err error) {{\n\tif err != nil {{\n\t\tfmt.Fprintln(os.Stderr, err)\n\t\tos.Exit(1)\n\t}}\n}}\n
func start() *gate.Stream {{\n\tstream, err := gate.Start()\n\tfail(err)\n\treturn stream\n}}\n
var _ = start\n
func main() {{\n\ttoken, err := {call}\n\tfail(err)\n\tif token == nil {{\n\t\tfmt.Println(\"nobody\")\n\t}} else {{\n\t\tfmt.Println(token.Name)\n\t}}\n}}\n"
    );
    fs::write(dir.join("go.mod"), "module recipes\n\ngo 1.18\n").unwrap();
    fs::write(dir.join("main.go"), main).unwrap();
    let mut command = Command::new("go");
    // The compiled standard library is cached for the next run.
    let cache = concat!(env!("CARGO_TARGET_TMPDIR"), "/go");
    command
        .args(["run", "."])
        .current_dir(dir)
        .env("GOCACHE", cache)
        .env("GOFLAGS", "-mod=mod")
        .env("HOME", "/");
    command
}
