use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::ready::Ready;
use super::super::{Architecture, CandleEngine, Family};
use super::*;
use crate::engine::{Engine, ScoreRow, WeightSet, sample_all};
use crate::text::{Stops, Text, train};

const VOCAB: usize = 29;
const STOP: u32 = 5;

/// A model whose matrices are large enough for every path to matter.
fn engine(vocab: usize, head_dim: usize) -> CandleEngine {
    let config = Architecture {
        intermediate_size: 24,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim,
        max_position_embeddings: 200,
        ..Architecture::small(Family::Qwen3, vocab, 16, 2)
    };
    let mut engine = CandleEngine::init(config, 3).unwrap();
    for w in engine.live.iter_mut().filter(|w| w.rank() == 2) {
        *w = (&*w * 10.0).unwrap();
    }
    engine
}

fn ready(engine: &CandleEngine) -> Ready {
    let mut ready = Ready::default();
    ready.refresh(&engine.live, |place| engine.decoder.multiplies(place)).unwrap();
    ready
}

fn ids(n: usize, salt: usize) -> Vec<u32> {
    (0..n).map(|i| ((i * 7 + salt * 13 + i * i) % VOCAB) as u32).collect()
}

fn request(slot: usize, context: &[u32]) -> SampleRequest {
    SampleRequest { slot, context: context.to_vec(), limit: 12, seed: 40 + slot as u64 }
}

/// A conversation: its opening, and what it is given after each of its turns.
#[derive(Clone, Debug)]
struct Talk {
    opening: Vec<u32>,
    given: Vec<Vec<u32>>,
}

type Said = BTreeMap<(usize, usize), Sample>;

/// Holds all conversations at once, `order` first to last.
fn together(engine: &mut CandleEngine, sampler: &Sampler, talks: &[Talk], order: &[usize]) -> Said {
    let mut said = Said::new();
    let mut turns = vec![0; talks.len()];
    let mut contexts: Vec<Vec<u32>> = talks.iter().map(|t| t.opening.clone()).collect();
    let ask = |slot: usize, turn: usize, context: &[u32]| SampleRequest {
        seed: (slot * 100 + turn) as u64,
        ..request(slot, context)
    };
    let first = order.iter().map(|&slot| ask(slot, 0, &contexts[slot])).collect();
    let mut next = |Finished { slot, sample }: Finished| {
        contexts[slot].extend(&sample.ids);
        said.insert((slot, turns[slot]), sample);
        turns[slot] += 1;
        let Some(given) = talks[slot].given.get(turns[slot] - 1) else { return Ok(vec![]) };
        contexts[slot].extend(given);
        Ok(vec![ask(slot, turns[slot], &contexts[slot])])
    };
    engine.sample(sampler, first, &mut next).unwrap();
    said
}

/// Holds each conversation by itself and without any cache.
fn alone(engine: &mut CandleEngine, sampler: &Sampler, talks: &[Talk]) -> Said {
    let mut said = Said::new();
    for (slot, talk) in talks.iter().enumerate() {
        let mut context = talk.opening.clone();
        for turn in 0..=talk.given.len() {
            let request = SampleRequest { seed: (slot * 100 + turn) as u64, ..request(slot, &context) };
            let sample = sample_all(engine, sampler, vec![request]).unwrap().remove(0);
            context.extend(&sample.ids);
            said.insert((slot, turn), sample);
            context.extend(talk.given.get(turn).into_iter().flatten());
        }
    }
    said
}

fn talks() -> impl Strategy<Value = Vec<Talk>> {
    // few openings, so that many share all or the beginning of theirs
    let opening = (0usize..3, 1usize..80).prop_map(|(salt, n)| ids(n, salt));
    let given = proptest::collection::vec((0usize..9, 1usize..20).prop_map(|(salt, n)| ids(n, salt)), 0..4);
    let talk = (opening, given).prop_map(|(opening, given)| Talk { opening, given });
    proptest::collection::vec(talk, 1..9)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Tokens, log-probs and all else are the same to the last bit: alone or in company, early or late, with a cache
    /// or without, in any order, under any limit.
    #[test]
    fn a_reply_does_not_depend_on_its_company(
        talks in talks(),
        shuffle: u64,
        concurrent in 0usize..4,
        blocks in 0usize..8,
        head_dim in prop::sample::select(vec![8usize, 32]),
        top_k in prop::sample::select(vec![0usize, 6]),
    ) {
        let mut engine = engine(VOCAB, head_dim);
        let stops = Stops::tokens_only(vec![STOP]);
        let sampler = Sampler { filter: Filter { top_k, ..Filter::NONE }, top: 2, ..Sampler::new(0.9, &stops) };
        let mut order: Vec<usize> = (0..talks.len()).collect();
        order.sort_by_key(|i| rng::seed(shuffle, "order", &[*i as u64]));
        let cache_bytes = blocks * Store::new(engine.decoder.cache_shape(), &engine.live[0], 0).block_bytes();
        let limited = Sampler { concurrent, cache_bytes, ..sampler };
        let want = alone(&mut engine, &sampler, &talks);
        prop_assert_eq!(together(&mut engine, &limited, &talks, &order), want);
    }
}

