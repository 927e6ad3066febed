use std::time::Duration;

use super::*;
use crate::cdr::judge::Verdict;
use crate::cdr::schema::Kind;
use crate::clock::Timestamp;
use crate::exchange::{Answer, CapturedRequest};
use crate::ndjson;
use crate::net::Request;

fn exchange(n: u64) -> Exchange {
    Exchange {
        n,
        received_at: Timestamp::from_epoch_ms(1_650_628_175_336).unwrap(),
        peer: ([127, 0, 0, 1], 4000).into(),
        claimed: None,
        request: Request::new("POST", "/cdr", vec![], format!("body {n}")),
        verdict: Verdict {
            kind: Kind::Unknown,
            generation: None,
            leg: None,
            remarks: Vec::new(),
        },
        cdr: None,
        related: Vec::new(),
        uncounted: None,
        answer: Answer {
            status: Some(200),
            ..Answer::default()
        },
        took_ms: 0.5,
    }
}

fn capture(folder: &tempfile::TempDir) -> (Capture, PathBuf) {
    let path = folder.path().join("calls.ndjson");
    (Capture::open(&path, false).unwrap().0, path)
}

fn bodies(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let body = |line: &str| match CapturedRequest::read(line) {
        Ok(Some(captured)) => captured.request.body.text().unwrap_or("?").to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(body).collect()
}

struct Appended {
    warnings: Vec<String>,
    line: Result<Option<Bytes>, String>,
}

fn append_nth(capture: &mut Capture, n: u64) -> Appended {
    let mut warnings = Vec::new();
    let line = capture.append(&exchange(n), |warning| warnings.push(warning));
    Appended { warnings, line }
}

fn append(capture: &mut Capture, n: u64) -> Vec<String> {
    let appended = append_nth(capture, n);
    let line = ndjson::line("exchange", &exchange(n));
    assert_eq!(appended.line, Ok(Some(line.into())));
    appended.warnings
}

#[test]
fn what_is_appended_is_on_file_at_once_and_added_to_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (mut first, path) = capture(&folder);
    assert!(append(&mut first, 1).is_empty());
    assert_eq!(bodies(&path), ["body 1"]);
    drop(first);
    let (mut second, warnings) = Capture::open(&path, false).unwrap();
    assert_eq!(warnings, [""; 0]);
    assert!(append(&mut second, 2).is_empty());
    assert_eq!(
        (bodies(&path).join(" "), second.saved),
        ("body 1 body 2".to_owned(), 1)
    );
}

#[test]
fn a_second_listener_is_refused_until_the_first_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (first, path) = capture(&folder);
    assert!(matches!(
        Capture::open(&path, false),
        Err(Error::Taken { .. })
    ));
    drop(first);
    assert!(Capture::open(&path, false).is_ok());
}

#[test]
fn after_a_torn_line_a_new_one_is_begun() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("calls.ndjson");
    drop(Capture::open(&path, false).unwrap());
    fs::write(&path, "{\"type\":\"exch").unwrap();
    let (mut capture, warnings) = Capture::open(&path, false).unwrap();
    let said = "the last line is incomplete; the next exchange begins a new line";
    assert_eq!(warnings, [format!("{}: {said}", path.display())]);
    assert!(append(&mut capture, 1).is_empty());
    assert!(append(&mut capture, 2).is_empty());
    assert_eq!(bodies(&path), ["{\"type\":\"exch", "body 1", "body 2"]);
}

struct Narrow {
    interrupted: bool,
    taken: Vec<u8>,
}

impl Write for Narrow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !std::mem::replace(&mut self.interrupted, true) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let room = 5 - self.taken.len();
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let taken = &bytes[..room.min(bytes.len())];
        self.taken.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn interruptions_are_no_errors_and_errors_tell_what_went_in() {
    let mut narrow = Narrow {
        interrupted: false,
        taken: Vec::new(),
    };
    assert!(write_whole(&mut narrow, b"abc").is_ok());
    let (written, error) = write_whole(&mut narrow, b"defg").unwrap_err();
    assert_eq!(
        (written, error.kind(), narrow.taken.as_slice()),
        (2, io::ErrorKind::StorageFull, &b"abcde"[..])
    );
}

