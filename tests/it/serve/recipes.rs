//! The clients of docs/recipes.md, run against a gate. That in Go is not run: there is no Go among the tools of the tests.

use std::process::Command;

use super::{Gate, app};
use crate::support::{Ran, World, have, run};

const RECIPES: &str = include_str!("../../../docs/recipes.md");

fn recipe(language: &str) -> String {
    let (_, rest) = RECIPES.split_once(&format!("```{language}\n")).expect("a recipe");
    rest.split_once("```").expect("its end").0.to_owned()
}

fn check(program: &str, flag: &str, code: impl Fn(&str) -> String) {
    if !have(program) {
        return;
    }
    let (world, secret) = app();
    let gate = Gate::start(&world, &[]);
    let ask = |secret: &str, world: &World| -> Ran {
        let socket = world.dir.path().join("gate.sock");
        run(Command::new(program).args([flag, &code(secret)]).env("GATE", socket), b"")
    };
    assert_eq!(ask(&secret, &world).ok().out, "app\n");
    assert_eq!(ask("nobody-has-this-secret", &world).ok().out, "nobody\n");
    std::fs::rename(world.store(), world.dir.path().join("away")).unwrap();
    let failed = ask(&secret, &world);
    assert!(failed.code != 0 && failed.out.is_empty() && !failed.err.is_empty(), "{failed:?}");
    drop(gate);
    assert_ne!(ask(&secret, &world).code, 0);
}

#[test]
fn the_client_in_python_tells_a_token_from_a_failure() {
    check("python3", "-c", |secret| {
        let end = format!(
            "import os\ntoken = token_of('{secret}', ['read'], os.environ['GATE'])\nprint(token['name'] if token else 'nobody')\n"
        );
        recipe("python") + &end
    });
}

#[test]
fn the_client_in_node_tells_a_token_from_a_failure() {
    check("node", "-e", |secret| {
        let end = format!(
            "tokenOf('{secret}', ['read'], process.env.GATE).then((token) => console.log(token ? token.name : 'nobody'));\n"
        );
        recipe("js") + &end
    });
}
