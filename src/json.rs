//! JSON as a tree that keeps the digits of numbers as text and refuses what could hurt us.
//!
//! Commerce sends amounts as JSON numbers; a float would turn `19.99999999999999999999` into `20`. The tree therefore
//! borrows every number token from the input. Limits follow delivery-semantics POI-3: depth, item count, string and
//! number length are bounded, duplicate object names are refused. Two readers make the tree: `quick` takes what has
//! nothing wrong with it, which nearly every body is; the careful one, whose scanning is [`jiter`]'s, decides about
//! everything else and says why. Beside them stand the tolerant readers (`number or string`, `array or map`, `[]` for
//! `{}`) that Commerce needs.
//!
//! Deliberately absent: floats, mutation, and a `Serialize` that could re-spell a number.

mod indent;
mod quick;

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use jiter::{Jiter, JiterError, Peek};

pub use indent::indented;

/// Bounds on one JSON text.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Deepest nesting of arrays and objects.
    pub depth_max: usize,
    /// Longest string in bytes, after escapes are resolved.
    pub string_bytes_max: usize,
    /// Longest number token in characters.
    pub number_chars_max: usize,
    /// Most members of one array or object.
    pub items_max: usize,
}

impl Default for Limits {
    /// POI-3.
    fn default() -> Self {
        Limits { depth_max: 64, string_bytes_max: 256 * 1024, number_chars_max: 128, items_max: 10_000 }
    }
}

/// Why a text is not acceptable JSON. Never carries text of the input beyond an object name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The body has no bytes, or white space only.
    #[error("the body is empty")]
    Empty,
    /// Not JSON (or not UTF-8); `at` is the byte offset.
    #[error("not valid JSON at byte {at}: {reason}")]
    Syntax {
        /// Byte offset into the text.
        at: usize,
        /// What the scanner expected.
        reason: String,
    },
    /// One of the [`Limits`] is exceeded.
    #[error("{what} exceeds the limit of {limit} at byte {at}")]
    Limit {
        /// Which limit.
        what: &'static str,
        /// Its value.
        limit: usize,
        /// Byte offset into the text.
        at: usize,
    },
    /// The same name twice in one object: readers disagree on which one counts.
    #[error("the name \"{name}\" stands twice in one object at byte {at}")]
    DuplicateName {
        /// The name, cut to 64 characters.
        name: String,
        /// Byte offset into the text.
        at: usize,
    },
}

/// A JSON value; numbers are their own digits.
#[derive(Clone, Debug, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// The number token exactly as sent.
    Number(&'a str),
    /// A string with escapes resolved.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Json<'a>>),
    /// An object, members in the order sent, names unique.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// Parses one complete JSON text.
///
/// # Errors
/// [`JsonError`] names the offence and its byte offset.
pub fn parse<'a>(text: &'a [u8], limits: &Limits) -> Result<Json<'a>, JsonError> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err(JsonError::Empty);
    }
    // One validation up front; every slice of the text is then text as well.
    let text = std::str::from_utf8(text)
        .map_err(|error| JsonError::Syntax { at: error.valid_up_to(), reason: "invalid UTF-8".to_owned() })?;
    quick::tree(text, limits).map_or_else(|| carefully(text, limits), Ok)
}

/// The tree, or what is wrong with the text.
fn carefully<'a>(text: &'a str, limits: &Limits) -> Result<Json<'a>, JsonError> {
    let (items, members) = (Vec::new(), Vec::new());
    let mut reader = Reader { text, jiter: Jiter::new(text.as_bytes()), limits, items, members };
    let peek = reader.jiter.peek().map_err(|error| syntax(&error))?;
    let value = reader.value(peek, 0)?;
    reader.jiter.finish().map_err(|error| syntax(&error))?;
    Ok(value)
}

type Member<'a> = (Cow<'a, str>, Json<'a>);

struct Reader<'a, 'l> {
    text: &'a str,
    jiter: Jiter<'a>,
    limits: &'l Limits,
    /// What open arrays and objects hold so far, the innermost last: each is moved out once, when its size is known.
    items: Vec<Json<'a>>,
    members: Vec<Member<'a>>,
}

fn syntax(error: &JiterError) -> JsonError {
    JsonError::Syntax { at: error.index, reason: error.error_type.to_string() }
}

