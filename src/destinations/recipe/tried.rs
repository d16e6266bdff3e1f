//! A destination's words as people read them, and one of its templates in words of somebody who only tries them.
//!
//! A tried text is whoever's asks: it is bounded more narrowly than a configured one, sees the document and the settings that
//! are shown, and changes nothing. What a setting's name says is a secret is shown to nobody and to no template.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Recipe;
use super::rehearse::Rehearsed;
use super::rules::RuleSaid;
use super::said::{ExpectSaid, RecipeSaid, StepSaid, TakeSaid};
use crate::destinations::{Destination, RecipeSettings};
use crate::templates::{Form, Problem, TRIED_SOURCE_BYTES_MAX, Template};

/// What stands in place of a setting that is a secret.
const HIDDEN: &str = "•••";

/// How a destination is spoken to, as it is configured.
#[derive(Debug, Serialize)]
pub struct Speech {
    /// Which system, which interface.
    pub about: String,
    /// What the destination sets of it, and what the recipe sets where that says nothing.
    pub with: BTreeMap<String, Value>,
    /// The template of the number that it gives a record.
    pub receipt: Option<String>,
    /// In the order in which they are done.
    pub steps: Vec<StepShown>,
    /// Rules for every step, tried behind its own.
    pub rules: Vec<RuleSaid>,
    /// What is read back, by name.
    pub polls: Vec<String>,
}

/// One step.
#[derive(Debug, Serialize)]
pub struct StepShown {
    /// Its name.
    pub name: String,
    /// `find`, `create`, …
    pub kind: &'static str,
    /// The purposes it serves.
    #[serde(rename = "for")]
    pub purposes: Vec<String>,
    /// Only where this holds.
    pub when: Option<String>,
    /// Once for each of this list.
    pub each: Option<String>,
    /// `POST`, …; `None`: it asks nothing.
    pub method: Option<String>,
    /// The templates of its request, which can be tried in other words.
    pub templates: Vec<TemplateShown>,
    /// What is taken from its answer.
    pub take: BTreeMap<String, TakeSaid>,
    /// What answers mean, tried in order.
    pub rules: Vec<RuleSaid>,
    /// What must agree.
    pub expect: Vec<ExpectSaid>,
}

/// A template of a request.
#[derive(Debug, Serialize)]
pub struct TemplateShown {
    /// `path`, `body`, or the name of a header.
    pub part: String,
    /// As it is written.
    pub text: String,
}

/// One template in other words.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tried {
    /// The step.
    pub step: String,
    /// `path`, `body`, or the name of a header that it has.
    pub part: String,
    /// The words.
    pub text: String,
}

/// Why nothing can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotTried {
    /// In a sentence.
    pub why: String,
    /// The line of the template, where that is known.
    pub line: Option<usize>,
}

impl From<String> for NotTried {
    fn from(why: String) -> Self {
        NotTried { why, line: None }
    }
}

impl From<Problem> for NotTried {
    fn from(problem: Problem) -> Self {
        NotTried { why: problem.to_string(), line: problem.line }
    }
}

impl Destination {
    /// How it is spoken to, if by a recipe.
    pub fn speech(&self) -> Option<Speech> {
        let RecipeSettings { said, with, .. } = &self.recipe()?.settings;
        let mut all: BTreeMap<String, Value> = BTreeMap::new();
        for (name, setting) in &said.settings {
            all.extend(with.get(name).or(setting.default.as_ref()).map(|value| (name.clone(), value.clone())));
        }
        Some(Speech {
            about: said.about.clone(),
            with: shown(&all),
            receipt: said.receipt.clone(),
            steps: said.steps.iter().map(step).collect(),
            rules: said.rules.clone(),
            polls: said.polls.iter().map(|poll| poll.name.clone()).collect(),
        })
    }

