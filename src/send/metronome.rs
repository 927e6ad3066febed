//! Waits that end on time. Tokio's timer counts whole milliseconds and rounds up, so what leaves by it is a millisecond or
//! two late; a thread that sleeps until the next is due is ten times as exact.
//!
//! In: times on the clock, from several threads. Out: whoever waits is woken when the time has come. Those of one thread
//! wait in a [`Lobby`] of its own, of which the metronome knows only who is next: whoever is woken wakes the others whose
//! time has come, which costs little on one thread. There is one thread more as soon as somebody waits, until the [`Metronome`] is gone.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use crate::clock::Clock;

/// The least time between two beats. What leaves together costs less: at 50 000 a second, beats twice as often would cost a
/// fifth more for each delivery.
const QUANTUM: Duration = Duration::from_micros(500);

/// Wakes those who wait, each when the time has come.
pub struct Metronome(Arc<Shared>);

/// What the metronome's thread and those who wait have in common.
struct Shared {
    clock: Clock,
    stopped: AtomicBool,
    state: Mutex<State>,
    /// Wakes the thread.
    sooner: Condvar,
}

/// Everything that changes.
#[derive(Default)]
struct State {
    /// Each lobby's.
    doors: Vec<Door>,
    /// Until when the thread sleeps, if it does.
    asleep: Option<Duration>,
    /// Whether there is a thread.
    started: bool,
    /// Whether the metronome is gone.
    closed: bool,
}

/// Somebody who waits for a time on the clock.
#[derive(Clone)]
struct Sleeper {
    due: Duration,
    waker: Waker,
}

/// What the metronome knows of a lobby.
#[derive(Default)]
struct Door {
    /// Who is next.
    first: Option<Sleeper>,
    /// When somebody else will be next: the metronome sleeps until then, and learns meanwhile who that is.
    second: Option<Duration>,
}

impl Door {
    /// When there is something to do.
    fn due(&self) -> Option<Duration> {
        self.first.as_ref().map(|first| first.due).or(self.second)
    }

    /// Takes whoever is to be woken.
    fn open(&mut self, now: Duration) -> Option<Sleeper> {
        if self.first.is_none() {
            self.second = self.second.filter(|second| *second > now);
        }
        self.first.take_if(|first| first.due <= now)
    }
}

impl Metronome {
    /// A metronome by a clock, which must be the machine's.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let (stopped, state, sooner) = (AtomicBool::new(false), Mutex::default(), Condvar::new());
        Self(Arc::new(Shared {
            clock,
            stopped,
            state,
            sooner,
        }))
    }

    /// A place to wait, for one thread.
    #[must_use]
    pub fn lobby(&self) -> Lobby<'_> {
        let mut state = self.0.state();
        state.doors.push(Door::default());
        Lobby {
            shared: &self.0,
            number: state.doors.len() - 1,
            waiting: RefCell::default(),
        }
    }

    /// Ends every wait at once.
    pub fn stop(&self) {
        self.0.stopped.store(true, Ordering::SeqCst);
        let first: Vec<_> = self
            .0
            .state()
            .doors
            .iter_mut()
            .filter_map(|door| door.first.take())
            .collect();
        for sleeper in first {
            sleeper.waker.wake();
        }
    }
}

impl Drop for Metronome {
    fn drop(&mut self) {
        self.0.state().closed = true;
        self.0.sooner.notify_one();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // It is right after every step, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the metronome who waits in a lobby, the first to be woken in front.
    fn tell(self: &Arc<Self>, lobby: usize, waiting: &VecDeque<Sleeper>) {
        let first = waiting.front().cloned();
        let second = waiting.get(1).map(|sleeper| sleeper.due);
        let mut state = self.state();
        let is_sooner = first
            .as_ref()
            .zip(state.asleep)
            .is_some_and(|(first, until)| first.due < until);
        let starts = first.is_some() && !state.started;
        state.doors[lobby] = Door { first, second };
        if starts {
            state.started = true;
            let shared = Arc::clone(self);
            thread::spawn(move || shared.beat());
        } else if is_sooner {
            // Once is enough.
            state.asleep = None;
            drop(state);
            self.sooner.notify_one();
        }
    }

    /// Wakes whoever is next when the time has come, until the metronome is gone.
    fn beat(&self) {
        let mut not_before = Duration::ZERO;
        let mut woken = Vec::new();
        let mut state = self.state();
        while !state.closed {
            let first = state.doors.iter().filter_map(Door::due).min();
            let until = first.map_or(Duration::MAX, |first| first.max(not_before));
            let now = self.clock.elapsed();
            if until > now {
                state.asleep = Some(until);
                let slept = self.sooner.wait_timeout(state, until.saturating_sub(now));
                state = slept.unwrap_or_else(PoisonError::into_inner).0;
                state.asleep = None;
                continue;
            }
            not_before = now + QUANTUM;
            woken.extend(state.doors.iter_mut().filter_map(|door| door.open(now)));
            // They have something to say to the metronome as soon as they are awake.
            drop(state);
            woken.drain(..).for_each(|sleeper| sleeper.waker.wake());
            state = self.state();
        }
    }
}

/// Where those of one thread wait.
pub struct Lobby<'a> {
    shared: &'a Arc<Shared>,
    /// Which of the lobbies it is.
    number: usize,
    /// The first to be woken in front.
    waiting: RefCell<VecDeque<Sleeper>>,
}

