//! Ranked search over texts in memory: BM25 (Robertson and Zaragoza, 2009) with the arithmetic of Lucene 9, so that
//! scores and ties come out as in a Lucene index with the same settings.
//!
//! For a query term `t` that occurs `q` times in the query and `f` times in a text of `n` terms:
//!
//! ```text
//! idf(t)      = ln(1 + (N - df(t) + 0.5) / (df(t) + 0.5))
//! score(t, d) = w - w / (1 + f / (k1 ((1 - b) + b n / mean n))),   w = q idf(t)
//! ```
//!
//! Lengths `n` are rounded down to four significant bits (Lucene keeps them in a byte). Equal scores rank in the
//! order in which the texts were given.

use std::cell::RefCell;
use std::collections::HashMap;

use super::analysis::terms;

/// The two constants of BM25.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Params {
    /// Saturation of the term frequency, >= 0; 0 = only presence counts.
    pub k1: f32,
    /// Length normalisation in [0, 1]; 0 = none.
    pub b: f32,
}

impl Default for Params {
    /// Anserini's defaults, which WebShop and Search-R1 use.
    fn default() -> Self {
        Params { k1: 0.9, b: 0.4 }
    }
}

/// One result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Position of the text in the order in which texts were given.
    pub text: usize,
    /// BM25 score, > 0.
    pub score: f32,
}

/// An index that does not change. The texts themselves are not kept.
#[derive(Clone, Debug)]
pub struct Index {
    texts: usize,
    terms: HashMap<Box<str>, Term>,
    postings: Vec<Posting>,
}

/// Where the postings of a term are, and its weight.
#[derive(Clone, Copy, Debug)]
struct Term {
    first: u32,
    count: u32,
    idf: f32,
}

#[derive(Clone, Copy, Debug)]
struct Posting {
    text: u32,
    /// `1 + f / (k1 (...))` of the formula above.
    saturation: f32,
}

thread_local! {
    /// Scores of all texts for the query at work. Kept to save an allocation per query; all zero between queries.
    static SCORES: RefCell<Vec<f64>> = const { RefCell::new(Vec::new()) };
}

impl Index {
    /// Indexes texts, at most 2^32.
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a str>, params: Params) -> Index {
        let mut names: HashMap<Box<str>, Vec<(u32, u32)>> = HashMap::new(); // (text, frequency), texts ascending
        let mut lengths = Vec::new();
        for (number, text) in texts.into_iter().enumerate() {
            let mut length = 0;
            terms(text, |term| {
                length += 1;
                count(&mut names, term, number as u32);
            });
            lengths.push(length);
        }
        let total: u64 = lengths.iter().map(|&n: &u32| u64::from(n)).sum();
        let mean = (total as f64 / lengths.len().max(1) as f64) as f32;
        let Params { k1, b } = params;
        let norm = |n: u32| 1.0 / (k1 * ((1.0 - b) + b * rounded(n) as f32 / mean));
        let norms: Vec<f32> = lengths.into_iter().map(norm).collect();
        let mut index = Index { texts: norms.len(), terms: HashMap::with_capacity(names.len()), postings: Vec::new() };
        for (name, found) in names {
            index.add(name, &found, &norms);
        }
        index
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.texts
    }

    /// Whether there are no texts.
    pub fn is_empty(&self) -> bool {
        self.texts == 0
    }

    /// The best `k` texts that share a term with the query, best first; fewer if fewer do.
    pub fn search(&self, query: &str, k: usize) -> Vec<Hit> {
        SCORES.with_borrow_mut(|scores| {
            if scores.len() < self.texts {
                scores.resize(self.texts, 0.0);
            }
            let scores = &mut scores[..self.texts];
            self.accumulate(query, scores);
            let best = best(scores, k);
            scores.fill(0.0);
            best
        })
    }

    fn add(&mut self, name: Box<str>, found: &[(u32, u32)], norms: &[f32]) {
        let (texts, df) = (self.texts as f64, found.len() as f64);
        let idf = (1.0 + (texts - df + 0.5) / (df + 0.5)).ln() as f32;
        self.terms.insert(name, Term { first: self.postings.len() as u32, count: found.len() as u32, idf });
        let posting = |&(text, f): &(u32, u32)| Posting { text, saturation: 1.0 + f as f32 * norms[text as usize] };
        self.postings.extend(found.iter().map(posting));
    }

    fn accumulate(&self, query: &str, scores: &mut [f64]) {
        let mut wanted: Vec<(Term, f32)> = Vec::new();
        terms(query, |term| {
            let Some(&term) = self.terms.get(term) else { return };
            match wanted.iter_mut().find(|(other, _)| other.first == term.first) {
                Some((_, times)) => *times += 1.0,
                None => wanted.push((term, 1.0)),
            }
        });
        for (term, times) in wanted {
            let weight = times * term.idf;
            for posting in &self.postings[term.first as usize..][..term.count as usize] {
                scores[posting.text as usize] += f64::from(weight - weight / posting.saturation);
            }
        }
    }
}

