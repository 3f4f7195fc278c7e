//! How much an evaluation may take, in about the units that cel-go counts in: a step, an item, ten bytes of text.

use crate::error::EvaluationError;

/// What is left to be spent.
#[derive(Debug)]
pub(crate) struct Budget {
    left: u64,
}

impl Budget {
    pub(crate) fn new(all: u64) -> Self {
        Self { left: all }
    }

    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    pub(crate) fn spend(&mut self, cost: u64) -> Result<(), EvaluationError> {
        match self.left.checked_sub(cost) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(EvaluationError::TooCostly)
            }
        }
    }

    /// For so many items, entries or searches.
    pub(crate) fn spend_on(&mut self, count: usize) -> Result<(), EvaluationError> {
        self.spend(u64::try_from(count).unwrap_or(u64::MAX))
    }

    pub(crate) fn spend_on_text(&mut self, bytes: usize) -> Result<(), EvaluationError> {
        self.spend_on(bytes / 10)
    }
}
