//! `--allow-from`: the addresses from which a token can be used.

use serde_json::{Value, json};

use crate::support::{START, World};

const OFFICE: &str = "10.0.0.0/8,2001:db8::/32";

fn world() -> (World, String) {
    let world = World::with_store();
    world.define(&["read"]);
    let secret = world.create("app", &["-s", "read", "--allow-from", "2001:db8::/32,10.0.0.0/8"]);
    (world, secret)
}

#[test]
fn a_secret_is_valid_from_allowed_addresses_only() {
    let (world, secret) = world();
    let from = |address: &str| world.verify(&secret, &["--address", address]);
    for allowed in ["10.1.2.3", "::ffff:10.1.2.3", "::FFFF:0a01:0203", "2001:db8:0:0::7"] {
        assert_eq!(from(allowed), (0, "valid app".into()), "{allowed}");
    }
    let refused = (3, "source_not_allowed app".to_owned());
    for other in ["11.0.0.1", "::10.1.2.3", "2001:db9::1", "::"] {
        assert_eq!(from(other), refused, "{other}");
    }
    // A missing address is not allowed. The address is checked before the scopes, but after everything else.
    assert_eq!(world.verify(&secret, &[]), refused);
    assert_eq!(world.verify(&secret, &["-s", "missing", "-l", "a=b"]), refused);
    assert_eq!(
        world.verify(&secret, &["--address", "10.0.0.1", "-l", "a=b"]),
        (3, "label_mismatch app".into())
    );
    let ask = ["verify", "--json", "--address", "192.0.2.1"];
    let document = world.run_with(&ask, secret.as_bytes()).exit(3).json();
    assert_eq!((&document["valid"], &document["reason"]), (&json!(false), &json!("source_not_allowed")));
    world.run(&["disable", "app"]).ok();
    assert_eq!(from("192.0.2.1"), (3, "disabled app".into()));
    world.run(&["enable", "app"]).ok();
    assert_eq!(world.verify(&world.create("free", &["-s", "read"]), &["--address", "192.0.2.1"]).0, 0);
    for bad in ["10.0.0.0/8", "localhost", "10.1", "", "fe80::1%eth0"] {
        world.refuses_with(&["verify", "--address", bad], secret.as_bytes(), 2, "usage");
    }
}

#[test]
fn a_previous_secret_is_also_valid_only_from_allowed_addresses() {
    let (world, old) = world();
    let new = world.rotate("app", &[]);
    world.run(&["edit", "app", "--allow-from", "10.9.0.0/16"]).ok();
    for secret in [old, new] {
        assert_eq!(world.verify(&secret, &["--address", "10.1.2.3"]), (3, "source_not_allowed app".into()));
        assert_eq!(world.verify(&secret, &["--address", "10.9.2.3"]).0, 0);
    }
}

#[test]
fn every_document_shows_the_addresses_and_the_log_shows_their_changes() {
    let (world, _) = world();
    assert_eq!(world.show("app")["allow_from"], json!(["10.0.0.0/8", "2001:db8::/32"]));
    world.create("free", &["-s", "read"]);
    assert_eq!(world.show("free")["allow_from"], json!([]));
    assert!(world.run(&["show", "app"]).ok().out.contains("allowed from  10.0.0.0/8, 2001:db8::/32\n"));
    let listed = world.run(&["list", "--format", "tsv", "--columns", "name,allow_from"]).ok().out;
    assert_eq!(listed, format!("app\t{OFFICE}\nfree\t\n"));
    let created = world.run(&["audit", "--token", "app", "--json"]).ok().json()[0]["changes"].clone();
    let of_rule = |changes: &Value| -> Vec<Value> {
        let all = changes.as_array().expect("`changes` is an array").iter();
        all.filter(|change| change["field"] == "allow_from").cloned().collect()
    };
    let change =
        |from: Option<&str>, to: Option<&str>| json!({"field": "allow_from", "from": from, "to": to});
    assert_eq!(of_rule(&created), [change(None, Some("10.0.0.0/8")), change(None, Some("2001:db8::/32"))]);
    world.run(&["edit", "app", "--allow-from", "10.1.0.0/16"]).ok();
    assert_eq!(
        of_rule(&world.last_event()["changes"]),
        [
            change(Some("10.0.0.0/8"), None),
            change(Some("2001:db8::/32"), None),
            change(None, Some("10.1.0.0/16"))
        ]
    );
    world.create("copy", &["--like", "app"]);
    assert_eq!(world.show("copy")["allow_from"], json!(["10.1.0.0/16"]));
    world.create("elsewhere", &["--like", "app", "--allow-from", "none"]);
    assert_eq!(world.show("elsewhere")["allow_from"], json!([]));
    let same =
        world.run(&["create", "copy", "-s", "read", "--allow-from", "10.2.0.0/16", "--if-missing"]).ok();
    assert!(same.err.contains("differs from --allow-from; it was not changed"), "{}", same.err);
    world
        .run_with(
            &["adopt", "given", "-s", "read", "--allow-from", "192.0.2.7"],
            b"sk_live_0123456789abcdefghijklmnopqrst",
        )
        .ok();
    assert_eq!(world.show("given")["allow_from"], json!(["192.0.2.7/32"]));
    world.run(&["audit", "verify"]).ok();
}

