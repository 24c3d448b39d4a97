//! Checks whether the local time zone is known. If it is not, local dates are read as UTC, and a warning
//! gives the reason.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

/// The directories that contain the files of time zones.
const DIRECTORIES: [&str; 4] =
    ["/usr/share/zoneinfo", "/share/zoneinfo", "/etc/zoneinfo", "/usr/share/lib/zoneinfo"];
/// The file with the time zone of the machine.
const LOCAL: &str = "/etc/localtime";

/// Describes what is wrong with the zone in `TZ`, or with the zone of the machine if `TZ` is not set.
pub fn problem(tz: Option<OsString>) -> Option<String> {
    let Some(tz) = tz else {
        let dangling = fs::symlink_metadata(LOCAL).is_ok() && fs::metadata(LOCAL).is_err();
        return dangling.then(|| format!("`{LOCAL}` points to a file that does not exist"));
    };
    let tz = tz.to_string_lossy();
    let name = tz.strip_prefix(':').unwrap_or(&tz);
    let exists = |dir: &str| Path::new(dir).join(name).is_file();
    let known = matches!(name, "UTC" | "GMT" | "localtime") || DIRECTORIES.into_iter().any(exists);
    (!known && !is_rule(name)).then(|| format!("the time zone `{name}` of `TZ` is not known here"))
}

/// Whether a zone is given as a rule with a name and an offset, such as `CET-1CEST` or `<+03>-3`.
fn is_rule(tz: &str) -> bool {
    let rest = match tz.strip_prefix('<') {
        Some(quoted) => quoted.split_once('>').map(|(_, rest)| rest),
        None => Some(tz.trim_start_matches(|c: char| c.is_ascii_alphabetic()))
            .filter(|rest| rest.len() + 3 <= tz.len()),
    };
    let offset = rest.map(|rest| rest.trim_start_matches(['+', '-']));
    offset.is_some_and(|offset| offset.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::{is_rule, problem};

    #[test]
    fn a_zone_is_known_by_its_file_or_by_its_rule() {
        for tz in ["CET-1CEST", "EST5EDT", "<+03>-3", "UTC0", "CET-1CEST,M3.5.0,M10.5.0/3"] {
            assert!(is_rule(tz), "{tz}");
        }
        for tz in ["Nowhere", "Etc/GMT+5", "X1", "", "<+03", "Europe/Berlin"] {
            assert!(!is_rule(tz), "{tz}");
        }
        assert_eq!(problem(Some("UTC".into())), None);
        let problem = problem(Some("Nowhere/Land".into()));
        assert_eq!(problem.as_deref(), Some("the time zone `Nowhere/Land` of `TZ` is not known here"));
    }
}
