//! Exact decimals in templates: read from the document's text, reckoned with, printed as digits.

#![expect(clippy::needless_pass_by_value, reason = "filters take what a template hands them, by value")]

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Kwargs, Object, ObjectRepr, ValueKind};
use minijinja::{Environment, Error, Value};
use rust_decimal::Decimal;

use super::refused;
use crate::domain::decimal;

/// Most decimal places that anything is rounded to.
const PLACES_MAX: u32 = 12;

/// An exact number and how many places it shows at least.
#[derive(Debug)]
struct Exact {
    value: Decimal,
    places: u32,
}

impl Object for Exact {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&decimal::padded(self.value, self.places))
    }
}

/// Whether a value is one of ours.
pub(super) fn is_exact(value: &Value) -> bool {
    value.downcast_object_ref::<Exact>().is_some()
}

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("number", number);
    environment.add_filter("rounded", rounded);
    environment.add_filter("exactly", exactly);
    environment.add_filter("plus", |one: Value, other: Value| reckon(&one, &other, "plus", Decimal::checked_add));
    environment.add_filter("minus", |one: Value, other: Value| reckon(&one, &other, "minus", Decimal::checked_sub));
    environment.add_filter("times", |one: Value, other: Value| reckon(&one, &other, "times", Decimal::checked_mul));
    environment.add_filter("per", per);
    environment.add_filter("negative", |value: Value| Ok::<_, Error>(exact(-read(&value)?, 0)));
    environment.add_filter("total", total);
    environment.add_test("zero", |value: Value| read(&value).map(|value| value.is_zero()));
    environment.add_test("below", |value: Value, other: Value| Ok::<_, Error>(read(&value)? < read(&other)?));
    environment.add_test("above", |value: Value, other: Value| Ok::<_, Error>(read(&value)? > read(&other)?));
}

fn exact(value: Decimal, places: u32) -> Value {
    Value::from_object(Exact { value, places })
}

/// A number as it stands in a document: digits in a text, a whole number, or one of ours.
fn read(value: &Value) -> Result<Decimal, Error> {
    if let Some(exact) = value.downcast_object_ref::<Exact>() {
        return Ok(exact.value);
    }
    match value.kind() {
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            decimal::parse(text).map_err(|reason| refused(format!("\"{text}\" is {reason}")))
        }
        ValueKind::Number if value.is_integer() => {
            let whole =
                i128::try_from(value.clone()).ok().and_then(|whole| Decimal::try_from_i128_with_scale(whole, 0).ok());
            whole.ok_or_else(|| refused(format!("{value} is too large")))
        }
        ValueKind::Number => Err(refused(format!("{value} is a binary fraction; write it as \"{value}\""))),
        ValueKind::Undefined | ValueKind::None => Err(refused("it reckons with something that is not there")),
        kind => Err(refused(format!("it reckons with a {kind}"))),
    }
}

fn places(value: u32) -> Result<u32, Error> {
    if value > PLACES_MAX {
        return Err(refused(format!("{value} decimal places; at most {PLACES_MAX}")));
    }
    Ok(value)
}

/// As a number with at least so many places, for where the other side wants digits without quotation marks.
fn number(value: &Value, at_least: Option<u32>) -> Result<Value, Error> {
    Ok(exact(read(value)?, places(at_least.unwrap_or(0))?))
}

/// Rounded half away from zero to so many places, which it shows.
fn rounded(value: &Value, to: u32) -> Result<Value, Error> {
    let to = places(to)?;
    Ok(exact(decimal::rounded(read(value)?, to), to))
}

/// Shown with so many places; a number that has more of them is refused, since a cent would be lost in silence.
fn exactly(value: &Value, to: u32) -> Result<Value, Error> {
    let (value, to) = (read(value)?, places(to)?);
    if value.normalize().scale() > to {
        return Err(refused(format!("{} has more than {to} decimal places", decimal::plain(value))));
    }
    Ok(exact(value, to))
}

fn reckon(
    one: &Value,
    other: &Value,
    word: &str,
    how: impl Fn(Decimal, Decimal) -> Option<Decimal>,
) -> Result<Value, Error> {
    let (one, other) = (read(one)?, read(other)?);
    // The type rounds in silence what it has no room for.
    let (one, other) = (one.normalize(), other.normalize());
    let scale = if word == "times" { one.scale() + other.scale() } else { one.scale().max(other.scale()) };
    let exact_result = how(one, other).filter(|result| result.is_zero() || result.scale() == scale);
    let result = exact_result.filter(|result| decimal::parse(&result.to_string()).is_ok());
    let result = result.ok_or_else(|| refused(format!("{one} {word} {other} has more digits than can be kept")))?;
    Ok(exact(result, 0))
}

/// Divided, rounded half away from zero to so many places: `net | per(quantity, 4)`.
fn per(value: &Value, by: &Value, to: u32) -> Result<Value, Error> {
    let (value, by, to) = (read(value)?, read(by)?, places(to)?);
    let quotient = value.checked_div(by).ok_or_else(|| refused(format!("{value} cannot be divided by {by}")))?;
    Ok(exact(decimal::rounded(quotient, to), to))
}

/// The sum over a list, of its elements or of a member of each: `lines | total(of="net")`.
fn total(list: &Value, options: Kwargs) -> Result<Value, Error> {
    let of: Option<String> = options.get("of")?;
    options.assert_all_used()?;
    let mut sum = Decimal::ZERO;
    for element in list.try_iter()? {
        let value = match &of {
            Some(member) => read(&element.get_attr(member)?)
                .map_err(|error| refused(format!("{member}: {}", error.detail().unwrap_or_default())))?,
            None => read(&element)?,
        };
        sum = sum.checked_add(value).ok_or_else(|| refused("the sum has more digits than can be kept"))?;
    }
    Ok(exact(sum, 0))
}
