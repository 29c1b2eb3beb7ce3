//! What lies over a chart: the curves of other runs, or the band over seeds of one recipe.

use std::rc::Rc;

use super::curves;
use super::runs::Other;
use crate::compare::over_seeds;
use crate::run::view::RunView;
use crate::tui::chart::{Band, Kind, Layer, Series, smoothed};
use crate::tui::scene::Scene;
use crate::tui::series;
use crate::tui::theme::Role;

/// Colours of the runs, in turn.
pub const RUNS: [Role; 4] = [Role::Run1, Role::Run2, Role::Run3, Role::Run4];

/// What lies over a chart.
#[derive(Debug, Default)]
pub struct Compared {
    pub layers: Vec<Layer>,
    pub band: Option<Band>,
}

/// The runs a band is made of: those of the chosen one's recipe, as far as they are read; the open one only if it is
/// one of them.
pub fn joined<'a>(scene: &Scene<'a>) -> Vec<(&'a series::Cache, &'a RunView)> {
    let state = &scene.app.states.runs;
    let seeds = state.seeds();
    let own = (scene.view.facts.run.as_str(), (&scene.app.series, scene.view));
    let others = state.others.iter().map(|other| (other.name.as_str(), (&other.series, &other.view)));
    let equal = |name: &str| seeds.iter().any(|row| row.name == name);
    others.chain([own]).filter(|(name, _)| equal(name)).map(|(_, run)| run).collect()
}

/// The curves of the other runs for a metric: each of them, or median and quartiles of the seeds.
pub fn compared(scene: &Scene, metric: &str) -> Compared {
    let (state, axis) = (&scene.app.states.runs, scene.app.lens.x);
    if state.aggregate {
        let all: Vec<_> = joined(scene).into_iter().map(|(series, view)| series.get(view, metric, axis)).collect();
        let course = over_seeds(&all.iter().map(|s| s.as_slice()).collect::<Vec<_>>());
        let median = course.x.iter().copied().zip(course.median.iter().map(|y| Some(*y))).collect();
        let band = Band { x: course.x, low: course.low, high: course.high };
        let median: Rc<Series> = Rc::new(median);
        let weight = scene.app.lens.weight();
        let smooth = (weight > 0.0).then(|| Rc::new(smoothed(&median, weight)));
        let layer = Layer { points: median, smooth, role: Role::Run1, kind: Kind::Plain };
        return Compared { layers: vec![layer], band: (!band.x.is_empty()).then_some(band) };
    }
    let layer = |(at, other): (usize, &Other)| Layer {
        points: other.series.get(&other.view, metric, axis),
        smooth: curves::averaged(scene, (&other.series, &other.view), metric),
        role: RUNS[at % RUNS.len()],
        kind: Kind::Plain,
    };
    Compared { layers: state.others.iter().enumerate().map(layer).collect(), band: None }
}
