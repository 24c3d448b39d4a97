//! One line of a stream: a bare secret, or a JSON object with a secret and requirements.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lines::Line;
use crate::domain::Invalid;
use crate::domain::address::address;
use crate::domain::scope::Scope;
use crate::domain::text::SetLabel;
use crate::domain::verdict::Requirements;
use crate::verify::pairs::Pairs;

pub struct LineRequest<'a> {
    pub is_json: bool,
    /// Returned unchanged with the answer.
    pub id: Option<&'a RawValue>,
    pub presented: Result<Presented<'a>, Wrong>,
}

pub struct Presented<'a> {
    pub secret: Cow<'a, [u8]>,
    /// `None` if only the flags set requirements.
    pub requirements: Option<Requirements>,
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

impl<'a> LineRequest<'a> {
    /// Parses a line. `flags` are added to the requirements of a JSON request.
    pub fn read(line: Line<'a>, flags: &Requirements) -> Self {
        match line {
            Line::TooLong(first) => Self::malformed(first == b'{'),
            Line::Whole(text) if text.first() == Some(&b'{') => Self::of_json(text, flags),
            Line::Whole(text) => Self {
                is_json: false,
                id: None,
                presented: Ok(Presented { secret: text.into(), requirements: None }),
            },
        }
    }

    fn malformed(is_json: bool) -> Self {
        Self { is_json, id: None, presented: Err(Wrong::Malformed) }
    }

    fn of_json(text: &'a [u8], flags: &Requirements) -> Self {
        let Ok(text) = std::str::from_utf8(text) else { return Self::malformed(true) };
        let Ok(OnlyId { id }) = serde_json::from_str(text) else { return Self::malformed(true) };
        // The parser's error may quote the secret, so it is not shown.
        let presented = serde_json::from_str::<Document<'a>>(text).map_err(|_| {
            Invalid::new("the line is not a request")
                .hint("use an object with `secret`, and optionally `scopes` (a list), `labels` (an object), `address` \
                       and `id`")
        });
        let presented = presented.and_then(|document| document.presented(flags)).map_err(Wrong::Invalid);
        Self { is_json: true, id, presented }
    }
}

impl<'a> Document<'a> {
    fn presented(self, flags: &Requirements) -> Result<Presented<'a>, Invalid> {
        let secret = match self.secret {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        if self.scopes.is_empty() && self.labels.0.is_empty() && self.address.is_none() {
            return Ok(Presented { secret, requirements: None });
        }
        let mut requirements = flags.clone();
        for scope in &self.scopes {
            requirements.scopes.push(scope.parse::<Scope>()?);
        }
        for (key, value) in &self.labels.0 {
            if key.contains('=') {
                return Err(Invalid::new("the key of a label contains a `=`"));
            }
            requirements.labels.push(format!("{key}={value}").parse::<SetLabel>()?.0);
        }
        if let Some(text) = &self.address {
            requirements.address = Some(address(text)?);
        }
        Ok(Presented { secret, requirements: Some(requirements) })
    }
}
