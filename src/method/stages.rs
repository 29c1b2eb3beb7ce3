//! Stages: a list of methods that follow each other, and the place of a run in it.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::{HandOff, MethodConfig};

/// One stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    pub name: String,
    #[serde(default)]
    pub steps: u64,
    #[serde(default)]
    pub then: HandOff,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Until>,
    pub method: MethodConfig,
}

/// When a stage is over before its length: after so many steps in a row past the limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Until {
    pub metric: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<f64>,
    #[serde(rename = "for", default = "once")]
    pub steps: u32,
}

fn once() -> u32 {
    1
}

/// Place in the list of stages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct At {
    /// Number of the stage, from 0.
    pub stage: usize,
    /// Its first step; 0 = the run has not begun.
    pub since: u64,
    /// The present step, counted in the stage from 1.
    pub now: u64,
    /// Steps in a row in which its condition held.
    pub held: u32,
    /// What its method has accumulated.
    pub inner: Vec<f64>,
}

/// Reads a list of stages; there is at least one, and none is itself a list.
pub(super) fn read<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<Stage>, D::Error> {
    let stages = Vec::<Stage>::deserialize(source)?;
    if stages.is_empty() {
        return Err(D::Error::custom("the list of stages is empty, write at least one"));
    }
    for (n, stage) in (1..).zip(&stages) {
        let limits = stage.until.as_ref().map_or(1, |until| [until.above, until.below].iter().flatten().count());
        if matches!(stage.method, MethodConfig::SparseToDense(_)) {
            return Err(D::Error::custom(format!(
                "stage {n} is itself a list of stages, write its stages into this list"
            )));
        }
        if limits != 1 {
            return Err(D::Error::custom(format!("`until` of stage {n} needs either `above` or `below`")));
        }
    }
    Ok(stages)
}
