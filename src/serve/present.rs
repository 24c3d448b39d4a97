//! The secret that a request presents in its headers.

use zeroize::Zeroizing;

use super::http::Headers;
use crate::domain::secret::{INPUT_MAX, Secret};

/// A header that may present a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Source {
    /// `Authorization: Bearer SECRET`
    Bearer,
    /// `X-Api-Key: SECRET`
    XApiKey,
    /// The password of `Authorization: Basic`
    Basic,
}

/// The secret that a request presents.
pub enum Presented {
    Nothing,
    /// `None` for a text that cannot be a secret.
    Secret(Option<Secret>),
    /// Different secrets. Another program might use another of them.
    Several,
}

/// Reads all headers of these sources, in order.
pub fn presented(headers: Headers<'_, '_>, sources: &[Source]) -> Presented {
    let mut found: Option<Zeroizing<Vec<u8>>> = None;
    for text in sources.iter().flat_map(|source| texts(headers, *source)) {
        if found.as_ref().is_some_and(|found| **found != *text) {
            return Presented::Several;
        }
        found = Some(text);
    }
    match found {
        None => Presented::Nothing,
        Some(text) => Presented::Secret((text.len() <= INPUT_MAX).then(|| Secret::read(text)).flatten()),
    }
}

/// The texts that are not empty, since a proxy clears a header by emptying it.
fn texts(headers: Headers<'_, '_>, source: Source) -> impl Iterator<Item = Zeroizing<Vec<u8>>> {
    let name = if source == Source::XApiKey { "x-api-key" } else { "authorization" };
    headers.all(name).filter_map(move |value| text(value, source)).filter(|text| !text.is_empty())
}

/// The secret in the value of a header, unless it is of another kind.
fn text(value: &[u8], source: Source) -> Option<Zeroizing<Vec<u8>>> {
    let owned = |text: &[u8]| Zeroizing::new(text.to_vec());
    let credentials = |scheme: &[u8]| {
        let (start, rest) = value.split_at_checked(scheme.len())?;
        let rest = rest.strip_prefix(b" ").filter(|_| start.eq_ignore_ascii_case(scheme))?;
        Some(rest.trim_ascii())
    };
    match source {
        Source::Bearer => credentials(b"bearer").map(owned),
        Source::XApiKey => Some(owned(value.trim_ascii())),
        // A header that cannot be decoded presents something that is not a secret.
        Source::Basic => credentials(b"basic").map(|text| password(text).unwrap_or_else(|| owned(b"?"))),
    }
}

/// The text after the first colon of decoded credentials.
fn password(encoded: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let text = base64(encoded)?;
    let colon = text.iter().position(|byte| *byte == b':')?;
    Some(Zeroizing::new(text[colon + 1..].to_vec()))
}

/// Decodes base64 (RFC 4648, section 4), with its padding or without.
fn base64(encoded: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let padding = encoded.iter().rev().take_while(|byte| **byte == b'=').count();
    let digits = &encoded[..encoded.len() - padding];
    if padding > 2 || digits.len() % 4 == 1 || padding > 0 && !encoded.len().is_multiple_of(4) {
        return None;
    }
    let mut out = Zeroizing::new(Vec::with_capacity(digits.len() / 4 * 3 + 3));
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xff) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Source; 3] = [Source::Bearer, Source::XApiKey, Source::Basic];

    /// The presented secret as text: empty for none, `!` for several, `?` for one that cannot be a secret.
    fn of(lines: &[(&'static str, &str)], sources: &[Source]) -> String {
        let headers: Vec<_> =
            lines.iter().map(|(name, value)| httparse::Header { name, value: value.as_bytes() }).collect();
        match presented(Headers::of(&headers), sources) {
            Presented::Nothing => String::new(),
            Presented::Several => "!".to_owned(),
            Presented::Secret(None) => "?".to_owned(),
            Presented::Secret(Some(secret)) => String::from_utf8_lossy(secret.expose()).into_owned(),
        }
    }

    #[test]
    fn a_secret_is_found_in_each_of_its_places() {
        let secret = "legacy-secret-0123456789";
        // `user:legacy-secret-0123456789`
        let basic = "dXNlcjpsZWdhY3ktc2VjcmV0LTAxMjM0NTY3ODk=";
        for (name, value) in [
            ("authorization", format!("Bearer {secret}")),
            ("authorization", format!("bEARER   {secret} ")),
            ("x-api-key", secret.to_owned()),
            ("authorization", format!("Basic {basic}")),
            ("authorization", format!("basic {}", basic.trim_end_matches('='))),
        ] {
            assert_eq!(of(&[(name, &value)], &ALL), secret, "{value}");
        }
        for (name, value) in [
            ("authorization", ""),
            ("authorization", "Bearer "),
            ("authorization", "Digest x"),
            ("x-api-key", ""),
            ("cookie", secret),
        ] {
            assert_eq!(of(&[(name, value)], &ALL), "", "{value}");
        }
        assert_eq!(of(&[("x-api-key", secret)], &[Source::Bearer]), "");
        assert_eq!(of(&[("authorization", "Basic *")], &ALL), "?");
        assert_eq!(of(&[("authorization", "Bearer two words")], &ALL), "?");
    }

    #[test]
    fn two_secrets_are_one_only_if_they_are_equal() {
        let (one, two) = ("legacy-secret-0123456789", "legacy-secret-9876543210");
        let bearer = |secret: &str| format!("Bearer {secret}");
        assert_eq!(of(&[("authorization", &bearer(one)), ("x-api-key", one)], &ALL), one);
        assert_eq!(of(&[("authorization", &bearer(one)), ("x-api-key", two)], &ALL), "!");
        assert_eq!(of(&[("authorization", &bearer(one)), ("authorization", &bearer(two))], &ALL), "!");
        assert_eq!(of(&[("authorization", &bearer(one)), ("x-api-key", two)], &[Source::Bearer]), one);
    }
}
