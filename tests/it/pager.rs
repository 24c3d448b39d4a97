//! Output that is longer than the screen goes through the user's pager.

use std::cell::RefCell;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;

use crate::support::{DAY, Ran, World, have};
use crate::terminals::Screen;

/// A world with a terminal of eight rows and a pager.
fn world() -> World {
    let mut world = World::with_store();
    for name in ["a", "b", "c", "d", "e", "f"] {
        world.create(name, &["--ttl", "9d"]);
    }
    world.at_terminal(&[]);
    world.terminal.height = Some(8);
    world.paged = Some(Rc::new(RefCell::new(Vec::new())));
    world
}

/// Runs a command. Returns its result and the text that went to the pager.
#[track_caller]
fn run(world: &World, args: &[&str]) -> (Ran, String) {
    let ran = world.run(args).ok();
    let paged = world.paged.as_ref().map(|paged| paged.take()).unwrap_or_default();
    (ran, String::from_utf8(paged).expect("the bytes are UTF-8"))
}

#[test]
fn output_that_is_longer_than_the_screen_is_shown_in_the_pager() {
    let world = world();
    // Six rows and a heading leave one row for the prompt.
    let (ran, paged) = run(&world, &["list"]);
    assert_eq!((ran.out.lines().count(), &*paged), (7, ""));
    world.create("g", &["--ttl", "20d"]);
    let (ran, paged) = run(&world, &["list"]);
    assert_eq!((&*ran.out, paged.lines().count()), ("", 8));
    assert_eq!(paged, run(&world, &["list", "--no-pager"]).0.out);
    for args in [&["show", "a"][..], &["audit"], &["settings"], &["list", "--sort", "expires"]] {
        let (ran, paged) = run(&world, args);
        assert!(ran.out.is_empty() && paged.lines().count() > 7, "{args:?}: {}", ran.out);
        let (ran, nothing) = run(&world, &[&["--no-pager"], args].concat());
        assert_eq!((&*nothing, ran.out), ("", paged), "{args:?}");
    }
    world.define(&["a", "b", "c", "d", "e", "f", "g", "h"]);
    let (ran, paged) = run(&world, &["scopes", "list"]);
    assert_eq!((&*ran.out, paged.lines().count()), ("", 9));
    // Messages about the list are printed after it, on the screen.
    world.wait(10 * DAY);
    world.define(&["i"]);
    let (ran, paged) = run(&world, &["audit"]);
    assert_eq!((&*ran.err, paged.contains("scope.define")), ("", true));
    let (ran, _) = run(&world, &["list"]);
    assert_eq!(ran.err, "+6 hidden (revoked or expired), --all shows them\n");
}

#[test]
fn machine_readable_formats_secrets_and_pipes_never_use_the_pager() {
    let mut world = world();
    world.terminal.height = Some(2);
    for args in [
        &["list", "--json"][..],
        &["list", "--format", "jsonl"],
        &["list", "--format", "tsv"],
        &["list", "--format", "names"],
        &["show", "a", "--json"],
        &["audit", "--json"],
        &["settings", "--json"],
        &["create", "new"],
        &["rotate", "new", "--now"],
        &["disable", "--search", "new", "--yes"],
        &["revoke", "new", "--yes"],
        &["--help"],
    ] {
        let (_, paged) = run(&world, args);
        assert_eq!(paged, "", "{args:?}");
    }
    assert_ne!(run(&world, &["list"]).1, "");
    world.env.insert("TERM".to_owned(), "dumb".to_owned());
    assert_eq!(run(&world, &["list"]).1, "");
    world.env.clear();
    for (stdin, stdout) in [(false, true), (true, false)] {
        (world.terminal.stdin, world.terminal.stdout) = (stdin, stdout);
        for args in [&["list", "--format", "table"][..], &["audit"], &["show", "a"]] {
            let (ran, paged) = run(&world, args);
            assert!(ran.out.lines().count() > 2 && paged.is_empty(), "{args:?}");
        }
    }
}

#[test]
fn an_unknown_height_of_the_screen_is_taken_from_the_environment_or_is_24() {
    let mut world = world();
    world.terminal.height = None;
    assert_eq!(run(&world, &["list"]).1, "");
    world.env.insert("LINES".to_owned(), "7".to_owned());
    assert_ne!(run(&world, &["list"]).1, "");
    for i in 0..16 {
        world.create(&format!("more{i}"), &[]);
    }
    world.env.insert("LINES".to_owned(), "0".to_owned());
    assert_eq!(run(&world, &["list"]).0.out.lines().count(), 23);
    world.create("one", &[]);
    assert_eq!(run(&world, &["list"]).1.lines().count(), 24);
}

