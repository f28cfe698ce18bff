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
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ParamGroup {
    /// What the learning rate is multiplied with; 1 by default.
    pub lr_scale: f64,
    /// The weight decay; by default the optimiser's own.
    pub weight_decay: Option<f64>,
}

impl Default for ParamGroup {
    fn default() -> Self {
        Self { lr_scale: 1.0, weight_decay: None }
    }
}

impl ParamGroup {
    /// Multiplies the learning rate, a schedule's included.
    pub fn lr_scale(self, lr_scale: f64) -> Self {
        Self { lr_scale, ..self }
    }

    /// Takes the place of the optimiser's weight decay.
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        Self { weight_decay: Some(weight_decay), ..self }
    }
}

/// Groups in order: a variable belongs to the first whose pattern its name fits.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ParamGroups(Vec<(Pattern, ParamGroup)>);

impl ParamGroups {
    pub(super) fn add(&mut self, pattern: &str, group: ParamGroup) -> Result<()> {
        not_negative(
            "ParamGroup",
            [("lr_scale", group.lr_scale), ("weight_decay", group.weight_decay.unwrap_or(0.0))],
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
        let found = self.0.iter().find(|(pattern, _)| pattern.matches(name));
        found.map(|(_, group)| *group).unwrap_or_default()
    }

    pub(super) fn validate(&self, vars: &BTreeMap<String, Var>) -> Result<()> {
        // A tied variable goes by its first name, so a pattern for another one of its names would do nothing.
        let vars = super::distinct(vars);
        self.0.iter().try_for_each(|(pattern, _)| pattern.check("ParamGroup", &vars))
    }
}
