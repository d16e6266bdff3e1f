//! Several records in one request of a recipe: whether its system takes that, and what each is called in the answer.

use super::said::{BatchSaid, Kind};
use super::step::Step;
use super::{Found, Recipe, Work};
use crate::templates::{Form, Template};

/// `[batch]` of a recipe, checked.
pub(super) struct Together {
    named: Option<Named>,
}

/// Where an entry of an answer says what it is about, and what that is for a record.
struct Named {
    at: String,
    is: Template,
}

impl Together {
    /// Checks it.
    pub(super) fn new(said: BatchSaid) -> Result<Together, String> {
        let Some(at) = said.named else {
            return match said.is {
                None => Ok(Together { named: None }),
                Some(_) => Err("batch: is says what named points at, and there is no named".to_owned()),
            };
        };
        if !at.starts_with('/') {
            return Err(format!("batch: \"{at}\" is not a JSON pointer: it starts with a slash"));
        }
        let source = said.is.as_deref().unwrap_or("{{ order.increment_id }}");
        let is = Template::new("batch.is", Form::Line, source).map_err(|problem| problem.to_string())?;
        Ok(Together { named: Some(Named { at, is }) })
    }
}

impl Recipe {
    /// Whether several records can go out in one request.
    ///
    /// # Errors
    /// Why they cannot.
    pub fn takes_batches(&self) -> Result<(), String> {
        if self.batch.is_none() {
            return Err("its profile takes one record a request, so there is no batch".to_owned());
        }
        let other = self.steps.iter().find(|step| step.kind != Kind::Create);
        if let Some(step) = other {
            // What follows speaks of the request and cannot say which of its records it means.
            return Err(format!("with batch its only step is the create, and it has {}: leave that out", step.name));
        }
        match self.steps.iter().find(|step| !step.writes_json()) {
            Some(step) => Err(format!("batch makes a list of JSON bodies, and that of {} is none", step.name)),
            None => Ok(()),
        }
    }

    /// Where an entry of an answer to several says what it is about; `None`: an answer speaks of all of them.
    pub fn names_each(&self) -> Option<&str> {
        Some(self.batch.as_ref()?.named.as_ref()?.at.as_str())
    }

    /// What a record is called there; empty where an answer names nobody.
    ///
    /// # Errors
    /// It has nothing to be called by.
    pub fn name_of(&self, work: &Work) -> Result<String, String> {
        let Some(named) = self.batch.as_ref().and_then(|batch| batch.named.as_ref()) else { return Ok(String::new()) };
        let name = named.is.render(&self.context(work, &Found::new(), None)).map_err(|problem| problem.to_string())?;
        if name.is_empty() { Err("batch.is is empty for it".to_owned()) } else { Ok(name) }
    }
}

impl Step {
    fn writes_json(&self) -> bool {
        self.request.as_ref().is_some_and(super::step::Request::is_json)
    }
}
