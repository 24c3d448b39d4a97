//! Unattended rotation: from cron, into `pass`, into an env file.

mod daemon;
mod timer;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::{DAY, Ran, World, have, pages, program_path, real_time, run, write_program};

/// Creates a key without a passphrase, which `pass` of this test uses.
const PASS_KEY: &str = "umask 077; mkdir .gnupg && gpg --batch --quiet --passphrase '' \
    --quick-generate-key job@example.org default default never && pass init job@example.org";

/// The default store of a user, with two tokens that are due according to the real clock.
struct Job {
    world: World,
    home: String,
}

impl Job {
    fn without_tokens() -> Self {
        let mut world = World::new();
        let home = world.directory("home");
        let store = format!("{home}/.local/share/tokenctl");
        fs::create_dir_all(format!("{home}/.local/share")).expect("the directory can be created");
        world.env.insert("TOKENCTL_STORE".to_owned(), store);
        Self { world, home }
    }

    fn new() -> Self {
        let Self { world, home } = Self::without_tokens();
        fs::create_dir(format!("{home}/secrets")).expect("the directory can be created");
        world.wait(real_time() - 40 * DAY - world.now());
        for name in ["app", "backup"] {
            let destination = format!("{home}/secrets/{name}");
            world
                .run(&[
                    "create",
                    name,
                    "--ttl",
                    "90d",
                    "--rotate-every",
                    "30d",
                    "--out",
                    &destination,
                    "--no-remember",
                ])
                .ok();
        }
        world.run(&["create", "by-hand", "--out", &format!("{home}/by-hand")]).ok();
        Self { world, home }
    }

    /// Runs a line as cron does: with `sh`, in the home directory, and with an almost empty environment.
    #[track_caller]
    fn line(&self, line: &str) -> Ran {
        let mut command = Command::new("env");
        let programs = program_path().parent().expect("the path has a parent").display();
        command
            .args(["-i", &format!("HOME={}", self.home), "LOGNAME=root", "SHELL=/bin/sh"])
            .arg(format!("PATH={programs}:/usr/bin:/bin"))
            .args(["/bin/sh", "-c", line])
            .current_dir(&self.home);
        run(&mut command, b"")
    }

    fn verify(&self, file: &str) -> String {
        self.line(&format!("tokenctl verify --secret-file {file}")).line().to_owned()
    }
}

#[test]
fn a_job_prints_the_rotated_tokens_or_nothing() {
    let job = Job::new();
    let old = job.world.write(
        "old",
        &fs::read_to_string(format!("{}/secrets/app", job.home)).expect("the file can be read"),
    );
    let line = "tokenctl rotate --due --out-dir secrets";
    let ran = job.line(line).ok();
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("app\nbackup\n", "rotated `app`\nrotated `backup`\n"));
    assert_eq!(job.verify("secrets/app"), "valid app");
    assert_eq!(job.verify("secrets/backup"), "valid backup");
    assert_eq!(job.verify(&old), "valid app previous");
    // Cron sends mail when a command prints anything.
    for line in [line, "tokenctl rotate --due --out-dir secrets -q"] {
        let ran = job.line(line).ok();
        assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""), "{line}");
    }
    assert_eq!(job.verify("by-hand"), "valid by-hand");
}

#[test]
fn a_quiet_job_prints_only_names() {
    let job = Job::new();
    let ran = job.line("tokenctl rotate --due --out-dir secrets --quiet").ok();
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("app\nbackup\n", ""));
    // With `--quiet`, only failures are printed.
    let job = Job::new();
    let ran = job.line("tokenctl rotate --due --out-dir secrets --quiet >/dev/null").ok();
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""));
    assert_eq!(job.verify("secrets/app"), "valid app");
}

#[test]
fn a_failed_job_prints_what_failed_and_why() {
    let job = Job::new();
    fs::set_permissions(format!("{}/secrets/app", job.home), fs::Permissions::from_mode(0o644))
        .expect("the mode can be set");
    let ran = job.line("tokenctl rotate --due --out-dir secrets").exit(7);
    assert_eq!(ran.out, "backup\n");
    let directory = fs::canonicalize(format!("{}/secrets", job.home)).expect("the path exists");
    let shown = pages::blocks("text")
        .into_iter()
        .find(|block| block.starts_with("error: `app`"))
        .expect("there is a mail");
    let mail = shown.replace("/etc/service-tokens", directory.to_str().expect("the path is UTF-8"));
    let why = "cannot take a secret: its mode 644 lets the world read or write it; nothing was changed\n\
               hint: fix the destination, then run the command again\n\
               error: 1 of 2 tokens could not be rotated\n";
    assert!(mail.ends_with(why), "{mail}");
    assert_eq!(ran.err, format!("rotated `backup`\n{mail}"));
    assert_eq!(job.verify("secrets/app"), "valid app");
    let ran = job.line("tokenctl rotate --due --out-dir missing").exit(7);
    assert_eq!(ran.out, "");
    assert!(
        ran.err.contains("missing/NAME` cannot take a secret: its directory: No such file"),
        "{}",
        ran.err
    );
    // The next run rotates the rest, once the cause is removed.
    job.line("chmod 600 secrets/app && tokenctl rotate --due --out-dir secrets --quiet").ok();
    assert_eq!(job.verify("secrets/app"), "valid app");
}

