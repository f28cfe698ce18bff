//! Groups of variables, by name, that are stepped with numbers of their own.

use super::not_negative;
use crate::Result;
use crate::pattern::Pattern;
use candle_core::Var;
use std::collections::BTreeMap;

/// What is different for a group of variables: see [`PerVariable::group`](super::PerVariable::group).
///
/// ```
/// use taper_trainer::optim::ParamGroup;
///
/// let finetuned = ParamGroup::default().lr_scale(0.1).weight_decay(0.0);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ParamGroup {
    /// What the learning rate is multiplied with; left to later groups by default, and 1 where none says.
    pub lr_scale: Option<f64>,
    /// The weight decay; left to later groups by default, and the optimiser's own where none says.
    pub weight_decay: Option<f64>,
}

impl ParamGroup {
    /// Multiplies the learning rate, a schedule's included.
    pub fn lr_scale(self, lr_scale: f64) -> Self {
        Self { lr_scale: Some(lr_scale), ..self }
    }

    /// Takes the place of the optimiser's weight decay.
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        Self { weight_decay: Some(weight_decay), ..self }
    }
}

/// Groups in order: each setting of a variable is that of the first group that its name fits and that has the setting.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ParamGroups(Vec<(Pattern, ParamGroup)>);

impl ParamGroups {
    pub(super) fn add(&mut self, pattern: &str, group: ParamGroup) -> Result<()> {
        not_negative(
            "ParamGroup",
            [("lr_scale", group.lr_scale.unwrap_or(1.0)), ("weight_decay", group.weight_decay.unwrap_or(0.0))],
        )?;
        self.0.push((Pattern::new(pattern), group));
        Ok(())
    }

    pub(super) fn extend_without_decay<'a>(&mut self, patterns: impl IntoIterator<Item = &'a str>) {
        let group = ParamGroup::default().weight_decay(0.0);
        self.0.extend(patterns.into_iter().map(|pattern| (Pattern::new(pattern), group)));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn of(&self, name: &str) -> ParamGroup {
        let fitting = || self.0.iter().filter(|(pattern, _)| pattern.matches(name)).map(|(_, group)| group);
        ParamGroup {
            lr_scale: fitting().find_map(|group| group.lr_scale),
            weight_decay: fitting().find_map(|group| group.weight_decay),
        }
    }

    pub(super) fn validate(&self, vars: &BTreeMap<String, Var>) -> Result<()> {
        // A tied variable goes by its first name, so a pattern for another one of its names would do nothing.
        let vars = super::distinct(vars);
        self.0.iter().try_for_each(|(pattern, _)| pattern.check("ParamGroup", &vars))
    }
}
