//! The query of `/verify`, which sets requirements. Anything unknown is an error, since ignoring a misspelled
//! requirement could let a client in.

use crate::domain::text::{SetLabel, check_unique_keys};
use crate::domain::verdict::Requirements;

/// The requirements of a query. `None` stands for a request without one.
pub fn requirements(query: Option<&str>) -> Result<Requirements, String> {
    let mut requirements = Requirements::default();
    for pair in query.into_iter().flat_map(|query| query.split('&')) {
        let (key, value) =
            pair.split_once('=').ok_or_else(|| format!("`{}` has no value", pair.escape_debug()))?;
        let value = decoded(value)
            .ok_or_else(|| format!("the value of `{}` cannot be decoded", key.escape_debug()))?;
        match key {
            "scope" => {
                for scope in value.split(',') {
                    requirements.scopes.push(scope.parse().map_err(message)?);
                }
            }
            "label" => requirements.labels.push(value.parse::<SetLabel>().map_err(message)?.0),
            _ => {
                return Err(format!(
                    "`{}` is not a known key; the keys are `scope` and `label`",
                    key.escape_debug()
                ));
            }
        }
    }
    check_unique_keys(&requirements.labels).map_err(message)?;
    Ok(requirements)
}

fn message(invalid: crate::domain::Invalid) -> String {
    invalid.message
}

/// Decodes the encoding of forms: percent-encoded UTF-8, with a plus for a space.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_can_require_scopes_and_labels() {
        let it = requirements(Some("scope=a,b&label=env=prod&scope=c%3Ad&label=team=x+%C3%A9%26"))
            .expect("a query");
        assert_eq!(it.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>(), ["a", "b", "c:d"]);
        let labels: Vec<_> = it.labels.iter().map(|label| (&*label.key, &*label.value)).collect();
        assert_eq!(labels, [("env", "prod"), ("team", "x é&")]);
        assert!(requirements(None).expect("nothing").scopes.is_empty());
    }

    #[test]
    fn an_unknown_or_malformed_requirement_is_an_error() {
        for query in [
            "",
            "scope",
            "scope=",
            "scope=a,",
            "=a",
            "scpoe=admin",
            "Scope=a",
            "scope=a&",
            "&scope=a",
            "scope=%",
            "scope=%4",
            "scope=%zz",
            "label=%ff",
            "label=a",
            "label==b",
            "label=a=",
            "label=a=1&label=a=2",
            "scope=a;label=b=c",
            "%73cope=a",
        ] {
            assert!(requirements(Some(query)).is_err(), "{query:?}");
        }
    }
}