#[test]
fn a_job_fails_if_its_store_is_missing() {
    let job = Job::new();
    fs::rename(format!("{}/.local/share/tokenctl", job.home), format!("{}/gone", job.home))
        .expect("the store can be renamed");
    let ran = job.line("tokenctl rotate --due --out-dir secrets").exit(6);
    assert_eq!(ran.out, "");
    assert!(ran.err.starts_with("error: ") && ran.err.contains("\nhint: "), "{}", ran.err);
    job.line("tokenctl rotate --due --out-dir secrets --store gone").ok();
}

#[test]
fn a_job_can_restart_the_service_of_each_rotated_token() {
    if !have("bash") {
        return;
    }
    let job = Job::new();
    write_program(Path::new(&job.world.path("home/systemctl")), b"#!/bin/sh\necho \"$@\" >>called\n");
    let line = "PATH=$HOME:$PATH exec bash -o pipefail -c 'tokenctl rotate --due --quiet --out-dir secrets | \
        xargs --no-run-if-empty systemctl try-restart'";
    job.line(line).ok();
    job.line(line).ok();
    let called = || fs::read_to_string(format!("{}/called", job.home)).expect("it was called");
    assert_eq!(called(), "try-restart app backup\n");
    // The job reports a failure, and the other services are still restarted.
    job.world.at_real_time(0);
    let due = ["--ttl", "90d", "--rotate-every", "1s", "--grace", "0s"];
    for name in ["other", "taken"] {
        job.world
            .run(
                &[&["adopt", name], &due[..], &["--secret-file", &job.world.write("old", &secret_of(name))]]
                    .concat(),
            )
            .ok();
    }
    job.world.write("home/secrets/taken", "text");
    std::thread::sleep(std::time::Duration::from_secs(2));
    let ran = job.line(line).exit(5);
    assert!(ran.err.starts_with("error: `taken`: "), "{}", ran.err);
    assert_eq!(called(), "try-restart app backup\ntry-restart other\n");
}

/// A secret that tokenctl did not generate.
fn secret_of(name: &str) -> String {
    format!("{name}-0123456789abcdefghijklmnopqrstuvwxyz")
}

#[test]
fn a_job_needs_no_environment_variable_except_home() {
    let job = Job::new();
    let program = program_path().display();
    let line = format!(
        "exec env -i HOME=\"$HOME\" {program} rotate --due --quiet --out-dir \"$HOME/secrets\" >/dev/null"
    );
    let ran = job.line(&line).ok();
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""));
    assert_eq!(job.verify("secrets/app"), "valid app");
    assert!(job.line("tokenctl show app").ok().out.contains("  rotated "));
}

#[test]
fn a_job_keeps_an_env_file_up_to_date() {
    let job = Job::new();
    job.line("umask 077; printf 'PORT=8080\\nAPI_TOKEN=\\n' >app.env").ok();
    let line = "tokenctl rotate app --due --env-file app.env --env-name API_TOKEN -q";
    for (changes, run) in [(true, 1), (false, 2)] {
        let before = fs::read_to_string(format!("{}/app.env", job.home)).expect("the file can be read");
        let ran = job.line(line).ok();
        assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""), "{run}");
        let after = fs::read_to_string(format!("{}/app.env", job.home)).expect("the file can be read");
        assert_eq!(before != after, changes, "{run}");
        assert!(after.starts_with("PORT=8080\nAPI_TOKEN=tkn_"), "{after}");
    }
    let ran = job.line(". ./app.env && printf %s \"$API_TOKEN\" | tokenctl verify");
    assert_eq!(ran.ok().out, "valid app\n");
}

