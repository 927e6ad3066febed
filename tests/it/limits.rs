//! Tests of the limits on file descriptors, memory, time and nesting.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
#[cfg(target_os = "linux")]
use std::{
    io::ErrorKind,
    sync::atomic::{AtomicBool, Ordering},
    sync::{Arc, mpsc},
    time::Duration,
};

#[cfg(target_os = "linux")]
use telecmi_cdr::internals::Clock;

use super::peers::{post_json, read_request, say};
use super::program::{DEADLINE, binary, fixture, listener, program};

fn status(answer: &str) -> &str {
    answer
        .lines()
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .unwrap_or("none")
}

fn connect(url: &str) -> TcpStream {
    let stream = TcpStream::connect(url.strip_prefix("http://").expect("a plain URL"))
        .expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    stream
}

#[test]
fn w6_a_length_stated_twice_is_answered_and_refused_if_strict() {
    let request = "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: application/json\r\n\
        Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    for (arguments, expected) in [(&[][..], "200"), (&["--strict"], "400")] {
        let mut listener = listener(arguments);
        assert_eq!(
            status(&say(&listener.url, request)),
            expected,
            "{arguments:?}"
        );
        let remarks = listener.running.record()["verdict"]["remarks"].to_string();
        assert!(remarks.contains("ambiguous framing"), "{remarks}");
    }
}

#[test]
fn w8_every_pipelined_request_is_an_exchange() {
    let mut listener = listener(&[]);
    let one = |n: usize, close: &str| format!("GET /{n} HTTP/1.1\r\nHost: h\r\n{close}\r\n");
    let answers = say(
        &listener.url,
        one(1, "") + &one(2, "") + &one(3, "Connection: close\r\n"),
    );
    assert_eq!(
        answers.matches("HTTP/1.1 200 OK\r\n").count(),
        3,
        "{answers}"
    );
    for n in 1..=3 {
        assert_eq!(
            listener.running.record()["request"]["target"],
            format!("/{n}")
        );
    }
}

#[test]
fn w6_a_pipelined_length_stated_twice_is_noticed_too() {
    let plain = "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    let chunked = "POST /2 HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n\
        Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    let twice = "POST /3 HTTP/1.1\r\nHost: h\r\nX-MiXeD: 1\r\nContent-Type: application/json\r\n\
        Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    for (arguments, expected) in [(&[][..], "200"), (&["--strict"], "400")] {
        let mut listener = listener(arguments);
        let answers = say(&listener.url, [plain, chunked, twice].concat());
        let last = answers.rsplit("HTTP/1.1 ").next().expect("an answer");
        assert!(last.starts_with(expected), "{arguments:?}: {answers}");
        for _ in 1..=2 {
            let remarks = listener.running.record()["verdict"]["remarks"].to_string();
            assert!(!remarks.contains("ambiguous framing"), "{remarks}");
        }
        let record = listener.running.record();
        let remarks = record["verdict"]["remarks"].to_string();
        assert!(remarks.contains("ambiguous framing"), "{remarks}");
        assert_eq!(record["request"]["target"], "/3");
        assert_eq!(record["request"]["headers"][1][0], "X-MiXeD");
    }
}

#[test]
fn r0_a_pipelined_head_that_comes_in_two_is_recorded_whole() {
    let mut listener = listener(&[]);
    let mut stream = connect(&listener.url);
    stream.set_nodelay(true).expect("an option");
    let first =
        "POST /one HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}POST /a HTTP/1.1\r\nX-Junk: ";
    stream.write_all(first.as_bytes()).expect("a connection");
    assert_eq!(listener.running.record()["request"]["target"], "/one");
    let second =
        "POST /a HTTP/1.1\r\nHost: other\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
    stream.write_all(second.as_bytes()).expect("a connection");
    let headers = &listener.running.record()["request"]["headers"];
    assert_eq!(headers[0][0], "X-Junk", "{headers}");
    assert_eq!(headers[0][1], "POST /a HTTP/1.1", "{headers}");
    assert_eq!(headers.as_array().map(Vec::len), Some(4), "{headers}");
}

/// Sleeps while the listener's timeouts pass, for which there is no event.
#[cfg(target_os = "linux")]
fn pause(duration: Duration) {
    let (_sender, nothing) = mpsc::channel::<()>();
    let _ = nothing.recv_timeout(duration);
}

