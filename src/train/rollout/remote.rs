//! Playing games that run elsewhere: each is opened, and each step is taken, on a thread of its own, while the engine
//! goes on sampling the others' replies. Replies depend on nothing but their context and seed, so episodes are the same
//! as if they were played one after the other.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, Scope};
use std::time::Duration;

use anyhow::Result;

use super::{Game, Played, Scene, Seat, Watch};
use crate::engine::{Engine, SampleRequest, Sampler};
use crate::env::World;

/// A game that comes back from its thread.
type Arrival = (usize, Result<Game>);

/// Plays all seats to the end. Once it is given up, threads wait for at most one answer of the environment.
pub(super) fn play(
    engine: &mut dyn Engine,
    scene: &Scene,
    sampler: &Sampler,
    seats: &[Seat],
    watch: &mut Watch,
) -> Result<Vec<Played>> {
    scene.world.stop_waiting(false);
    thread::scope(|scope| {
        // they live in here: on an error all games end before their threads are waited for
        let _end = End(scene.world);
        let mut hall = Hall::new(scope, seats.len());
        for (slot, seat) in seats.iter().enumerate() {
            hall.send(slot, move || Game::open(scene, seat, slot));
        }
        loop {
            let mut requests = vec![];
            while requests.is_empty() && hall.away > 0 {
                requests.extend(hall.wait(scene, watch)?);
            }
            if requests.is_empty() {
                return Ok(hall.games.into_iter().flatten().map(Game::finish).collect());
            }
            requests.extend(hall.arrived(scene, watch)?);
            engine.sample(sampler, requests, &mut |finished| {
                if let Some(mut game) = hall.games[finished.slot].take() {
                    hall.send(finished.slot, move || game.turn(scene, finished.sample).map(|()| game));
                }
                hall.arrived(scene, watch)
            })?;
        }
    })
}

/// At the end of a rollout nobody waits for a game any more.
struct End<'a>(&'a dyn World);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.stop_waiting(true);
    }
}

/// Where games wait for their next reply.
struct Hall<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    games: Vec<Option<Game>>,
    /// Games on a thread.
    away: usize,
    over: usize,
    back: Sender<Arrival>,
    door: Receiver<Arrival>,
}

impl<'scope, 'env> Hall<'scope, 'env> {
    fn new(scope: &'scope Scope<'scope, 'env>, seats: usize) -> Self {
        let (back, door) = channel();
        Hall { scope, games: (0..seats).map(|_| None).collect(), away: 0, over: 0, back, door }
    }

    fn send(&mut self, slot: usize, work: impl FnOnce() -> Result<Game> + Send + 'scope) {
        self.away += 1;
        let back = self.back.clone();
        self.scope.spawn(move || {
            // if nobody waits any more, the rollout has been given up
            let _ = back.send((slot, work()));
        });
    }

    /// Waits for a game and returns what it asks for.
    fn wait(&mut self, scene: &Scene, watch: &mut Watch) -> Result<Option<SampleRequest>> {
        loop {
            match self.door.recv_timeout(GLANCE) {
                Ok(arrival) => return self.welcome(arrival, scene, watch),
                Err(RecvTimeoutError::Timeout) => watch(None, self.over)?,
                // the hall holds a sender itself, so the channel is open
                Err(error @ RecvTimeoutError::Disconnected) => return Err(error.into()),
            }
        }
    }

    /// What the games ask for that have come back by now.
    fn arrived(&mut self, scene: &Scene, watch: &mut Watch) -> Result<Vec<SampleRequest>> {
        let mut requests = vec![];
        while let Ok(arrival) = self.door.try_recv() {
            requests.extend(self.welcome(arrival, scene, watch)?);
        }
        Ok(requests)
    }

    fn welcome(&mut self, (slot, game): Arrival, scene: &Scene, watch: &mut Watch) -> Result<Option<SampleRequest>> {
        self.away -= 1;
        let game = game?;
        self.over += usize::from(!game.playing());
        if !game.episode.turns.is_empty() || !game.playing() {
            watch(Some(&game.episode), self.over)?;
        }
        let request = game.request(scene);
        self.games[slot] = Some(game);
        Ok(request)
    }
}

/// How long nothing may happen until the rollout is asked whether it is to go on.
const GLANCE: Duration = Duration::from_millis(200);