/// `decoded` as a part of `text` if it is one, which it is unless it had escapes; else a copy.
fn part_of<'a>(text: &'a str, decoded: &str) -> Cow<'a, str> {
    let start = decoded.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
    // Addresses alone prove nothing about an empty slice, and a wrong part would be wrong data: the length of a slice
    // inside the text lies inside the text, and one outside never does, for no two allocations overlap.
    match start.checked_add(decoded.len()).and_then(|end| text.get(start..end)) {
        Some(part) => Cow::Borrowed(part),
        None => Cow::Owned(decoded.to_owned()),
    }
}

impl<'a> Reader<'a, '_> {
    fn value(&mut self, peek: Peek, depth: usize) -> Result<Json<'a>, JsonError> {
        match peek {
            Peek::Null => self.jiter.known_null().map(|()| Json::Null).map_err(|error| syntax(&error)),
            Peek::True | Peek::False => self.jiter.known_bool(peek).map(Json::Bool).map_err(|error| syntax(&error)),
            Peek::String => {
                let start = self.jiter.current_index();
                let decoded = self.jiter.known_str().map_err(|error| syntax(&error))?;
                let string = part_of(self.text, decoded);
                self.check("a string", string.len(), self.limits.string_bytes_max, start)?;
                Ok(Json::String(string))
            }
            Peek::Array => self.array(depth + 1),
            Peek::Object => self.object(depth + 1),
            _ if peek.is_num() => {
                let start = self.jiter.current_index();
                self.jiter.known_number_bytes(peek).map_err(|error| syntax(&error))?;
                let token = &self.text[start..self.jiter.current_index()];
                self.check("a number", token.len(), self.limits.number_chars_max, start)?;
                if !token.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')) {
                    return Err(JsonError::Syntax { at: start, reason: "not a number".to_owned() });
                }
                Ok(Json::Number(token))
            }
            _ => Err(JsonError::Syntax { at: self.jiter.current_index(), reason: "a value is expected".to_owned() }),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        let at = self.jiter.current_index();
        self.check("nesting", depth, self.limits.depth_max, at)?;
        let first = self.items.len();
        let mut next = self.jiter.known_array().map_err(|error| syntax(&error))?;
        while let Some(peek) = next {
            let item = self.value(peek, depth)?;
            self.items.push(item);
            self.check("the number of items", self.items.len() - first, self.limits.items_max, at)?;
            next = self.jiter.array_step().map_err(|error| syntax(&error))?;
        }
        Ok(Json::Array(self.items.drain(first..).collect()))
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        let at = self.jiter.current_index();
        self.check("nesting", depth, self.limits.depth_max, at)?;
        let first = self.members.len();
        let mut names = Names::default();
        let text = self.text;
        let mut next = self.jiter.known_object().map_err(|error| syntax(&error))?.map(|name| part_of(text, name));
        while let Some(name) = next {
            if names.is_doubled(&name, &self.members[first..]) {
                let at = self.jiter.current_index();
                return Err(JsonError::DuplicateName { name: name.chars().take(64).collect(), at });
            }
            self.check("a name", name.len(), self.limits.string_bytes_max, at)?;
            let peek = self.jiter.peek().map_err(|error| syntax(&error))?;
            let value = self.value(peek, depth)?;
            self.members.push((name, value));
            self.check("the number of members", self.members.len() - first, self.limits.items_max, at)?;
            next = self.jiter.next_key().map_err(|error| syntax(&error))?.map(|name| part_of(text, name));
        }
        Ok(Json::Object(self.members.drain(first..).collect()))
    }

    fn check(&self, what: &'static str, size: usize, limit: usize, at: usize) -> Result<(), JsonError> {
        debug_assert!(at <= self.text.len());
        if size > limit { Err(JsonError::Limit { what, limit, at }) } else { Ok(()) }
    }
}

/// Up to this many members an object is searched where the filter cannot exclude a double.
const SEARCHED_MAX: usize = 128;

/// Names of one object so far. Refusing doubles must not cost quadratic time: a small object has a filter of 2,048 bits
/// that lets nearly all new names pass unsearched, a large one a set with keyed hashes.
#[derive(Default)]
struct Names<'a> {
    filter: [u64; 32],
    all: Option<HashSet<Cow<'a, str>>>,
}

impl<'a> Names<'a> {
    /// Whether `name` is among the `members`; remembers it.
    #[expect(clippy::ptr_arg, reason = "a borrowed name is kept without a copy")]
    fn is_doubled(&mut self, name: &Cow<'a, str>, members: &[Member<'a>]) -> bool {
        if members.len() >= SEARCHED_MAX {
            let all = self.all.get_or_insert_with(|| members.iter().map(|(known, _)| known.clone()).collect());
            return !all.insert(name.clone());
        }
        let place = place_of(name);
        let word = &mut self.filter[place >> 6];
        let bit = 1 << (place & 63);
        let may_be_known = *word & bit != 0;
        *word |= bit;
        may_be_known && members.iter().any(|(known, _)| known == name)
    }
}

