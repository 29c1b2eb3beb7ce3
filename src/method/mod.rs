//! Methods: pure functions on numbers. No tensors, no device, no model.
//!
//! A method says what it [`Needs`], and sees a step twice: all its [`Tokens`] with what is known of their rows, from
//! which it gives [`Credit`]; then batches of them, for which it returns a [`Plan`]: the loss and its exact derivative
//! by each student log-prob and entropy.
//!
//! One file per method; adding one is its file and its line in the table below. The pieces they share are in [`math`],
//! [`advantage`] (who gets how much), [`weight`] (which tokens), [`estimator`] (what is pulled where) and [`schedule`].

pub mod advantage;
mod asks;
pub mod atod;
pub mod craft;
mod draft;
pub mod estimator;
pub mod gen_evolve;
pub mod gigpo;
pub mod grpo;
pub mod grpo_opsd;
pub mod hdpo;
pub mod hint_sd;
pub mod manual;
pub mod math;
pub mod needs;
pub mod opd;
pub mod opsd;
pub mod parametric_skills;
pub mod paw;
pub mod pbsd;
pub mod rlsd;
pub mod schedule;
pub mod sdar;
pub mod sdft;
pub mod sdpo;
pub mod sgcd;
pub mod skill_grpo;
pub mod skill_rl;
pub mod skill_sd;
pub mod sod;
pub mod solar;
pub mod sparse_to_dense;
pub mod stages;
pub mod timeclaw;
pub mod tip;
pub mod triage;
pub mod ucob;
pub mod view;
pub mod weight;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::atod::Atod;
pub use self::craft::Craft;
pub use self::gen_evolve::GenEvolve;
pub use self::gigpo::Gigpo;
pub use self::grpo::{Grpo, Variant};
pub use self::grpo_opsd::GrpoOpsd;
pub use self::hdpo::Hdpo;
pub use self::hint_sd::HintSd;
pub use self::manual::Key;
pub use self::needs::Needs;
pub use self::opd::Opd;
pub use self::opsd::Opsd;
pub use self::parametric_skills::ParametricSkills;
pub use self::paw::Paw;
pub use self::pbsd::Pbsd;
pub use self::rlsd::Rlsd;
pub use self::sdar::Sdar;
pub use self::sdft::Sdft;
pub use self::sdpo::Sdpo;
pub use self::sgcd::Sgcd;
pub use self::skill_grpo::SkillGrpo;
pub use self::skill_rl::SkillRl;
pub use self::skill_sd::SkillSd;
pub use self::sod::Sod;
pub use self::solar::Solar;
pub use self::sparse_to_dense::SparseToDense;
pub use self::timeclaw::TimeClaw;
pub use self::tip::Tip;
pub use self::triage::Triage;
pub use self::ucob::Ucob;
pub use self::view::{Credit, Plan, RowFacts, Tokens, TurnFacts};

/// One line per method: its settings, the module they are in.
macro_rules! methods {
    ($($variant:ident in $module:ident $(as $name:literal)?),+ $(,)?) => {
        /// The one `[method.<name>]` table of a recipe.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum MethodConfig {
            $($(#[serde(rename = $name)])? $variant($module::$variant),)+
        }

        impl MethodConfig {
            /// The method with these settings.
            pub fn build(&self) -> Box<dyn Method> {
                match self {
                    $(MethodConfig::$variant(settings) => Box::new(settings.clone()),)+
                }
            }

            /// Name as in `[method.<name>]`.
            pub fn name(&self) -> &'static str {
                match self {
                    $(MethodConfig::$variant(_) => $module::INFO.name,)+
                }
            }

            /// Every method with its default settings, in the order of [`METHODS`].
            pub fn all() -> Vec<Self> {
                vec![$(MethodConfig::$variant($module::$variant::default()),)+]
            }
        }

        /// Every method, in the order they are listed.
        pub const METHODS: &[MethodInfo] = &[$($module::INFO,)+];
    };
}

methods! {
    Sdar in sdar,
    SkillSd in skill_sd,
    Grpo in grpo,
    Gigpo in gigpo,
    Opd in opd,
    Opsd in opsd,
    GrpoOpsd in grpo_opsd,
    Rlsd in rlsd,
    SkillGrpo in skill_grpo,
    SkillRl in skill_rl as "skillrl",
    Sdpo in sdpo,
    Sdft in sdft,
    Hdpo in hdpo,
    Tip in tip,
    Pbsd in pbsd,
    HintSd in hint_sd,
    Sod in sod,
    Craft in craft,
    Atod in atod,
    Paw in paw,
    Ucob in ucob,
    Sgcd in sgcd,
    Triage in triage,
    GenEvolve in gen_evolve,
    SparseToDense in sparse_to_dense,
    Solar in solar,
    TimeClaw in timeclaw as "timeclaw",
    ParametricSkills in parametric_skills,
}

impl Default for MethodConfig {
    fn default() -> Self {
        MethodConfig::Sdar(Sdar::default())
    }
}

/// A method as `sdlab methods list|show` presents it.
#[derive(Clone, Copy, Debug)]
pub struct MethodInfo {
    /// Name as in `[method.<name>]`.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Idea, formula, source, true expected gradient, preconditions, variants, deviations.
    pub docs: &'static str,
    /// What is published, what was inferred, what is ours.
    pub provenance: &'static str,
    /// Where it stands on the axes of the family, `axis value | axis value`: credit, rollout, context, teacher, select,
    /// weight, loss, schedule, judge, memory; an axis that is not named is off.
    pub axes: &'static str,
    /// Its settings.
    pub keys: &'static [Key],
}

/// What is done with the weights when a stage begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HandOff {
    #[default]
    None,
    /// The student so far is put aside as the teacher, and goes on.
    Teacher,
    /// The student so far is put aside as the teacher ([`needs::TeacherWeights::Staged`]), and a student starts from the
    /// initial weights.
    Restart,
}

/// One objective of the family.
pub trait Method: Send + Sync {
    /// Name as in `[method.<name>]`.
    fn name(&self) -> &'static str;

    /// What it needs in the present stage.
    fn needs(&self) -> Needs;

    /// What each of its stages needs, in order, the way they follow each other; one for a method without stages.
    fn stages(&self) -> Vec<Needs> {
        vec![self.needs()]
    }

    /// What stands in for something of the published method under these settings, a short phrase each: `what: by what`.
    /// Named wherever the run is shown.
    fn stand_ins(&self) -> Vec<&'static str> {
        vec![]
    }

    /// Takes notice that a step begins; for methods with stages. Called again for the same step after a resume.
    fn begin(&mut self, _step: u64) -> HandOff {
        HandOff::None
    }

    /// Advantages, and distillation weights where they depend on more than a token's own numbers. `step` holds all
    /// rows of the step, with [`Tokens::facts`]; `student` and `advantage` are empty.
    fn credit(&self, step: &Tokens) -> Credit;

    /// Loss and coefficients of one batch.
    fn token_loss(&self, tokens: &Tokens) -> Plan;

    /// Takes notice of a step's sums after its last update, with `success/mean`, `score/mean` and `reward/mean` of its
    /// episodes; for controllers that act on later steps.
    fn adapt(&mut self, _sums: &BTreeMap<&'static str, (f64, f64)>) {}

    /// What [`Method::adapt`] has accumulated, for an exact resume; empty = nothing.
    fn state(&self) -> Vec<f64> {
        vec![]
    }

    /// Takes back what [`Method::state`] gave.
    fn resume(&mut self, _state: &[f64]) {}
}
