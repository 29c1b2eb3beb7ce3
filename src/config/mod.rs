//! Configuration: recipe files, overrides, errors with a place, typed differences, watching.
//!
//! A [`Recipe`] is everything that decides a run. It comes from a TOML file (or the built-in default), changed by
//! `--set key=value` arguments ([`load`]), is written back fully commented ([`sample`]), and may be edited while the
//! run is going: [`Watch`] notices, [`changes`] says what differs and when each difference takes effect, and
//! [`applied`] is what the running trainer may take over.

mod check;
mod diff;
mod edit;
mod error;
mod fields;
mod load;
mod of_run;
mod print;
mod recipe;
mod shape;
mod suggest;
mod teacher;
mod unmet;
mod watch;

pub use diff::{applied, changes, resumed, scope_of};
pub use edit::{set, set_in_file};
pub use error::ConfigError;
pub use fields::{Field, Table};
pub use load::{DEFAULT_NAME, DEFAULT_TEXT, Overrides, load, load_to_train, parse, parse_alone};
pub use of_run::{adjust, adjust_fork, load_run};
pub use print::{render, sample};
pub use recipe::{
    AlertRule, AlertSettings, CheckpointSettings, Device, EnvConfig, EvalSettings, EvolveSettings, Generator,
    HouseholdSettings, JudgeBy, JudgeSettings, LearnSettings, ModelSettings, OptimSettings, Recipe, RecordSettings,
    RecordedTokens, Retrieval, Rewarded, RolloutSettings, Rooms, RunSettings, SearchSettings, ShopSettings,
    SkillSettings, SokobanSettings, Summariser, tables,
};
pub use suggest::closest;
pub use teacher::same_tokens;
pub use watch::{RecipeWatch, Watch};
