//! `man`: the manual pages, generated from the same command line and texts as the help.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::{Arg, Args, Command};
use clap_mangen::Man as Clap;
use clap_mangen::roff::{Roff, bold, italic, roman};

use super::help::{self, Example, GROUPS, only};
use crate::app::{App, Outcome};
use crate::domain::code::EXITS;
use crate::error::Error;
use crate::ui::json::ManDoc;

/// The date of this version. It is set by hand, so that a page depends on its source alone.
const DATE: &str = "2026-11-22";

/// The environment variables that the program reads, as in docs/reference.md.
pub const ENVIRONMENT: [(&str, &str); 11] = [
    ("TOKENCTL_STORE, XDG_DATA_HOME, HOME", "where the store is"),
    (
        "TOKENCTL_TRUST_GROUP",
        "`1` has the effect of `--trust-group`, for a store that `--store` or `TOKENCTL_STORE` names",
    ),
    (
        "NO_COLOR, TERM=dumb",
        "no colour. With `TERM=dumb` also no pager, and questions are plain lines with numbered choices",
    ),
    (
        "CLICOLOR_FORCE",
        "colour even without a terminal. `--color always` and `--color never` override all three variables",
    ),
    (
        "PAGER",
        "the command that shows long output, run with `sh -c`; empty or `cat` means no pager. The default is `less`. \
         If LESS is not set, tokenctl sets it to `FRX`, otherwise it puts `-R` before it; LV defaults to `-c`",
    ),
    (
        "LC_ALL, LC_CTYPE, LANG",
        "if they do not name UTF-8, or with `TERM=dumb`, icons are left out and `…` is printed as `...`",
    ),
    ("COLUMNS, LINES", "the size of a terminal that does not report one; the default is 80 × 24"),
    ("WAYLAND_DISPLAY, DISPLAY, XAUTHORITY, XDG_RUNTIME_DIR, TMUX", "where `--copy` finds a clipboard"),
    ("TZ", "the time zone for dates like `2027-06-30`. Output is in UTC"),
    ("TOKENCTL_COMPLETE", "used by the completion scripts, which run `tokenctl -- …`"),
    ("SUDO_USER, LOGNAME", "recorded in the log next to the user id, as information that is not verified"),
];

/// The files of a store, as in docs/reference.md.
pub const FILES: [(&str, &str); 5] = [
    (
        "~/.local/share/tokenctl/tokens.db",
        "an SQLite database with the tokens, the scopes, the settings and the log; `--store` names another store",
    ),
    ("~/.local/share/tokenctl/usage.secrets", "when each secret was last used; can be deleted"),
    ("~/.local/share/tokenctl/usage.scopes", "when each granted scope was last required; can be deleted"),
    (
        "~/.local/share/tokenctl/usage.refused",
        "when a revoked or expired secret was last presented; can be deleted",
    ),
    (
        "~/.local/share/tokenctl/tokens.db.v1",
        "the database before its migration from version 1; tokenctl does not read it, so it can be deleted",
    ),
];

/// The exit code for a store that cannot be used. A verb without this code does not use a store.
const NEEDS_STORE: u8 = 6;

#[derive(Args)]
pub struct Man {
    /// Write a page for each command into this directory
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// A manual page by the name of its file.
struct Page {
    name: String,
    text: String,
}

impl Man {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let pages = pages().map_err(Error::Output)?;
        if let Some(dir) = &self.dir {
            make(dir)?;
            for page in &pages {
                let path = dir.join(&page.name);
                write(dir, &path, &page.text).map_err(|err| Error::File { path, err })?;
            }
        }
        if app.json() {
            let path = self.dir.as_ref().map(|dir| dir.to_string_lossy());
            let pages = pages.iter().map(|page| &*page.name).collect();
            app.print_json(&ManDoc { path: path.as_deref(), pages })?;
        } else if let Some(dir) = &self.dir {
            app.talk().note(&format!("wrote {} pages to {}", pages.len(), dir.display()));
        } else {
            app.print(pages.first().map_or("", |page| &page.text))?;
        }
        Ok(Outcome::Done)
    }
}

