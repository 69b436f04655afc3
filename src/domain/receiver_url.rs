//! Where somebody outside wants to be called.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

/// The longest URL that is accepted, in bytes.
const MOST_BYTES: usize = 2048;

/// The longest host, in bytes.
const MOST_HOST_BYTES: usize = 253;

/// An absolute http(s) URL that the gateway can be asked to call. Whether it may is judged elsewhere, at each call.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReceiverUrl {
    text: String,
    url: Url,
}

impl ReceiverUrl {
    /// Accepts a caller's text, or says which rule it breaks. The text is kept as it came.
    ///
    /// # Errors
    /// The rule, as a sentence without its subject.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > MOST_BYTES {
            return Err("must be at most 2048 bytes long");
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("must not contain spaces or control characters: percent-encode them");
        }
        let url = Url::parse(text).map_err(
            |_| "must be an absolute http or https URL, for example https://example.com/told",
        )?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("must be an http or https URL");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "must not contain a user name or password: what is sent there is signed instead",
            );
        }
        if url.fragment().is_some() {
            return Err("must not have a fragment: what follows a # is never sent");
        }
        // No name of DNS is longer, and in its ASCII spelling one may be longer than what was typed.
        if url
            .host_str()
            .is_none_or(|host| host.len() > MOST_HOST_BYTES)
        {
            return Err("must have a host, of at most 253 characters in its ASCII spelling");
        }
        Ok(Self {
            text: text.to_owned(),
            url,
        })
    }

    /// The URL as it came.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The URL in its parts.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whether both lead to the same place, however they are spelt.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        self.url == other.url
    }
}

impl TryFrom<String> for ReceiverUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        Self::parse(&text)
    }
}

impl From<ReceiverUrl> for String {
    fn from(url: ReceiverUrl) -> Self {
        url.text
    }
}

/// Query strings may carry secrets, so they are left out wherever a URL is printed.
impl fmt::Debug for ReceiverUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.split('?').next().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_urls_are_accepted_as_they_came() {
        let longest = format!("https://example.com/{}", "a".repeat(2048 - 20));
        for good in [
            "https://example.com",
            "http://EXAMPLE.com:8080/told?token=ab%2Fc&x=1",
            "https://[2001:db8::1]/told",
            "https://bücher.example/",
            &longest,
        ] {
            let url = ReceiverUrl::parse(good).unwrap();
            assert_eq!(url.as_str(), good);
            assert_eq!(serde_json::to_value(&url).unwrap(), good);
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_rule() {
        let too_long = format!("https://example.com/{}", "a".repeat(2048 - 19));
        let long_host = format!("https://{}com/", "abcdefghij.".repeat(23));
        let widened = format!("https://{}com/", "ü.ö.".repeat(25));
        for (bad, words) in [
            ("", "an absolute http or https URL"),
            ("example.com/told", "an absolute http or https URL"),
            ("/told", "an absolute http or https URL"),
            ("https://", "an absolute http or https URL"),
            (
                "https://example.com:99999/",
                "an absolute http or https URL",
            ),
            ("ftp://example.com/", "an http or https URL"),
            ("file:///etc/passwd", "an http or https URL"),
            ("https://user@example.com/", "user name or password"),
            ("https://:secret@example.com/", "user name or password"),
            ("https://example.com/#part", "fragment"),
            ("https://example.com/#", "fragment"),
            (" https://example.com/", "spaces"),
            ("https://exam\tple.com/", "spaces or control characters"),
            ("https://example.com/\u{0}", "control characters"),
            (&too_long, "2048 bytes"),
            (&long_host, "253 characters"),
            // 100 characters, and many more in ASCII.
            (&widened, "253 characters"),
        ] {
            let rule = ReceiverUrl::parse(bad).unwrap_err();
            assert!(rule.contains(words), "{bad:?}: {rule}");
            assert!(serde_json::from_value::<ReceiverUrl>(bad.into()).is_err());
        }
    }

    #[test]
    fn one_place_may_be_spelt_in_several_ways() {
        let url = |text| ReceiverUrl::parse(text).unwrap();
        let place = url("https://example.com/told");
        assert!(place.is_same_place(&url("HTTPS://Example.com:443/told")));
        for other in [
            "http://example.com/told",
            "https://example.com/told?",
            "https://example.com/Told",
        ] {
            assert!(!place.is_same_place(&url(other)), "{other}");
        }
    }

    #[test]
    fn what_follows_the_path_is_never_printed() {
        let url = ReceiverUrl::parse("https://example.com/told?token=secret").unwrap();
        assert_eq!(format!("{url:?}"), "https://example.com/told");
    }
}
