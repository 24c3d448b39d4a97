//! JSON values in a line of an export. Texts without escapes are borrowed from the line.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Item<'a> {
    Null,
    Bool(bool),
    Number(i64),
    /// A number that is not an integer, or that is too large.
    Other(serde_json::Number),
    Text(Cow<'a, str>),
    List(Vec<Item<'a>>),
    Object(Fields<'a>),
}

/// The fields of an object in the order of their keys. If a key is repeated, its last field counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields<'a>(Vec<(Cow<'a, str>, Option<Item<'a>>)>);

impl<'a> Fields<'a> {
    /// Parses a line. Returns its type and its other fields. An error describes what is wrong with it.
    pub fn of_line(text: &'a [u8]) -> Result<(Cow<'a, str>, Self), &'static str> {
        let not_json = "it is not JSON";
        let text = std::str::from_utf8(text).map_err(|_| not_json)?;
        let Item::Object(mut fields) = serde_json::from_str(text).map_err(|_| not_json)? else {
            return Err("it is not a JSON object");
        };
        match fields.take("type") {
            Some(Item::Text(kind)) => Ok((kind, fields)),
            _ => Err("it does not say its `type`"),
        }
    }

    fn new(mut fields: Vec<(Cow<'a, str>, Option<Item<'a>>)>) -> Self {
        // Lines that tokenctl wrote are in this order, except for their type, which comes first.
        let is_ascending = |fields: &[(Cow<'_, str>, _)]| fields.is_sorted_by(|one, next| one.0 < next.0);
        if !is_ascending(&fields) {
            if let [(first, _), rest @ ..] = &fields[..]
                && is_ascending(rest)
                && let Err(index) = rest.binary_search_by(|field| field.0.cmp(first))
            {
                fields[..=index].rotate_left(1);
            } else {
                fields = fields.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect();
            }
        }
        Self(fields)
    }

    fn position(&self, key: &str) -> Option<usize> {
        self.0.binary_search_by(|(found, _)| (**found).cmp(key)).ok()
    }

    /// Takes a field out. `None` if there is no such field, or it was already taken.
    pub fn take(&mut self, key: &str) -> Option<Item<'a>> {
        let index = self.position(key)?;
        self.0[index].1.take()
    }

    /// The fields in the order of their keys. `None` marks a field that was taken.
    pub fn remaining(&mut self) -> impl Iterator<Item = (&str, &mut Option<Item<'a>>)> {
        self.0.iter_mut().map(|(key, item)| (&**key, item))
    }

    pub fn get(&self, key: &str) -> Option<&Item<'a>> {
        self.0[self.position(key)?].1.as_ref()
    }

    /// The text of a field. Empty if there is none.
    pub fn text(&self, key: &str) -> &str {
        self.get(key).and_then(Item::as_str).unwrap_or_default()
    }

    /// The fields that were not taken.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Item<'a>)> {
        self.0.iter().filter_map(|(key, item)| Some((&**key, item.as_ref()?)))
    }
}

impl Item<'_> {
    pub fn as_i64(&self) -> Option<i64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    pub fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

impl fmt::Display for Item<'_> {
    /// Formats it as JSON, with the keys of objects in order.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).unwrap_or_default())
    }
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => serializer.serialize_i64(*number),
            Self::Other(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Object(fields) => {
                let mut map = serializer.serialize_map(None)?;
                fields.iter().try_for_each(|(key, item)| map.serialize_entry(key, item))?;
                map.end()
            }
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Item<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemVisitor)
    }
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = Item<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Item<'de>, E> {
        Ok(Item::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Item<'de>, E> {
        Ok(Item::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Item<'de>, E> {
        Ok(Item::Number(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Item<'de>, E> {
        Ok(i64::try_from(value).map_or_else(|_| Item::Other(value.into()), Item::Number))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Item<'de>, E> {
        let number = serde_json::Number::from_f64(value);
        number.map(Item::Other).ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Item<'de>, E> {
        Ok(Item::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Item<'de>, E> {
        Ok(Item::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Item<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Item::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item<'de>, A::Error> {
        let mut fields = Vec::with_capacity(map.size_hint().unwrap_or(16));
        while let Some(key) = map.next_key::<Item<'de>>()? {
            let Item::Text(key) = key else { return Err(A::Error::custom("a key that is not a text")) };
            fields.push((key, Some(map.next_value()?)));
        }
        Ok(Item::Object(Fields::new(fields)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_printed_as_serde_json_prints_it() {
        for text in [
            r#"{"type":"token","a":null,"b":[1,-2,1.5,18446744073709551615,true],"c":{"y":"\n\"é","x":{}}}"#,
            r#"{"b":1,"a":2,"b":3}"#,
            r#"{"type":"x","a":1,"type":"y"}"#,
            " [ \"a\\u0000\" , [] ] ",
            "7",
        ] {
            let expected: serde_json::Value = serde_json::from_str(text).expect(text);
            let item: Item<'_> = serde_json::from_str(text).expect(text);
            assert_eq!(item.to_string(), expected.to_string());
        }
    }

    #[test]
    fn a_line_is_split_into_its_type_and_its_other_fields() {
        let (kind, mut fields) =
            Fields::of_line(br#"{"type":"x","b":"c","a":1}"#).expect("the line is valid");
        assert_eq!((&*kind, fields.take("a")), ("x", Some(Item::Number(1))));
        assert_eq!((fields.text("b"), fields.text("a")), ("c", ""));
        assert_eq!(fields.iter().collect::<Vec<_>>(), [("b", &Item::Text("c".into()))]);
        for (text, why) in [
            (&b"{"[..], "it is not JSON"),
            (b"{\"type\":\"\xff\"}", "it is not JSON"),
            (b"[]", "it is not a JSON object"),
            (b"{\"type\":1}", "it does not say its `type`"),
        ] {
            assert_eq!(Fields::of_line(text), Err(why));
        }
    }
}