impl Lobby<'_> {
    /// Waits until a time on the clock; false if it was stopped before that.
    pub fn until(&self, due: Duration) -> Wait<'_> {
        Wait { lobby: self, due }
    }

    /// Wakes all whose time has come but the one who is awake.
    fn release(&self, awake: &Waker, now: Duration) {
        let mut waiting = self.waiting.borrow_mut();
        let due = waiting
            .iter()
            .take_while(|sleeper| sleeper.due <= now)
            .count();
        if due == 0 {
            return;
        }
        for Sleeper { waker, .. } in waiting.drain(..due) {
            if !awake.will_wake(&waker) {
                waker.wake();
            }
        }
        self.shared.tell(self.number, &waiting);
    }

    fn add(&self, sleeper: Sleeper) {
        let mut waiting = self.waiting.borrow_mut();
        // Nearly always the last.
        let place = waiting
            .iter()
            .rposition(|other| other.due <= sleeper.due)
            .map_or(0, |place| place + 1);
        waiting.insert(place, sleeper);
        if place == 0 {
            self.shared.tell(self.number, &waiting);
        }
    }
}

/// A wait for a time on the clock. Whoever begins it sees it through: others are woken by those who were next.
pub struct Wait<'a> {
    lobby: &'a Lobby<'a>,
    due: Duration,
}

impl Future for Wait<'_> {
    type Output = bool;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        let Shared { clock, stopped, .. } = &**self.lobby.shared;
        let now = clock.elapsed();
        if now >= self.due {
            self.lobby.release(context.waker(), now);
            return Poll::Ready(true);
        }
        if !stopped.load(Ordering::SeqCst) {
            self.lobby.add(Sleeper {
                due: self.due,
                waker: context.waker().clone(),
            });
        }
        // Once more: it may have been said in between, to those that were known by then.
        if stopped.load(Ordering::SeqCst) {
            self.lobby.release(context.waker(), Duration::MAX);
            return Poll::Ready(false);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use futures_util::stream::FuturesUnordered;
    use futures_util::{FutureExt as _, StreamExt as _};

    const SOON: Duration = Duration::from_millis(1);
    const FAR: Duration = Duration::from_secs(3_600);

    fn metronome() -> (Clock, Metronome) {
        let clock = Clock::at(Timestamp::from_epoch_ms(0).unwrap());
        (clock, Metronome::new(clock))
    }

    #[tokio::test]
    async fn nobody_is_woken_too_soon() {
        let (clock, metronome) = metronome();
        let lobby = metronome.lobby();
        let waits = [3, 1, 2, 0, 5, 4].map(async |n| {
            assert!(lobby.until(SOON * n).await);
            assert!(clock.elapsed() >= SOON * n);
        });
        waits
            .into_iter()
            .collect::<FuturesUnordered<_>>()
            .collect::<()>()
            .await;
        assert!(lobby.waiting.borrow().is_empty());
    }

    #[tokio::test]
    async fn each_thread_is_woken_for_its_own() {
        let (_, metronome) = metronome();
        let wait = |_| {
            let lobby = metronome.lobby();
            async move {
                for n in 1..10 {
                    assert!(lobby.until(SOON * n).await);
                }
            }
        };
        (0..3)
            .map(wait)
            .collect::<FuturesUnordered<_>>()
            .collect::<()>()
            .await;
    }

    #[test]
    fn who_is_woken_wakes_the_others_that_are_due() {
        let (_, metronome) = metronome();
        let lobby = metronome.lobby();
        let mut wait = lobby.until(FAR);
        let mut look = || wait.poll_unpin(&mut Context::from_waker(Waker::noop()));
        assert!(look().is_pending());
        lobby.release(Waker::noop(), FAR.saturating_sub(SOON));
        assert_eq!(lobby.waiting.borrow().len(), 1);
        lobby.release(Waker::noop(), FAR);
        assert!(lobby.waiting.borrow().is_empty());
        // The clock says that the time has not come.
        assert!(look().is_pending());
        assert_eq!(lobby.waiting.borrow().len(), 1);
    }

    #[tokio::test]
    async fn all_end_when_it_is_stopped() {
        let (_, metronome) = metronome();
        let (here, there) = (metronome.lobby(), metronome.lobby());
        let waits: FuturesUnordered<_> = [&here, &there, &here, &there]
            .into_iter()
            .map(|lobby| lobby.until(FAR))
            .collect();
        let stop = async {
            tokio::task::yield_now().await;
            metronome.stop();
        };
        let (ended, ()) = tokio::join!(waits.collect::<Vec<_>>(), stop);
        assert_eq!(ended, [false; 4]);
        assert!(!here.until(FAR).await);
    }
}
