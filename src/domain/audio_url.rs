//! Where audio is to be fetched from.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::ids::UploadId;

/// An absolute http(s) URL that Gladia can be asked to fetch.
#[derive(Clone, PartialEq, Eq)]
pub struct AudioUrl {
    text: String,
    url: Url,
}

/// The longest URL that is accepted. Presigned URLs come close to 2,000 bytes.
const MAX_BYTES: usize = 8192;

impl AudioUrl {
    /// Accepts a caller's text, or says which rule it breaks. The text is kept as it came: a presigned URL must not change.
    ///
    /// # Errors
    /// The rule, as a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > MAX_BYTES {
            return Err("must be at most 8192 bytes long");
        }
        if text.contains(|c: char| c.is_control() || may_not_stand_in_urls(c)) {
            return Err(
                "must not contain spaces, control characters, `<` or `>`: percent-encode them",
            );
        }
        let not_absolute =
            "must be an absolute http or https URL, for example https://example.com/call.mp3";
        let url = Url::parse(text).map_err(|_| not_absolute)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(
                "must be an http or https URL: to send a file, use POST /v1/transcriptions/upload",
            );
        }
        match url.host() {
            None | Some(Host::Domain("")) => return Err("must name a host"),
            Some(_) if !is_written_out(text) => return Err(not_absolute),
            Some(_) => {}
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "must not contain a user name or password: they would reach logs on the way. Use a presigned URL",
            );
        }
        Ok(Self {
            text: text.to_owned(),
            url,
        })
    }

    /// Accepts what Gladia accepts: a user name and a password, too.
    #[must_use]
    pub fn as_gladia_takes_it(text: &str) -> Option<Self> {
        let can_be_kept = text.len() <= MAX_BYTES && !text.contains(char::is_control);
        let url = url_to_gladia(text).filter(|_| can_be_kept)?;
        Some(Self {
            text: text.to_owned(),
            url,
        })
    }

    /// The upload that an address of ours names, whatever host we are known by: it ends in `/file/` and an id.
    #[must_use]
    pub fn upload_id(&self) -> Option<UploadId> {
        let (before, id) = self.url.path().rsplit_once('/')?;
        let names_a_file = before.ends_with("/file") && self.url.query().is_none();
        names_a_file.then(|| id.parse().ok()).flatten()
    }

    /// What the file is called where it lies: the end of the path, and never anything of the query.
    #[must_use]
    pub fn filename(&self) -> Option<String> {
        let last = self.url.path_segments()?.next_back()?;
        let name = percent_decode_str(last).decode_utf8_lossy();
        (!name.is_empty()).then(|| name.into_owned())
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

    /// Whether the URL stands on the same scheme, host and port as `base`.
    #[must_use]
    pub fn is_on_origin_of(&self, base: &Url) -> bool {
        self.url.origin() == base.origin()
    }

    /// The host, in lower case and without the dot that a full name may end with: both spellings lead to one place.
    #[must_use]
    pub fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        host.strip_suffix('.').unwrap_or(host).to_owned()
    }
}

/// Whether Gladia takes a text for the address of something on the web. It judges by class-validator's `isURL`, which also has rules
/// for hosts and lengths; those may be switched off, so they are left to it.
#[must_use]
pub fn is_url_to_gladia(text: &str) -> bool {
    url_to_gladia(text).is_some()
}

fn url_to_gladia(text: &str) -> Option<Url> {
    if text.contains(may_not_stand_in_urls) || !is_written_out(text) {
        return None;
    }
    Url::parse(text).ok().filter(Url::has_host)
}

/// Whether a character makes a text no URL to Gladia, wherever it stands.
fn may_not_stand_in_urls(c: char) -> bool {
    c.is_whitespace() || matches!(c, '<' | '>')
}

