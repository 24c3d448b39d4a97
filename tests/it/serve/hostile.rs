//! Connections as proxies use them, and hostile ones, which must not affect other connections.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use super::{Gate, app, read_answer};

/// Reads until the gate closes the connection. Returns the text.
fn rest(stream: &mut UnixStream) -> String {
    let mut all = Vec::new();
    // Reading fails if the connection is closed with unread bytes.
    let _ = stream.read_to_end(&mut all);
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn a_connection_can_carry_several_requests_even_pipelined_ones() {
    let (world, secret) = app();
    let gate = Gate::start(&world, &[]);
    let request = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: g\r\nX-Api-Key: {secret}\r\n\r\n");
    let mut stream = gate.connect();
    for _ in 0..3 {
        stream.write_all(request("/verify").as_bytes()).unwrap();
        assert_eq!(read_answer(&mut stream).status, 200);
    }
    let targets = ["/verify", "/verify?scope=write", "/nowhere", "/verify?x", "/verify"];
    stream.write_all(targets.map(request).concat().as_bytes()).unwrap();
    assert_eq!(targets.map(|_| read_answer(&mut stream).status), [200, 403, 404, 400, 200]);
}

#[test]
fn a_client_that_closed_its_sending_side_gets_its_responses() {
    let (world, secret) = app();
    let gate = Gate::start(&world, &[]);
    for _ in 0..20 {
        let mut stream = gate.connect();
        let request = format!("GET /verify HTTP/1.1\r\nHost: g\r\nX-Api-Key: {secret}\r\n\r\n");
        stream.write_all(request.repeat(3).as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!([(); 3].map(|()| read_answer(&mut stream).status), [200; 3]);
        assert_eq!(rest(&mut stream), "");
    }
}

#[test]
fn an_http_1_0_connection_is_closed_unless_it_asks_for_keep_alive() {
    let (world, secret) = app();
    let gate = Gate::start(&world, &[]);
    let mut stream = gate.connect();
    write!(stream, "GET /verify HTTP/1.0\r\nX-Api-Key: {secret}\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut stream).status, 200);
    assert_eq!(rest(&mut stream), "");
    let mut stream = gate.connect();
    for _ in 0..2 {
        write!(stream, "GET /verify HTTP/1.0\r\nConnection: keep-alive\r\nX-Api-Key: {secret}\r\n\r\n")
            .unwrap();
        assert_eq!(read_answer(&mut stream).status, 200);
    }
}

#[test]
fn a_request_body_is_never_read_as_a_request() {
    let (world, secret) = app();
    let gate = Gate::start(&world, &[]);
    let inner = "GET /verify HTTP/1.1\r\nHost: inner\r\n\r\n";
    let length = inner.len();
    for (headers, body) in [
        (format!("Content-Length: {length}"), inner.to_owned()),
        (format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"), format!("0\r\n\r\n{inner}")),
        ("Transfer-Encoding: chunked".to_owned(), format!("0\r\n\r\n{inner}")),
        (format!("Transfer-Encoding: xchunked\r\nContent-Length: {length}"), inner.to_owned()),
        (format!("Content-Length: {length}\r\nContent-Length: 0"), inner.to_owned()),
        ("Content-Length: +5".to_owned(), inner.to_owned()),
        ("Content-Length : 5".to_owned(), inner.to_owned()),
    ] {
        let mut stream = gate.connect();
        let request =
            format!("POST /verify HTTP/1.1\r\nHost: g\r\nX-Api-Key: {secret}\r\n{headers}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).unwrap();
        let all = rest(&mut stream);
        assert_eq!(all.matches("HTTP/1.1 ").count(), 1, "{headers}: {all}");
    }
}

#[test]
fn text_that_is_not_http_is_refused() {
    let (world, secret) = app();
    let gate = Gate::start(&world, &[]);
    let long = "x".repeat(70_000);
    let requests = [
        ("\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03".to_owned() + &"\0".repeat(100), 400),
        (format!("GET /verify HTTP/1.1\r\nX-Long: {long}\r\n\r\n"), 431),
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), 431),
        (format!("GET /verify HTTP/1.1\r\n{}\r\n", "X-Many: 1\r\n".repeat(1_000)), 431),
        ("GET /verify HTTP/1.1\r\nX-Api Key: a\r\n\r\n".to_owned(), 400),
        (format!("GET /verify HTTP/1.1\r\nX-Api-Key: {secret}\r\n folded\r\n\r\n"), 400),
        (
            "POST /api/verify HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n".to_owned(),
            413,
        ),
    ];
    for (request, status) in requests {
        let mut stream = gate.connect();
        let _ = stream.write_all(request.as_bytes());
        let all = rest(&mut stream);
        // The response can be lost if the gate closes a connection with many unread bytes.
        let refused =
            all.is_empty() && request.len() > 16_384 || all.starts_with(&format!("HTTP/1.1 {status} "));
        assert!(refused, "{}: {all}", &request[..60.min(request.len())].escape_debug());
        assert!(!all.contains("HTTP/1.1 200"), "{all}");
    }
    assert_eq!(gate.with_secret("/verify", &secret).status, 200);
}

#[test]
fn slow_and_silent_clients_do_not_delay_others() {
    let (world, secret) = app();
    let gate = Gate::start(&world, &["--max-connections", "64"]);
    let silent: Vec<UnixStream> = (0..40).map(|_| gate.connect()).collect();
    let half: Vec<UnixStream> = (0..20)
        .map(|_| {
            let mut stream = gate.connect();
            stream.write_all(b"GET /verify HTTP/1.1\r\nHost:").unwrap();
            stream
        })
        .collect();
    let mut slow = gate.connect();
    thread::scope(|scope| {
        scope.spawn(|| {
            for byte in b"GET /ver" {
                // The gate can close the connection after a timeout.
                let _ = slow.write_all(&[*byte]);
                thread::sleep(Duration::from_millis(100));
            }
        });
        for _ in 0..50 {
            assert_eq!(gate.with_secret("/verify", &secret).status, 200);
        }
    });
    drop((silent, half));
}

#[test]
fn a_connection_above_the_limit_waits_until_another_is_closed() {
    let (world, secret) = app();
    let gate = Gate::start(&world, &["--max-connections", "2"]);
    let mut two = [gate.connect(), gate.connect()];
    for stream in &mut two {
        write!(stream, "GET /verify HTTP/1.1\r\nHost: g\r\nX-Api-Key: {secret}\r\n\r\n").unwrap();
        assert_eq!(read_answer(stream).status, 200);
    }
    let mut third = gate.connect();
    write!(third, "GET /verify HTTP/1.1\r\nHost: g\r\nX-Api-Key: {secret}\r\n\r\n").unwrap();
    third.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(third.read(&mut [0]).is_err(), "the third connection was answered");
    drop(two);
    third.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    assert_eq!(read_answer(&mut third).status, 200);
}

#[test]
fn a_request_that_was_sent_in_time_is_answered_even_if_the_gate_reads_it_late() {
    let (world, secret) = app();
    let gate = Gate::start(&world, &[]);
    // More sockets are ready than one call of `poll` reports.
    let mut all: Vec<UnixStream> = (0..300).map(|_| gate.connect()).collect();
    let request = format!("GET /verify HTTP/1.1\r\nHost: g\r\nX-Api-Key: {secret}\r\n\r\n");
    for stream in &mut all {
        stream.write_all(request.as_bytes()).unwrap();
        assert_eq!(read_answer(stream).status, 200);
    }
    gate.signal("-STOP");
    for stream in &mut all {
        stream.write_all(request.as_bytes()).unwrap();
    }
    // Wait longer than a connection is allowed to be idle.
    thread::sleep(Duration::from_secs(11));
    gate.signal("-CONT");
    for stream in &mut all {
        assert_eq!(read_answer(stream).status, 200);
    }
}
