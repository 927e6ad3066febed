//! Visitors on several threads: who is attended to where, and that all of them are seen to at the end.

use super::*;

const ASK: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// The thread that gave an answer.
fn thread(answer: &str) -> &str {
    answer
        .lines()
        .find_map(|line| line.strip_prefix("x-thread: "))
        .expect("a thread")
}

impl Peer {
    /// Asks, and tells which thread answered.
    async fn asks(&mut self) -> String {
        self.write(ASK).await;
        thread(&self.until("got it").await).to_owned()
    }
}

#[tokio::test]
async fn an_answer_that_blocks_its_thread_holds_up_nobody_on_the_other() {
    let mut stand = Stand::new().await;
    let (mut one, mut other) = (stand.connect().await, stand.connect().await);
    let first = one.asks().await;
    assert_eq!(first, format!("{:?}", std::thread::current().id()));
    other.write("GET /block HTTP/1.1\r\nHost: x\r\n\r\n").await;
    for _ in 0..2 {
        stand.incoming().await;
    }
    assert_eq!(one.asks().await, first);
    stand.unblock.send(()).unwrap();
    assert_ne!(thread(&other.until("got it").await), first);
    stand.incoming().await;
    stand.close().await;
}

#[tokio::test]
async fn whoever_comes_next_is_attended_to_where_there_are_fewest() {
    let mut stand = Stand::with(|limits| limits.threads = Some(3)).await;
    let mut peers = Vec::new();
    for _ in 0..6 {
        peers.push(stand.connect().await);
    }
    let mut threads = Vec::new();
    for peer in &mut peers {
        threads.push(peer.asks().await);
        stand.incoming().await;
    }
    assert_eq!(threads[..3], threads[3..]);
    assert!(threads[0] != threads[1] && threads[0] != threads[2] && threads[1] != threads[2]);
    stand.close().await;
}

#[tokio::test]
async fn one_connection_after_the_other_needs_one_thread() {
    let mut stand = Stand::new().await;
    let first = stand.connect().await.asks().await;
    for _ in 0..20 {
        let mut peer = stand.connect().await;
        assert_eq!(peer.asks().await, first);
    }
    for _ in 0..21 {
        stand.incoming().await;
    }
    stand.close().await;
}

#[tokio::test]
async fn w13_what_is_in_flight_on_any_thread_is_finished() {
    let mut stand = Stand::with(|limits| limits.threads = Some(3)).await;
    let (mut idle, mut busy) = (Vec::new(), Vec::new());
    for _ in 0..6 {
        let mut peer = stand.connect().await;
        peer.asks().await;
        idle.push(peer);
        busy.push(stand.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await);
        for _ in 0..2 {
            stand.incoming().await;
        }
    }
    stand.stop.cancel();
    for peer in &mut idle {
        peer.ends_silently().await;
    }
    stand.gate.add_permits(busy.len());
    for peer in &mut busy {
        let answer = peer.rest().await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"),
            "{answer}"
        );
    }
    stand.close().await;
}

#[tokio::test]
async fn w13_nothing_on_another_thread_is_done_behind_the_end() {
    let mut stand = Stand::with(|limits| limits.grace = Duration::ZERO).await;
    let mut one = stand.connect().await;
    one.asks().await;
    let _other = stand.send("GET /block HTTP/1.1\r\nHost: x\r\n\r\n").await;
    for _ in 0..2 {
        stand.incoming().await;
    }
    stand.stop.cancel();
    // The grace is over, and the other thread is still in the middle of its step.
    tokio::time::timeout(SHORT, &mut stand.served)
        .await
        .unwrap_err();
    stand.unblock.send(()).unwrap();
    soon(&mut stand.served).await.unwrap();
    while let Some(error) = stand.mishaps.recv().await {
        assert_eq!(error, ConnectionError::Stopped);
    }
    assert_eq!(stand.arrivals.recv().await, None);
}