fn count(names: &mut HashMap<Box<str>, Vec<(u32, u32)>>, term: &str, text: u32) {
    let Some(found) = names.get_mut(term) else {
        names.insert(term.into(), vec![(text, 1)]);
        return;
    };
    match found.last_mut() {
        Some((last, times)) if *last == text => *times += 1,
        _ => found.push((text, 1)),
    }
}

/// The best `k` of the scores above zero, best first; equal ones in their order.
fn best(scores: &[f64], k: usize) -> Vec<Hit> {
    let mut best: Vec<Hit> = Vec::with_capacity(k.min(scores.len()) + 1);
    let mut bar = 0.0; // scores at or below it are out
    for (text, &score) in scores.iter().enumerate() {
        if score <= bar {
            continue; // in double precision: at most lets a tie through, which the next lines put behind
        }
        let score = score as f32;
        let place = best.partition_point(|hit| hit.score >= score);
        best.insert(place, Hit { text, score });
        if best.len() > k {
            best.truncate(k);
        }
        if best.len() == k {
            bar = best.last().map_or(f64::INFINITY, |hit| f64::from(hit.score));
        }
    }
    best
}

/// A length as Lucene's `SmallFloat.intToByte4` keeps it: exact to 40, then four significant bits.
fn rounded(length: u32) -> u32 {
    /// 255 codes less those that the largest integer needs.
    const EXACT: u32 = 24;
    if length < EXACT {
        return length;
    }
    let rest = length - EXACT;
    let bits = u32::BITS - rest.leading_zeros();
    let shift = bits.saturating_sub(4);
    EXACT + (rest >> shift << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_by_the_formula() {
        let index = Index::new(["red shoes", "red red hat for the sun", "blue shoes"], Params::default());
        let hits = index.search("red shoes", 10);
        assert_eq!(hits.iter().map(|h| h.text).collect::<Vec<_>>(), [0, 1, 2]);
        // lengths 2, 4, 2; idf(red) = idf(shoe) = ln(1 + 1.5/2.5)
        let idf = (1.0_f32 + 1.5 / 2.5).ln();
        let norm = |n: f32| 1.0 / (0.9 * (0.6 + 0.4 * n / (8.0 / 3.0)));
        let expected = [2.0 * (idf - idf / (1.0 + norm(2.0))), idf - idf / (1.0 + 2.0 * norm(4.0))];
        for (hit, expected) in hits.iter().zip(expected) {
            assert!((hit.score - expected).abs() < 1e-6, "{hit:?} {expected}");
        }
    }

    #[test]
    fn ties_keep_their_order_and_k_is_kept() {
        let index = Index::new(["a cup", "cup", "cup", "cup cup"], Params::default());
        let found = |k| index.search("cups", k).iter().map(|h| h.text).collect::<Vec<_>>();
        assert_eq!(found(9), [3, 0, 1, 2]);
        assert_eq!(found(2), [3, 0]);
        assert!(found(0).is_empty());
        assert!(index.search("the saucer", 5).is_empty() && index.search("", 5).is_empty());
        let empty = Index::new([], Params::default());
        assert!(empty.is_empty() && empty.search("cup", 3).is_empty());
    }

    #[test]
    fn lengths_round_down() {
        for (length, kept) in [(0, 0), (23, 23), (39, 39), (40, 40), (41, 40), (42, 42), (100, 96), (1000, 984)] {
            assert_eq!(rounded(length), kept, "{length}");
        }
    }

    #[test]
    fn repeated_words_weigh_more() {
        let index = Index::new(["red hat", "blue shoe"], Params::default());
        assert_eq!(index.search("red blue blue", 2)[0].text, 1);
        assert_eq!(index.search("red red blue", 2)[0].text, 0);
    }
}
