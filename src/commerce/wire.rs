//! Members of Commerce's JSON, read the way Commerce writes them.
//!
//! Commerce swaps numbers and strings, arrays and maps keyed by id, `[]` and `{}`, missing and `null`, and hides JSON
//! inside strings. All of that is read; what cannot be read is noted with its path and value, never guessed. Paths are
//! kept as a chain on the stack and become text only when something is wrong.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;

use crate::domain::decimal;
use crate::domain::defect::{Defect, ExceptionCode, Warning};
use crate::domain::quantity::Quantity;
use crate::json::{self, Json, Limits};

/// A step of a path.
#[derive(Clone, Copy, Debug)]
pub enum Step<'p> {
    /// A member's name, or a map's key.
    Name(&'p str),
    /// A place in an array.
    Index(usize),
}

/// Where a value stands, from the value outwards.
#[derive(Clone, Copy, Debug)]
pub enum Path<'p> {
    /// The order object itself.
    Root,
    /// A step below another place.
    Below(&'p Path<'p>, Step<'p>),
}

impl<'p> Path<'p> {
    /// The place of a member.
    #[must_use]
    pub fn name(&'p self, name: &'p str) -> Path<'p> {
        Path::Below(self, Step::Name(name))
    }
}

/// A JSON pointer without its leading slash.
impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Path::Below(outer, step) = self else { return Ok(()) };
        outer.fmt(formatter)?;
        if !matches!(outer, Path::Root) {
            formatter.write_str("/")?;
        }
        match step {
            Step::Name(name) if name.contains(['/', '~']) => {
                formatter.write_str(&name.replace('~', "~0").replace('/', "~1"))
            }
            Step::Name(name) => formatter.write_str(name),
            Step::Index(index) => write!(formatter, "{index}"),
        }
    }
}

/// What was found wrong or noteworthy while reading one order.
#[derive(Debug, Default)]
pub struct Findings {
    defects: RefCell<Vec<Defect>>,
    warnings: RefCell<Vec<Warning>>,
}

impl Findings {
    /// Notes a defect.
    pub fn defect(&self, defect: Defect) {
        self.defects.borrow_mut().push(defect);
    }

    /// Notes a warning.
    pub fn warning(&self, warning: Warning) {
        self.warnings.borrow_mut().push(warning);
    }

    /// Everything noted.
    pub fn into_parts(self) -> (Vec<Defect>, Vec<Warning>) {
        (self.defects.into_inner(), self.warnings.into_inner())
    }
}

/// Amounts beyond this are a mistake in the payload; below it sums of ten thousand lines fit exact decimals.
const AMOUNT_MAX: i64 = 100_000_000_000_000;

/// An object and where it stands.
pub struct Object<'p, 'j, 'a> {
    members: &'j [(Cow<'a, str>, Json<'a>)],
    path: Path<'p>,
    findings: &'p Findings,
    /// Where each name is: places of members, counted from 1, each at its name's [`home`] or in the next free one behind it.
    places: [u8; PLACES],
}

/// Twice as many as an item of an order has members, so that most names are found at once or known missing at once.
const PLACES: usize = 128;
/// More members than this are searched one by one.
const PLACED_MAX: usize = PLACES * 3 / 4;

/// Where a name is looked for first: a number of its length and of letters that tell Commerce's names apart.
fn home(name: &str) -> usize {
    let letters = name.as_bytes();
    let at = |place: usize| letters.get(place).copied().map_or(0, u32::from);
    let length = letters.len();
    let ends = match (letters.first_chunk(), letters.last_chunk()) {
        (Some(first), Some(last)) => u32::from_le_bytes(*first) ^ u32::from_le_bytes(*last).rotate_left(13),
        _ => at(0) | at(1) << 8 | at(2) << 16,
    };
    let middle = at(length / 2) << 8 | u32::try_from(length & 0xff).unwrap_or_default();
    let mixed = (ends ^ middle.rotate_left(7)).wrapping_mul(0x9e37_79b9);
    mixed as usize >> 25
}

