//! The crontab line from the documents, under a real cron daemon. Cron's clock runs fast, but its jobs use the real
//! one.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::{Job, PASS_KEY};
use crate::support::processes::{eventually, until};
use crate::support::{DAY, have, pages, program_path, real_time, uid, write_program};

/// Runs cron with its own crontab only, isolated from the machine's, and with a stand-in for sendmail.
const ISOLATED: &str = r#"
mount -t tmpfs none /run && mount -t tmpfs none /etc/cron.d && mount -t tmpfs none /var/spool/cron/crontabs &&
mount --bind "$0/nothing" /etc/crontab && mount --bind "$0/sbin" /usr/sbin || exit 77
cp "$0/crontab" /var/spool/cron/crontabs/root && chmod 600 /var/spool/cron/crontabs/root
LD_PRELOAD=$(echo /usr/lib/*/faketime/libfaketime.so.1) FAKETIME='+0 x20' exec /usr/sbin/cron -f
"#;

/// A cron daemon that stops with the test.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Daemon {
    /// Starts cron with these lines and lets a minute pass every three seconds. Returns `None` if this machine does not
    /// allow it.
    fn start(job: &Job, lines: &[String]) -> Option<Self> {
        if !["cron", "faketime", "unshare"].into_iter().all(have) {
            return None;
        }
        if uid() != 0 {
            eprintln!("skipped: only root can give cron a separate crontab");
            return None;
        }
        let dir = job.world.dir.path();
        let sbin = job.world.directory("sbin");
        let mails = job.world.directory("mails");
        fs::write(dir.join("nothing"), "").expect("the file can be written");
        let cron = "command -v cron | xargs -I{} cp {} ";
        super::run(Command::new("sh").args(["-c", &format!("{cron} {sbin}/")]), b"").ok();
        let sendmail = format!("#!/bin/sh\n/bin/cat >{mails}/.$$ && /bin/mv {mails}/.$$ {mails}/$$\n");
        write_program(Path::new(&format!("{sbin}/sendmail")), sendmail.as_bytes());
        let programs = program_path().parent().expect("the path has a parent").display();
        let path = format!("HOME={}\nPATH={programs}:/usr/bin:/bin\n", job.home);
        fs::write(dir.join("crontab"), format!("{path}{}\n", lines.join("\n")))
            .expect("the file can be written");
        let mut child = Command::new("unshare")
            .args(["-m", "sh", "-c", ISOLATED])
            .arg(dir)
            .stdin(Stdio::null())
            .spawn()
            .expect("unshare starts");
        let mut is_cron = || {
            let name = fs::read_to_string(format!("/proc/{}/comm", child.id())).unwrap_or_default();
            let ended = child.try_wait().expect("the process can be waited for");
            if name == "cron\n" || ended.is_some() { Ok(ended) } else { Err("cron did not start".to_owned()) }
        };
        if let Some(status) = eventually(&mut is_cron) {
            assert!(matches!(status.code(), Some(1 | 77)), "{status}");
            eprintln!("skipped: mounting is not allowed here");
            return None;
        }
        Some(Self(child))
    }
}

/// Stops the client even if the test fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The bodies of the mails that were sent.
fn mails(job: &Job) -> Vec<String> {
    let entries = fs::read_dir(job.world.path("mails")).expect("the directory can be read");
    let paths = entries.map(|entry| entry.expect("a mail").path());
    // The name of a mail that is still being written begins with a dot.
    let whole = paths.filter(|path| !path.to_string_lossy().contains("/."));
    let body = |path| {
        let mail = fs::read_to_string(path).expect("the file can be read");
        mail.split_once("\n\n").expect("a head and a body").1.to_owned()
    };
    whole.map(body).collect()
}

/// Asks the gate about the secret in this file, as a server would for a client. Returns `None` if the answer is
/// incomplete.
fn status(gate: &Path, file: &Path) -> Option<u16> {
    let secret = fs::read_to_string(file).ok()?;
    let mut stream = UnixStream::connect(gate).ok()?;
    let request = format!(
        "GET /verify HTTP/1.1\r\nHost: gate\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
        secret.trim()
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

/// The tokens of the test below. Their rotation has been due for ten days.
fn due_tokens(job: &Job) {
    job.world.wait(real_time() - 40 * DAY - job.world.now());
    let policy = ["--ttl", "90d", "--rotate-every", "30d", "--grace", "2d"];
    let (file, env) = (format!("{}/in-file", job.home), format!("{}/app.env", job.home));
    fs::write(&env, "PORT=8080\n").expect("the file can be written");
    fs::set_permissions(&env, fs::Permissions::from_mode(0o600)).expect("the mode can be set");
    let create =
        |name: &str, args: &[&str]| job.world.run(&[&["create", name], &policy[..], args].concat()).ok();
    create("in-file", &["--out", &file]);
    // The service reads its secret when it is restarted. The first two restarts fail.
    let restart = "cd ~ && echo run >>runs && test $(wc -l <runs) -gt 2 && umask 077 && \
        sed -n s/^TOKEN=//p app.env >service.new && mv service.new service";
    create("service", &["--env-file", &env, "--env-name", "TOKEN", "--after", restart]);
    create("in-pass", &[]);
    create("to-command", &[]);
    create("nowhere", &[]);
    let pass = "pass insert --multiline --force tokens/$TOKENCTL_NAME";
    job.world.run(&["edit", "in-pass", "--exec", pass]).ok();
    job.world.run(&["edit", "to-command", "--exec", "cat >~/to-command"]).ok();
    job.line("umask 077; sed -n s/^TOKEN=//p app.env >service").ok();
}

#[test]
fn one_crontab_line_delivers_each_secret_to_its_destination_and_repeats_a_hook_until_it_succeeds() {
    if !have("pass") || !have("gpg") {
        return;
    }
    let job = Job::without_tokens();
    job.line(PASS_KEY).ok();
    due_tokens(&job);
    let line = pages::line("17 * * * *").trim_start_matches("17 * * * *");
    assert_eq!(line.trim(), "tokenctl rotate --due --quiet");

    let gate = job.world.dir.path().join("gate.sock");
    let service = Path::new(&job.home).join("service");
    let listen = format!("unix:{}", gate.display());
    let mut server = job
        .world
        .program()
        .env("TOKENCTL_STORE", &job.world.env["TOKENCTL_STORE"])
        .args(["serve", "--listen", &listen])
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    until("the gate answers", || status(&gate, &service) == Some(200));
    let done = AtomicBool::new(false);
    let answers = thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut answers = Vec::new();
            while !done.load(Ordering::Relaxed) {
                answers.push(status(&gate, &service));
                thread::sleep(Duration::from_millis(20));
            }
            answers
        });
        let ending = Done(&done);
        let daemon = Daemon::start(&job, &[format!("* * * * *{line}")]);
        if daemon.is_some() {
            let runs =
                || fs::read_to_string(format!("{}/runs", job.home)).unwrap_or_default().lines().count();
            until("three runs of the hook, and a later mail", || runs() == 3 && mails(&job).len() > 3);
        }
        drop(daemon);
        drop(ending);
        client.join().expect("the thread does not panic")
    });
    let _ = server.kill();
    let _ = server.wait();
    if mails(&job).is_empty() {
        return;
    }
    assert!(answers.len() > 50 && answers.iter().all(|answer| *answer == Some(200)), "{answers:?}");

    let only = "error: `nowhere`: `nowhere` has no destination\nhint: name one, like `--out FILE`, or store one with \
                `tokenctl edit NAME --out FILE`\n";
    let (hook, others): (Vec<_>, Vec<_>) =
        mails(&job).into_iter().partition(|mail| mail.contains("`service`"));
    assert_eq!(hook.len(), 2, "{hook:?}");
    for mail in hook {
        assert!(mail.contains("`service` was rotated, but") && mail.contains(only), "{mail}");
    }
    assert!(others.iter().all(|mail| mail.starts_with(only) && mail.lines().count() == 3), "{others:?}");
    let runs = fs::read_to_string(format!("{}/runs", job.home)).expect("the file can be read");
    assert_eq!(runs, "run\nrun\nrun\n");
    assert_eq!(job.verify("service"), "valid service", "the service was restarted with the new secret");
    assert_eq!(job.verify("in-file"), "valid in-file");
    assert_eq!(job.verify("to-command"), "valid to-command");
    assert_eq!(job.line("pass show tokens/in-pass | tokenctl verify").out, "valid in-pass\n");
    job.line("gpgconf --kill all").ok();
}

#[test]
fn the_crontab_lines_for_monitoring_mail_findings_and_write_metrics() {
    let job = Job::without_tokens();
    job.world.wait(real_time() - 40 * DAY - job.world.now());
    job.world.run(&["create", "demo", "--ttl", "38d", "--owner", "ann"]).ok();
    let metrics = job.world.directory("metrics");
    let line = |start: &str| {
        let line = pages::line(start).trim_start_matches(start);
        format!("* * * * *{}", line.replace("/var/lib/prometheus/node-exporter", &metrics))
    };
    let lines = [line("30 7 * * *"), line("*/5 * * * *")];
    let Some(daemon) = Daemon::start(&job, &lines) else { return };
    let file = format!("{metrics}/tokenctl.prom");
    until("a mail and metrics", || !mails(&job).is_empty() && fs::exists(&file).is_ok_and(|it| it));
    drop(daemon);
    let mail = mails(&job).remove(0);
    assert!(mail.starts_with("error: expired: `demo` expired "), "{mail}");
    assert!(mail.contains("(owner: ann)\n  hint: revive it with `tokenctl rotate demo --revive`"), "{mail}");
    let written = fs::read_to_string(file).expect("the file can be read");
    assert!(
        written.contains("tokenctl_check_findings{code=\"expired\",severity=\"error\"} 1\n"),
        "{written}"
    );
}
