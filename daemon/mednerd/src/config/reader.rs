//! Reads TOML tables key by key and notes every problem with its line instead of stopping at the
//! first one. A key that nobody read is unknown.

use std::borrow::Borrow;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mednerd_client::api;
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Place, Principal, Problem};
use crate::zero_shot::{self, Label};

/// A parsed file.
pub(super) struct Document<'i> {
    file: PathBuf,
    text: &'i str,
    table: Spanned<DeTable<'i>>,
    broken: bool,
}

impl<'i> Document<'i> {
    /// Parses `text`; what is not TOML goes to `problems`.
    pub(super) fn parse(file: &Path, text: &'i str, problems: &mut Vec<Problem>) -> Self {
        let (table, errors) = DeTable::parse_recoverable(text);
        let document = Self {
            file: file.to_owned(),
            text,
            table,
            broken: !errors.is_empty(),
        };
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            problems.push(Problem::at(&document.place(at), error.message()));
        }
        document
    }

    /// Whether it is TOML.
    pub(super) fn is_whole(&self) -> bool {
        !self.broken
    }

    /// Where its sections stand, and the keys of those that are tables.
    pub(super) fn places(&self) -> impl Iterator<Item = (String, Place)> {
        self.table.get_ref().iter().flat_map(move |(section, value)| {
            let name = key_text(section);
            let keys = match value.get_ref() {
                DeValue::Table(table) => Some(table.iter()),
                _ => None,
            };
            let keys = keys.into_iter().flatten();
            let keys =
                keys.map(move |(key, value)| (full(name, key_text(key)), self.place(value.span().start)));
            std::iter::once((name.to_owned(), self.place(section.span().start))).chain(keys)
        })
    }

    /// The table that holds all others. Where the file is not TOML it is empty: what is in the
    /// recovered rest would only be told wrongly.
    pub(super) fn root<'d>(&'d self, problems: &'d mut Vec<Problem>) -> Section<'d, 'i> {
        Section {
            document: self,
            table: (!self.broken).then(|| self.table.get_ref()),
            at: 0,
            name: String::new(),
            known: Vec::new(),
            problems,
        }
    }

    fn place(&self, at: usize) -> Place {
        let before = self.text.as_bytes().iter().take(at);
        Place {
            file: self.file.clone(),
            line: Some(1 + before.filter(|&&byte| byte == b'\n').count()),
        }
    }
}

/// A table being read.
pub(super) struct Section<'d, 'i> {
    document: &'d Document<'i>,
    table: Option<&'d DeTable<'i>>,
    at: usize,
    name: String,
    known: Vec<&'static str>,
    problems: &'d mut Vec<Problem>,
}

impl<'d, 'i> Section<'d, 'i> {
    /// Where the table begins.
    pub(super) fn place(&self) -> Place {
        self.document.place(self.at)
    }

