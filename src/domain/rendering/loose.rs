//! JSON of which nothing is taken for granted.
//!
//! A result that was paid for is rendered as far as it can be: what is missing, of another type or out of all bounds is
//! passed over where it stands, and spoils nothing beside it. Values are looked at one by one, as slices of the body.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// A value of any kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Loose<'a>(&'a RawValue);

impl<'a> Loose<'a> {
    /// The value that a document holds. `None` where it is no JSON.
    pub(super) fn parse(document: &'a [u8]) -> Option<Self> {
        serde_json::from_slice::<&RawValue>(document).ok().map(Self)
    }

    /// The members, of an object.
    pub(super) fn members(self) -> Members<'a> {
        serde_json::from_str::<Members<'a>>(self.0.get()).unwrap_or_default()
    }

    /// The elements, of an array.
    pub(super) fn items(self) -> Vec<Self> {
        let Items(items) = serde_json::from_str::<Items<'a>>(self.0.get()).unwrap_or_default();
        items
    }

    /// Whether it is an object.
    pub(super) fn is_object(self) -> bool {
        self.0.get().starts_with('{')
    }

    /// The text, of a string. Half a surrogate pair becomes replacement characters.
    pub(super) fn text(self) -> Option<String> {
        let Name(text) = serde_json::from_str::<Name>(self.0.get()).ok()?;
        Some(text)
    }

    /// The number, if it is finite, also where it is written as a string.
    pub(super) fn number(self) -> Option<f64> {
        let text = self.0.get().trim_matches('"');
        text.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// The count, if it is one.
    pub(super) fn count(self) -> Option<u32> {
        self.0.get().trim_matches('"').parse().ok()
    }
}

/// The members of an object.
#[derive(Debug, Default)]
pub(super) struct Members<'a>(Vec<(String, Loose<'a>)>);

impl<'a> Members<'a> {
    /// The member of this name; the last one where the name stands twice. Null is nothing.
    pub(super) fn get(&self, name: &str) -> Option<Loose<'a>> {
        let mut found = self.0.iter().rev().filter(|(known, _)| known == name);
        found
            .next()
            .map(|(_, value)| *value)
            .filter(|value| value.0.get() != "null")
    }

    /// The elements of the array of this name.
    pub(super) fn items(&self, name: &str) -> Vec<Loose<'a>> {
        self.get(name).map(Loose::items).unwrap_or_default()
    }

    /// The text of this name.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.get(name).and_then(Loose::text)
    }

    /// The number of this name.
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        self.get(name).and_then(Loose::number)
    }

    /// The count of this name.
    pub(super) fn count(&self, name: &str) -> Option<u32> {
        self.get(name).and_then(Loose::count)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    members.push((name, Loose(value)));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// The elements of an array.
#[derive(Default)]
struct Items<'a>(Vec<Loose<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Items<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(value) = seq.next_element()? {
                    items.push(Loose(value));
                }
                Ok(Items(items))
            }
        }
        deserializer.deserialize_seq(Reader)
    }
}

/// A string. Read as bytes, since `serde_json` takes half a surrogate pair in those alone.
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Name, E> {
                Ok(Name(String::from_utf8_lossy(bytes).into_owned()))
            }
        }
        deserializer.deserialize_bytes(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_stands_in_a_result_is_passed_over_where_it_stands() {
        let body = br#"{"a":1e999,"b":"\ud83d","c":{"c":[1,[]]},"d":null,"n":"2.5","n":"0.6399999999999999","\ud800":1,"z":-1}"#;
        let members = Loose::parse(body).unwrap().members();
        assert_eq!(members.number("a"), None);
        assert!(members.text("b").unwrap().contains('\u{fffd}'));
        assert_eq!(members.text("c"), None);
        assert_eq!(members.items("c").len(), 0);
        assert!(members.get("d").is_none());
        assert_eq!(members.number("n"), Some(0.639_999_999_999_999_9));
        assert_eq!(members.number("z"), Some(-1.0));
        assert_eq!(members.count("z"), None);
        assert!(Loose::parse(b"[1,").is_none());
    }

    #[test]
    fn deep_nesting_is_no_danger() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let body = format!(r#"{{"x":{deep},"y":7}}"#);
        let members = Loose::parse(body.as_bytes()).unwrap().members();
        assert_eq!(members.count("y"), Some(7));
    }
}
