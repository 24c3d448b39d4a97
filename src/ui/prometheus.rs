//! The text format of Prometheus, for the textfile collector of `node_exporter`: families of metrics, each with
//! HELP and TYPE.

use crate::domain::check::FindingCode;
use crate::domain::token::Token;

/// The family of expiries, with a sample for each unrevoked token that expires.
#[derive(Default)]
pub struct Expiries {
    begun: bool,
}

impl Expiries {
    pub fn write(&mut self, token: &Token, text: &mut Vec<u8>) {
        let Some(end) = token.expires_at().filter(|_| token.revoked_at.is_none()) else { return };
        if !std::mem::replace(&mut self.begun, true) {
            let family = "tokenctl_token_expires_timestamp_seconds";
            text.extend_from_slice(head(family, "When the token expires, in Unix seconds.").as_bytes());
        }
        let labels = [
            ("id", &*token.id),
            ("name", &*token.name),
            ("owner", token.owner.as_deref().unwrap_or_default()),
        ];
        let labels: Vec<String> =
            labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
        let sample =
            format!("tokenctl_token_expires_timestamp_seconds{{{}}} {}\n", labels.join(","), end.unix());
        text.extend_from_slice(sample.as_bytes());
    }
}

/// The family of findings, with the number of tokens for each code. Zero is included, so that an alert can
/// resolve.
pub fn findings(counts: &[(FindingCode, usize)]) -> String {
    let mut text = head("tokenctl_check_findings", "How many tokens `tokenctl check` reports, by code.");
    for (code, count) in counts {
        let (word, severity) = (code.word(), code.severity().word());
        text.push_str(&format!(
            "tokenctl_check_findings{{code=\"{word}\",severity=\"{severity}\"}} {count}\n"
        ));
    }
    text
}

fn head(family: &str, help: &str) -> String {
    format!("# HELP {family} {help}\n# TYPE {family} gauge\n")
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