    /// The table under `key`.
    pub(super) fn table(&mut self, key: &'static str) -> Option<Section<'_, 'i>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Table(table) => Some(self.inner(key, table, value.span().start)),
            other => {
                self.wrong_type(key, value, "a table", other);
                None
            }
        }
    }

    /// Each table of the array under `key`.
    pub(super) fn each_table(&mut self, key: &'static str, mut read: impl FnMut(Section<'_, 'i>)) {
        let Some(value) = self.value(key) else { return };
        let DeValue::Array(array) = value.get_ref() else {
            return self.wrong_type(key, value, "an array of tables", value.get_ref());
        };
        for item in array.iter() {
            match item.get_ref() {
                DeValue::Table(table) => read(self.inner(key, table, item.span().start)),
                other => self.wrong_type(key, item, "a table", other),
            }
        }
    }

    /// Reads a key by `read` and notes where it is missing. True where it was there and right.
    pub(super) fn required(&mut self, key: &'static str, read: impl FnOnce(&mut Self) -> bool) -> bool {
        if self.find(key).is_none() {
            self.known.push(key);
            self.problem(self.at, format!("{} is missing", self.full(key)));
            return false;
        }
        read(self)
    }

    /// A path; a relative one starts at the folder of the file.
    pub(super) fn path(&mut self, key: &'static str, target: &mut PathBuf) -> bool {
        self.string(key, |section, text, at| {
            if text.is_empty() || text.contains('\0') {
                section.problem(at, format!("{} must be a path", section.full(key)));
                return false;
            }
            let folder = section.document.file.parent().unwrap_or(Path::new(""));
            *target = folder.join(text);
            true
        })
    }

    /// A name that may stand in requests and metrics.
    pub(super) fn name(&mut self, key: &'static str, target: &mut String) -> bool {
        self.string(key, |section, text, at| {
            let right = is_name(text);
            if right {
                text.clone_into(target);
            } else {
                let full = section.full(key);
                section.problem(at, format!("{full} may hold {NAME_RULE}"));
            }
            right
        })
    }

    /// One of several words.
    pub(super) fn choice<T>(
        &mut self,
        key: &'static str,
        target: &mut T,
        parse: impl FnOnce(&str) -> Result<T, &'static str>,
    ) {
        self.string(key, |section, text, at| match parse(text) {
            Ok(value) => {
                *target = value;
                true
            }
            Err(why) => {
                section.problem(at, format!("{} {why}", section.full(key)));
                false
            }
        });
    }

    /// A table as a JSON object, as it stands.
    pub(super) fn json(&mut self, key: &'static str, target: &mut String) {
        let Some(value) = self.value(key) else { return };
        match value.get_ref() {
            table @ DeValue::Table(_) => *target = json(table).to_string(),
            other => self.wrong_type(key, value, "a table", other),
        }
    }

    /// What a zero-shot model looks for: strings, or tables with a name and synonyms.
    pub(super) fn labels(&mut self, key: &'static str, target: &mut Vec<Label>) {
        let Some(value) = self.value(key) else { return };
        let wanted = serde_json::from_value::<Vec<api::Label>>(json(value.get_ref()));
        let problem = match wanted {
            Ok(wanted) => match zero_shot::labels(&wanted) {
                Ok(labels) => return *target = labels,
                Err(fault) => format!("{}: {fault}", self.full(key)),
            },
            Err(_) => format!(
                "{} must be an array of strings, or of tables with \"name\" and \"synonyms\"",
                self.full(key)
            ),
        };
        self.problem(value.span().start, problem);
    }

    /// True or false.
    pub(super) fn boolean(&mut self, key: &'static str, target: &mut bool) {
        let Some(value) = self.value(key) else { return };
        match value.get_ref() {
            DeValue::Boolean(flag) => *target = *flag,
            other => self.wrong_type(key, value, "true or false", other),
        }
    }

    /// A whole number within `range`.
    pub(super) fn size(&mut self, key: &'static str, range: RangeInclusive<usize>, target: &mut usize) {
        let Some(value) = self.value(key) else { return };
        let DeValue::Integer(integer) = value.get_ref() else {
            return self.wrong_type(key, value, "a whole number", value.get_ref());
        };
        match usize::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) if range.contains(&number) => *target = number,
            _ => self.problem(
                value.span().start,
                format!(
                    "{} must be between {} and {}",
                    self.full(key),
                    range.start(),
                    range.end()
                ),
            ),
        }
    }

    /// A time in milliseconds, from 1 to a day.
    pub(super) fn milliseconds(&mut self, key: &'static str, target: &mut Duration) {
        let mut number = usize::try_from(target.as_millis()).unwrap_or(usize::MAX);
        self.size(key, 1..=86_400_000, &mut number);
        *target = Duration::from_millis(number as u64);
    }

    /// A list of different whole numbers within `range`, not empty.
    pub(super) fn numbers(&mut self, key: &'static str, range: RangeInclusive<u32>, target: &mut Vec<u32>) {
        let Some(value) = self.value(key) else { return };
        let items = match value.get_ref() {
            DeValue::Array(array) => array.iter().collect(),
            _ => Vec::new(),
        };
        let mut found = Vec::new();
        for item in &items {
            let DeValue::Integer(integer) = item.get_ref() else {
                continue;
            };
            let number = u32::from_str_radix(integer.as_str(), integer.radix()).ok();
            found.extend(number.filter(|number| range.contains(number) && !found.contains(number)));
        }
        if found.is_empty() || found.len() != items.len() {
            let (key, first, last) = (self.full(key), range.start(), range.end());
            let message =
                format!("{key} must be an array of different whole numbers between {first} and {last}");
            return self.problem(value.span().start, message);
        }
        *target = found;
    }

    /// A list of user or group names or numbers.
    pub(super) fn principals(&mut self, key: &'static str, target: &mut Vec<Principal>) {
        let Some(value) = self.value(key) else { return };
        let DeValue::Array(array) = value.get_ref() else {
            return self.wrong_type(key, value, "an array of strings", value.get_ref());
        };
        let mut found = Vec::new();
        for item in array.iter() {
            match item.get_ref() {
                DeValue::String(name) => found.push(Principal {
                    name: name.to_string(),
                    place: Some(self.document.place(item.span().start)),
                }),
                other => self.wrong_type(key, item, "a string in each place", other),
            }
        }
        *target = found;
    }

    /// Notes every key that was not asked for.
    pub(super) fn finish(self) {
        let Some(table) = self.table else { return };
        let mut unknown: Vec<_> = table
            .keys()
            .filter(|key| !self.known.contains(&key_text(key)))
            .collect();
        unknown.sort_by_key(|key| key.span().start);
        for key in unknown {
            self.problems.push(Problem::at(
                &self.document.place(key.span().start),
                format!(
                    "unknown key {}; known here: {}",
                    full(&self.name, key_text(key)),
                    self.known.join(", ")
                ),
            ));
        }
    }

    fn string(&mut self, key: &'static str, take: impl FnOnce(&mut Self, &str, usize) -> bool) -> bool {
        let Some(value) = self.value(key) else {
            return false;
        };
        match value.get_ref() {
            DeValue::String(text) => take(self, text, value.span().start),
            other => {
                self.wrong_type(key, value, "a string", other);
                false
            }
        }
    }

    fn inner<'s>(&'s mut self, key: &'static str, table: &'d DeTable<'i>, at: usize) -> Section<'s, 'i>
    where
        'd: 's,
    {
        Section {
            document: self.document,
            table: Some(table),
            at,
            name: self.full(key),
            known: Vec::new(),
            problems: self.problems,
        }
    }

    fn value(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'i>>> {
        self.known.push(key);
        self.find(key)
    }

    fn find(&self, key: &str) -> Option<&'d Spanned<DeValue<'i>>> {
        self.table?
            .iter()
            .find_map(|(name, value)| (key_text(name) == key).then_some(value))
    }

    fn full(&self, key: &str) -> String {
        full(&self.name, key)
    }

    fn wrong_type(&mut self, key: &str, value: &Spanned<DeValue<'i>>, expected: &str, found: &DeValue<'i>) {
        let found = match found {
            DeValue::Integer(_) | DeValue::Array(_) => format!("an {}", found.type_str()),
            _ => format!("a {}", found.type_str()),
        };
        self.problem(
            value.span().start,
            format!("{} must be {expected}, not {found}", self.full(key)),
        );
    }

    fn problem(&mut self, at: usize, message: String) {
        let place = self.document.place(at);
        self.problems.push(Problem::at(&place, message));
    }
}