    /// The requests of a document, with one template in other words if some are given, and without secrets.
    ///
    /// # Errors
    /// There is no such step or template, the words are too many or cannot be read, or the document is none of ours.
    pub fn try_out(&self, document: &[u8], tried: Option<&Tried>) -> Result<Vec<Rehearsed>, NotTried> {
        let Some(profile) = self.recipe() else {
            if tried.is_some() {
                return Err("it is sent our documents as they stand, so it has no templates".to_owned().into());
            }
            return Ok(self.rehearse(document)?.into_iter().map(without_query).collect());
        };
        let RecipeSettings { said, with, .. } = &profile.settings;
        let mut said = said.clone();
        if let Some(tried) = tried {
            replace(&mut said, tried)?;
        }
        let mut recipe = Recipe::new(said, &shown(with), self.url()).map_err(|problems| problems.join("; "))?;
        if let Some(tried) = tried {
            recipe.bind(tried);
        }
        Ok(self.rehearse_with(&recipe, document)?)
    }
}

impl Recipe {
    fn bind(&mut self, tried: &Tried) {
        let step = self.steps.iter_mut().find(|step| step.name == tried.step);
        let template = step.and_then(|step| step.request.as_mut()?.part(&tried.part));
        if let Some(template) = template {
            template.bound_as_tried();
        }
    }
}

/// Puts the words where the recipe has others.
fn replace(said: &mut RecipeSaid, tried: &Tried) -> Result<(), NotTried> {
    if tried.text.len() > TRIED_SOURCE_BYTES_MAX {
        return Err(format!("the template is longer than {TRIED_SOURCE_BYTES_MAX} bytes").into());
    }
    let step = said.steps.iter_mut().find(|step| step.name == tried.step);
    let step = step.ok_or_else(|| "its recipe has no step of that name".to_owned())?;
    let text = match tried.part.as_str() {
        "path" => step.path.as_mut(),
        "body" => step.body.as_mut(),
        header => {
            let named = step.headers.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case(header));
            named.map(|(_, text)| text)
        }
    };
    let text = text.ok_or_else(|| format!("step {} has no such template", step.name))?;
    // Whatever it writes: what cannot be read is told with its line.
    Template::new(&format!("{}.{}", tried.step, tried.part), Form::Line, &tried.text)?;
    text.clone_from(&tried.text);
    Ok(())
}

fn step(said: &StepSaid) -> StepShown {
    let named = |part: &str, text: &Option<String>| {
        text.as_ref().map(|text| TemplateShown { part: part.to_owned(), text: text.clone() })
    };
    let headers = said.headers.iter().map(|(name, text)| TemplateShown { part: name.clone(), text: text.clone() });
    let method = said.method.clone().unwrap_or_else(|| if said.body.is_some() { "POST" } else { "GET" }.to_owned());
    StepShown {
        name: said.name.clone(),
        kind: said.kind.as_str(),
        purposes: said.purposes.clone(),
        when: said.when.clone(),
        each: said.each.clone(),
        method: said.path.is_some().then_some(method),
        templates: named("path", &said.path).into_iter().chain(headers).chain(named("body", &said.body)).collect(),
        take: said.take.clone(),
        rules: said.rules.clone(),
        expect: said.expect.clone(),
    }
}

/// Settings without those that are secrets: they belong into `auth`, but nothing keeps a recipe from having them here.
fn shown(with: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let hidden = |name: &str, value: &Value| value.is_string() && value != "" && sounds_secret(name);
    let one = |(name, value): (&String, &Value)| {
        let value = if hidden(name, value) { HIDDEN.into() } else { value.clone() };
        (name.clone(), value)
    };
    with.iter().map(one).collect()
}

fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with("key") || ["secret", "password", "token", "credential"].iter().any(|word| name.contains(word))
}

/// What stands in the query of a destination's own address may be a secret.
fn without_query(mut request: Rehearsed) -> Rehearsed {
    request.url = request.url.map(|url| url.split('?').next().unwrap_or_default().to_owned());
    request
}