/// Creates a directory and its parents. Everybody can read them, unlike the other files that the program writes.
fn make(dir: &Path) -> Result<(), Error> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make(parent)?;
    }
    let readable = fs::Permissions::from_mode(0o755);
    fs::create_dir(dir)
        .and_then(|()| fs::set_permissions(dir, readable))
        .map_err(|err| Error::File { path: dir.to_owned(), err })
}

/// Writes a page as a whole or not at all.
fn write(dir: &Path, path: &Path, text: &str) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(".tokenctl-").tempfile_in(dir)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    file.persist(path).map(drop).map_err(|err| err.error)
}

/// The page of the program, then those of the verbs.
fn pages() -> io::Result<Vec<Page>> {
    let root = help::tree(0);
    let mut open = vec![&root];
    let mut pages = Vec::new();
    while let Some(command) = open.pop() {
        pages.push(page(command, &root)?);
        open.extend(help::below(command).into_iter().rev());
    }
    Ok(pages)
}

fn page(command: &Command, root: &Command) -> io::Result<Page> {
    let path = help::path(command);
    let verb = help::verb(path);
    let mut shown = command.clone();
    let usage = shown.render_usage().to_string();
    let more: Vec<String> = verb.iter().flat_map(|verb| verb.more).map(|more| format!("\n{more}.")).collect();
    let about = shown.get_about().map(ToString::to_string).unwrap_or_default();
    let shown = shown
        .override_usage(usage.trim_start_matches("Usage:").trim().to_owned())
        .long_about(format!("{about}.\n{}", more.join("\n")))
        .mut_args(with_values);
    let (own, global) = (Clap::new(only(shown.clone(), false)), Clap::new(only(shown, true)));
    let mut text = Vec::new();
    title(&manual(command), root).to_writer(&mut text)?;
    own.render_name_section(&mut text)?;
    own.render_synopsis_section(&mut text)?;
    own.render_description_section(&mut text)?;
    let mut options = Vec::new();
    own.render_options_section(&mut options)?;
    global.render_options_section(&mut options)?;
    text.extend(one_section(&String::from_utf8_lossy(&options)).into_bytes());
    let mut rest = Roff::new();
    commands(&mut rest, command);
    if let Some(verb) = verb {
        examples(&mut rest, verb.examples);
        exits(&mut rest, verb.exits, path.is_empty());
        let has_store = verb.exits.contains(&NEEDS_STORE);
        let environment = ENVIRONMENT.iter().filter(|(names, _)| has_store || names.contains("COLOR"));
        table(&mut rest, "ENVIRONMENT", environment);
        if has_store {
            table(&mut rest, "FILES", FILES.iter());
        }
    }
    see_also(&mut rest, command, root);
    rest.to_writer(&mut text)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(Page { name: own.get_filename(), text: tidied(&text) })
}

/// Puts the possible values of an argument into its line, as in the help.
fn with_values(arg: Arg) -> Arg {
    let values: Vec<String> = arg.get_possible_values().iter().map(|it| it.get_name().to_owned()).collect();
    if values.is_empty() || arg.is_hide_possible_values_set() {
        return arg;
    }
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    arg.help(format!("{help} [possible values: {}]", values.join(", "))).hide_possible_values(true)
}

/// The header of a page. Lines are not justified, and words are not broken.
fn title(name: &str, root: &Command) -> Roff {
    let source = format!("tokenctl {}", root.get_version().unwrap_or_default());
    let mut roff = Roff::new();
    roff.control("TH", [&*name.to_uppercase(), "1", DATE, &source, "\"\""]);
    roff.control("nh", []).control("ad", ["l"]);
    roff
}