#[test]
fn memory_stays_under_its_limit() {
    let engine = engine(VOCAB, 8);
    let ready = ready(&engine);
    let stops = Stops::tokens_only(vec![STOP]);
    for blocks in [1, 3, 7] {
        let cache_bytes = blocks * Store::new(engine.decoder.cache_shape(), &engine.live[0], 0).block_bytes();
        let sampler = Sampler { cache_bytes, ..Sampler::new(1.0, &stops) };
        let mut batch = Batch::new(&engine.decoder, &engine.live, &sampler);
        batch.ask((0..12).map(|slot| request(slot, &ids(20 + 9 * slot, slot))).collect()).unwrap();
        let mut left = 40;
        loop {
            batch.admit();
            if batch.rows.is_empty() {
                break;
            }
            let idle: usize = batch.idle.iter().map(|(_, c)| c.blocks().len()).sum();
            let rows: usize = batch.rows.iter().map(|r| r.blocks).sum();
            assert!(rows + idle <= blocks || batch.rows.len() == 1, "{rows} and {idle} of {blocks} blocks");
            batch.pass(&engine.decoder, Sampled { weights: &engine.live, ready: &ready, meeting: None }).unwrap();
            assert!(batch.rows.iter().all(|r| r.cached.blocks().len() <= r.blocks));
            for finished in std::mem::take(&mut batch.done) {
                if left > 0 {
                    left -= 1;
                    batch.ask(vec![request(finished.slot, &ids(30 + left, finished.slot))]).unwrap();
                }
            }
        }
        assert_eq!(left, 0);
    }
}

/// The replies to `requests` in a pool of three threads.
fn replies(engine: &CandleEngine, together: bool, requests: Vec<SampleRequest>) -> BTreeMap<usize, Sample> {
    let stops = Stops::tokens_only(vec![STOP]);
    let sampler = Sampler::new(1.0, &stops);
    let from = Sampled { weights: &engine.live, ready: &ready(engine), meeting: None };
    let mut batch = Batch { together, ..Batch::new(&engine.decoder, &engine.live, &sampler) };
    batch.ask(requests).unwrap();
    batch.admit();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    pool.install(|| {
        while !batch.rows.is_empty() {
            batch.pass(&engine.decoder, from).unwrap()
        }
    });
    batch.done.into_iter().map(|f| (f.slot, f.sample)).collect()
}

#[test]
fn parts_that_multiply_together_give_the_same_replies() {
    let engine = engine(4096, 8);
    let requests = || (0..14).map(|slot| request(slot, &ids(5 + 9 * slot, slot))).collect();
    let want = replies(&engine, false, requests());
    assert_eq!(want.len(), 14);
    assert_eq!(replies(&engine, true, requests()), want);
}

#[test]
fn a_group_holds_its_prompt_once() {
    let engine = engine(VOCAB, 8);
    let ready = ready(&engine);
    let stops = Stops::tokens_only(vec![]);
    let sampler = Sampler::new(1.0, &stops);
    let mut batch = Batch::new(&engine.decoder, &engine.live, &sampler);
    let prompt = ids(2 * BLOCK + 3, 1);
    batch.ask((0..5).map(|slot| request(slot, &prompt)).collect()).unwrap();
    batch.admit();
    for _ in 0..3 {
        batch.pass(&engine.decoder, Sampled { weights: &engine.live, ready: &ready, meeting: None }).unwrap();
    }
    let [first, others @ ..] = &batch.rows[..] else { panic!("no rows") };
    for other in others {
        assert!(
            first.cached.blocks()[..2].iter().zip(other.cached.blocks()).all(|(a, b)| std::sync::Arc::ptr_eq(a, b))
        );
        assert!(!std::sync::Arc::ptr_eq(&first.cached.blocks()[2], &other.cached.blocks()[2]));
    }
}

#[test]
fn limits_are_data() {
    let mut engine = engine(VOCAB, 8);
    let stops = Stops::tokens_only(vec![]);
    let sampler = Sampler::new(1.0, &stops);
    let mut finish = |context: usize, longest: usize| {
        let sampler = Sampler { longest, ..sampler };
        let sample = sample_all(&mut engine, &sampler, vec![request(0, &ids(context, 1))]).unwrap().remove(0);
        assert!(!sample.closed() && sample.entropy.len() == sample.ids.len() && sample.kept.is_empty());
        (sample.ids.len(), sample.finish)
    };
    assert_eq!(finish(100, 0), (12, Finish::Length));
    assert_eq!(finish(188, 0), (12, Finish::Length));
    assert_eq!(finish(189, 0), (11, Finish::Context));
    assert_eq!(finish(200, 0), (0, Finish::Context));
    assert_eq!(finish(300, 0), (0, Finish::Context));
    assert_eq!(finish(45, 50), (5, Finish::Context));
    assert_eq!(finish(195, 500), (5, Finish::Context));
}

