//! JSON files that nobody vouches for: read whole under a size limit, duplicate keys refused, values fetched with
//! their type and range checked. Nesting is limited by serde_json (128 levels).

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::error::ModelError;

/// A JSON object together with the file it came from, so that each complaint can name it.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    path: PathBuf,
    /// The keys that lead to it from the file's outermost object, each with a dot after it.
    within: String,
    map: Map<String, Value>,
}

impl Object {
    /// Parses `bytes`, which were read from `path`, as one JSON object.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, ModelError> {
        let json = |problem: String| ModelError::Json {
            path: path.to_owned(),
            problem,
        };
        let Strict(value) = serde_json::from_slice(bytes).map_err(|e| json(e.to_string()))?;
        match value {
            Value::Object(map) => Ok(Self {
                path: path.to_owned(),
                within: String::new(),
                map,
            }),
            other => Err(json(format!("expected an object, found {}", describe(&other)))),
        }
    }

    /// An object without keys, for a file that is optional and absent.
    pub(crate) fn empty(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            within: String::new(),
            map: Map::new(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The value of `key`; `null` counts as absent, as it does for `transformers`.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.map.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// An integer within `1..=limit`, or `default` where the key is absent.
    pub(crate) fn count(&self, key: &str, default: usize, limit: usize) -> Result<usize, ModelError> {
        self.integer(key, default, 1, limit)
    }

    /// An integer within `0..=limit`, or `default` where the key is absent.
    pub(crate) fn index(&self, key: &str, default: usize, limit: usize) -> Result<usize, ModelError> {
        self.integer(key, default, 0, limit)
    }

    fn integer(&self, key: &str, default: usize, least: usize, limit: usize) -> Result<usize, ModelError> {
        let Some(value) = self.get(key) else {
            return Ok(default);
        };
        value
            .as_u64()
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| (least..=limit).contains(n))
            .ok_or_else(|| self.wrong(key, format!("an integer from {least} to {limit}"), value))
    }

    /// An integer up to `limit`; `None` where the key is absent or holds a number below 1, which then means "none".
    pub(crate) fn size(&self, key: &str, limit: usize) -> Result<Option<usize>, ModelError> {
        match self.get(key) {
            Some(value) if value.as_i64().is_some_and(|n| n < 1) => Ok(None),
            Some(_) => self.count(key, 0, limit).map(Some),
            None => Ok(None),
        }
    }

    /// A finite number above zero, or `default` where the key is absent.
    pub(crate) fn positive(&self, key: &str, default: f32) -> Result<f32, ModelError> {
        let Some(value) = self.get(key) else {
            return Ok(default);
        };
        #[allow(clippy::cast_possible_truncation)]
        value
            .as_f64()
            .map(|n| n as f32)
            .filter(|n| n.is_finite() && *n > 0.0)
            .ok_or_else(|| self.wrong(key, "a number above 0", value))
    }

    pub(crate) fn string(&self, key: &str) -> Result<Option<&str>, ModelError> {
        self.get(key)
            .map(|value| value.as_str().ok_or_else(|| self.wrong(key, "a string", value)))
            .transpose()
    }

    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>, ModelError> {
        self.get(key)
            .map(|value| {
                value
                    .as_bool()
                    .ok_or_else(|| self.wrong(key, "true or false", value))
            })
            .transpose()
    }

    /// The object that is the value of `key`.
    pub(crate) fn child(&self, key: &str) -> Result<Option<Self>, ModelError> {
        let child = |value: &Value| match value {
            Value::Object(map) => Ok(Self {
                path: self.path.clone(),
                within: format!("{}{key}.", self.within),
                map: map.clone(),
            }),
            other => Err(self.wrong(key, "an object", other)),
        };
        self.get(key).map(child).transpose()
    }

    /// Gives `key` another value.
    pub(crate) fn set(&mut self, key: &str, value: Value) {
        self.map.insert(key.to_owned(), value);
    }

    /// A complaint about the value of `key`.
    pub(crate) fn wrong(&self, key: &str, expected: impl Into<String>, found: &Value) -> ModelError {
        ModelError::Value {
            path: self.path.clone(),
            key: format!("{}{key}", self.within),
            expected: expected.into(),
            found: describe(found),
        }
    }
}

/// A value for an error message: scalars as they stand (shortened), containers by kind.
pub(crate) fn describe(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("an array of {} values", items.len()),
        Value::Object(map) => format!("an object of {} keys", map.len()),
        scalar => {
            let text = scalar.to_string();
            if text.chars().count() > 80 {
                text.chars().take(80).chain(['…']).collect()
            } else {
                text
            }
        }
    }
}

/// A `serde_json::Value` whose objects name each key once. Two readers that disagree about which of two equal keys
/// counts is how a file means one thing to a scanner and another to the server.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(de::Error::custom(format_args!("the key {key:?} is there twice")));
            }
            let Strict(value) = access.next_value()?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Object, ModelError> {
        Object::parse(Path::new("dir/config.json"), text.as_bytes())
    }

    #[test]
    fn duplicate_keys_are_refused_at_any_depth() {
        let message = parse(r#"{"a": {"b": 1, "b": 2}}"#).unwrap_err().to_string();
        assert!(
            message.contains("dir/config.json") && message.contains("\"b\" is there twice"),
            "{message}"
        );
    }

    #[test]
    fn deep_nesting_is_refused_without_a_stack_overflow() {
        let deep = format!("{{\"a\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let message = parse(&deep).unwrap_err().to_string();
        assert!(message.contains("recursion limit"), "{message}");
    }

    #[test]
    fn values_out_of_range_name_file_key_and_expectation() {
        let object = parse(r#"{"n": 0, "big": 1e30, "s": 3, "eps": -1.0, "null": null}"#).unwrap();
        let message = object.count("n", 1, 10).unwrap_err().to_string();
        assert_eq!(
            message,
            "dir/config.json: \"n\": expected an integer from 1 to 10, found 0"
        );
        assert!(object.count("big", 1, 10).is_err());
        let outer = parse(r#"{"a": {"b": {"c": 0}}, "d": 1}"#).unwrap();
        let inner = outer.child("a").unwrap().unwrap().child("b").unwrap().unwrap();
        let message = inner.count("c", 1, 10).unwrap_err().to_string();
        assert!(message.contains("\"a.b.c\": expected an integer"), "{message}");
        assert!(outer.child("d").is_err() && outer.child("e").unwrap().is_none());
        assert!(object.string("s").is_err());
        assert!(object.positive("eps", 1.0).is_err());
        assert_eq!(object.count("null", 7, 10).unwrap(), 7);
    }
}