/// A number below 2,048 that differs for most names: of their ends and their length, since many begin alike.
fn place_of(name: &str) -> usize {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let (first, last) = ends(name.as_bytes());
    let mixed = first.wrapping_mul(ODD).wrapping_add(last ^ name.len() as u64);
    let mixed = (mixed ^ mixed >> 32).wrapping_mul(ODD);
    usize::try_from(mixed >> 53).expect("eleven bits")
}

/// The first and the last eight bytes of a name, or what there is of it.
fn ends(name: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    match (name.first_chunk(), name.last_chunk()) {
        (Some(first), Some(last)) => (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into()),
        _ => (name.iter().fold(0, |letters, byte| letters << 8 | u64::from(*byte)), 0),
    }
}

impl<'a> Json<'a> {
    /// The member of that name; `None` for anything but an object that has it.
    pub fn get(&self, name: &str) -> Option<&Json<'a>> {
        match self {
            Json::Object(members) => members.iter().find(|(known, _)| known == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Like [`Json::get`], with `null` counted as missing.
    pub fn present(&self, name: &str) -> Option<&Json<'a>> {
        self.get(name).filter(|value| !matches!(value, Json::Null))
    }

    /// The value at a JSON pointer (RFC 6901).
    pub fn pointer(&self, pointer: &str) -> Option<&Json<'a>> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer.strip_prefix('/')?.split('/').try_fold(self, |value, raw| {
            let name = raw.replace("~1", "/").replace("~0", "~");
            match value {
                Json::Array(items) => items.get(name.parse::<usize>().ok()?),
                _ => value.get(&name),
            }
        })
    }

    /// The text of a string; nothing else.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Json::String(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a string, or the digits of a number: Commerce swaps them freely.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Json::String(text) => Some(text),
            Json::Number(token) => Some(token),
            _ => None,
        }
    }

    /// The items of an array, or the values of an object: Commerce sends collections as maps keyed by id too.
    /// `None` for scalars; `null` is an empty collection.
    pub fn elements(&self) -> Option<Vec<&Json<'a>>> {
        match self {
            Json::Array(items) => Some(items.iter().collect()),
            Json::Object(members) => Some(members.iter().map(|(_, value)| value).collect()),
            Json::Null => Some(Vec::new()),
            _ => None,
        }
    }

    /// Whether this is an array.
    pub fn is_array(&self) -> bool {
        matches!(self, Json::Array(_))
    }

    /// Whether this is an object.
    pub fn is_object(&self) -> bool {
        matches!(self, Json::Object(_))
    }

    /// One word for error messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "boolean",
            Json::Number(_) => "number",
            Json::String(_) => "string",
            Json::Array(_) => "array",
            Json::Object(_) => "object",
        }
    }

    /// The canonical spelling used for digests: names sorted by bytes, no white space, number tokens as sent.
    pub fn canonical(&self) -> String {
        // About an order's size: growing to it would copy it three times.
        let room = if matches!(self, Json::Object(_)) { 8 * 1024 } else { 64 };
        let mut speller =
            Speller { out: String::with_capacity(room), sorted: true, order: Vec::new(), last: Vec::new() };
        speller.value(self);
        speller.out
    }
}

/// Compact JSON text with every token as it was sent.
impl fmt::Display for Json<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut speller = Speller { out: String::new(), sorted: false, order: Vec::new(), last: Vec::new() };
        speller.value(self);
        formatter.write_str(&speller.out)
    }
}

/// Writes values without white space.
struct Speller {
    out: String,
    /// Members by the bytes of their names, instead of in the order sent.
    sorted: bool,
    /// The orders in which members of open objects stand when sorted, the innermost object's last: first letters, place.
    order: Vec<(u128, usize)>,
    /// The last such order that had to be sought: neighbours mostly have the same names.
    last: Vec<usize>,
}