#[test]
fn wrong_requests_are_refused() {
    let mut engine = engine(VOCAB, 8);
    let stops = Stops::tokens_only(vec![]);
    let mut refused = |requests: Vec<SampleRequest>| {
        sample_all(&mut engine, &Sampler::new(1.0, &stops), requests).unwrap_err().to_string()
    };
    assert!(refused(vec![request(0, &[])]).contains("needs a context"));
    assert!(refused(vec![request(3, &[1]), request(3, &[2])]).contains("slot 3 has an open request"));
    assert!(refused(vec![request(0, &[77])]).contains("token id 77 is outside the vocabulary"));
}

#[test]
fn filters_narrow_what_is_drawn_but_not_what_is_recorded() {
    let mut engine = engine(VOCAB, 8);
    let stops = Stops::tokens_only(vec![]);
    let full = Sampler { top: 3, ..Sampler::new(1.0, &stops) };
    let mut run =
        |sampler: Sampler| sample_all(&mut engine, &sampler, vec![request(0, &ids(30, 1))]).unwrap().remove(0);
    let greedy = run(Sampler { temperature: 0.0, ..full });
    let narrow = run(Sampler { filter: Filter { top_k: 1, ..Filter::NONE }, ..full });
    assert_eq!((&greedy.ids, &greedy.logp), (&narrow.ids, &narrow.logp));
    assert!(narrow.kept.iter().zip(&narrow.logp).all(|(kept, logp)| (kept.ln() - logp).abs() < 1e-5));
    assert_eq!(narrow.top.len(), 3 * narrow.ids.len());
    for (i, top) in narrow.top.chunks(3).enumerate() {
        assert_eq!(top[0], (narrow.ids[i], narrow.logp[i]));
        assert!(top.windows(2).all(|pair| pair[0].1 >= pair[1].1));
    }
}

#[test]
fn stop_strings_close_a_reply() {
    let folder = tempfile::tempdir().unwrap();
    train::write(folder.path(), ["take the mug".to_string()].into_iter().cycle().take(50), 320).unwrap();
    let text = Text::load(folder.path()).unwrap();
    let mut engine = engine(text.vocab(), 8);
    let mut run = |strings: &[String]| {
        let stops = text.closing(strings);
        let request = SampleRequest { limit: 100, ..request(0, &text.encode("take").unwrap()) };
        sample_all(&mut engine, &Sampler::new(1.0, &stops), vec![request]).unwrap().remove(0)
    };
    let whole = run(&[]);
    let spelt = |ids: &[u32]| String::from_utf8(text.bytes(ids).concat()).ok();
    // the first two tokens in a row that can be written down
    let at = (5..whole.ids.len()).find(|&i| spelt(&whole.ids[i - 2..i]).is_some()).expect("some plain text");
    let stop = spelt(&whole.ids[at - 2..at]).unwrap();
    let cut = run(&["never".to_string(), stop.clone()]);
    assert!(cut.closed() && cut.ids.len() <= at && cut.ids[..] == whole.ids[..cut.ids.len()]);
    let holds = |n: usize| text.bytes(&cut.ids[..n]).concat().windows(stop.len()).any(|w| w == stop.as_bytes());
    assert!(holds(cut.ids.len()) && !holds(cut.ids.len() - 1));
}

#[test]
fn draws_follow_the_scored_distribution() {
    let mut engine = engine(VOCAB, 8);
    let (context, n) = (ids(8, 2), 4000);
    let stops = Stops::tokens_only(vec![]);
    let requests = (0..n).map(|i| SampleRequest { limit: 1, seed: i as u64, ..request(i, &context) }).collect();
    let mut counts = [0f64; VOCAB];
    for sample in sample_all(&mut engine, &Sampler::new(1.0, &stops), requests).unwrap() {
        counts[sample.ids[0] as usize] += 1.0;
    }
    for id in 0..VOCAB as u32 {
        let row = [&context[..], &[id]].concat();
        let mask: Vec<bool> = (0..9).map(|t| t == 8).collect();
        let score = engine.score(WeightSet::Live, &[ScoreRow::new(&row, &mask)], 1.0).unwrap();
        let p = (score[0].logp[0] as f64).exp();
        let error = (p * (1.0 - p) / n as f64).sqrt();
        assert!((counts[id as usize] / n as f64 - p).abs() < 4.5 * error + 1e-9, "token {id}");
    }
}