/// A shell with this store on a small screen, or `None` if tmux or less is missing.
fn screen(world: &World, env: &[(&str, &str)]) -> Option<Screen> {
    (have("tmux") && have("less")).then(|| Screen::new(world, (60, 12), env))
}

/// The lines on the screen, once one of them starts with this text.
#[track_caller]
fn see(screen: &Screen, start: &str) -> Vec<String> {
    screen.wait(start).lines().map(str::to_owned).collect()
}

/// A store of the real program with a token and this many copies of it.
fn crowd(count: usize) -> World {
    let world = World::of_processes();
    world.mint("demo");
    world.multiply("demo", count);
    world
}

#[test]
fn less_shows_the_first_screen_and_restores_the_terminal() {
    let world = crowd(5_000);
    let Some(screen) = screen(&world, &[]) else { return };
    screen.run("clear; stty -g >before; tokenctl list && stty -g | cmp - before");
    let shown = see(&screen, ":");
    assert!(shown[0].starts_with("NAME ") && shown[10].starts_with("demo-00000009  active "), "{shown:#?}");
    // Ctrl-C is handled by less, and an open list does not block other commands.
    screen.press(&["C-c"]);
    world.mint("another");
    screen.press(&["Space"]);
    see(&screen, "demo-00000020");
    world.real(&["revoke", "another", "--yes"], b"").ok();
    screen.press(&["q"]);
    let shown = see(&screen, "EXIT ");
    assert!(shown.contains(&"EXIT 0".to_owned()), "{shown:#?}");
}

#[test]
fn a_pager_gets_the_whole_list_and_its_environment_variables() {
    let world = crowd(2_500);
    let pager = world.dir.path().join("pager");
    let script =
        "#!/bin/sh\nhere=$(dirname \"$0\")\necho \"$LESS $LV\" >\"$here/env\"\nwc -l >\"$here/count\"\n";
    std::fs::write(&pager, script).expect("the file can be written");
    let run = |path: &Path| Command::new("chmod").arg("+x").arg(path).status().expect("chmod runs");
    assert!(run(&pager).success());
    let read =
        |name: &str| std::fs::read_to_string(world.dir.path().join(name)).expect("the file can be read");
    for (env, expected) in [(&[][..], "FRX -c\n"), (&[("LESS", "S"), ("LV", "")], "-R S \n")] {
        let env = [env, &[("PAGER", pager.to_str().expect("the path is UTF-8"))]].concat();
        let Some(screen) = screen(&world, &env) else { return };
        screen.run("clear; tokenctl list");
        assert_eq!(see(&screen, "EXIT ")[0], "EXIT 0", "only the pager got the list");
        assert_eq!((&*read("env"), read("count").trim()), (expected, "2502"));
        std::fs::remove_file(world.dir.path().join("count")).expect("the file can be removed");
        screen.run("clear; tokenctl list --limit 3");
        let shown = see(&screen, "EXIT 0");
        assert!(shown[0].starts_with("NAME ") && !world.dir.path().join("count").exists(), "{shown:#?}");
    }
}

#[test]
fn a_command_succeeds_even_if_its_pager_exits_early_or_fails() {
    let world = crowd(20_000);
    for pager in ["head -n 2", "head -n 2; exit 9"] {
        let Some(screen) = screen(&world, &[("PAGER", pager)]) else { return };
        screen.run("clear; tokenctl list");
        let shown = see(&screen, "EXIT ");
        assert!(shown[0].starts_with("NAME ") && shown[1].starts_with("demo "), "{shown:#?}");
        assert!(shown.contains(&"EXIT 0".to_owned()), "{shown:#?}");
    }
}

#[test]
fn the_program_waits_until_the_pager_exits() {
    let world = crowd(30);
    let Some(screen) = screen(&world, &[("PAGER", "cat >seen; sleep 1; touch left")]) else { return };
    screen.run("clear; tokenctl list && test -e left");
    assert_eq!(see(&screen, "EXIT ")[0], "EXIT 0");
}

#[test]
fn without_a_working_pager_the_output_goes_to_the_terminal() {
    let world = crowd(30);
    for pager in ["", "cat", "no-such-pager -x", "/nowhere/pager", "/etc/passwd"] {
        let Some(screen) = screen(&world, &[("PAGER", pager)]) else { return };
        screen.run("clear; tokenctl list");
        let shown = see(&screen, "EXIT 0");
        let last = &shown[shown.len() - 3];
        assert!(last.starts_with("demo-00000030"), "{pager}: {shown:#?}");
    }
}
