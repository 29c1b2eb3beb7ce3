use std::sync::{Condvar, Mutex};

use super::*;
use crate::core::Split;
use crate::engine::candle::{Architecture, CandleEngine, Family};
use crate::env::Terms;
use crate::text::train;

/// A model that knows nothing, and what it plays.
struct House {
    engine: CandleEngine,
    text: Text,
    world: Box<dyn World>,
    prompts: Prompts,
}

impl House {
    fn open() -> Self {
        let world = crate::env::open_world("household", &toml::Table::new()).unwrap();
        let prompts = world.prompts().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let corpus = (0..30).map(|i| {
            let task = world.task(Split::Train, i).unwrap();
            prompts.first(&task.goal, world.open(&task).unwrap().observation(), None)
        });
        train::write(folder.path(), corpus, 600).unwrap();
        let text = Text::load(folder.path()).unwrap();
        let config = Architecture {
            max_position_embeddings: 1000,
            num_attention_heads: 2,
            num_key_value_heads: 1,
            head_dim: 8,
            ..Architecture::small(Family::Qwen3, text.vocab(), 16, 1)
        };
        Self { engine: CandleEngine::init(config, 1).unwrap(), text, world, prompts }
    }

    /// Two groups of three.
    fn seats(&self) -> Vec<Seat> {
        let seat = |(group, member): (u32, u32)| Seat {
            id: EpisodeId { step: 1, group, member },
            task: self.world.task(Split::Train, group as u64).unwrap(),
            skills: None,
            withheld: vec![],
        };
        (0..2).flat_map(|group| (0..3).map(move |member| (group, member))).map(seat).collect()
    }

    /// Plays, and checks what the watcher is told.
    fn play(&mut self, sampling: &Sampling) -> Vec<Played> {
        let (seats, mut turns, mut over) = (self.seats(), 0, 0);
        let mut table = Table {
            engine: &mut self.engine,
            weights: crate::engine::WeightSet::Live,
            text: &self.text,
            world: &*self.world,
            prompts: &self.prompts,
        };
        let played = play(&mut table, &seats, sampling, &mut |episode, ended| {
            turns += 1;
            assert!(episode.is_none_or(|e| e.turns.len() <= 20) && ended >= over);
            over = ended;
            Ok(())
        });
        let played = played.unwrap();
        assert_eq!(turns, played.iter().map(|p| p.episode.turns.len() + 1).sum::<usize>(), "once to begin with");
        played
    }
}

fn sampling(layout: Layout) -> Sampling {
    Sampling {
        layout,
        history: 2,
        max_new_tokens: 6,
        temperature: 1.0,
        filter: Filter::NONE,
        stop: vec![],
        concurrent: 0,
        cache_bytes: 0,
        reserve: 0,
        seed: 3,
    }
}

#[test]
fn concurrency_and_memory_change_no_episode() {
    let mut house = House::open();
    for layout in [Layout::Transcript, Layout::History] {
        let sampling = Sampling { reserve: 300, ..sampling(layout) };
        let all = house.play(&sampling);
        for limited in [
            Sampling { concurrent: 1, ..sampling.clone() },
            Sampling { concurrent: 4, ..sampling.clone() },
            Sampling { cache_bytes: 40 << 10, ..sampling.clone() },
        ] {
            for (a, b) in all.iter().zip(house.play(&limited)) {
                assert_eq!((&a.episode, &a.rows, a.penalty), (&b.episode, &b.rows, b.penalty));
            }
        }
        assert!(all.windows(2).any(|pair| pair[0].episode.turns[0].reply != pair[1].episode.turns[0].reply));
    }
}

#[test]
fn a_row_never_exceeds_the_room_it_has() {
    let mut house = House::open();
    let mut cut = 0;
    let prompt = house.play(&Sampling { reserve: 300, ..sampling(Layout::Transcript) })[0].rows[0].prompt_len;
    // the first has room for three tokens of the first group's first replies
    for reserve in [1000 - 1 - (prompt + 3), 300, 450, 990] {
        for played in house.play(&Sampling { reserve, ..sampling(Layout::Transcript) }) {
            let stops: Vec<Stop> = played.episode.turns.iter().map(|t| t.stop).collect();
            cut += stops.iter().filter(|s| **s == Stop::ContextLimit).count();
            assert!(stops.iter().rev().skip(1).all(|s| *s != Stop::ContextLimit), "the last turn alone can be cut so");
            for row in &played.rows {
                assert!(row.ids.len() < 1000 - reserve && row.mask.last() == Some(&true));
                assert_eq!(row.entropy.len(), row.sampled.len());
            }
            assert_eq!(played.episode.ending == Ending::ContextLimit, played.episode.turns.len() < 20);
            assert_eq!(played.rows.is_empty(), played.episode.turns.is_empty());
        }
    }
    assert!(cut > 0);
}

#[test]
fn stop_strings_close_replies_and_keep_the_chat_in_form() {
    let mut house = House::open();
    let text = &house.text;
    // the letter that opens most words of the corpus is sampled soon enough
    let stop = "e".to_string();
    let end = text.end();
    let sampling =
        Sampling { stop: vec![stop.clone()], max_new_tokens: 40, reserve: 200, ..sampling(Layout::Transcript) };
    let played = house.play(&sampling);
    let turns: Vec<&Turn> = played.iter().flat_map(|p| &p.episode.turns).collect();
    assert!(turns.iter().any(|t| t.stop == Stop::Closed && t.reply.contains(&stop)));
    assert!(turns.iter().all(|t| t.stop == Stop::Closed || !t.reply.contains(&stop)));
    for row in played.iter().flat_map(|p| &p.rows) {
        // behind every reply but the last stands the end token, sampled or given
        for t in (1..row.ids.len()).filter(|&t| row.mask[t - 1] && !row.mask[t]) {
            assert!((row.ids[t - 1] == end) != (row.ids[t] == end), "at {t}");
        }
    }
}

/// A world elsewhere that has no room for anybody.
struct Full {
    world: Box<dyn World>,
    stopped: Mutex<bool>,
    told: Condvar,
}

impl World for Full {
    fn kind(&self) -> &str {
        self.world.kind()
    }

    fn size(&self, split: Split) -> u64 {
        self.world.size(split)
    }

    fn task(&self, split: Split, index: u64) -> Result<Task> {
        self.world.task(split, index)
    }

    fn open(&self, task: &Task) -> Result<Box<dyn Env>> {
        let stopped = self.stopped.lock().unwrap();
        drop(self.told.wait_while(stopped, |stopped| !*stopped).unwrap());
        self.world.open(task)
    }

    fn terms(&self) -> Terms<'_> {
        self.world.terms()
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn stop_waiting(&self, stop: bool) {
        *self.stopped.lock().unwrap() = stop;
        self.told.notify_all();
    }
}

#[test]
fn a_rollout_that_waits_for_room_can_be_given_up() {
    let mut house = House::open();
    let world = crate::env::open_world("household", &toml::Table::new()).unwrap();
    let world = Full { world, stopped: Mutex::new(false), told: Condvar::new() };
    let seats = house.seats();
    let mut table = Table {
        engine: &mut house.engine,
        weights: WeightSet::Live,
        text: &house.text,
        world: &world,
        prompts: &house.prompts,
    };
    let error = play(&mut table, &seats, &sampling(Layout::Transcript), &mut |episode, over| {
        anyhow::ensure!((episode, over) == (None, 0));
        anyhow::bail!("given up")
    });
    assert_eq!(error.unwrap_err().to_string(), "given up");
}