impl Speller {
    fn value(&mut self, value: &Json<'_>) {
        match value {
            Json::Null => self.out.push_str("null"),
            Json::Bool(value) => self.out.push_str(if *value { "true" } else { "false" }),
            Json::Number(token) => self.out.push_str(token),
            Json::String(text) => self.string(text),
            Json::Array(items) => {
                self.out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        self.out.push(',');
                    }
                    self.value(item);
                }
                self.out.push(']');
            }
            Json::Object(members) if self.sorted && !members.is_sorted_by(|left, right| left.0 < right.0) => {
                let begin = self.order.len();
                self.sort(members);
                self.out.push('{');
                for number in 0..members.len() {
                    let (name, value) = &members[self.order[begin + number].1];
                    self.member(number, name, value);
                }
                self.out.push('}');
                self.order.truncate(begin);
            }
            Json::Object(members) => {
                self.out.push('{');
                for (number, (name, value)) in members.iter().enumerate() {
                    self.member(number, name, value);
                }
                self.out.push('}');
            }
        }
    }

    /// Puts the places of the members behind the orders there are, sorted by the members' names.
    fn sort(&mut self, members: &[Member<'_>]) {
        let begin = self.order.len();
        let lettered = |place: usize| (first_letters(&members[place].0), place);
        let by_name = |left: &(u128, usize), right: &(u128, usize)| {
            left.0.cmp(&right.0).then_with(|| members[left.1].0.cmp(&members[right.1].0))
        };
        if self.last.len() == members.len() {
            self.order.extend(self.last.iter().copied().map(lettered));
        } else {
            self.order.extend((0..members.len()).map(lettered));
        }
        let order = &mut self.order[begin..];
        if !order.is_sorted_by(|left, right| by_name(left, right).is_lt()) {
            order.sort_unstable_by(by_name);
            self.last.clear();
            self.last.extend(order.iter().map(|(_, place)| *place));
        }
    }

    fn member(&mut self, number: usize, name: &str, value: &Json<'_>) {
        if number > 0 {
            self.out.push(',');
        }
        self.string(name);
        self.out.push(':');
        self.value(value);
    }

    fn string(&mut self, text: &str) {
        if needs_escapes(text.as_bytes()) {
            self.out.push_str(&serde_json::to_string(text).expect("a string always serialises"));
        } else {
            self.out.push('"');
            self.out.push_str(text);
            self.out.push('"');
        }
    }
}

/// The first sixteen bytes as a number that sorts like them; a shorter name sorts before what it begins, or ties.
fn first_letters(name: &str) -> u128 {
    let letters = name.as_bytes();
    if let Some(first) = letters.first_chunk::<16>() {
        return u128::from_be_bytes(*first);
    }
    // The last eight, or four, overlap the first; shifted into their place, they say the same there.
    let number = match (letters.first_chunk(), letters.last_chunk()) {
        (Some(first), Some(last)) => {
            u128::from(u64::from_be_bytes(*first)) << (8 * (letters.len() - 8)) | u128::from(u64::from_be_bytes(*last))
        }
        _ => match (letters.first_chunk(), letters.last_chunk()) {
            (Some(first), Some(last)) => {
                let first = u64::from(u32::from_be_bytes(*first)) << (8 * (letters.len() - 4));
                (first | u64::from(u32::from_be_bytes(*last))).into()
            }
            _ => letters.iter().fold(0, |number, letter| number << 8 | u128::from(*letter)),
        },
    };
    number.unbounded_shl(8 * (16 - u32::try_from(letters.len()).expect("less than sixteen")))
}

/// Whether a control character, a quote or a backslash is among the bytes; eight are looked at in one go.
fn needs_escapes(bytes: &[u8]) -> bool {
    let plain = |byte: &u8| *byte >= 0x20 && *byte != b'"' && *byte != b'\\';
    let (words, rest) = bytes.as_chunks::<8>();
    words.iter().any(|word| special(u64::from_le_bytes(*word)) != 0) || !rest.iter().all(plain)
}

/// The highest bit of each of eight bytes that is a control character, a quote or a backslash. Bits above the lowest one
/// that is set may be wrong: good for "none is", and for which is the first.
fn special(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word & HIGHS;
    below(word, 0x20) | below(word ^ (ONES * 0x22), 1) | below(word ^ (ONES * 0x5c), 1)
}

/// A place that serde names, as a JSON pointer.
pub fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut out = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => out.extend(["/", &index.to_string()]),
            Segment::Map { key } => out.extend(["/", &key.replace('~', "~0").replace('/', "~1")]),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    out
}

/// `invalid type: string "…", expected u32 at line 1 column 9` without the value seen (ANS-1) and without the position.
pub fn without_values(text: &str) -> String {
    let text = text.rsplit_once(" at line ").map_or(text, |(text, _)| text);
    match (text.starts_with("invalid"), text.rsplit_once(", expected ")) {
        (true, Some((_, expected))) => format!("expected {expected}"),
        _ => text.replace('`', "\""),
    }
}

#[cfg(test)]
mod tests;