#[test]
fn a_secret_can_be_delivered_to_pass() {
    if !have("pass") || !have("gpg") {
        return;
    }
    let job = Job::new();
    job.line(PASS_KEY).ok();
    let stored = || job.line("pass show tokens/app | tokenctl verify").out;
    let insert = "pass insert --multiline --force tokens/$TOKENCTL_NAME";
    job.line(&format!("tokenctl rotate app --exec '{insert}' -q")).ok();
    assert_eq!(stored(), "valid app\n");
    let before = job.line("pass show tokens/app").ok().out;
    // `pass insert --echo` reads one line. It does not ask for confirmation because of --force.
    job.line("tokenctl rotate app --exec 'pass insert --echo --force tokens/$TOKENCTL_NAME' -q").ok();
    assert_eq!(stored(), "valid app\n");
    assert_ne!(job.line("pass show tokens/app").ok().out, before);
    // The same command delivers all secrets that are due, each to a separate entry.
    let ran = job.line(&format!("tokenctl rotate --due --exec '{insert}' -q")).ok();
    assert_eq!(ran.out, "backup\n");
    let ran = job.line("pass show tokens/backup | tokenctl verify").ok();
    assert_eq!(ran.out, "valid backup\n");
    // Without its key, `pass` stores nothing, and the secret that it contains stays valid.
    job.line("rm -r .password-store/.gpg-id").ok();
    let ran = job.line(&format!("tokenctl rotate app --exec '{insert}' -q")).exit(7);
    assert!(ran.err.contains("error: the command failed with exit 1; nothing was changed"), "{}", ran.err);
    assert_eq!(stored(), "valid app\n");
    job.line("gpgconf --kill all").ok();
}

/// The hook that the documents recommend for a unit that reads its secret when it starts.
fn restarting_hook() -> &'static str {
    pages::between("so `tokenctl edit app --after ", "`")
}

/// Stand-ins for the programs of a machine with containers, a cluster and services. They record their arguments and
/// their input.
const STAND_INS: [(&str, &str); 3] = [
    // Starts a container with the variables in `.env`, as `docker compose --project-directory DIR up` does.
    ("docker", "#!/bin/sh\necho docker $* >>~/called\n. $3/.env && printf %s $API_TOKEN >~/container\n"),
    // Prints the manifest of a secret whose value is on stdin, or stores the secret from such a manifest.
    (
        "kubectl",
        "#!/bin/sh\ncase \"$*\" in\n\
         'create secret generic api-token --from-file=token=/dev/stdin --dry-run=client --output=yaml')\n\
         printf 'kind: Secret\\ndata:\\n  token: %s\\n' $(base64 --wrap=0) ;;\n\
         'apply --filename=-') sed -n 's/^  token: //p' | base64 --decode >~/cluster ;;\n\
         *) exit 64 ;;\nesac\n",
    ),
    ("systemctl", "#!/bin/sh\necho systemctl $* >>~/called\n"),
];

#[test]
fn the_destinations_and_hooks_in_the_documents_work() {
    if !have("pass") || !have("gpg") {
        return;
    }
    let job = Job::without_tokens();
    let (home, bin) = (&job.home, job.world.directory("bin"));
    for (name, text) in STAND_INS {
        write_program(Path::new(&format!("{bin}/{name}")), text.as_bytes());
    }
    job.line(PASS_KEY).ok();
    let line = |line: &str| job.line(&format!("PATH={bin}:$PATH; {}", line.replace("/srv/app", home)));
    for name in ["app", "mail", "api"] {
        line(&format!("tokenctl create {name} --ttl 90d --rotate-every 30d | wc -c")).ok();
    }
    line("umask 077; echo PORT=8080 >.env").ok();
    for start in ["edit app --env-file", "edit app --after", "edit mail --exec", "edit api --exec"] {
        line(pages::line(&format!("tokenctl {start} "))).ok();
    }
    let ran = line("tokenctl rotate app mail api --quiet").ok();
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""));
    assert_eq!(job.verify("container"), "valid app");
    let called = || fs::read_to_string(format!("{home}/called")).expect("it was called");
    assert_eq!(
        called(),
        format!("docker compose --project-directory {home} up --detach --force-recreate api\n")
    );
    assert_eq!(line("pass show tokens/mail | tokenctl verify").out, "valid mail\n");
    assert_eq!(job.verify("cluster"), "valid api");

    // The unit of the timer, together with the recommended hook, restarts a service.
    line(&format!("tokenctl edit app --after {}", restarting_hook())).ok();
    let start =
        pages::line("ExecStart=/usr/local/bin/tokenctl ").trim_start_matches("ExecStart=/usr/local/bin/");
    let start = start.replace("--store /var/lib/tokenctl ", "");
    line("tokenctl edit app --rotate-every 1s --grace 0s").ok();
    std::thread::sleep(std::time::Duration::from_secs(2));
    line(&start).ok();
    assert_eq!(called().lines().last(), Some("systemctl try-restart app"));
    line("gpgconf --kill all").ok();
}
