//! `recipe`, `with`, `batch` and what belongs to them: how a destination that is spoken to in steps is spoken to.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::de::DeValue;

use super::destinations::{DestinationSettings, Guard, Profile};
use super::read::{Field, Place, Report, Section};
use crate::destinations::recipe::Recipe;
use crate::destinations::recipe::said::{GuardSaid, RecipeSaid};
use crate::destinations::{Batch, RecipeSettings, batch as together, profiles};

const SECOND: Duration = Duration::from_secs(1);
/// A recipe is a page or two.
const RECIPE_BYTES_MAX: u64 = 1024 * 1024;
/// Records in a request. Their ids stand in a header, which web servers bound at 8 KiB.
const BATCH_BOUNDS: (u32, u32) = (2, 200);
/// Half of what a web server takes where nobody says otherwise (nginx, `client_max_body_size`).
const BATCH_BYTES: u64 = 512 * 1024;

/// The recipe of a destination, if its profile is one.
pub(super) fn recipe(
    section: &mut Section<'_>,
    profile: Profile,
    request_timeout: Duration,
    report: &mut Report<'_>,
) -> Option<RecipeSettings> {
    if matches!(profile, Profile::Http | Profile::Commerce) {
        return None;
    }
    let said = match (profile, section.field("recipe")) {
        (_, Some(field)) => from_file(&field, report),
        (Profile::Recipe, None) => {
            let remedy = "name the recipe's file, such as recipe = \"erp.recipe.toml\"";
            report.error(&section.place.below("recipe"), "is missing for profile = \"recipe\"", remedy);
            None
        }
        (profile, None) => profiles::shipped(profile.as_str())
            .map(|shipped| toml::from_str(shipped.recipe).expect("a test reads every recipe that is shipped")),
    };
    let with = section.field("with").map(|field| settings(&field, report)).unwrap_or_default();
    // UNC-4.
    let bounds = (SECOND / 10, SECOND * 3_600 * 24);
    let settle_after = section.duration_or("settle_after", (request_timeout * 2).max(SECOND * 60), bounds, report);
    let words = [("park", false), ("report", true)];
    let accepts = section.field("on_difference").and_then(|field| field.choice(&words, report));
    Some(RecipeSettings { said: said?, with, settle_after, accepts_differences: accepts.unwrap_or(false) })
}

/// What the recipe says protects its system, where the file says nothing.
pub(super) fn guard(
    recipe: &RecipeSettings,
    place: &Place,
    key_window: Option<Duration>,
    report: &mut Report<'_>,
) -> Guard {
    match (recipe.said.guard, key_window) {
        (GuardSaid::Key, Some(window)) => Guard::Key { window },
        (GuardSaid::Key, None) => {
            let remedy = "write how long the destination remembers keys, such as \"24h\"";
            report.error(&place.below("key_window"), "is missing: the recipe's guard is \"key\"", remedy);
            Guard::Key { window: SECOND }
        }
        (GuardSaid::Unique, _) => Guard::Unique,
        (GuardSaid::Find, _) => Guard::Find,
        (GuardSaid::None, _) => Guard::None,
    }
}

/// How many records go out together.
pub(super) fn batch(field: &Field<'_>, report: &mut Report<'_>) -> Option<Batch> {
    let mut section = field.section("the batch of a destination", report)?;
    let up_to = section.count_or("up_to", 50, BATCH_BOUNDS, report);
    let wait = section.duration_or("wait", SECOND * 2, (Duration::ZERO, SECOND * 60), report);
    let bytes = section.bytes_or("bytes", BATCH_BYTES, (1024, 8 * 1024 * 1024), report);
    section.finish(report);
    Some(Batch { up_to, wait, bytes: usize::try_from(bytes).unwrap_or(usize::MAX) })
}

/// Whether the recipe can be used with what the destination sets, and takes the batch that it wants.
pub(super) fn check(place: &Place, settings: &DestinationSettings, report: &mut Report<'_>) {
    let read = settings.recipe.as_ref().zip(settings.url.as_ref());
    let recipe = match read.map(|(recipe, url)| Recipe::new(recipe.said.clone(), &recipe.with, url)) {
        None => None,
        Some(Ok(recipe)) => Some(recipe),
        Some(Err(problems)) => {
            for problem in problems {
                let remedy = "docs/destinations/write-a-profile.md explains every word of a recipe";
                report.error(&place.below("recipe"), problem, remedy);
            }
            return;
        }
    };
    if settings.batch.is_none() {
        return;
    }
    let is_keyed = matches!(settings.guard, Guard::Key { .. });
    for problem in together::problems(is_keyed, recipe.as_ref()) {
        report.error(&place.below("batch"), problem, "correct it, or remove batch: then every record goes alone");
    }
}

fn from_file(field: &Field<'_>, report: &mut Report<'_>) -> Option<RecipeSaid> {
    let name = field.text(report)?;
    let path = report.resolve(name);
    let too_large = std::fs::metadata(&path).is_ok_and(|file| file.len() > RECIPE_BYTES_MAX);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) if !too_large => text,
        Ok(_) => {
            report.error(&field.place, format!("{name} is larger than a recipe can be"), "name the recipe's file");
            return None;
        }
        Err(error) => {
            report.error(&field.place, format!("{name} cannot be read: {error}"), "name the recipe's file");
            return None;
        }
    };
    toml::from_str(&text)
        .map_err(|error| {
            let line = error.span().map(|span| text[..span.start.min(text.len())].lines().count().max(1));
            let line = line.map(|line| format!(" line {line}")).unwrap_or_default();
            let told = format!("{name}{line}: {}", error.message());
            report.error(
                &field.place,
                told,
                "correct the recipe; docs/destinations/write-a-profile.md explains its words",
            );
        })
        .ok()
}

fn settings(field: &Field<'_>, report: &mut Report<'_>) -> BTreeMap<String, serde_json::Value> {
    let Some(table) = field.section("the settings of a recipe", report) else { return BTreeMap::new() };
    let mut settings = BTreeMap::new();
    for (name, field) in table.entries() {
        match value(field.value) {
            Ok(value) => {
                settings.insert(name, value);
            }
            Err(problem) => report.error(&field.place, problem, "write a text, a whole number, true, false, or a list"),
        }
    }
    settings
}

pub(super) fn value(said: &DeValue<'_>) -> Result<serde_json::Value, String> {
    match said {
        DeValue::String(text) => Ok(text.as_ref().into()),
        DeValue::Boolean(is) => Ok((*is).into()),
        DeValue::Integer(number) => {
            let whole = i64::from_str_radix(number.as_str(), number.radix());
            whole.map(Into::into).map_err(|_| "is too large a number".to_owned())
        }
        DeValue::Array(items) => {
            let items: Result<Vec<_>, _> = items.iter().map(|item| value(item.get_ref())).collect();
            items.map(Into::into)
        }
        DeValue::Table(table) => {
            let members = table.iter().map(|(name, member)| Ok((name.get_ref().to_string(), value(member.get_ref())?)));
            members.collect::<Result<serde_json::Map<_, _>, String>>().map(Into::into)
        }
        DeValue::Float(_) => Err("is a binary fraction: write an amount as text".to_owned()),
        DeValue::Datetime(_) => Err("is a time: write it as text".to_owned()),
    }
}
