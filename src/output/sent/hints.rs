//! Hints about the failures of `send`, printed after the summary.

use crate::advice;
use crate::send::event::Delivery;

/// The distinct hints on the failures of a run, in the order of their first failures.
#[derive(Debug, Default)]
pub struct Causes(Vec<&'static str>);

impl Causes {
    pub fn note(&mut self, delivery: &Delivery) {
        let Some(last) = delivery.last() else { return };
        let response = last.response.as_ref();
        let on_response =
            response.and_then(|response| advice::on_response(&delivery.method, response));
        let hint = on_response.or_else(|| advice::on_failure(last.failure.as_ref()?));
        if let Some(hint) = hint.filter(|hint| !self.0.contains(hint)) {
            self.0.push(hint);
        }
    }

    pub fn hints(&self) -> Vec<&'static str> {
        self.0.clone()
    }
}
