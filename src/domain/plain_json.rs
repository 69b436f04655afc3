//! JSON in which a key is a key, whatever its name.
//!
//! With its feature `raw_value`, which sqlx switches on as well, `serde_json` gives one key a meaning where it reads a [`Value`]:
//! an object that begins with `$serde_json::private::RawValue` becomes what the string behind that key holds, read as JSON of its
//! own, with levels of its own. Whoever writes that key decides how deep reading goes, down to the end of the stack, whatever bound
//! the text was held against. And since keys are sorted where they are stored, what was an ordinary member when it was accepted may
//! be the first one, and impossible to read, from then on.
//!
//! So what others have written, be it callers, Gladia or a table that holds what they wrote, is read as a [`Value`] by these functions
//! alone. They read it exactly as `serde_json` does otherwise. Types that hold such values have them as `deserialize_with`;
//! `tests/architecture/json.rs` looks after both.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// Reads a text.
///
/// # Errors
/// Where it is no JSON, or nests more than 127 levels deep.
pub fn from_str(text: &str) -> serde_json::Result<Value> {
    serde_json::from_str::<Plain>(text).map(|Plain(value)| value)
}

/// Reads a text that may not even be one.
///
/// # Errors
/// As [`from_str`].
pub fn from_slice(bytes: &[u8]) -> serde_json::Result<Value> {
    serde_json::from_slice::<Plain>(bytes).map(|Plain(value)| value)
}

/// Reads a field that holds any value.
///
/// # Errors
/// Where it cannot be read.
pub fn value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    Plain::deserialize(deserializer).map(|Plain(value)| value)
}

/// Reads a field that holds any value. `None` where it is null.
///
/// # Errors
/// Where it cannot be read.
pub fn value_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    value(deserializer).map(|value| Some(value).filter(|value| !value.is_null()))
}

/// Reads a field that holds an object. `None` where it is null.
///
/// # Errors
/// Where it is something else.
pub fn object_if_any<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Map<String, Value>>, D::Error> {
    let object = Option::<Object>::deserialize(deserializer)?;
    Ok(object.map(|Object(members)| members))
}

/// Any value.
struct Plain(Value);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any valid JSON value")
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
                Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
            }

            fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_string<E>(self, value: String) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                let mut items = Vec::new();
                while let Some(Plain(item)) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Value::Array(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
                members(map).map(Value::Object)
            }
        }
        deserializer.deserialize_any(Reader).map(Self)
    }
}

/// An object.
struct Object(Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Map<String, Value>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                members(map)
            }
        }
        deserializer.deserialize_map(Reader).map(Self)
    }
}

/// The members of an object; of a name that stands there twice the last one.
fn members<'de, A: MapAccess<'de>>(mut map: A) -> Result<Map<String, Value>, A::Error> {
    let mut members = Map::new();
    while let Some((name, Plain(value))) = map.next_entry::<String, _>()? {
        members.insert(name, value);
    }
    Ok(members)
}

#[cfg(test)]
mod tests;
