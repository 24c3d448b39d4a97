//! `create`.

use crate::support::World;

#[test]
fn a_secret_is_printed_once_and_never_listed() {
    let world = World::new();
    let secret = world.create("demo", &[]);
    assert!(secret.starts_with("tkn_") && secret.len() == 42, "{secret}");
    assert_eq!(world.verify(&secret, &[]), (0, "valid demo".to_owned()));
    for args in
        [&["list", "--all"][..], &["show", "demo"], &["list", "--json"], &["audit", "--json"], &["doctor"]]
    {
        assert!(!world.run(args).ok().out.contains(&secret), "{args:?}");
    }
    for (name, bytes) in world.bytes() {
        assert!(!bytes.windows(secret.len()).any(|text| text == secret.as_bytes()), "{name:?}");
    }
}