/// Whether a text begins with `http://` or `https://` and a host as it stands: [`Url`] repairs what does not.
fn is_written_out(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    ["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
        && !host.is_empty()
        && !host.contains('\\')
}

/// Query strings carry signatures, so they are left out wherever a URL is printed.
impl fmt::Debug for AudioUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.split(['?', '#']).next().unwrap_or_default())
    }
}

/// A text of somebody else's that may name addresses, without what follows their paths, up to the next space or quote, and without
/// user names and passwords.
#[must_use]
pub fn without_queries(text: &str) -> String {
    let ends_word = |c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>');
    let mut kept = String::with_capacity(text.len());
    for word in text.split_inclusive(ends_word) {
        let end = word.strip_suffix(ends_word).map_or(word.len(), str::len);
        let (word, after) = word.split_at(end);
        let query = query_of(word);
        let mut pieces = word[..query.unwrap_or(word.len())].split("://");
        kept.extend(pieces.next());
        for address in pieces {
            let authority = address.split('/').next().unwrap_or_default();
            let user = authority.rfind('@').unwrap_or_default();
            kept.extend(["://", &address[user..]]);
        }
        if query.is_some() {
            kept.push('?');
        }
        kept.push_str(after);
    }
    kept
}

/// Where in a word the query or fragment of an address begins: all behind it is taken for a part of it, further addresses as well.
/// A question mark that ends a sentence, and a number sign before a number, belong to no address.
fn query_of(word: &str) -> Option<usize> {
    let address = word.find(['/', '.'])?;
    word[address..]
        .match_indices(['?', '#'])
        .map(|(at, _)| address + at)
        .find(|at| at + 1 < word.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_urls_are_accepted_as_they_came() {
        for good in [
            "https://example.com/a.mp3",
            "http://example.com:8080/a?X-Amz-Signature=ab%2Fc&x=1",
            "https://[2001:db8::1]/a.wav",
            "https://www.youtube.com/watch?v=abc",
            "HTTPS://example.com?a=://b\\c",
        ] {
            assert_eq!(AudioUrl::parse(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn a_text_of_many_marks_is_looked_through_once() {
        let marks = "?".repeat(1_000_000);
        assert_eq!(without_queries(&marks), marks);
        assert_eq!(without_queries(&format!("{marks}.")), format!("{marks}."));
    }

    #[test]
    fn what_gladia_takes_can_be_kept() {
        let taken = |text: &str| AudioUrl::as_gladia_takes_it(text).is_some();
        assert!(taken("https://user:secret@example.com/a%20b.mp3"));
        assert!(taken("HTTPS://my_host/a.mp3"));
        assert!(!taken("https://example.com/a\0.mp3"));
    }

    #[test]
    fn what_would_have_to_be_repaired_is_no_url() {
        for bad in [
            "https:/example.com/a.mp3",
            "https:example.com/a.mp3",
            "https:example.com/a.mp3?x=https://b.example",
            r"https:\\example.com\a.mp3",
            r"https://example.com\a.mp3",
            "https:///example.com/a.mp3",
            "https://example.com/<a>.mp3",
        ] {
            assert!(AudioUrl::parse(bad).is_err(), "{bad}");
            assert!(AudioUrl::as_gladia_takes_it(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_rule() {
        for bad in [
            "",
            "call.mp3",
            "/call.mp3",
            "ftp://example.com/a",
            "file:///etc/passwd",
            "data:audio/wav;base64,AAAA",
            "https://",
            "https:///a.mp3 b",
            "https://user:pass@example.com/a.mp3",
            "https://exa mple.com/",
            "https://example.com/\u{0}",
            &format!("https://example.com/{}", "a".repeat(9000)),
        ] {
            assert!(AudioUrl::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_address_of_ours_names_its_upload() {
        let id = "01890000-0000-7000-8000-000000000000";
        for ours in [
            "https://gateway.example/file/",
            "http://10.0.0.7:8080/below/file/",
        ] {
            let url = AudioUrl::parse(&format!("{ours}{id}")).unwrap();
            assert_eq!(url.upload_id(), id.parse().ok(), "{ours}");
        }
        for other in [
            "https://gateway.example/file/call.mp3",
            "https://gateway.example/01890000-0000-7000-8000-000000000000",
            "https://a.example/file/01890000-0000-7000-8000-000000000000?signature=a",
        ] {
            assert_eq!(AudioUrl::parse(other).unwrap().upload_id(), None, "{other}");
        }
    }

    #[test]
    fn a_link_names_its_file_by_the_end_of_its_path() {
        for (link, name) in [
            (
                "https://a.example/x/two%20words+more%26.mp3?sig=%2F",
                Some("two words+more&.mp3"),
            ),
            ("https://a.example/o/calls%2Fone.mp3", Some("calls/one.mp3")),
            ("https://a.example/", None),
            ("https://a.example?a=/b.mp3", None),
            ("https://a.example#b.mp3", None),
        ] {
            let found = AudioUrl::parse(link).unwrap().filename();
            assert_eq!(found.as_deref(), name, "{link}");
        }
    }

    #[test]
    fn a_password_is_gladias_to_refuse() {
        let url = "https://user:pass@example.com/a.mp3";
        assert_eq!(AudioUrl::as_gladia_takes_it(url).unwrap().as_str(), url);
        assert!(AudioUrl::as_gladia_takes_it("ftp://example.com/a").is_none());
    }

    #[test]
    fn a_host_has_one_spelling() {
        for url in [
            "https://Example.com/a",
            "https://example.com./a",
            "http://example.com:8080/a",
        ] {
            assert_eq!(AudioUrl::parse(url).unwrap().host(), "example.com", "{url}");
        }
    }

    #[test]
    fn a_signature_is_never_printed() {
        let url = AudioUrl::parse("https://example.com/a.mp3?X-Amz-Signature=secret").unwrap();
        assert_eq!(format!("{url:?}"), "https://example.com/a.mp3");
    }

    #[test]
    fn what_others_say_of_addresses_is_told_without_their_queries() {
        for (said, told) in [
            (
                "Cannot fetch https://a.example/x.mp3?sig=secret; is it there?",
                "Cannot fetch https://a.example/x.mp3? is it there?",
            ),
            (
                r#""/x.mp3?a=(1)&b=?2" and <https://b.example/?c>"#,
                r#""/x.mp3?" and <https://b.example/?>"#,
            ),
            (
                "https://user:pa@ss@a.example/x.mp3 and https://b.example?sig=secret",
                "https://@a.example/x.mp3 and https://b.example?",
            ),
            ("x.mp3?sig=secret", "x.mp3?"),
            (
                "prompt#1:https://h/x.mp3?X-Amz-Signature=secret prompt#1:x.mp3?sig=secret",
                "prompt#1:https://h/x.mp3? prompt#1:x.mp3?",
            ),
            (
                "audio_url?https://h/x.mp3?sig=secret (#1)https://h/x?sig=secret",
                "audio_url?https://h/x.mp3? (#1)https://h/x?",
            ),
            (
                "https://user:pw@h/x.mp3,https://u2:p@w2@h2/y.mp3",
                "https://@h/x.mp3,https://@h2/y.mp3",
            ),
            (
                "a#1:https://u:pw@h/x,https://u:pw@h?s=secret,https://u:pw@h/",
                "a#1:https://@h/x,https://@h?",
            ),
            (
                "https://b.example?sig=ab@secret/tail https://b.example#ab@secret",
                "https://b.example? https://b.example?",
            ),
            (
                "https://a.example/x?to=https://u:pw@h/y?sig=secret!",
                "https://a.example/x?",
            ),
            (
                "Is it https://a.example/@x or https://b.example/?",
                "Is it https://a.example/@x or https://b.example/?",
            ),
            (
                "What? No address. Prompt #5 of C# is too long: 7/8?",
                "What? No address. Prompt #5 of C# is too long: 7/8?",
            ),
            ("", ""),
        ] {
            assert_eq!(without_queries(said), told);
        }
    }
}
