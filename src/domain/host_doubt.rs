//! Hosts that a resolver may know, and that Gladia may refuse in an address all the same.

use url::{Host, Url};

/// Why class-validator's `isURL`, by which Gladia judges addresses, refuses a host unless it is told otherwise. `None`: it takes it.
#[must_use]
pub fn doubt_of_host(url: &Url) -> Option<&'static str> {
    let Host::Domain(name) = url.host()? else {
        return None;
    };
    match name {
        _ if name.ends_with('.') => Some("ends with a dot"),
        _ if !name.contains('.') => Some("is a name without a dot"),
        _ if name.contains('_') => Some("has a `_`"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_only_a_resolver_of_ones_own_knows_are_doubted() {
        for (host, doubt) in [
            ("gateway.example", None),
            ("10.0.0.7", None),
            ("[2001:db8::1]", None),
            ("gateway", Some("is a name without a dot")),
            ("my_gateway.example", Some("has a `_`")),
            ("gateway.example.", Some("ends with a dot")),
        ] {
            let url = format!("https://{host}/base").parse().unwrap();
            assert_eq!(doubt_of_host(&url), doubt, "{host}");
        }
    }
}
