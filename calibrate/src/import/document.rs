//! JSON that may be gigabytes: read as it comes, and kept as far as somebody asks for it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// What is kept of a file beside its events, and of one event: bytes of text, and one for every value.
const KEPT_MAX: usize = 64 << 20;
const EVENT_MAX: usize = 1 << 20;
/// Keys of a file that an import asks for, beside its events.
const KEYS: [&str; 6] = ["deviceProperties", "results", "config", "env", "args", "nccl_version"];

/// Who takes the events of a trace, one by one in the order of the file.
pub(super) trait Events {
    /// Keys of an event that are asked for.
    fn keys(&self) -> &'static [&'static str];
    /// Keys of its `args` that are.
    fn arguments(&self) -> &'static [&'static str];
    /// One event with what was asked for.
    ///
    /// # Errors
    /// There are more than can be kept.
    fn take(&mut self, event: Map<String, Value>) -> Result<(), String>;
}

/// What a file has at `traceEvents`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Listed {
    /// No such key.
    #[default]
    Absent,
    /// A list, whose events were taken.
    List,
    /// Something else.
    Other,
}

/// An object of a file. Anything else is an empty one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Document {
    pub(super) events: Listed,
    /// Other keys that an import asks for.
    pub(super) rest: Map<String, Value>,
}

/// Reads a file and hands on its events.
pub(super) struct Reading<'a, E>(pub(super) &'a mut E);

impl<'de, E: Events> DeserializeSeed<'de> for Reading<'_, E> {
    type Value = Document;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Document, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, E: Events> Visitor<'de> for Reading<'_, E> {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
        let mut document = Document::default();
        let mut left = KEPT_MAX;
        while let Some(key) = map.next_key::<String>()? {
            if key == "traceEvents" {
                document.events = map.next_value_seed(List(self.0))?;
            } else if KEYS.contains(&key.as_str()) {
                let value = map.next_value_seed(Kept { left: &mut left, keys: None })?;
                document.rest.insert(key, value);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(document)
    }
}

/// The list of events.
struct List<'a, E>(&'a mut E);

impl<'de, E: Events> DeserializeSeed<'de> for List<'_, E> {
    type Value = Listed;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Listed, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, E: Events> Visitor<'de> for List<'_, E> {
    type Value = Listed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Listed, A::Error> {
        loop {
            let mut left = EVENT_MAX;
            let keys = Some((self.0.keys(), self.0.arguments()));
            match list.next_element_seed(Kept { left: &mut left, keys })? {
                Some(Value::Object(event)) => self.0.take(event).map_err(A::Error::custom)?,
                Some(_) => self.0.take(Map::new()).map_err(A::Error::custom)?,
                None => return Ok(Listed::List),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Listed, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Listed::Other)
    }

    fn visit_bool<F>(self, _: bool) -> Result<Listed, F> {
        Ok(Listed::Other)
    }

    fn visit_i64<F>(self, _: i64) -> Result<Listed, F> {
        Ok(Listed::Other)
    }

    fn visit_u64<F>(self, _: u64) -> Result<Listed, F> {
        Ok(Listed::Other)
    }

    fn visit_f64<F>(self, _: f64) -> Result<Listed, F> {
        Ok(Listed::Other)
    }

    fn visit_str<F>(self, _: &str) -> Result<Listed, F> {
        Ok(Listed::Other)
    }

    fn visit_unit<F>(self) -> Result<Listed, F> {
        Ok(Listed::Other)
    }
}

/// A value of bounded size; of an object the keys asked for, of its `args` those of the second list.
struct Kept<'a> {
    left: &'a mut usize,
    keys: Option<(&'static [&'static str], &'static [&'static str])>,
}

impl Kept<'_> {
    fn spend<E: Error>(&mut self, n: usize) -> Result<(), E> {
        *self.left = self.left.checked_sub(n).ok_or_else(|| E::custom("a value is larger than any of its kind"))?;
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Kept<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Kept<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if self.keys.is_some_and(|(keys, _)| !keys.contains(&key.as_str())) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            self.spend(1 + key.len())?;
            let keys = self.keys.filter(|_| key == "args").map(|(_, arguments)| (arguments, arguments));
            let value = map.next_value_seed(Kept { left: self.left, keys })?;
            kept.insert(key, value);
        }
        Ok(Value::Object(kept))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        while let Some(value) = list.next_element_seed(Kept { left: self.left, keys: None })? {
            self.spend(1)?;
            kept.push(value);
        }
        Ok(Value::Array(kept))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(mut self, value: &str) -> Result<Value, E> {
        self.spend(value.len())?;
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}