#[test]
fn more_addresses_need_allow_widen_and_fewer_do_not() {
    let (world, secret) = world();
    let free = ["10.1.0.0/16", "10.1.0.0/16", "10.1.2.0/24,10.1.3.4"];
    for rule in free {
        world.run(&["edit", "app", "--allow-from", rule]).ok();
    }
    for wider in ["10.1.0.0/16", "10.1.2.0/24,10.1.3.4,192.0.2.1", "0.0.0.0/0", "::/0", "none"] {
        let args = ["edit", "app", "--allow-from", wider];
        let error = world.refuses(&args, 2, "input_needed");
        let gained = error["message"].as_str().expect("the message is a string").to_owned();
        let named = if wider == "none" { "from everywhere" } else { "from " };
        assert!(gained.contains(named), "{gained}");
    }
    assert_eq!(world.verify(&secret, &["--address", "10.1.3.5"]).0, 3);
    world.run(&["edit", "app", "--allow-from", "none", "--allow-widen"]).ok();
    assert_eq!(world.verify(&secret, &[]).0, 0);
    // A token without a rule becomes narrower by its first rule.
    world.run(&["edit", "app", "--allow-from", "10.0.0.0/8"]).ok();
}

#[test]
fn an_invalid_address_or_network_is_refused_with_a_suggestion() {
    let (world, _) = world();
    let refused = |rule: &str| {
        let error = world.refuses(&["edit", "app", "--allow-from", rule], 2, "usage");
        let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        (text("message"), text("hint"))
    };
    assert!(refused("10.0.0.1/8").1.contains("the network is `10.0.0.0/8`, the address alone is `10.0.0.1`"));
    assert!(refused("example.com").0.contains("neither an address nor a network"));
    assert!(refused("10.0.0.0/33").0.contains("neither an address nor a network"));
    assert!(refused("none,10.0.0.0/8").0.contains("cannot be combined"));
    assert!(refused("10.0.0.0/8,").0.contains("cannot be combined"));
    world.refuses(&["create", "new", "-s", "read", "--allow-from", "none,::1"], 2, "usage");
    assert_eq!(world.show("app")["allow_from"], json!(["10.0.0.0/8", "2001:db8::/32"]));
}

#[test]
fn each_request_of_a_stream_can_have_an_address() {
    let (world, secret) = world();
    let request = |more: &str| format!("{{\"secret\":\"{secret}\"{more}}}\n");
    let input =
        [request(r#","address":"::ffff:10.0.0.1""#), request(r#","address":"192.0.2.1""#), request("")]
            .concat();
    let reasons = |args: &[&str]| -> Vec<String> {
        let ran = world.run_with(&[&["verify", "--stream"], args].concat(), input.as_bytes()).ok();
        let document = |line: &str| serde_json::from_str::<Value>(line).expect("it is JSON");
        ran.out
            .lines()
            .map(|line| document(line)["reason"].as_str().expect("the reason is a string").to_owned())
            .collect()
    };
    assert_eq!(reasons(&[]), ["valid", "source_not_allowed", "source_not_allowed"]);
    // The address on the command line is for requests without one.
    assert_eq!(reasons(&["--address", "10.0.0.9"]), ["valid", "source_not_allowed", "valid"]);
    let wrong =
        world.run_with(&["verify", "--stream"], request(r#","address":"10.0.0.0/8""#).as_bytes()).ok();
    assert_eq!(wrong.json()["error"]["code"], "usage");
}

#[test]
fn addresses_that_are_not_in_canonical_form_are_reported_as_damage() {
    let (world, secret) = world();
    assert_eq!(world.now(), START);
    let mut message = String::new();
    for text in ["10.0.0.0/8,2001:DB8::/32", "2001:db8::/32,10.0.0.0/8", "", "everywhere"] {
        world.sql(&format!("UPDATE tokens SET allow_from = '{text}'"));
        let verify = ["verify", "--address", "10.0.0.1"];
        let failure = world.refuses_with(&verify, secret.as_bytes(), 6, "store_damaged");
        message = failure["message"].as_str().expect("it is a string").to_owned();
    }
    assert!(message.contains("`everywhere` is neither an address nor a network"), "{message}");
}
