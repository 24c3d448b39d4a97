//! One line of a stream: a bare secret, or a JSON object with a secret and requirements.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lines::Line;
use crate::domain::Invalid;
use crate::domain::address::address;
use crate::domain::scope::Scope;
use crate::domain::text::SetLabel;
use crate::domain::verdict::Ask;
use crate::verify::pairs::Pairs;

pub struct Question<'a> {
    pub is_json: bool,
    /// Returned unchanged with the answer.
    pub id: Option<&'a RawValue>,
    pub asked: Result<Asked<'a>, Wrong>,
}

pub struct Asked<'a> {
    pub secret: Cow<'a, [u8]>,
    /// `None` if only the flags set requirements.
    pub ask: Option<Ask>,
}

/// Why a line is not a valid request.
pub enum Wrong {
    /// The line is empty, too long, or invalid JSON.
    Malformed,
    /// The JSON document is not a request.
    Invalid(Invalid),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<'a> {
    #[serde(borrow)]
    secret: Cow<'a, str>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    labels: Pairs,
    #[serde(borrow, default)]
    address: Option<Cow<'a, str>>,
    // Listed here so that it is not an unknown key.
    #[serde(borrow, default, rename = "id")]
    _id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct OnlyId<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
}

impl<'a> Question<'a> {
    /// Parses a line. `flags` are added to the requirements of a JSON request.
    pub fn read(line: Line<'a>, flags: &Ask) -> Self {
        match line {
            Line::TooLong(first) => Self::malformed(first == b'{'),
            Line::Whole(text) if text.first() == Some(&b'{') => Self::of_json(text, flags),
            Line::Whole(text) => {
                Self { is_json: false, id: None, asked: Ok(Asked { secret: text.into(), ask: None }) }
            }
        }
    }

    fn malformed(is_json: bool) -> Self {
        Self { is_json, id: None, asked: Err(Wrong::Malformed) }
    }

    fn of_json(text: &'a [u8], flags: &Ask) -> Self {
        let Ok(text) = std::str::from_utf8(text) else { return Self::malformed(true) };
        let Ok(OnlyId { id }) = serde_json::from_str(text) else { return Self::malformed(true) };
        // The parser's error may quote the secret, so it is not shown.
        let asked = serde_json::from_str::<Document<'a>>(text).map_err(|_| {
            Invalid::new("the line is not a request")
                .hint("use an object with `secret`, and optionally `scopes` (a list), `labels` (an object), `address` \
                       and `id`")
        });
        let asked = asked.and_then(|document| document.asked(flags)).map_err(Wrong::Invalid);
        Self { is_json: true, id, asked }
    }
}

impl<'a> Document<'a> {
    fn asked(self, flags: &Ask) -> Result<Asked<'a>, Invalid> {
        let secret = match self.secret {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        if self.scopes.is_empty() && self.labels.0.is_empty() && self.address.is_none() {
            return Ok(Asked { secret, ask: None });
        }
        let mut ask = flags.clone();
        for scope in &self.scopes {
            ask.scopes.push(scope.parse::<Scope>()?);
        }
        for (key, value) in &self.labels.0 {
            if key.contains('=') {
                return Err(Invalid::new("the key of a label holds a `=`"));
            }
            ask.labels.push(format!("{key}={value}").parse::<SetLabel>()?.0);
        }
        if let Some(text) = &self.address {
            ask.address = Some(address(text)?);
        }
        Ok(Asked { secret, ask: Some(ask) })
    }
}
