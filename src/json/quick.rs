//! The same tree, read quickly: what orders are made of, and nothing that would have to be explained.
//!
//! Whatever is not plainly acceptable (an offence, a limit, a word that JSON does not have) is `None`, and the careful reader
//! beside it reads the text from its beginning: its tree or its refusal counts. So this one has to be right only about what
//! it takes, and a test holds both against each other. Escapes are resolved by the same scanner as there.

use std::borrow::Cow;

use jiter::Jiter;

use super::{Json, Limits, Member, Names, special};

/// The tree of a whole text; `None` sends it to the careful reader.
pub(super) fn tree<'a>(text: &'a str, limits: &Limits) -> Option<Json<'a>> {
    let mut reader = Quick { text, at: 0, limits, items: Vec::new(), members: Vec::new() };
    reader.skip_blanks();
    let value = reader.value(0)?;
    reader.skip_blanks();
    (reader.at == text.len()).then_some(value)
}

struct Quick<'a, 'l> {
    text: &'a str,
    at: usize,
    limits: &'l Limits,
    /// What open arrays and objects hold so far, the innermost last: each is moved out once, when its size is known.
    items: Vec<Json<'a>>,
    members: Vec<Member<'a>>,
}

impl<'a> Quick<'a, '_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// Steps over `byte` if it stands here.
    fn skip(&mut self, byte: u8) -> bool {
        let here = self.peek() == Some(byte);
        self.at += usize::from(here);
        here
    }

    fn value(&mut self, depth: usize) -> Option<Json<'a>> {
        match self.peek()? {
            b'"' => self.string().map(Json::String),
            b'-' | b'0'..=b'9' => self.number().map(Json::Number),
            b'{' => self.object(depth + 1),
            b'[' => self.array(depth + 1),
            b'n' => self.word("null", Json::Null),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            _ => None,
        }
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Option<Json<'a>> {
        let here = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += word.len();
        here.then_some(value)
    }

    /// Index of the next quote, backslash or control character from `from` on.
    fn next_special(&self, from: usize) -> Option<usize> {
        let bytes = self.text.as_bytes().get(from..)?;
        let (words, rest) = bytes.as_chunks::<8>();
        for (index, word) in words.iter().enumerate() {
            let found = special(u64::from_le_bytes(*word));
            if found != 0 {
                return Some(from + index * 8 + found.trailing_zeros() as usize / 8);
            }
        }
        let offset = rest.iter().position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\'))?;
        Some(from + words.len() * 8 + offset)
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        let (open, mut from, mut escaped) = (self.at, self.at + 1, false);
        let close = loop {
            let found = self.next_special(from)?;
            match self.text.as_bytes()[found] {
                b'"' => break found,
                b'\\' => (escaped, from) = (true, found + 2),
                _ => return None,
            }
        };
        self.at = close + 1;
        let string = if escaped {
            let quoted = self.text.as_bytes().get(open..=close)?;
            Cow::Owned(Jiter::new(quoted).next_str().ok()?.to_owned())
        } else {
            Cow::Borrowed(self.text.get(open + 1..close)?)
        };
        (string.len() <= self.limits.string_bytes_max).then_some(string)
    }

    /// Steps over digits; whether there was one.
    fn digits(&mut self) -> bool {
        let first = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at > first
    }

    fn number(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.skip(b'-');
        // A zero stands alone: what follows it is no part of the number, and no comma either.
        if !self.skip(b'0') && !self.digits() {
            return None;
        }
        if self.skip(b'.') && !self.digits() {
            return None;
        }
        if self.skip(b'e') || self.skip(b'E') {
            let _ = self.skip(b'+') || self.skip(b'-');
            if !self.digits() {
                return None;
            }
        }
        let token = self.text.get(start..self.at)?;
        (token.len() <= self.limits.number_chars_max).then_some(token)
    }

    fn array(&mut self, depth: usize) -> Option<Json<'a>> {
        if depth > self.limits.depth_max {
            return None;
        }
        self.at += 1;
        self.skip_blanks();
        if self.skip(b']') {
            return Some(Json::Array(Vec::new()));
        }
        let first = self.items.len();
        loop {
            let item = self.value(depth)?;
            self.items.push(item);
            if self.items.len() - first > self.limits.items_max {
                return None;
            }
            self.skip_blanks();
            if self.skip(b',') {
                self.skip_blanks();
            } else if self.skip(b']') {
                break;
            } else {
                return None;
            }
        }
        Some(Json::Array(self.items.drain(first..).collect()))
    }

    fn object(&mut self, depth: usize) -> Option<Json<'a>> {
        if depth > self.limits.depth_max {
            return None;
        }
        self.at += 1;
        self.skip_blanks();
        if self.skip(b'}') {
            return Some(Json::Object(Vec::new()));
        }
        let first = self.members.len();
        let mut names = Names::default();
        loop {
            if self.peek() != Some(b'"') {
                return None;
            }
            let name = self.string()?;
            if names.is_doubled(&name, &self.members[first..]) {
                return None;
            }
            self.skip_blanks();
            if !self.skip(b':') {
                return None;
            }
            self.skip_blanks();
            let value = self.value(depth)?;
            self.members.push((name, value));
            if self.members.len() - first > self.limits.items_max {
                return None;
            }
            self.skip_blanks();
            if self.skip(b',') {
                self.skip_blanks();
            } else if self.skip(b'}') {
                break;
            } else {
                return None;
            }
        }
        Some(Json::Object(self.members.drain(first..).collect()))
    }
}
