//! Methods as lenses: what each would have done to the tokens that are shown, whatever method recorded them.
//!
//! Pushes are coefficients with their sign turned (positive raises the log-probability), in units of the method's root
//! mean square over the *first* recorded step of the run, so that colours mean the same in every step.

use std::collections::{BTreeMap, HashMap};

use super::app::App;
use super::data::StepData;
use super::feed::Feed;
use crate::config::{self, Overrides};
use crate::lens::{self, Lens, Recorded, Seen};
use crate::method::MethodConfig;

/// The lenses that were looked through, for one step.
#[derive(Debug, Default)]
pub struct Lenses {
    /// The method of the lens channel, and the one beside it, by their place among all methods.
    pub first: Option<usize>,
    pub second: Option<usize>,
    of: Option<(u64, usize)>,
    looked: BTreeMap<usize, Looked>,
    /// Place among the step's tokens -> place among the sampled ones.
    places: HashMap<usize, usize>,
    /// The first recorded step of the run: what the units are taken from.
    base: Option<Base>,
    /// How many steps were looked at for it.
    tried: usize,
}

#[derive(Debug)]
struct Looked {
    lens: Lens,
    unit: f32,
}

#[derive(Debug)]
struct Base {
    step: u64,
    recorded: Recorded,
    /// Root mean square of the recorded coefficients.
    unit: Option<f32>,
}

impl Lenses {
    /// Names of all methods, by their place.
    pub fn names() -> Vec<&'static str> {
        MethodConfig::all().iter().map(MethodConfig::name).collect()
    }

    /// What the run itself pushed by, as a unit; and the step it is taken from.
    pub fn unit(&self) -> Option<f32> {
        self.base.as_ref()?.unit
    }

    /// The step the units are taken from.
    pub fn base_step(&self) -> Option<u64> {
        self.base.as_ref().map(|base| base.step)
    }

    /// The push of a method on a token of the step, in its unit.
    pub fn push(&self, method: usize, token: usize) -> Option<f32> {
        let push = -self.seen(method, token)?.coefficient / self.looked.get(&method)?.unit;
        Some(push).filter(|p| p.is_finite())
    }

    /// Everything a method would do to a token of the step.
    pub fn seen(&self, method: usize, token: usize) -> Option<&Seen> {
        self.looked.get(&method)?.lens.tokens.get(*self.places.get(&token)?)
    }

    /// What a lens cannot know, and what it knows otherwise.
    pub fn remarks(&self, method: usize) -> Vec<&str> {
        let lens = self.looked.get(&method).map(|looked| &looked.lens);
        lens.map_or(vec![], |l| l.missing.iter().chain(&l.notes).map(String::as_str).collect())
    }

    /// Goes to the next method. The lens beside begins after the first and is never the same; once round it is `None`.
    pub fn next(&mut self, beside: bool) -> Option<usize> {
        let count = MethodConfig::all().len();
        let after = |at: usize| (at + 1) % count.max(1);
        if !beside {
            let next = self.first.map_or(0, after);
            self.first = Some(if Some(next) == self.second { after(next) } else { next });
            return self.first;
        }
        let next = match (self.second, self.first) {
            (None, None) => 0,
            (Some(at), _) | (None, Some(at)) => after(at),
        };
        let round = self.second.is_some() && next == self.first.unwrap_or(0);
        self.second = Some(next).filter(|next| !round && Some(*next) != self.first);
        self.second
    }

    /// Whether a lens that is chosen was not looked through yet, or is of another step.
    fn wanting(&mut self, data: &StepData) -> Vec<usize> {
        let key = Some((data.step, data.all_tokens().len()));
        if self.of != key {
            (self.of, self.looked, self.places) = (key, BTreeMap::new(), HashMap::new());
        }
        let chosen = [self.first, self.second].into_iter().flatten();
        chosen.filter(|at| !self.looked.contains_key(at)).collect()
    }
}