impl<'p, 'j, 'a> Object<'p, 'j, 'a> {
    /// The object `json` is; `None` for anything else. PHP's empty array stands for an empty object.
    pub fn of(json: &'j Json<'a>, path: Path<'p>, findings: &'p Findings) -> Option<Self> {
        let members = match json {
            Json::Object(members) => members.as_slice(),
            Json::Array(items) if items.is_empty() => &[],
            _ => return None,
        };
        let mut places = [0; PLACES];
        if members.len() <= PLACED_MAX {
            for (number, (name, _)) in (1..).zip(members) {
                let mut place = home(name);
                while places[place] != 0 {
                    place = (place + 1) % PLACES;
                }
                places[place] = number;
            }
        }
        Some(Object { members, path, findings, places })
    }

    /// Where it stands.
    pub fn path(&self) -> &Path<'p> {
        &self.path
    }

    /// The notebook.
    pub fn findings(&self) -> &'p Findings {
        self.findings
    }

    /// A member that is there and not `null`.
    pub fn get(&self, name: &str) -> Option<&'j Json<'a>> {
        let value = &self.member(name)?.1;
        (!matches!(value, Json::Null)).then_some(value)
    }

    fn member(&self, name: &str) -> Option<&'j (Cow<'a, str>, Json<'a>)> {
        if self.members.len() > PLACED_MAX {
            return self.members.iter().find(|(known, _)| known == name);
        }
        let mut place = home(name);
        // Ends: a quarter of the places is free.
        while let Some(index) = self.places[place].checked_sub(1) {
            let member = &self.members[usize::from(index)];
            if member.0 == name {
                return Some(member);
            }
            place = (place + 1) % PLACES;
        }
        None
    }

    /// Notes that a member cannot be read.
    pub fn unreadable(&self, name: &str, value: &Json<'_>, message: impl Into<String>) {
        let path = self.path.name(name).to_string();
        let shown = value.as_text().map_or_else(|| value.to_string(), str::to_owned);
        self.findings.defect(
            Defect::new(ExceptionCode::UnreadablePayload, path, message)
                .with_value(&shown)
                .with_cause(format!("{name}: {}", value.kind())),
        );
    }

    /// Non-empty text; digits of a number count.
    pub fn text(&self, name: &str) -> Option<&'j str> {
        self.get(name).and_then(Json::as_text).map(str::trim).filter(|text| !text.is_empty())
    }

    /// Whether nothing is said: missing, `null`, or blank text, which every reader here takes for missing.
    pub fn is_unsaid(&self, name: &str) -> bool {
        self.get(name).is_none_or(|value| matches!(value, Json::String(text) if text.trim().is_empty()))
    }

    /// Owned text.
    pub fn string(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    /// An exact number, as a number or as a string; empty text is missing.
    pub fn decimal(&self, name: &str) -> Option<Decimal> {
        let value = self.get(name)?;
        let Some(text) = value.as_text() else {
            self.unreadable(
                name,
                value,
                format!("a number is expected, not {} {}", article(value.kind()), value.kind()),
            );
            return None;
        };
        if text.trim_ascii().is_empty() {
            return None;
        }
        decimal::parse(text)
            .inspect_err(|error| self.unreadable(name, value, format!("{name} cannot be read: {error}")))
            .ok()
    }

    /// An amount: rounded to the four decimals Commerce stores, which takes away float noise and nothing else.
    pub fn amount(&self, name: &str) -> Option<Decimal> {
        let value = self.decimal(name)?;
        if value.abs() >= Decimal::from(AMOUNT_MAX) {
            let sent = self.get(name)?;
            self.unreadable(name, sent, format!("{name} is too large for an amount"));
            return None;
        }
        Some(if value.scale() > 4 { decimal::rounded(value, 4) } else { value })
    }

    /// An amount, nothing where it is missing.
    pub fn amount_or_zero(&self, name: &str) -> Decimal {
        self.amount(name).unwrap_or_default()
    }

    /// A quantity; a negative one is a defect.
    pub fn quantity(&self, name: &str) -> Option<Quantity> {
        let value = self.decimal(name)?;
        Quantity::new(value)
            .inspect_err(|error| {
                if let Some(sent) = self.get(name) {
                    self.unreadable(name, sent, format!("{name}: {error}"));
                }
            })
            .ok()
    }

    /// A whole positive number, as a number or as a string; 0 and empty text are missing, as in Commerce.
    pub fn id(&self, name: &str) -> Option<u64> {
        let value = self.get(name)?;
        let id = self.decimal(name)?;
        let whole = u64::try_from(id.normalize().mantissa()).ok().filter(|_| id.normalize().scale() == 0);
        if whole.is_none() {
            self.unreadable(name, value, format!("{name} is not an id"));
        }
        whole.filter(|id| *id > 0)
    }

    /// An id that nothing hangs on: what cannot be read is missing.
    pub fn id_if_readable(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok().filter(|id| *id > 0)
    }

    /// `true`, `1`, `"1"`.
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.get(name)? {
            Json::Bool(value) => Some(*value),
            value => match value.as_text()? {
                "1" | "true" => Some(true),
                "0" | "" | "false" => Some(false),
                _ => None,
            },
        }
    }

    /// An instant of the order: `Y-m-d H:i:s` in UTC as Commerce writes it, or RFC 3339. An unreadable one is a warning.
    pub fn time(&self, name: &str) -> Option<Timestamp> {
        let text = self.text(name)?;
        let civil = || TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
        // As nearly all are written; a zone would stand behind, or in place of the seconds.
        let is_civil = text.len() == 19 && matches!((text.as_bytes()[13], text.as_bytes()[16]), (b':', b':'));
        let time = if is_civil { civil() } else { None };
        let time = time.or_else(|| text.parse::<Timestamp>().ok()).or_else(civil);
        if time.is_none() {
            let message = format!("\"{}\" is not a time", text.chars().take(40).collect::<String>());
            // Warnings name places of the document, which calls the first of the two by another name.
            let path = if name == "created_at" { "order/placed_at".to_owned() } else { format!("order/{name}") };
            self.findings.warning(Warning::new("unreadable_time", path, message));
        }
        time
    }

    /// Passes an object member to `read`: an object, PHP's `[]`, or either of them as JSON inside a string.
    pub fn object<T>(&self, name: &str, read: impl FnOnce(&Object<'_, '_, '_>) -> T) -> Option<T> {
        let value = self.get(name)?;
        let path = self.path.name(name);
        self.with_embedded(name, value, |value| Object::of(value, path, self.findings).map(|object| read(&object)))
            .flatten()
    }

    /// Passes each element of a collection to `read`: an array, a map, or either of them as JSON inside a string.
    pub fn each(&self, name: &str, mut read: impl FnMut(&Json<'_>, Path<'_>)) {
        let Some(value) = self.get(name) else { return };
        let path = self.path.name(name);
        self.with_embedded(name, value, |value| match value {
            Json::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    read(item, Path::Below(&path, Step::Index(index)));
                }
            }
            Json::Object(members) => {
                for (key, item) in members {
                    read(item, Path::Below(&path, Step::Name(key)));
                }
            }
            _ => {}
        });
    }

    /// `value` itself, or the JSON inside its text; `None` when the text holds no JSON collection. One that begins and
    /// cannot be read is a defect: what it held would be lost without a word.
    fn with_embedded<T>(&self, name: &str, value: &Json<'_>, read: impl FnOnce(&Json<'_>) -> T) -> Option<T> {
        match value {
            Json::String(text) if text.trim_start().starts_with(['{', '[']) => {
                match json::parse(text.as_bytes(), &Limits::default()) {
                    Ok(inner) => Some(read(&inner)),
                    Err(error) => {
                        self.unreadable(name, value, format!("the JSON inside this text cannot be read: {error}"));
                        None
                    }
                }
            }
            Json::String(_) => None,
            other => Some(read(other)),
        }
    }

    /// Like [`Object::each`], objects only.
    pub fn each_object(&self, name: &str, mut read: impl FnMut(&Object<'_, '_, '_>)) {
        self.each(name, |value, path| {
            if let Some(object) = Object::of(value, path, self.findings) {
                read(&object);
            }
        });
    }
}

