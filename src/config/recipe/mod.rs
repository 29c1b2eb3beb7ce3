//! The recipe: everything that decides a run. The structs below are the manual: each key with its meaning, its unit
//! or range and the effect of 0; `sdlab --print-config` prints the same text with the values of a recipe.

mod alerts;
mod env;
mod model;
mod skills;
mod training;

use serde::{Deserialize, Serialize};

pub use self::alerts::{AlertRule, AlertSettings};
pub use self::env::{
    EnvConfig, Generator, HouseholdSettings, Rewarded, Rooms, SearchSettings, ShopSettings, SokobanSettings,
};
pub use self::model::{Device, ModelSettings, RunSettings};
pub use self::skills::{EvolveSettings, LearnSettings, Retrieval, SkillSettings, Summariser};
pub use self::training::{
    CheckpointSettings, EvalSettings, JudgeBy, JudgeSettings, OptimSettings, RecordSettings, RecordedTokens,
    RolloutSettings,
};
use super::fields::Table;
use crate::method::MethodConfig;

/// A complete recipe. Every table and every key may be left out; the defaults are a working run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    pub run: RunSettings,
    pub model: ModelSettings,
    pub env: EnvConfig,
    pub skills: SkillSettings,
    pub method: MethodConfig,
    pub rollout: RolloutSettings,
    pub optim: OptimSettings,
    pub eval: EvalSettings,
    pub checkpoint: CheckpointSettings,
    pub record: RecordSettings,
    pub judge: JudgeSettings,
    pub alerts: AlertSettings,
}

/// Every table of a recipe but `[method.*]`, in the order of the printed sample.
pub fn tables() -> impl Iterator<Item = &'static Table> {
    [model::TABLES, env::TABLES, skills::TABLES, training::TABLES, alerts::TABLES].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::{Recipe, tables};
    use crate::config::diff::leaves;
    use crate::config::fields::method_doc;
    use crate::config::{Overrides, parse, parse_alone};
    use crate::env::{KINDS, open_world};
    use crate::method::METHODS;

    #[test]
    fn the_manual_and_the_serialised_default_have_the_same_keys() {
        for kind in KINDS {
            let recipe = of_kind(kind.name);
            let own = format!("env.{}", kind.name);
            let tables = tables().filter(|t| !t.name.starts_with("env.") || t.name == own);
            let mut manual: Vec<String> = tables.flat_map(|t| t.fields).map(|f| f.key.to_owned()).collect();
            let mut written: Vec<String> =
                leaves(&recipe).into_keys().filter(|key| !key.starts_with("method")).collect();
            manual.sort();
            written.sort();
            assert_eq!(manual, written);
        }
    }

    /// The defaults of the recipe's table are those of the environment itself.
    #[test]
    fn every_environment_takes_its_settings() {
        for kind in KINDS {
            let recipe = of_kind(kind.name);
            let world = open_world(kind.name, &recipe.env.table()).unwrap_or_else(|e| panic!("{e:#}"));
            let plain = open_world(kind.name, &toml::Table::new()).unwrap();
            assert_eq!((world.max_turns(), world.invalid_penalty()), (plain.max_turns(), plain.invalid_penalty()));
            assert_eq!(world.style(), plain.style());
        }
    }

    fn of_kind(name: &str) -> Recipe {
        let overrides = Overrides { set: vec![format!("env.{name}={{}}")], ..Overrides::default() };
        let recipe = parse("r", "", &overrides).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(recipe.env.name(), name);
        recipe
    }

    #[test]
    fn every_constant_of_every_method_is_explained() {
        for method in METHODS {
            let overrides = Overrides { set: vec![format!("method.{}={{}}", method.name)], ..Overrides::default() };
            let recipe = parse_alone("r", "", &overrides).unwrap();
            for key in leaves(&recipe).into_keys().filter(|key| key.starts_with("method.")) {
                assert!(method_doc(&key).is_some_and(|doc| doc.trim().len() > 10), "`{key}` is not explained");
            }
        }
    }

    #[test]
    fn every_key_is_explained() {
        for field in tables().flat_map(|t| t.fields) {
            assert!(field.doc.trim().len() > 10, "`{}` is not explained", field.key);
        }
    }
}
