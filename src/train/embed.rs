//! Where skills and goals lie in the policy's own hidden states, for retrieval by meaning.

use std::collections::BTreeMap;

use anyhow::Result;

use super::Trainer;
use crate::core::Task;
use crate::engine::WeightSet;

impl Trainer {
    /// Mean hidden states of all skills and of the goals of `tasks`, under the live weights.
    pub(super) fn embed(&mut self, tasks: &[Task]) -> Result<()> {
        if !self.skills.way().retrieval.needs_vectors() {
            return Ok(());
        }
        let shelf = self.skills.shelf();
        let skills: Vec<String> = (0..shelf.len()).map(|place| shelf.full_text(place)).collect();
        let goals: BTreeMap<String, ()> = tasks.iter().map(|task| (task.goal.clone(), ())).collect();
        let mut ids = Vec::with_capacity(skills.len() + goals.len());
        for text in skills.iter().chain(goals.keys()) {
            ids.push(self.text.encode(text)?);
        }
        let rows: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
        let mut vectors = self.engine.embed(WeightSet::Live, &rows)?;
        centre(&mut vectors, skills.len());
        let goal_vectors = vectors.split_off(skills.len());
        self.skills.set_vectors(vectors, goals.into_keys().zip(goal_vectors).collect());
        Ok(())
    }
}

/// Takes the mean of the first `n` from all, and brings them to length 1. Mean hidden states of any two texts are
/// nearly parallel; what tells them apart is how they differ from the mean.
fn centre(vectors: &mut [Vec<f32>], n: usize) {
    let width = vectors.first().map_or(0, Vec::len);
    let mut mean = vec![0.0f32; width];
    for v in &vectors[..n] {
        mean.iter_mut().zip(v).for_each(|(m, x)| *m += x / n as f32);
    }
    for v in vectors {
        v.iter_mut().zip(&mean).for_each(|(x, m)| *x -= m);
        let length = v.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        v.iter_mut().for_each(|x| *x /= length);
    }
}

#[cfg(test)]
mod tests {
    use super::centre;

    #[test]
    fn vectors_are_centred_on_the_skills_and_of_length_one() {
        let mut vectors = vec![vec![3.0, 1.0], vec![1.0, 1.0], vec![5.0, 1.0]];
        centre(&mut vectors, 2);
        assert_eq!(vectors, [[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]]);
        let mut same = vec![vec![2.0, 2.0]];
        centre(&mut same, 1);
        assert!(same[0].iter().all(|x| x.is_finite()));
    }
}
