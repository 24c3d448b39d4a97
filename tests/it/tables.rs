//! Output on terminals of different widths: tables and pages fit, and columns are aligned.

use proptest::prelude::*;
use tokenctl::ui::Screen;
use tokenctl::ui::table::{Cell, Column, Fill, Table};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::support::{DAY, MINUTE, World};

const LONG: &str = "customer-portal-production-eu-west-1";

/// A token of every status, with icons, wide characters and names that differ only at their ends, and a terminal
/// without colours.
fn office() -> World {
    let mut world = World::with_store();
    world.define(&["events:read", "events:write", "hooks:send"]);
    let everything = "All that the operations team needs, be it day or night";
    world
        .run(&["scopes", "define", "admin", "--includes", "events:read,events:write", "-d", everything])
        .ok();
    let (primary, standby) = (format!("{LONG}-primary"), format!("{LONG}-standby"));
    let tokens: [(&str, &[&str]); 9] = [
        ("ci-deploy", &["-s", "events:read", "--owner", "ann", "--icon", "🔑", "-d", "Deploys the site"]),
        (&primary, &["--all-scopes", "--owner", "Größe GmbH & Co", "--icon", "⚙️", "--ttl", "365d"]),
        (&standby, &["-s", "admin", "--owner", "日本語チーム", "-d", "予備の説明です", "--ttl", "365d"]),
        ("nightly", &["-s", "events:read", "--icon", "🇩🇪", "--ttl", "25d", "-d", "Thumbs 👍🏽 up"]),
        ("later", &["-s", "hooks:send", "--no-expiry", "--not-before", "30d"]),
        ("asleep", &["-s", "hooks:send", "--ttl", "20d"]),
        ("gone", &["-s", "hooks:send"]),
        ("over", &["-s", "hooks:send", "--ttl", "1h"]),
        ("half-made", &["-s", "hooks:send"]),
    ];
    for (name, args) in tokens {
        world.create(name, args);
    }
    world.run(&["scopes", "retire", "hooks:send"]).ok();
    world.run(&["disable", "asleep"]).ok();
    world
        .run(&["revoke", "gone", "-y", "--reason", "found in a public repository, nobody knows since when"])
        .ok();
    world.wait(15 * DAY);
    let deadline = world.now() + 5 * MINUTE;
    world.sql(&format!(
        "UPDATE events SET subject = (SELECT printf('id%010d', row) FROM tokens WHERE id = subject)
         WHERE subject IN (SELECT id FROM tokens);
         UPDATE tokens SET id = printf('id%010d', row);
         UPDATE secret SET hint = printf('tkn_%04d…', row);
         UPDATE secret SET delivered_at = NULL, expires_at = {deadline}
         WHERE token = (SELECT row FROM tokens WHERE name = 'half-made')"
    ));
    world.at_terminal(&[]);
    world.env.insert("NO_COLOR".to_owned(), "1".to_owned());
    world
}

/// The output of a command on a terminal of this width. Fails if a line is too wide or ends with a space.
#[track_caller]
fn at(world: &mut World, width: u16, args: &[&str]) -> String {
    world.terminal.width = Some(width);
    let text = world.run(args).ok().out;
    for line in text.lines() {
        assert!(line.width() <= usize::from(width), "{width} columns: {line}");
        assert_eq!(line, line.trim_end(), "{width} columns");
    }
    text
}

