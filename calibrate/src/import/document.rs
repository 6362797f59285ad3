//! JSON that may be gigabytes: read as it comes, and kept as far as somebody asks for it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Kinds of a trace's events that an import asks for; a trace holds ten times as many others.
const KEPT: [&str; 2] = ["kernel", "cpu_op"];

/// An object of a file. Anything else is an empty one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Document {
    /// The events of a trace; none where the file has no such key.
    pub(super) events: Option<Events>,
    /// All other keys.
    pub(super) rest: Map<String, Value>,
}

/// What stands at `traceEvents`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Events {
    /// Events that are asked for, each with its place in the list.
    List(Vec<(usize, Value)>),
    /// No list.
    Other,
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OfDocument)
    }
}

struct OfDocument;

impl<'de> Visitor<'de> for OfDocument {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
        let mut document = Document::default();
        while let Some(key) = map.next_key::<String>()? {
            if key == "traceEvents" {
                document.events = Some(map.next_value()?);
            } else {
                document.rest.insert(key, map.next_value()?);
            }
        }
        Ok(document)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Document, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Document::default())
    }
}

impl<'de> Deserialize<'de> for Events {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OfEvents)
    }
}

struct OfEvents;

impl<'de> Visitor<'de> for OfEvents {
    type Value = Events;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Events, A::Error> {
        let mut kept = Vec::new();
        let mut index = 0;
        while let Some(event) = list.next_element::<Value>()? {
            if event["cat"].as_str().is_some_and(|kind| KEPT.contains(&kind)) {
                kept.push((index, event));
            }
            index += 1;
        }
        Ok(Events::List(kept))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Events, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Events::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Events, E> {
        Ok(Events::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Events, E> {
        Ok(Events::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Events, E> {
        Ok(Events::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Events, E> {
        Ok(Events::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Events, E> {
        Ok(Events::Other)
    }

    fn visit_unit<E>(self) -> Result<Events, E> {
        Ok(Events::Other)
    }
}