fn article(kind: &str) -> &'static str {
    if kind.starts_with(['a', 'o']) { "an" } else { "a" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(text: &str, read: impl FnOnce(&Object<'_, '_, '_>) -> T) -> (T, Vec<Defect>, Vec<Warning>) {
        let json = json::parse(text.as_bytes(), &Limits::default()).unwrap();
        let findings = Findings::default();
        let value = read(&Object::of(&json, Path::Root, &findings).unwrap());
        let (defects, warnings) = findings.into_parts();
        (value, defects, warnings)
    }

    #[test]
    fn numbers_and_strings_are_the_same_and_float_noise_is_rounded_away() {
        let (read, defects, _) =
            with(r#"{"a":12.5,"b":"12.5000","c":"","d":null,"e":0.30000000000000004,"f":"7.0000"}"#, |object| {
                assert_eq!(object.id("f"), Some(7));
                ["a", "b", "c", "d", "e", "g"].map(|name| object.amount(name).map(decimal::plain))
            });
        let wanted = [Some("12.5"), Some("12.5"), None, None, Some("0.3"), None];
        assert_eq!(read.each_ref().map(Option::as_deref), wanted);
        assert!(defects.is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_noted_with_path_and_value() {
        let ((), defects, _) = with(
            r#"{"items":{"12":{"qty/x":"-1","price":"1,5","row_total":[1],"item_id":1.5,"tax":1e15}}}"#,
            |object| {
                object.each_object("items", |item| {
                    item.quantity("qty/x");
                    item.amount("price");
                    item.amount("row_total");
                    item.id("item_id");
                    item.amount("tax");
                });
            },
        );
        let seen: Vec<(&str, &str)> =
            defects.iter().map(|defect| (defect.path.as_str(), defect.value.as_deref().unwrap())).collect();
        assert_eq!(
            seen,
            [
                ("items/12/qty~1x", "-1"),
                ("items/12/price", "1,5"),
                ("items/12/row_total", "[1]"),
                ("items/12/item_id", "1.5"),
                ("items/12/tax", "1e15"),
            ]
        );
    }

    #[test]
    fn collections_hide_in_maps_and_in_strings() {
        let ((), defects, _) = with(
            r#"{"a":[{"x":1}],"b":{"9":{"x":1}},"c":"[{\"x\":1}]","d":[],"e":"none","f":"{\"x\":\"1\"}"}"#,
            |object| {
                for (name, wanted) in [("a", 1), ("b", 1), ("c", 1), ("d", 0), ("e", 0), ("missing", 0)] {
                    let mut count = 0;
                    object.each_object(name, |item| {
                        assert_eq!(item.id("x"), Some(1));
                        count += 1;
                    });
                    assert_eq!(count, wanted, "{name}");
                }
                assert_eq!(object.object("f", |inner| inner.id("x")), Some(Some(1)));
                assert_eq!(object.object("d", |inner| inner.id("x")), Some(None));
                assert_eq!(object.object("e", |inner| inner.id("x")), None);
            },
        );
        assert!(defects.is_empty());
    }

    #[test]
    fn times_are_utc_with_or_without_a_mark() {
        let (times, _, warnings) =
            with(r#"{"a":"2026-03-01 10:15:30","b":"2026-03-01T11:15:30+01:00","c":"soon"}"#, |object| {
                ["a", "b", "c"].map(|name| object.time(name).map(|time| time.to_string()))
            });
        let wanted = Some("2026-03-01T10:15:30Z".to_owned());
        assert_eq!(times, [wanted.clone(), wanted, None]);
        assert_eq!(warnings[0].path, "order/c");
    }
}