#[test]
fn a_list_shows_as_many_columns_as_fit_the_terminal() {
    let mut world = office();
    let expected = [
        (10, "NAME
asleep
ci-deploy
custo…mary
custo…ndby
gone
half-made
later
nightly
over
"),
        (40, "   NAME        STATUS       EXPIRES
   asleep      disabled     in 5 days
🔑 ci-deploy   active       in 3 months
⚙  custo…mary  active       in 12 months
   custo…ndby  active       in 12 months
   gone        revoked      -
   half-made   provisional  in 5 minutes
   later       pending      never
🇩🇪 nightly     active       in 10 days
   over        expired      15 days ago
"),
        (60, "   NAME                 STATUS       EXPIRES       LAST USED
   asleep               disabled     in 5 days     never
🔑 ci-deploy            active       in 3 months   never
⚙  customer-…1-primary  active       in 12 months  never
   customer-…1-standby  active       in 12 months  never
   gone                 revoked      -             never
   half-made            provisional  in 5 minutes  never
   later                pending      never         never
🇩🇪 nightly              active       in 10 days    never
   over                 expired      15 days ago   never
"),
        (80, "   NAME                           STATUS       EXPIRES       LAST USED  OWNER
   asleep                         disabled     in 5 days     never      -
🔑 ci-deploy                      active       in 3 months   never      ann
⚙  customer-porta…west-1-primary  active       in 12 months  never      Größe G…
   customer-porta…west-1-standby  active       in 12 months  never      日本語…
   gone                           revoked      -             never      -
   half-made                      provisional  in 5 minutes  never      -
   later                          pending      never         never      -
🇩🇪 nightly                        active       in 10 days    never      -
   over                           expired      15 days ago   never      -
"),
        (120, "   NAME                            STATUS       EXPIRES       LAST USED  OWNER     SCOPES        ID            SECRET
   asleep                          disabled     in 5 days     never      -         hooks:send    id0000000006  tkn_0006…
🔑 ci-deploy                       active       in 3 months   never      ann       events:read   id0000000001  tkn_0001…
⚙  customer-portal…west-1-primary  active       in 12 months  never      Größe G…  admin,event…  id0000000002  tkn_0002…
   customer-portal…west-1-standby  active       in 12 months  never      日本語…   admin         id0000000003  tkn_0003…
   gone                            revoked      -             never      -         hooks:send    id0000000007  tkn_0007…
   half-made                       provisional  in 5 minutes  never      -         hooks:send    id0000000009  tkn_0009…
   later                           pending      never         never      -         hooks:send    id0000000005  tkn_0005…
🇩🇪 nightly                         active       in 10 days    never      -         events:read   id0000000004  tkn_0004…
   over                            expired      15 days ago   never      -         hooks:send    id0000000008  tkn_0008…
"),
        (200, "   NAME                                          STATUS       EXPIRES       LAST USED  OWNER            SCOPES                                    ID            SECRET     CREATED      DESCRIPTION
   asleep                                        disabled     in 5 days     never      -                hooks:send                                id0000000006  tkn_0006…  15 days ago  -
🔑 ci-deploy                                     active       in 3 months   never      ann              events:read                               id0000000001  tkn_0001…  15 days ago  Deploys the site
⚙  customer-portal-production-eu-west-1-primary  active       in 12 months  never      Größe GmbH & Co  admin,events:read,events:write,hooks:se…  id0000000002  tkn_0002…  15 days ago  -
   customer-portal-production-eu-west-1-standby  active       in 12 months  never      日本語チーム     admin                                     id0000000003  tkn_0003…  15 days ago  予備の説明です
   gone                                          revoked      -             never      -                hooks:send                                id0000000007  tkn_0007…  15 days ago  -
   half-made                                     provisional  in 5 minutes  never      -                hooks:send                                id0000000009  tkn_0009…  15 days ago  -
   later                                         pending      never         never      -                hooks:send                                id0000000005  tkn_0005…  15 days ago  -
🇩🇪 nightly                                       active       in 10 days    never      -                events:read                               id0000000004  tkn_0004…  15 days ago  Thumbs 👍 up
   over                                          expired      15 days ago   never      -                hooks:send                                id0000000008  tkn_0008…  15 days ago  -
"),
    ];
    for (width, expected) in expected {
        let text = at(&mut world, width, &["list", "--all"]);
        assert_eq!(text, expected, "{width} columns:\n{text}");
    }
}

#[test]
fn a_wide_page_continues_on_indented_lines() {
    let mut world = office();
    let expected: [(u16, &[&str], &str); 3] = [
        (
            40,
            &["show", "customer-portal-production-eu-west-1-primary"],
            "\
⚙ customer-portal-production-eu-  active
  west-1-primary
  id           id0000000002
  owner        Größe GmbH & Co
  created      2026-11-22T12:00:00Z (15
               days ago) by tester
  expires      2027-11-22T12:00:00Z (in
               12 months)
  lifetime     365d for every new secret
  last used    never
scopes
  admin
  events:read
  events:write
  hooks:send
secrets
  tkn_0002…  current  active
    expires in 12 months
events
  2026-11-22T12:00:00Z  create  tester
",
        ),
        (
            40,
            &["show", "gone"],
            "\
gone  revoked
  id           id0000000007
  created      2026-11-22T12:00:00Z (15
               days ago) by tester
  expires      2027-02-20T12:00:00Z (in
               3 months)
  lifetime     90d for every new secret
  last used    never
  revoked      2026-11-22T12:00:00Z (15
               days ago)
scopes
  hooks:send
secrets
  tkn_0007…  current  revoked
    revoked 15 days ago
events
  2026-11-22T12:00:00Z  create  tester
  2026-11-22T12:00:00Z  revoke  tester
    found in a public repository, nobody
    knows since when
",
        ),
        (
            80,
            &["show", "gone"],
            "\
gone  revoked
  id           id0000000007
  created      2026-11-22T12:00:00Z (15 days ago) by tester
  expires      2027-02-20T12:00:00Z (in 3 months)
  lifetime     90d for every new secret
  last used    never
  revoked      2026-11-22T12:00:00Z (15 days ago)
scopes
  hooks:send
secrets
  tkn_0007…  current  revoked  revoked 15 days ago
events
  2026-11-22T12:00:00Z  create  tester
  2026-11-22T12:00:00Z  revoke  tester  found in a public repository, nobody
                                        knows since when
",
        ),
    ];
    for (width, args, expected) in expected {
        let text = at(&mut world, width, args);
        assert_eq!(text, expected, "{width} columns:\n{text}");
    }
}

#[test]
fn a_wide_table_continues_on_indented_lines() {
    let mut world = office();
    let expected: [(u16, &[&str], &str); 4] = [
        (
            40,
            &["scopes", "list"],
            "\
SCOPE         INCLUDES            TOKENS
  RETIRED      DESCRIPTION
admin         events:read,        2
              events:write
               All that the operations
               team needs, be it day or
               night
events:read                       3
events:write                      1
hooks:send                        5
  15 days ago
",
        ),
        (
            80,
            &["scopes", "list"],
            "\
SCOPE         INCLUDES                 TOKENS  RETIRED      DESCRIPTION
admin         events:read,             2                    All that the
              events:write                                  operations team
                                                            needs, be it day or
                                                            night
events:read                            3
events:write                           1
hooks:send                             5       15 days ago
",
        ),
        (
            40,
            &["audit", "--all", "--token", "gone"],
            "\
SEQ  TIME                  ACTION
  ABOUT  BY
  CHANGES
  REASON
19   2026-11-22T12:00:00Z  create
  gone   tester
  scopes: +hooks:send; expires_at:
  +2027-02-20T12:00:00Z; ttl: +90d;
  secrets: +tkn_NTqN…
20   2026-11-22T12:00:00Z  confirm
  gone   tester
27   2026-11-22T12:00:00Z  revoke
  gone   tester
  revoked_secrets: +tkn_NTqN…
  found in a public repository, nobody
  knows since when
",
        ),
        (
            80,
            &["audit", "--all", "--token", "gone"],
            "\
SEQ  TIME                  ACTION   ABOUT  BY      CHANGES
  REASON
19   2026-11-22T12:00:00Z  create   gone   tester  scopes: +hooks:send;
                                                   expires_at:
                                                   +2027-02-20T12:00:00Z; ttl:
                                                   +90d; secrets: +tkn_NTqN…
20   2026-11-22T12:00:00Z  confirm  gone   tester
27   2026-11-22T12:00:00Z  revoke   gone   tester  revoked_secrets: +tkn_NTqN…
  found in a public repository, nobody knows since when
",
        ),
    ];
    for (width, args, expected) in expected {
        let text = at(&mut world, width, args);
        assert_eq!(text, expected, "{width} columns:\n{text}");
    }
}

#[test]
fn no_line_is_wider_than_the_terminal_and_columns_are_aligned() {
    let mut world = office();
    world.run(&["settings", "url", "https://api.example.com/v1/events?of=everything-that-happened"]).ok();
    world.run(&["settings", "require-owner", "true"]).ok();
    let primary = format!("{LONG}-primary");
    for width in 1..20 {
        world.terminal.width = Some(width);
        for args in
            [&["list", "--all"][..], &["show", &primary], &["scopes", "list"], &["audit"], &["settings"]]
        {
            world.run(args).ok();
        }
    }
    for width in 20..=220 {
        assert_aligned(&at(&mut world, width, &["list", "--all"]));
        assert_aligned(&at(&mut world, width, &["list", "--status", "active", "--sort", "expires"]));
        let chosen = ["list", "--columns", "description,labels,name,scopes,id"];
        for args in [&["show", &primary][..], &["scopes", "list"], &["audit"], &["settings"], &chosen] {
            at(&mut world, width, args);
        }
        world.terminal.width = Some(width);
        let findings = world.run(&["doctor"]).exit(3).out;
        let widest = findings.lines().map(UnicodeWidthStr::width).max();
        assert!(widest <= Some(usize::from(width)), "{width}: {findings}");
    }
}

/// Fails unless every cell starts below the start of its heading.
#[track_caller]
fn assert_aligned(table: &str) {
    let columns: Vec<Vec<char>> = table.lines().map(columns).collect();
    let blank = |line: &[char], at: usize| line.get(at).is_none_or(|c| *c == ' ');
    let starts = |line: &[char], at: usize| !blank(line, at) && (at == 0 || blank(line, at - 1));
    let (heading, rows) = columns.split_first().expect("there is a heading");
    let first_of_word = |at: &usize| starts(heading, *at) && (*at < 2 || blank(heading, at - 2));
    for at in (0..heading.len()).filter(first_of_word) {
        for row in rows {
            assert!(starts(row, at), "column {at}\n{table}");
        }
    }
}

/// A line with one element per terminal column. Wide characters take two columns.
fn columns(line: &str) -> Vec<char> {
    line.chars().flat_map(|c| std::iter::repeat_n(c, c.width().unwrap_or(0))).collect()
}

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop::sample::select(vec![
            "a", "b", "-", ",", " ", "word ", "日", "é", "e\u{301}", "🇩🇪", "🔑", "x:y,",
        ]),
        0..30,
    )
    .prop_map(|parts| parts.concat().trim().to_owned())
}

fn fill() -> impl Strategy<Value = Fill> {
    (0..4, 2..30_usize).prop_map(|(kind, least)| match kind {
        0 => Fill::Whole,
        1 => Fill::Cut(least),
        2 => Fill::CutMiddle(least),
        _ => Fill::Wrap(least),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_table_fits_and_wrapped_text_is_complete(
        cells in proptest::collection::vec(proptest::collection::vec(text(), 4), 0..6),
        fills in proptest::collection::vec(fill(), 4),
        width in 20..=220_usize,
        indent in 0..4_usize,
        drops in any::<bool>(),
    ) {
        let screen = Screen { width: Some(width), ..Screen::default() };
        let rows = || {
            let row = |row: &Vec<String>| row.iter().map(|text| Cell::from(text.as_str())).collect();
            cells.iter().map(row).collect::<Vec<Vec<Cell>>>()
        };
        let columns: Vec<Column> = fills.iter().map(|fill| Column::new("HEADING", *fill)).collect();
        let mut table = Table::new(screen, columns).indented(indent);
        table.drops = drops;
        let text = format!("{}{}", table.headed(rows()), table.rows(rows()));
        for line in text.lines() {
            prop_assert!(line.width() <= width, "{}", line);
            prop_assert_eq!(line, line.trim_end());
        }
        let wraps = |fill: &Fill| match *fill {
            Fill::Cut(least) | Fill::CutMiddle(least) => Fill::Wrap(least),
            fill => fill,
        };
        let columns: Vec<Column> = fills.iter().map(|fill| Column::new("", wraps(fill))).collect();
        let text = Table::new(screen, columns).indented(indent).rows(rows());
        let characters = |text: &str| {
            let mut all: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
            all.sort_unstable();
            all
        };
        prop_assert_eq!(characters(&text), characters(&cells.concat().concat()));
    }
}

#[test]
fn headings_statuses_and_near_expiries_are_coloured() {
    let mut world = office();
    world.env.clear();
    world.at_terminal(&[]);
    let text = at_colour(&world, &["list", "--all", "--columns", "name,status,expires_at"]);
    let expected = "\
{2}   {0}{2}NAME                                          {0}{2}STATUS       {0}{2}EXPIRES     {0}
   asleep                                        {38;5;3}disabled     {39}in 5 days
🔑 ci-deploy                                     {38;5;2}active       {39}in 3 months
⚙  customer-portal-production-eu-west-1-primary  {38;5;2}active       {39}in 12 months
   customer-portal-production-eu-west-1-standby  {38;5;2}active       {39}in 12 months
   gone                                          {38;5;1}revoked      {39}-
   half-made                                     {38;5;3}provisional  {39}in 5 minutes
   later                                         {38;5;3}pending      {39}never
🇩🇪 nightly                                       {38;5;2}active       {39}{38;5;3}in 10 days  {39}
   over                                          {38;5;1}expired      {39}15 days ago
";
    assert_eq!(text, expected, "{text}");
    let page = at_colour(&world, &["show", "nightly"]);
    for part in [
        "🇩🇪 {1}nightly  {0}{38;5;2}active{39}\n",
        "{2}  expires      {0}{38;5;3}2026-12-17T12:00:00Z (in 10 days)",
    ] {
        assert!(page.contains(part), "{page}");
    }
}

/// The output of a command, with colours as `{code}`.
#[track_caller]
fn at_colour(world: &World, args: &[&str]) -> String {
    world.run(args).ok().out.split('\x1b').enumerate().fold(String::new(), |text, (at, part)| {
        let code = part.strip_prefix('[').and_then(|part| part.split_once('m')).filter(|_| at > 0);
        code.map_or(format!("{text}{part}"), |(code, part)| format!("{text}{{{code}}}{part}"))
    })
}

#[test]
fn an_expiry_is_near_within_two_weeks_and_in_the_second_half_of_the_lifetime() {
    let mut world = World::new();
    world.create("week", &["--ttl", "7d"]);
    world.create("month", &["--ttl", "30d"]);
    world.at_terminal(&[]);
    let near = |world: &World| {
        let text = world.run(&["list", "--color", "always", "--columns", "name,expires_at"]).ok().out;
        let yellow = text
            .lines()
            .filter(|line| line.contains("\x1b[38;5;3m"))
            .filter_map(|line| line.split(' ').next());
        yellow.map(str::to_owned).collect::<Vec<_>>()
    };
    let mut passed = 0;
    for (day, expected) in [(3, &[][..]), (4, &["week"]), (15, &[]), (16, &["month"])] {
        world.wait((day - passed) * DAY);
        passed = day;
        assert_eq!(near(&world), expected, "on day {day}");
    }
}

#[test]
fn on_a_terminal_without_unicode_the_output_is_ascii_without_icons() {
    let mut world = office();
    world.terminal.width = Some(40);
    let cases: [(&[(&str, &str)], bool); 8] = [
        (&[("LANG", "de_DE.utf8")], true),
        (&[("LANG", "C"), ("LC_CTYPE", "C.UTF-8")], true),
        (&[("LANG", "C.UTF-8"), ("LC_ALL", "C")], false),
        (&[("LANG", "C")], false),
        (&[("LANG", "de_DE.ISO-8859-1")], false),
        (&[], false),
        (&[("LANG", "C.UTF-8"), ("TERM", "xterm")], true),
        (&[("LANG", "C.UTF-8"), ("TERM", "dumb")], false),
    ];
    for (env, is_unicode) in cases {
        world.env = env.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        world.env.insert("NO_COLOR".to_owned(), "1".to_owned());
        let list = world.run(&["list", "--owner", "日本語チーム"]).ok().out;
        let name = list.lines().nth(1).and_then(|row| row.split(' ').next()).expect("there is a row");
        assert_eq!(name, if is_unicode { "customer-…-standby" } else { "customer...standby" }, "{env:?}");
    }
    let list = world.run(&["list", "--all", "--columns", "name,hint"]).ok().out;
    assert!(list.starts_with("NAME  ") && list.is_ascii() && list.contains("  tkn_0001...\n"), "{list}");
    let page = world.run(&["show", "ci-deploy"]).ok().out;
    assert!(page.starts_with("ci-deploy  active\n") && page.is_ascii(), "{page}");
}

#[test]
fn output_to_a_file_or_a_pipe_is_ascii_if_the_locale_is() {
    let mut world = office();
    world.terminal = World::new().terminal;
    let cases: [(&[(&str, &str)], bool); 6] = [
        (&[("LC_ALL", "C")], false),
        (&[("LANG", "C.UTF-8"), ("LC_ALL", "C")], false),
        (&[("LANG", "C.UTF-8"), ("LC_ALL", "")], true),
        (&[("LANG", "C.UTF-8"), ("TERM", "dumb")], true),
        (&[("LANG", "C.UTF-8")], true),
        // Without a locale, nothing is known about the reader.
        (&[], true),
    ];
    for (env, is_unicode) in cases {
        world.env = env.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let list = world.run(&["list", "--format", "table", "--all", "--columns", "name,hint"]).ok().out;
        let hint = if is_unicode { "  tkn_0001…\n" } else { "  tkn_0001...\n" };
        assert!(list.contains(hint), "{env:?}: {list}");
        let page = world.run(&["show", "ci-deploy"]).ok().out;
        assert_eq!(page.is_ascii(), !is_unicode, "{env:?}: {page}");
    }
}

#[test]
fn characters_that_terminals_draw_in_different_widths_are_simplified() {
    let mut world = World::with_store();
    world.create("a", &["-d", "⚠\u{fe0f} prod", "--owner", "👩\u{1f3fd}\u{200d}💻"]);
    world.create("b", &["-d", "می\u{200c}خواهم", "--owner", "Zoe\u{308}"]);
    let stored = world.show("a");
    assert_eq!(
        (&stored["description"], &stored["owner"]),
        (&"⚠\u{fe0f} prod".into(), &"👩\u{1f3fd}\u{200d}💻".into())
    );
    assert_eq!(world.names(&["--owner", "Zo\u{eb}"]), ["b"]);
    assert!(world.run(&["list", "--format", "csv"]).ok().out.contains("⚠\u{fe0f} prod"));
    world.at_terminal(&[]);
    let list = world.run(&["list", "--columns", "name,description,owner"]).ok().out;
    assert!(list.contains("⚠ prod") && list.contains("👩💻") && list.contains("می\u{200c}خواهم"), "{list}");
    world.terminal = World::new().terminal;
    world.refuses(&["edit", "a", "-d", "a\u{200d}b"], 2, "usage");
}

#[test]
fn an_unknown_width_of_the_terminal_is_taken_from_the_environment_or_is_80() {
    let mut world = office();
    world.terminal.width = None;
    let widest = |world: &World| {
        let text = world.run(&["list", "--all"]).ok().out;
        text.lines().map(UnicodeWidthStr::width).max().expect("there is a line")
    };
    let expected = |world: &mut World, width| {
        let text = at(world, width, &["list", "--all"]);
        world.terminal.width = None;
        text.lines().map(UnicodeWidthStr::width).max().expect("there is a line")
    };
    for (columns, width) in [("120", 120), ("60", 60), ("0", 80), ("x", 80), ("", 80), ("99999999", 80)] {
        world.env.insert("COLUMNS".to_owned(), columns.to_owned());
        assert_eq!(widest(&world), expected(&mut world, width), "{columns}");
    }
    // The width of the terminal takes precedence over the environment.
    world.env.insert("COLUMNS".to_owned(), "200".to_owned());
    at(&mut world, 40, &["list", "--all"]);
}

#[test]
fn output_to_a_pipe_is_neither_shortened_nor_wrapped() {
    let mut world = office();
    world.terminal = World::new().terminal;
    world.env.insert("COLUMNS".to_owned(), "20".to_owned());
    for args in [&["list", "--format", "table"][..], &["show", "gone"], &["audit"], &["scopes", "list"]] {
        let text = world.run(args).ok().out;
        let marks = text.matches('…').count() - text.matches("tkn_").count();
        assert!(text.lines().any(|line| line.width() > 60) && marks == 0, "{text}");
    }
    assert!(world.run(&["list", "--format", "table"]).ok().out.contains("🔑 ci-deploy"));
}

#[test]
fn a_token_can_be_given_by_the_shortened_name_in_a_list() {
    let mut world = office();
    for locale in ["C.UTF-8", "C"] {
        world.env.insert("LANG".to_owned(), locale.to_owned());
        let list = at(&mut world, 40, &["list", "--owner", "日本語チーム"]);
        let cut = list.lines().nth(1).and_then(|row| row.split("  ").next()).expect("there is a row");
        assert!(cut.contains(if locale == "C" { "..." } else { "…" }), "{list}");
        assert_eq!(world.show(cut)["name"], format!("{LONG}-standby"), "{cut}");
    }
    for reference in ["custo…y", "c…standby", "cust…west-1-*", "cust…west…standby", "[c]ust…standby"]
    {
        world.refuses(&["show", reference], 4, "not_found");
    }
    let both = "cus…1-primary";
    world.create("customer-2-portal-1-primary", &["-s", "admin"]);
    let failure = world.refuses(&["show", both], 4, "ambiguous");
    assert!(failure["message"].as_str().is_some_and(|text| text.contains("means 2 tokens")), "{failure}");
    // As with whole names, a token that is not revoked takes precedence. A name that looks like a shortened one is
    // still a name.
    world.run(&["revoke", "customer-2-portal-1-primary", "--yes"]).ok();
    assert_eq!(world.show(both)["name"], format!("{LONG}-primary"));
    world.create("cus...1-primary", &["-s", "admin"]);
    assert_eq!(world.show("cus...1-primary")["name"], "cus...1-primary");
}