/// Keeps only the preamble at the top, and shows words in backticks in bold.
fn tidied(text: &str) -> String {
    let preamble = Roff::new().render();
    let once = format!("{preamble}{}", text.replace(&preamble, ""));
    let parts = once.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 0 { part.to_owned() } else { format!("\\fB{part}\\fR") }).collect()
}

/// Turns clap's sections of options into one section with a subsection for each heading.
fn one_section(options: &str) -> String {
    let mut text = ".SH OPTIONS\n".to_owned();
    for line in options.lines() {
        match line.strip_prefix(".SH ").map(|heading| heading.trim_matches('"')) {
            Some("OPTIONS") => {}
            Some(heading) => {
                let (first, rest) = heading.split_at(1);
                text.push_str(&format!(".SS \"{first}{}\"\n", rest.to_lowercase()));
            }
            None => text.push_str(&format!("{line}\n")),
        }
    }
    text
}

fn commands(roff: &mut Roff, command: &Command) {
    if !command.has_subcommands() {
        return;
    }
    roff.control("SH", ["COMMANDS"]);
    let list = |roff: &mut Roff, verb: &Command| {
        roff.control("TP", []);
        roff.text([bold(format!("{}(1)", manual(verb)))]);
        roff.text([roman(format!("{}.", verb.get_about().map(ToString::to_string).unwrap_or_default()))]);
    };
    if !help::path(command).is_empty() {
        for verb in help::below(command) {
            list(roff, verb);
        }
        return;
    }
    for group in &GROUPS {
        roff.control("SS", [group.name]);
        for verb in group.verbs.iter().filter_map(|verb| command.find_subcommand(verb)) {
            list(roff, verb);
        }
    }
}

fn examples(roff: &mut Roff, examples: &[Example]) {
    roff.control("SH", ["EXAMPLES"]);
    for (at, Example(does, line)) in examples.iter().enumerate() {
        if at > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(format!("{does}:"))]);
        roff.control("PP", []).control("RS", ["4"]).control("nf", []);
        roff.text([roman(*line)]).control("fi", []).control("RE", []);
    }
}

/// The exit codes of a verb. The page of the program also lists the codes of `--json`.
fn exits(roff: &mut Roff, exits: &[u8], with_codes: bool) {
    roff.control("SH", ["EXIT STATUS"]);
    for row in EXITS.iter().filter(|row| exits.contains(&row.exit)) {
        roff.control("TP", []).text([bold(row.exit.to_string())]);
        let codes = row.codes();
        let codes =
            if with_codes && !codes.is_empty() { format!(" ({})", codes.join(", ")) } else { String::new() };
        roff.text([roman(format!("{}{codes}", row.meaning))]);
    }
}

fn table<'a>(roff: &mut Roff, heading: &str, rows: impl Iterator<Item = &'a (&'a str, &'a str)>) {
    roff.control("SH", [heading]);
    for (name, text) in rows {
        roff.control("TP", []).text([italic(*name)]).text([roman(*text)]);
    }
}

/// The pages of the parent command, the subcommands, and the commands with the same parent.
fn see_also(roff: &mut Roff, command: &Command, root: &Command) {
    let name = manual(command);
    let path = help::path(command);
    let top = path.split(' ').next().and_then(|first| root.find_subcommand(first)).unwrap_or(root);
    let group = GROUPS.iter().find(|group| group.verbs.contains(&path));
    let beside = group.iter().flat_map(|group| group.verbs).filter_map(|verb| root.find_subcommand(verb));
    let others = [root, top].into_iter().chain(help::below(top)).chain(beside);
    let mut names: Vec<String> = Vec::new();
    for other in others.map(manual) {
        if other != name && !names.contains(&other) {
            names.push(other);
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    let mut line = Vec::new();
    for other in names {
        if !line.is_empty() {
            line.push(roman(", "));
        }
        line.extend([bold(other), roman("(1)")]);
    }
    roff.text(line);
}

/// The name of a command's page.
fn manual(command: &Command) -> String {
    command.get_bin_name().unwrap_or("tokenctl").replace(' ', "-")
}
