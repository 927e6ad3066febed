//! Tests faults other than `Status` with a client.

use super::*;

fn ask(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
}

async fn end_of(peer: &mut Peer) -> (Vec<u8>, Option<io::ErrorKind>) {
    let mut bytes = Vec::new();
    let end = soon(peer.0.read_to_end(&mut bytes)).await;
    (bytes, end.err().map(|error| error.kind()))
}

#[tokio::test]
async fn hanging_up_is_an_end_without_a_byte_even_if_more_was_said() {
    let mut stand = Stand::new().await;
    for more in ["", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let mut peer = stand.send(ask("/hang-up") + more).await;
        assert_eq!(end_of(&mut peer).await, (vec![], None));
        stand.incoming().await;
    }
    stand.close().await;
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    let mut stand = Stand::new().await;
    let mut peer = stand.send(ask("/reset")).await;
    assert_eq!(
        end_of(&mut peer).await,
        (vec![], Some(io::ErrorKind::ConnectionReset))
    );
    stand.incoming().await;
    stand.close().await;
}

#[tokio::test]
async fn babble_is_no_http_and_comes_whole() {
    let mut stand = Stand::new().await;
    let mut peer = stand.send(ask("/babble")).await;
    let (bytes, error) = end_of(&mut peer).await;
    assert_eq!(
        (
            bytes.starts_with(b"\x00\xff"),
            bytes.ends_with(b"\r\n\r\n"),
            error
        ),
        (true, true, None)
    );
    assert_eq!(std::str::from_utf8(&bytes).ok(), None);
    stand.incoming().await;
    stand.close().await;
}

#[tokio::test]
async fn an_answer_before_it_on_the_same_connection_is_given() {
    let mut stand = Stand::new().await;
    let mut peer = stand.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    peer.until("got it").await;
    peer.write(ask("/hang-up")).await;
    assert_eq!(end_of(&mut peer).await, (vec![], None));
    for _ in 0..2 {
        stand.incoming().await;
    }
    stand.close().await;
}

#[tokio::test]
async fn what_drips_is_the_whole_answer_in_many_pieces() {
    let mut stand = Stand::new().await;
    let began = Instant::now();
    let mut peer = stand.send(ask("/drip")).await;
    peer.until("HTTP").await;
    assert!(
        began.elapsed() >= Duration::from_millis(250),
        "{:?}",
        began.elapsed()
    );
    stand.stop.cancel();
    let rest = peer.rest().await;
    assert_eq!(
        rest,
        "/1.1 200 OK\r\nx-a: 1\r\ncontent-length: 6\r\nconnection: close\r\n\r\ngot it"
    );
    stand.incoming().await;
    stand.close().await;
}

#[tokio::test]
async fn who_is_ignored_hears_nothing_and_may_leave_when_it_likes() {
    let mut stand = Stand::with(|limits| limits.connections = 1).await;
    for _ in 0..3 {
        let mut peer = stand.send(ask("/ignore")).await;
        stand.incoming().await;
        // On a connection with the fault `Hang`, further requests are read and not answered.
        peer.write(ask("/")).await;
    }
    stand
        .send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .until("got it")
        .await;
    stand.incoming().await;
    stand.close().await;
}

#[tokio::test]
async fn w11_those_who_are_ignored_or_served_slowly_make_room() {
    let mut stand = Stand::with(|limits| limits.connections = 8).await;
    let mut ignored = Vec::new();
    for n in 0..20 {
        ignored.push(
            stand
                .send(ask(if n % 2 == 0 { "/ignore" } else { "/drip" }))
                .await,
        );
    }
    for _ in 0..20 {
        stand.incoming().await;
    }
    stand.send(ask("/")).await.until("got it").await;
    stand.incoming().await;
    assert_eq!(end_of(&mut ignored[0]).await, (vec![], None));
    assert!(ignored[1].rest().await.ends_with("\r\n\r\ngot it"));
    stand.close().await;
}

#[tokio::test]
async fn w13_nothing_of_this_keeps_the_door_open() {
    let mut stand = Stand::new().await;
    let mut open = Vec::new();
    for path in [
        "/ignore",
        "/drip",
        "/drip-much",
        "/hang-up",
        "/babble",
        "/reset",
    ] {
        open.push(stand.send(ask(path)).await);
        stand.incoming().await;
    }
    let stopped = Instant::now();
    stand.close().await;
    assert!(
        stopped.elapsed() < Duration::from_millis(3_500),
        "{:?}",
        stopped.elapsed()
    );
}