#[cfg(target_os = "linux")]
fn narrow_listener() -> super::program::Listener {
    let arguments = ["listen", "--port", "0", "--timeout", "60s"];
    let limited = super::program::shell("ulimit -n 48; exec \"$0\" \"$@\"", arguments);
    super::program::ready(limited)
}

#[cfg(target_os = "linux")]
#[test]
fn w11_a_head_that_is_arriving_outlasts_silent_connections() {
    let listener = narrow_listener();
    let mut arriving = connect(&listener.url);
    let silent: Vec<_> = (0..15).map(|_| connect(&listener.url)).collect();
    pause(Duration::from_millis(500));
    let head = b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n";
    arriving.write_all(head).expect("a connection");
    assert_eq!(
        status(&post_json(&listener.url, fixture("docs-leg-a.json"))),
        "200"
    );
    let rest = b"Content-Length: 2\r\n\r\n{}";
    arriving.write_all(rest).expect("a connection");
    let mut answer = String::new();
    arriving.read_to_string(&mut answer).expect("an answer");
    assert_eq!(status(&answer), "200");
    drop(silent);
}

/// A client that sends a byte a second, and reconnects when it is evicted, must not delay a valid request by more than
/// one timeout.
#[cfg(target_os = "linux")]
#[test]
fn w11_a_good_request_is_answered_while_bodies_drip() {
    let listener = narrow_listener();
    let over = Arc::new(AtomicBool::new(false));
    let drip = |url: String, over: Arc<AtomicBool>| {
        while !over.load(Ordering::Relaxed) {
            let mut stream = connect(&url);
            let second = Some(Duration::from_secs(1));
            stream.set_read_timeout(second).expect("an option");
            let mut bytes: &[u8] = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n{";
            while !over.load(Ordering::Relaxed) && stream.write_all(bytes).is_ok() {
                bytes = b" ";
                if !matches!(stream.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
                {
                    break;
                }
            }
        }
    };
    let attackers: Vec<_> = (0..100)
        .map(|_| {
            let (url, over) = (listener.url.clone(), Arc::clone(&over));
            std::thread::spawn(move || drip(url, over))
        })
        .collect();
    pause(Duration::from_secs(1));
    let clock = Clock::start();
    let answer = post_json(&listener.url, fixture("docs-leg-a.json"));
    let took = clock.elapsed();
    over.store(true, Ordering::Relaxed);
    assert_eq!(status(&answer), "200");
    assert!(took < Duration::from_secs(15), "{took:?}");
    listener.running.signal("-INT");
    for attacker in attackers {
        let _ = attacker.join();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn w11_few_file_descriptors_are_enough() {
    let arguments = ["listen", "--port", "0", "--timeout", "25s"];
    let limited = super::program::shell("ulimit -n 32; exec \"$0\" \"$@\"", arguments);
    let listener = super::program::ready(limited);
    let idle: Vec<_> = (0..60).map(|_| connect(&listener.url)).collect();
    assert_eq!(
        status(&post_json(&listener.url, fixture("docs-leg-a.json"))),
        "200"
    );
    drop(idle);
    assert_eq!(
        status(&post_json(&listener.url, fixture("docs-leg-a.json"))),
        "200"
    );
    listener.running.signal("-INT");
    let ended = listener.running.end().expect(0);
    assert!(
        ended.stdout.contains("interrupted · 2 requests · 2 CDRs"),
        "{}",
        ended.whole()
    );
}

#[cfg(target_os = "linux")]
fn most_memory(pid: &serde_json::Value) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("a line");
    line.trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number")
}

/// The record `listening` has the process id of the listener.
#[cfg(target_os = "linux")]
fn listener_with_pid() -> (super::program::Running, String, serde_json::Value) {
    let mut running = program([
        "listen",
        "--port",
        "0",
        "--format",
        "ndjson",
        "--timeout",
        "25s",
    ])
    .start();
    let ready = running.record();
    (
        running,
        ready["url"].as_str().expect("a URL").to_owned(),
        ready["pid"].clone(),
    )
}

#[cfg(target_os = "linux")]
#[test]
fn w12_a_huge_upload_costs_no_memory() {
    let (mut running, url, pid) = listener_with_pid();
    let fill = vec![b'x'; 1024 * 1024];
    assert_eq!(status(&post_json(&url, &fill[1..])), "400");
    running.record();
    let before = most_memory(&pid);
    for framing in [
        "Content-Length: 536870912\r\n\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\n\r\n20000000\r\n".to_owned(),
    ] {
        let mut stream = connect(&url);
        stream
            .write_all(format!("POST / HTTP/1.1\r\nHost: h\r\n{framing}").as_bytes())
            .expect("written");
        let _ = (0..512).try_for_each(|_| stream.write_all(&fill));
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        let exchange = running.record();
        assert_eq!(
            (
                &exchange["answer"]["status"],
                &exchange["request"]["complete"]
            ),
            (&413.into(), &false.into())
        );
        assert!(
            exchange["request"]["size"]
                .as_u64()
                .is_some_and(|size| size > 1024 * 1024),
            "{}",
            exchange["request"]["size"]
        );
    }
    let after = most_memory(&pid);
    assert!(
        after <= before + 8 * 1024,
        "{before} KiB before, {after} KiB after"
    );
}

/// A small body may need much memory when it is parsed; the output queue is bounded by that memory.
#[cfg(target_os = "linux")]
#[test]
fn t4_what_waits_to_be_shown_is_bounded_by_the_memory_it_takes() {
    const LENGTH: usize = 256 * 1024;
    let fields = r#"{"type":"cdr","direction":"outbound","status":"missed","leg":"a","x":"#;
    for item in [r#"{"a":{}},"#, "0,"] {
        let body = format!("{fields}[{}0]}}", item.repeat(LENGTH / item.len()));
        let (reading, mut writing) = std::io::pipe().expect("a pipe");
        let mut child = std::process::Command::new(binary())
            .args(["listen", "--port", "0", "--format", "ndjson"])
            .stdout(writing.try_clone().expect("a pipe"))
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut ready = String::new();
        let mut reading = std::io::BufReader::with_capacity(1, reading);
        std::io::BufRead::read_line(&mut reading, &mut ready).expect("a line");
        let ready: serde_json::Value = serde_json::from_str(&ready).expect("a record");
        writing
            .write_all(&vec![b'x'; 32 * 1024])
            .expect("a full pipe");
        let url = ready["url"].as_str().expect("a URL");
        for _ in 0..20 {
            assert_eq!(status(&post_json(url, &body)), "200");
        }
        let most = most_memory(&ready["pid"]);
        let _ = child.kill();
        let _ = child.wait();
        // 120 MiB: the output queue, one request while it is read, the program itself, and overhead of the allocator.
        assert!(most < 120 * 1024, "{most} KiB for {item}");
    }
}

#[test]
fn j2_nesting_without_end_is_harmless() {
    let mut listener = listener(&[]);
    for (body, expected) in [
        (format!("{}1{}", "[".repeat(127), "]".repeat(127)), "200"),
        (format!("{}1{}", "[".repeat(128), "]".repeat(128)), "400"),
        ("[".repeat(100_000), "400"),
        ("{\"a\":".repeat(100_000), "400"),
        (format!("{{a:{}", "[".repeat(100_000)), "400"),
    ] {
        assert_eq!(status(&post_json(&listener.url, body)), expected);
        listener.running.record();
    }
    assert_eq!(
        status(&post_json(&listener.url, fixture("docs-leg-a.json"))),
        "200"
    );
    for deep in [
        "[".repeat(100_000),
        "{a:".repeat(100_000),
        format!("{}{}", "{a:[".repeat(50_000), "]}".repeat(50_000)),
    ] {
        program(["send", "--url", &listener.url, "-f", "-"])
            .input(deep)
            .run()
            .expect(2);
    }
}

#[test]
fn j3_what_a_reader_would_round_is_kept_as_it_came() {
    let mut listener = listener(&[]);
    let body = r#"{"a":1.50,"a":18446744073709551616,"to":9007199254740993,"time":1e400}"#;
    assert_eq!(status(&post_json(&listener.url, body)), "200");
    let exchange = listener.running.record();
    assert_eq!(exchange["request"]["body"]["text"], body);
    let remarks = exchange["verdict"]["remarks"].to_string();
    for code in ["duplicate_key", "inexact_number"] {
        assert!(remarks.contains(code), "{remarks}");
    }
}

#[test]
fn j6_a_query_is_kept_as_it_came() {
    let mut listener = listener(&[]);
    let target = "/cdr?a=1&a=2&b=%ff&c=%00&d=1+2&e[x]=1&=&f&g=%zz";
    say(
        &listener.url,
        format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
    );
    assert_eq!(listener.running.record()["request"]["target"], target);
    let pretty = super::program::pretty_listener(&["--timeout", "20s"]);
    say(
        &pretty.url,
        format!(
            "GET {target}&type=cdr&direction=outbound&status=missed HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        ),
    );
    pretty.running.signal("-INT");
    let shown = pretty.running.end().stdout;
    let places: Vec<_> = ["a ", "a ", "b ", "c ", "d ", "e[x] "]
        .iter()
        .scan(0, |from, name| {
            let at = shown[*from..].find(&format!("\n  {name}"))? + *from + 1;
            *from = at;
            Some(at)
        })
        .collect();
    assert_eq!(places.len(), 6, "{shown}");
}

#[cfg(unix)]
#[test]
fn t4_output_that_nobody_reads_slows_no_request() {
    use std::process::{Command, Stdio};
    const REQUESTS: u64 = 60;
    let folder = tempfile::tempdir().expect("a folder");
    let word = folder.path().join("ready");
    let mut child = Command::new(binary())
        .args([
            "listen",
            "--port",
            "0",
            "--format",
            "ndjson",
            "--ready-file",
        ])
        .arg(&word)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut stdout = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    let mut ready = String::new();
    std::io::BufRead::read_line(&mut stdout, &mut ready).expect("a line");
    let ready: serde_json::Value = serde_json::from_str(&ready).expect("a record");
    let url = ready["url"].as_str().expect("a URL");
    // The text of each request takes a fortieth of the output queue's capacity.
    let fields = r#"{"type":"cdr","direction":"outbound","status":"missed","leg":"a","x":"#;
    let body = format!("{fields}[{}0]}}", "0,".repeat(100_000));
    for _ in 0..REQUESTS {
        assert_eq!(status(&post_json(url, &body)), "200");
    }
    let (mut shown, mut answered) = (0, REQUESTS);
    let mut read = |summary: bool| {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut stdout, &mut line).expect("text");
        let record: serde_json::Value = serde_json::from_str(&line).expect("a record");
        shown += u64::from(record["type"] == "exchange");
        let last = if summary {
            record["type"] == "summary"
        } else {
            record["request"]["target"] == "/marker"
        };
        (last.then_some(record), shown)
    };
    while read(false).0.is_none() {
        say(
            url,
            "GET /marker HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        );
        answered += 1;
    }
    assert!(
        Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .expect("kill runs")
            .success()
    );
    let (summary, shown) = loop {
        if let (Some(summary), shown) = read(true) {
            break (summary, shown);
        }
    };
    assert_eq!(child.wait().expect("a status").code(), Some(0));
    assert_eq!(summary["exchanges"], answered);
    assert!(shown < answered, "it all fitted: the test shows nothing");
    assert_eq!(summary["dropped"], answered - shown);
}

#[test]
fn c7_a_hostile_capture_smuggles_nothing() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", socket.local_addr().expect("an address"));
    let (keep, requests) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in socket.incoming().flatten() {
            let keep = keep.clone();
            std::thread::spawn(move || {
                let request = read_request(&mut stream);
                let _ = stream.write_all(
                    b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                );
                let _ = keep.send(String::from_utf8_lossy(&request).into_owned());
            });
        }
    });
    let record = |method: &str, target: &str, headers: &str, size: &str| {
        format!(
            "{{\"type\":\"exchange\",\"v\":1,\"request\":{{\"method\":{method},\"target\":{target},\"version\":\"HTTP/1.1\",\
             \"headers\":{headers},\"body\":{{\"text\":\"GET /forged HTTP/1.1\\r\\n\\r\\n\"}},\"size\":{size},\"complete\":true}}}}"
        )
    };
    let (get, slash) = (r#""POST""#, r#""/""#);
    let long = format!("[[\"x\",\"{}\"]]", "y".repeat(3_000_000));
    for line in [
        record(r#""GET / HTTP/1.1\r\nX: y\r\n\r\nGET""#, slash, "[]", "0"),
        record(
            get,
            r#""/ HTTP/1.1\r\nX: /forged\r\n\r\nGET /forged""#,
            "[]",
            "0",
        ),
        record(get, r#""/\u0000\u001b[2J\u202e""#, "[]", "0"),
        record(get, r#""""#, "[]", "0"),
        record(get, slash, r#"[["x","y\r\nX-Forged: /forged"]]"#, "0"),
        record(get, slash, r#"[["x\r\nX-Forged","/forged"]]"#, "0"),
        record(get, slash, r#"[["",""],[" ","x"]]"#, "0"),
        record(
            get,
            slash,
            r#"[["content-length","0"],["content-length","5"]]"#,
            "0",
        ),
        record(
            get,
            slash,
            r#"[["transfer-encoding","chunked"],["content-length","0"]]"#,
            "0",
        ),
        record(get, slash, r#"[["x",{"base64":"/w0K"}]]"#, "0"),
        record(get, slash, &long, "0"),
        record(get, slash, "[]", "18446744073709551615"),
        record(r#""""#, slash, "[]", "0"),
        record("\"\u{1b}[2J\"", slash, "[]", "0"),
    ] {
        for flags in [&["-v"][..], &["--race", "2"], &["--print", "curl"]] {
            let fixed = ["send", "--url", &url, "--timeout", "150ms", "-f", "-"];
            let ended = program([&fixed, flags].concat()).input(line.clone()).run();
            assert!(matches!(ended.code, Some(0..=2)), "{}", ended.whole());
            let shown = format!("{}{}", ended.stdout, ended.stderr);
            assert!(
                !shown
                    .chars()
                    .any(|c| c != '\n' && telecmi_cdr::internals::disturbs(c)),
                "{shown:?}"
            );
            for request in requests.try_iter() {
                let (head, body) = request.split_once("\r\n\r\n").expect("a head");
                assert!(
                    !head.contains("\r\nX-Forged") && !head.contains("/forged HTTP"),
                    "{flags:?}: {request}"
                );
                let head = head.to_ascii_lowercase();
                let lengths = head
                    .split("content-length: ")
                    .skip(1)
                    .filter_map(|rest| rest.lines().next());
                for length in lengths.filter(|_| !head.contains("chunked")) {
                    assert_eq!(length, body.len().to_string(), "{flags:?}: {request}");
                }
            }
        }
    }
}

/// The memory of `send` must not grow with the number of deliveries.
#[cfg(target_os = "linux")]
#[test]
fn s7_memory_does_not_grow_with_the_count() {
    use std::io::BufRead as _;
    use std::process::{Command, Stdio};
    let url = super::peers::nobody();
    let mut child = Command::new(binary())
        .args([
            "send", "--url", &url, "-n", "100000", "--format", "ndjson", "-q",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let pid = child.id().into();
    let mut lines = std::io::BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut read = |count: usize| {
        let told = lines.by_ref().take(count).filter(|line| {
            line.as_ref()
                .is_ok_and(|line| line.contains("\"delivery\""))
        });
        assert!(told.count() + 1 >= count, "the records ended early");
    };
    read(500);
    let before = most_memory(&pid);
    read(2_500);
    let after = most_memory(&pid);
    let _ = child.kill();
    let _ = child.wait();
    assert!(
        after <= before + 2 * 1024,
        "{before} KiB after 500, {after} KiB after 3000"
    );
}

#[cfg(unix)]
#[test]
fn s8_a_second_interruption_ends_a_sender_at_once() {
    let (url, requests) = super::peers::keeping_stub("");
    let mut running = program(["send", "--url", &url, "-n", "100", "--timeout", "29s"]).start();
    requests.recv_timeout(DEADLINE).expect("a request");
    running.signal("-INT");
    while !running.talk().starts_with("stopping: ") {}
    let clock = telecmi_cdr::internals::Clock::start();
    running.signal("-INT");
    let ended = running.end().expect(130);
    assert!(
        clock.elapsed().as_secs() < 5,
        "{:?}: {}",
        clock.elapsed(),
        ended.whole()
    );
}

#[cfg(unix)]
#[test]
fn r0_half_a_head_is_counted_at_the_end_too() {
    let mut listener = listener(&[]);
    let mut half = connect(&listener.url);
    std::io::Write::write_all(&mut half, b"POST / HTTP/1.1\r\nHost").expect("written");
    post_json(&listener.url, fixture("docs-leg-a.json"));
    listener.running.record();
    listener.running.signal("-INT");
    let ended = listener.running.end().expect(0);
    assert_eq!(
        ended.records_of("summary")[0]["malformed"],
        1,
        "{}",
        ended.whole()
    );
    assert!(
        ended
            .stderr
            .contains("closed in the middle of a request head"),
        "{}",
        ended.stderr
    );
}