/// What [`is_name`] asks for, in words.
pub(crate) const NAME_RULE: &str = "letters, digits, '.', '_' and '-', at most 64";

/// Whether a name may stand in requests, paths and metrics.
pub(crate) fn is_name(text: &str) -> bool {
    let right = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=64).contains(&text.len()) && text.bytes().all(right)
}

/// TOML as JSON; dates and times become strings, numbers that JSON does not have become null.
fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::from(&**text),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix()).into_json(),
        DeValue::Float(float) => float.as_str().parse::<f64>().into_json(),
        DeValue::Boolean(flag) => Value::from(*flag),
        DeValue::Datetime(datetime) => Value::from(datetime.to_string()),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => table
            .iter()
            .map(|(key, value)| (key_text(key).to_owned(), json(value.get_ref())))
            .collect(),
    }
}

/// A number that could be read, or null.
trait IntoJson {
    fn into_json(self) -> Value;
}

impl<T: Into<Value>, E> IntoJson for Result<T, E> {
    fn into_json(self) -> Value {
        self.map_or(Value::Null, Into::into)
    }
}

fn key_text<'k>(key: &'k Spanned<toml::de::DeString<'_>>) -> &'k str {
    key.get_ref().borrow()
}

fn full(section: &str, key: &str) -> String {
    if section.is_empty() {
        key.to_owned()
    } else {
        format!("{section}.{key}")
    }
}
