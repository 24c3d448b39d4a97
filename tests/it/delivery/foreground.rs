//! Commands that receive a secret and use the terminal while they run.

use std::fs;

use crate::support::{World, have};
use crate::terminals::Screen;

#[test]
fn a_command_can_ask_on_the_terminal() {
    if !have("tmux") {
        return;
    }
    let world = World::of_processes();
    let screen = Screen::new(&world, (80, 24), &[]);
    screen
        .run("tokenctl create demo --exec 'echo Sure; read answer </dev/tty; echo $answer >said; cat >got'");
    screen.wait("Sure");
    screen.type_text("indeed");
    screen.press(&["Enter"]);
    screen.wait("EXIT 0");
    assert_eq!(fs::read_to_string(world.path("said")).expect("the file can be read"), "indeed\n");
    let got = fs::read(world.path("got")).expect("the file can be read");
    assert_eq!(world.real(&["verify"], &got).ok().line(), "valid demo");
    // The shell can read from its terminal again.
    screen.run("read again; echo $again");
    screen.type_text("mine");
    screen.press(&["Enter"]);
    screen.wait_for("EXIT 0", |shown| shown.contains("\nmine\nEXIT 0"));
}

#[test]
fn ctrl_c_in_a_command_on_the_terminal_interrupts_the_delivery() {
    if !have("tmux") {
        return;
    }
    let world = World::of_processes();
    let screen = Screen::new(&world, (80, 24), &[]);
    screen.run("tokenctl create demo --exec 'cat >got; echo Ready; exec sleep 600'");
    screen.wait("Ready");
    screen.press(&["C-c"]);
    let shown = screen.wait("EXIT 130");
    assert!(shown.contains("interrupted; nothing was changed"), "{shown}");
    let got = fs::read(world.path("got")).expect("the file can be read");
    assert_eq!(world.real(&["verify"], &got).exit(3).line(), "unknown");
}

#[test]
fn a_script_can_use_its_terminal_again_after_the_command() {
    if !have("tmux") {
        return;
    }
    let world = World::of_processes();
    let screen = Screen::new(&world, (80, 24), &[]);
    // Unlike an interactive shell, a script has no job control, so it would not take the terminal back by itself.
    world.write("script", "tokenctl create demo -q --exec 'cat >got'; echo Next; read next; echo $next\n");
    screen.run("sh script");
    screen.wait("Next");
    screen.type_text("mine");
    screen.press(&["Enter"]);
    screen.wait_for("EXIT 0", |shown| shown.contains("\nmine\nEXIT 0"));
}
