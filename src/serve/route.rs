//! The meaning of a request's path. Paths are neither decoded nor normalised.

use std::str::FromStr;
use std::sync::Arc;

use super::query;
use crate::domain::Invalid;
use crate::domain::text::{SetLabel, check_unique_keys};
use crate::domain::verdict::Requirements;

/// A named requirement: `NAME=scope:A,label:K=V`.
#[derive(Debug, Clone)]
pub struct Route {
    pub name: Arc<str>,
    requirements: Arc<Requirements>,
}

impl FromStr for Route {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let shape = |what: String| {
            Invalid::new(what).hint("use NAME=scope:A,label:KEY=VALUE, like `reports=scope:events:read`")
        };
        let shown = text.escape_debug();
        let (name, rules) = text.split_once('=').ok_or_else(|| shape(format!("`{shown}` is not a route")))?;
        let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if name.is_empty() || !name.bytes().all(letter) {
            return Err(shape(format!("`{}` is not the name of a route", name.escape_debug())));
        }
        let mut requirements = Requirements::default();
        for rule in rules.split(',').filter(|_| !rules.is_empty()) {
            match rule.split_once(':') {
                Some(("scope", scope)) => requirements.scopes.push(scope.parse()?),
                Some(("label", label)) => requirements.labels.push(label.parse::<SetLabel>()?.0),
                _ => return Err(shape(format!("`{}` is not a requirement", rule.escape_debug()))),
            }
        }
        check_unique_keys(&requirements.labels)?;
        Ok(Self { name: name.into(), requirements: Arc::new(requirements) })
    }
}

impl Route {
    fn target(&self) -> Target {
        Target::Verify(Arc::clone(&self.name), Arc::clone(&self.requirements))
    }
}

/// All routes of a gate.
#[derive(Debug)]
pub struct Routes {
    named: Vec<Route>,
    /// `/verify` without a query.
    plain: Route,
    api: Arc<str>,
}

/// The target of a path.
pub enum Target {
    /// A verification, and the name under which it is counted.
    Verify(Arc<str>, Arc<Requirements>),
    /// `/verify` with a query that is not understood.
    BadQuery(Arc<str>, String),
    Api(Arc<str>),
    Unknown,
}

impl Routes {
    pub fn new(routes: Vec<Route>) -> Result<Self, Invalid> {
        for (at, route) in routes.iter().enumerate() {
            if routes[..at].iter().any(|earlier| earlier.name == route.name) {
                return Err(Invalid::new(format!("the route `{}` is given twice", route.name))
                    .hint("use one `--route` with all its requirements"));
            }
        }
        Ok(Self {
            named: routes,
            plain: Route { name: "/verify".into(), requirements: Arc::default() },
            api: "/api/verify".into(),
        })
    }

    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.named.iter()
    }

    pub fn target(&self, path: &str, query: Option<&str>) -> Target {
        match path {
            "/verify" if query.is_none() => self.plain.target(),
            "/verify" => match query::requirements(query) {
                Ok(requirements) => Target::Verify(Arc::clone(&self.plain.name), Arc::new(requirements)),
                Err(why) => Target::BadQuery(Arc::clone(&self.plain.name), why),
            },
            "/api/verify" => Target::Api(Arc::clone(&self.api)),
            path => {
                let below = path.strip_prefix("/route/").unwrap_or_default();
                let name = below.split('/').next().unwrap_or_default();
                let route = self.named.iter().find(|route| *route.name == *name);
                route.map_or(Target::Unknown, Route::target)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(path: &str) -> Option<String> {
        let routes =
            vec!["api=scope:a:b,label:env=prod".parse().expect("a route"), "any=".parse().expect("a route")];
        match Routes::new(routes).expect("two routes").target(path, Some("scope=ignored")) {
            Target::Verify(name, _) => Some(name.to_string()),
            _ => None,
        }
    }

    #[test]
    fn the_rest_of_a_path_below_a_route_is_ignored() {
        for path in ["/route/api", "/route/api/", "/route/api/x/../../any", "/route/api//verify"] {
            assert_eq!(name_of(path).as_deref(), Some("api"), "{path}");
        }
        assert_eq!(name_of("/route/any").as_deref(), Some("any"));
    }

    #[test]
    fn a_path_is_never_normalised() {
        for path in [
            "",
            "/",
            "/route",
            "/route/",
            "/route//api",
            "/route/../route/api",
            "/route/ap%69",
            "/route/API",
            "/Route/api",
            "//route/api",
            "/route/api%2f",
            "/verify/",
            "/healthz",
            "/metrics",
            "/x/route/api",
            "/route/apix",
        ] {
            assert_eq!(name_of(path), None, "{path}");
        }
    }

    #[test]
    fn a_route_is_a_name_and_what_it_requires() {
        for text in [
            "",
            "api",
            "=scope:a",
            "a/b=",
            "..=",
            "a=scope",
            "a=b",
            "a=scope:",
            "a=scope:a,",
            "a=label:k",
            "a=label:k=",
            "a=label:k=1,label:k=2",
            "a=SCOPE:a",
            "a= scope:a",
        ] {
            assert!(text.parse::<Route>().is_err(), "{text:?}");
        }
        let twice = ["a=".parse().expect("a route"), "a=scope:b".parse().expect("a route")];
        assert!(Routes::new(twice.to_vec()).is_err());
    }
}