#[tokio::test(start_paused = true)]
async fn an_alarm_is_raised_at_once_and_then_once_a_second() {
    let mut alarm = Alarm::default();
    let mut said = Vec::new();
    for (cause, after) in [
        (None, 0),
        (Some("full"), 1),
        (Some("full"), 1),
        (Some("broken"), 997),
        (Some("full"), 2),
        (None, 99),
        (None, 1),
        // The rate limit of warnings also holds if failed and successful writes alternate.
        (Some("full"), 1),
        (None, 1),
    ] {
        tokio::time::advance(Duration::from_millis(after)).await;
        let cause = cause.map(str::to_owned);
        said.push(alarm.note(cause.as_ref()).unwrap_or_default());
    }
    said.push(alarm.held_back().unwrap_or_default());
    insta::assert_snapshot!(said.join("\n"), @"

    cannot be written: full; 1 not saved so far


    cannot be written: full; 4 not saved so far
    saving works again



    cannot be written: full; 5 not saved so far
    ");
    assert_eq!((alarm.lost, alarm.held_back()), (5, None));
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;
    #[cfg(target_os = "linux")]
    use crate::{
        clock::Clock,
        listen::{
            Options,
            event::Event,
            fault::Fault,
            recorder::Recorder,
            respond::ResponsePolicy,
            server::{IncomingRequest, Reply},
        },
    };

    #[test]
    fn it_is_made_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (_capture, path) = capture(&folder);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_file_that_others_can_read_is_warned_about_and_left_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls.ndjson");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let (_capture, warnings) = Capture::open(&path, false).unwrap();
        assert!(
            warnings[0].contains("accessible to other users (mode 640)"),
            "{warnings:?}"
        );
        assert_eq!(warnings.len(), 1);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    }

    #[test]
    fn a_removed_file_is_begun_anew_and_a_renamed_one_written_on() {
        let folder = tempfile::tempdir().unwrap();
        let (mut capture, path) = capture(&folder);
        append_nth(&mut capture, 1);
        fs::remove_file(&path).unwrap();
        let said = format!(
            "{}: the file was removed during the run, and has been created again",
            path.display()
        );
        assert_eq!(append(&mut capture, 2), [said]);
        assert_eq!(bodies(&path), ["body 2"]);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(matches!(
            Capture::open(&path, false),
            Err(Error::Taken { .. })
        ));
        let renamed = folder.path().join("yesterday.ndjson");
        fs::rename(&path, &renamed).unwrap();
        assert!(append(&mut capture, 3).is_empty());
        assert_eq!(bodies(&renamed), ["body 2", "body 3"]);
    }

    #[test]
    fn without_its_folder_it_fails_until_there_is_one_again() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let path = inner.join("calls.ndjson");
        let mut capture = Capture::open(&path, false).unwrap().0;
        fs::remove_dir_all(&inner).unwrap();
        let appended = append_nth(&mut capture, 1);
        assert!(
            appended
                .line
                .unwrap_err()
                .contains("No such file or directory")
        );
        assert!(
            appended.warnings[0].contains("; 1 not saved so far"),
            "{:?}",
            appended.warnings
        );
        fs::create_dir(&inner).unwrap();
        let appended = append_nth(&mut capture, 2);
        assert!(appended.line.is_ok());
        assert!(
            appended.warnings[1].ends_with(": saving works again"),
            "{:?}",
            appended.warnings
        );
        assert_eq!(
            (bodies(&path), capture.saved, capture.alarm.lost),
            (vec!["body 2".to_owned()], 1, 1)
        );
    }

    #[test]
    fn half_a_line_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let (mut capture, path) = capture(&folder);
        append_nth(&mut capture, 1);
        let before = capture.file.length().unwrap();
        capture.file.file.write_all(b"{\"half").unwrap();
        capture.file.roll_back(before, 6);
        assert_eq!(
            (bodies(&path), capture.file.is_torn),
            (vec!["body 1".to_owned()], false)
        );
        // `roll_back` does not truncate bytes of another process; the next line begins with a newline.
        capture.file.file.write_all(b"{\"half and more").unwrap();
        capture.file.roll_back(before, 6);
        append_nth(&mut capture, 2);
        assert_eq!(bodies(&path), ["body 1", "{\"half and more", "body 2"]);
    }

    /// A request whose exchange is not saved is answered with 503, but an injected reset stays a reset.
    #[test]
    #[cfg(target_os = "linux")]
    fn nothing_good_is_said_of_what_was_not_saved() {
        let incoming = IncomingRequest {
            peer: "127.0.0.1:4000".parse().unwrap(),
            at: Timestamp::from_epoch_ms(0).unwrap(),
            request: Request::new(
                "POST",
                "/",
                vec![],
                include_str!("../../../fixtures/docs-leg-a.json"),
            ),
            error: None,
        };
        let decision = ResponsePolicy::default().decide(&incoming);
        let options = Options {
            capture: Some(Capture::open(Path::new("/dev/full"), false).unwrap().0),
            ..Options::default()
        };
        let (tell, told) = std::sync::mpsc::channel();
        let tell = Box::new(move |event| tell.send(event).is_ok());
        let recorder = Recorder::new(options, Clock::start(), tell);
        for fault in [None, Some(Fault::Reset)] {
            let failing = Reply::new(decision.response.clone(), fault);
            let (incoming, decision) = (incoming.clone(), decision.clone());
            let reply = recorder.record(incoming, decision, fault, None, Duration::ZERO);
            let why = "No space left on device (os error 28)";
            let answered = Reply::new(unsaved(), None);
            assert_eq!(reply, if fault.is_some() { failing } else { answered });
            let told = told.try_iter().find_map(|event| match event {
                Event::Exchange(exchange, _) => Some(exchange.answer.clone()),
                _ => None,
            });
            let answer = Answer {
                status: fault.is_none().then_some(503),
                fault: fault.map(|_| "reset".to_owned()),
                unsaved: Some(why.to_owned()),
                forwarded: None,
            };
            assert_eq!(told, Some(answer));
        }
    }

    #[tokio::test]
    async fn a_pipe_that_nobody_reads_is_an_error_and_no_wait() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap();
        assert!(made.success());
        assert!(matches!(
            Capture::open(&path, false),
            Err(Error::Write { .. })
        ));
        let reader = tokio::net::unix::pipe::OpenOptions::new()
            .open_receiver(&path)
            .unwrap();
        let (mut capture, warnings) = Capture::open(&path, false).unwrap();
        assert_eq!(
            (warnings, append(&mut capture, 0)),
            (Vec::new(), Vec::new())
        );
        let failures = (1..1_000).find_map(|n| append_nth(&mut capture, n).line.err());
        assert_eq!(
            failures.as_deref(),
            Some("the pipe is full, because its reader does not read")
        );
        drop(reader);
        // A process that another test has just forked has the reader, too, until its `exec`.
        let mut failures = std::iter::repeat_with(|| {
            std::thread::yield_now();
            append_nth(&mut capture, 0).line.unwrap_err()
        });
        let failure = failures.find(|failure| !failure.contains("is full"));
        assert!(failure.unwrap().contains("Broken pipe"));
    }

    /// A pipe treated as a regular file takes only a part of a long line, and cannot be truncated.
    #[tokio::test]
    async fn after_a_part_of_a_line_a_new_one_is_begun() {
        use std::io::Read as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap();
        assert!(made.success());
        let reader = tokio::net::unix::pipe::OpenOptions::new()
            .open_receiver(&path)
            .unwrap();
        let mut capture = Capture::open(&path, false).unwrap().0;
        capture.file.is_regular = true;
        let mut long = exchange(1);
        long.request = Request::new("POST", "/cdr", vec![], vec![b'x'; 2 << 20]);
        assert!(capture.append(&long, drop).is_err());
        let mut read = vec![0; 4 << 20];
        let mut reader = std::fs::File::from(reader.into_nonblocking_fd().unwrap());
        let length = reader.read(&mut read).unwrap();
        assert!(length > 0 && !read[..length].contains(&b'\n'));
        assert_eq!((capture.saved, capture.alarm.lost), (0, 1));
        assert!(capture.file.is_torn);
        capture.file.is_regular = false;
        assert!(append_nth(&mut capture, 2).line.is_ok());
        let length = reader.read(&mut read).unwrap();
        assert_eq!(
            read[..length],
            [b"\n", &*ndjson::line("exchange", &exchange(2))].concat()
        );
        assert!(!capture.file.is_torn);
    }

    #[test]
    fn devices_are_written_as_far_as_they_can_be() {
        let mut null = Capture::open(Path::new("/dev/null"), false).unwrap().0;
        assert!(append(&mut null, 1).is_empty());
        // A device is not locked, so `/dev/null` can be opened twice.
        assert!(Capture::open(Path::new("/dev/null"), false).is_ok());
    }
}