/// Looks through the lenses that are chosen; true if something changed.
pub fn load(app: &mut App, feed: &mut dyn Feed) -> bool {
    let mut changed = base(app, feed);
    let lenses = &mut app.states.tokens.lenses;
    let wanting = lenses.wanting(&app.data);
    if wanting.is_empty() || !app.data.has_tokens() {
        return changed;
    }
    let data = &app.data;
    let recorded = Recorded::new(data.step, data.all_tokens(), &data.episodes, penalty(feed));
    lenses.places = recorded.places.iter().enumerate().map(|(at, place)| (*place, at)).collect();
    let all = MethodConfig::all();
    for at in wanting {
        let Some(method) = all.get(at).map(MethodConfig::build) else { continue };
        let lens = lens::over(&recorded, &*method);
        let of_base = lenses.base.as_ref().map(|base| lens::over(&base.recorded, &*method));
        let unit = rms(of_base.as_ref().unwrap_or(&lens).tokens.iter().map(|t| t.coefficient)).unwrap_or(1.0);
        lenses.looked.insert(at, Looked { lens, unit });
        changed = true;
    }
    changed
}

/// What a reply without the required form costs, as the run's configuration says; 0 where there is none to read.
fn penalty(feed: &mut dyn Feed) -> f64 {
    let text = feed.config().unwrap_or_default();
    let recipe = config::parse_alone("config.toml", &text, &Overrides::default());
    recipe.as_ref().map_or(0.0, lens::penalty)
}

/// Reads the first recorded step once.
fn base(app: &mut App, feed: &mut dyn Feed) -> bool {
    let steps: Vec<u64> = app.view().steps.iter().take(FIRST_STEPS).map(|s| s.step).collect();
    if std::mem::replace(&mut app.states.tokens.lenses.tried, steps.len()) == steps.len()
        || app.states.tokens.lenses.base.is_some()
    {
        return false;
    }
    for step in steps {
        let tokens = feed.tokens(step).unwrap_or_default();
        if tokens.is_empty() {
            continue;
        }
        let data = StepData::new(step, feed.episodes(step).unwrap_or_default(), tokens);
        let unit = rms(data.all_tokens().iter().filter(|t| t.mask).filter_map(|t| t.coefficient));
        let recorded = Recorded::new(step, data.all_tokens(), &data.episodes, penalty(feed));
        app.states.tokens.lenses.base = Some(Base { step, recorded, unit });
        return true;
    }
    false
}

/// Root mean square of the finite values; `None` if all are 0.
fn rms(values: impl Iterator<Item = f32>) -> Option<f32> {
    let (mut sum, mut count) = (0.0f64, 0u32);
    for value in values.filter(|v| v.is_finite()) {
        sum += f64::from(value).powi(2);
        count += 1;
    }
    let rms = (sum / f64::from(count.max(1))).sqrt() as f32;
    (rms > 0.0).then_some(rms)
}

/// Steps that are tried for tokens: a run may record only some.
const FIRST_STEPS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_mean_square_ignores_what_is_no_number() {
        assert_eq!(rms([3.0, -4.0, f32::NAN].into_iter()), Some(12.5f32.sqrt()));
        assert_eq!(rms([0.0, f32::INFINITY].into_iter()), None);
    }

    #[test]
    fn lenses_are_walked_round_and_the_one_beside_can_be_none() {
        let mut lenses = Lenses::default();
        let count = Lenses::names().len();
        let walked: Vec<_> = (0..=count).map(|_| lenses.next(true)).collect();
        assert_eq!((walked[0], walked[count - 1], walked[count]), (Some(0), Some(count - 1), None));
        assert_eq!((0..=count).map(|_| lenses.next(false)).last(), Some(Some(0)));
        let beside: Vec<_> = (0..count).map(|_| lenses.next(true)).collect();
        assert_eq!((beside[0], beside[count - 2], beside[count - 1]), (Some(1), Some(count - 1), None));
        assert_eq!((lenses.next(true), lenses.next(false)), (Some(1), Some(2)), "never the same twice");
    }
}
