//! Writes `.cargo/order.ld`, by which the linker puts the functions that `verify` calls next to each other. A page fault
//! maps 64 KiB of the program, so the nearer they are to each other, the fewer page faults `verify` has.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::process::Command;

use crate::instructions::callgrind;
use crate::stocked::Stocked;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.cargo/order.ld");

/// Writes the script from the functions that `verify` calls now. It is used when the program is linked again.
pub fn write(store: &Stocked) {
    let profile = store.path("profile");
    callgrind(store, &["verify"], &["--demangle=no", &format!("--callgrind-out-file={profile}")]);
    let profile = fs::read_to_string(profile).expect("the profile can be read");
    let members = members();
    let sections: BTreeSet<String> =
        profile.lines().filter_map(called).map(|name| section(name, &members)).collect();
    let sections: Vec<String> = sections.iter().map(|section| format!("    {section}\n")).collect();
    let sections = sections.concat();
    let script = format!(
        "/* The functions that `verify` calls, as `cargo bench -- --order` found them. */\n\
         SECTIONS {{\n  .text.verify : {{\n{sections}  }}\n}}\nINSERT BEFORE .text;\n"
    );
    fs::write(SCRIPT, script).expect("the script can be written");
}

/// The function in a line `fn=(NUMBER) NAME` or `cfn=(NUMBER) NAME`. Recursion adds an apostrophe and a number to the name.
/// Code without a name is `(below main)`, or an address.
fn called(line: &str) -> Option<&str> {
    let (_, name) = line.strip_prefix('c').unwrap_or(line).strip_prefix("fn=(")?.split_once(") ")?;
    name.split('\'').next().filter(|name| !name.starts_with('(') && !name.starts_with("0x"))
}

/// The pattern of the section that contains a function. Another compiler gives the same function of Rust another hash.
fn section(name: &str, members: &HashMap<String, String>) -> String {
    if let Some(member) = members.get(name) {
        // `memcpy-avx2.o` is one of several, of which each processor uses another.
        let member = member.split_once('-').map_or(member.clone(), |(name, _)| format!("{name}-*"));
        return format!("*libc.a:{member}(.text .text.*)");
    }
    let pattern = if name.starts_with("_R") {
        let mut crates = name.split("Cs");
        let first = crates.next().unwrap_or_default().to_owned();
        let rest = crates.map(|text| text.trim_start_matches(|c: char| c.is_ascii_alphanumeric()));
        rest.fold(first, |pattern, rest| format!("{pattern}Cs*{rest}")) + "*"
    } else if let Some((path, _)) = name.strip_prefix("_ZN").and_then(|path| path.rsplit_once("17h")) {
        format!("_ZN{path}17h*")
    } else {
        name.to_owned()
    };
    let pattern = pattern.replace('$', "?");
    // A function that is declared cold is in `.text.unlikely.NAME`.
    format!("*(.text.{pattern} .text.*.{pattern})")
}

/// The file in the archive of the C library that defines each of its functions.
fn members() -> HashMap<String, String> {
    let output = |command: &mut Command| {
        let output = command.output().expect("a C compiler and binutils are installed").stdout;
        String::from_utf8(output).expect("the output is text")
    };
    let archive = output(Command::new("cc").arg("-print-file-name=libc.a"));
    let symbols = output(Command::new("nm").args(["--print-file-name", "--defined-only", archive.trim()]));
    // Each line is `ARCHIVE:MEMBER:ADDRESS KIND NAME`.
    let defined = symbols.lines().filter_map(|line| {
        let (file, symbol) = line.rsplit_once(':')?;
        let [_, kind, name] = symbol.split(' ').collect::<Vec<_>>().try_into().ok()?;
        ["T", "t", "W", "i"]
            .contains(&kind)
            .then(|| (name.to_owned(), file.rsplit(':').next().unwrap_or_default().to_owned()))
    });
    defined.collect()
}
