//! Telling callers that what they have is what there is.
//!
//! Answers are kept out of caches (`Cache-Control: no-store`): they are transcripts. A caller's own program may keep one
//! together with its `ETag` all the same, and asks with `If-None-Match` whether there is another by now. The answer is then
//! 304 and costs no more than a look at the job.
//!
//! Tags are weak: the same content has one tag in whatever encoding it is sent.

use std::{borrow::Cow, convert::Infallible};

use axum::{
    body::Body,
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, IntoResponseParts, Response, ResponseParts},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures_util::stream;
use sha2::{Digest, Sha256};

/// How many bytes of the hash tell two contents apart.
const HASH_BYTES: usize = 16;

/// What names one state of a resource, whatever its encoding. As a part of a response it sets `ETag` and `Vary`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag {
    /// As the header has it.
    weak: String,
}

/// What a weak tag begins with, and what it ends with.
const WEAK: (&str, char) = ("W/\"", '"');

impl ETag {
    /// The tag of what all these parts together identify. Where the same parts come to be shown in another way, by a newer
    /// version of the gateway for one, what tells the two ways apart has to be among them.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            // With its length, so that no two lists of parts are one.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut weak = WEAK.0.to_owned();
        BASE64_URL_SAFE_NO_PAD.encode_string(&hash.finalize()[..HASH_BYTES], &mut weak);
        weak.push(WEAK.1);
        Self { weak }
    }

    /// What stands between the quotes.
    fn opaque(&self) -> &str {
        let (start, end) = WEAK;
        let weak = self.weak.strip_prefix(start);
        let opaque = weak.and_then(|weak| weak.strip_suffix(end));
        opaque.unwrap_or_default()
    }

    /// Whether a request says that its caller has this state: `If-None-Match` names it, or is `*`.
    ///
    /// To be asked where the answer would be 200, to a GET.
    #[must_use]
    pub fn is_known(&self, request: &HeaderMap) -> bool {
        conditions(request).any(|list| self.is_met_by(&list))
    }

    /// Whether a request names this state. Whoever names a tag had 200 with it, so this can be asked before it is known
    /// what the answer would be, where that follows from what the tag identifies.
    #[must_use]
    pub fn is_named(&self, request: &HeaderMap) -> bool {
        conditions(request).any(|list| self.is_in(&list))
    }

    fn is_met_by(&self, list: &str) -> bool {
        list.trim() == "*" || self.is_in(list)
    }

    /// Compares weakly, as RFC 9110 (section 13.1.2) wants it here: `"a"` and `W/"a"` are the same. A list that cannot be
    /// read counts as far as it can be.
    fn is_in(&self, list: &str) -> bool {
        let mut rest = list;
        loop {
            let tag = rest.trim_start_matches([' ', '\t', ',']);
            let tag = tag.strip_prefix("W/").unwrap_or(tag);
            let tag = tag.strip_prefix('"').and_then(|tag| tag.split_once('"'));
            match tag {
                Some((opaque, _)) if opaque == self.opaque() => return true,
                Some((_, more)) => rest = more,
                None => return false,
            }
        }
    }

    /// 304, for a caller who has this state.
    #[must_use]
    pub fn not_modified(self) -> Response {
        // A body without a length: the length of an empty one would be taken for that of what was not sent.
        let nothing = Body::from_stream(stream::empty::<Result<Vec<u8>, Infallible>>());
        (StatusCode::NOT_MODIFIED, self, nothing).into_response()
    }
}

/// How much of what a caller has is kept. Whoever names more is sent what there is, which is always right.
const MOST_HAD_BYTES: usize = 4096;

/// What a caller has, as `If-None-Match` says. A copy: each header keeps in memory all that came with it, which is much for a
/// request that waits. Lists beyond [`MOST_HAD_BYTES`] are left out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Had {
    lists: Vec<String>,
    is_unsaid: bool,
}

impl Had {
    /// Whether it says nothing of it.
    #[must_use]
    pub fn is_unsaid(&self) -> bool {
        self.is_unsaid
    }

    /// Whether it is this state, or any.
    #[must_use]
    pub fn is(&self, tag: &ETag) -> bool {
        self.lists.iter().any(|list| tag.is_met_by(list))
    }
}

impl<S: Sync> FromRequestParts<S> for Had {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let mut lists = conditions(&parts.headers).peekable();
        let is_unsaid = lists.peek().is_none();
        let mut left = MOST_HAD_BYTES;
        let kept = lists.map_while(|list| {
            left = left.checked_sub(list.len())?;
            Some(list.into_owned())
        });
        Ok(Self {
            lists: kept.collect(),
            is_unsaid,
        })
    }
}

fn conditions(request: &HeaderMap) -> impl Iterator<Item = Cow<'_, str>> {
    let lists = request.get_all(header::IF_NONE_MATCH).into_iter();
    lists.map(|list| String::from_utf8_lossy(list.as_bytes()))
}

impl IntoResponseParts for ETag {
    type Error = Infallible;

    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts, Infallible> {
        let headers = response.headers_mut();
        if let Ok(tag) = HeaderValue::try_from(self.weak) {
            headers.insert(header::ETAG, tag);
        }
        headers.insert(
            header::VARY,
            HeaderValue::from_static(header::ACCEPT_ENCODING.as_str()),
        );
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(tag: &ETag, lists: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for list in lists {
            let list = HeaderValue::from_bytes(list.as_bytes()).unwrap();
            headers.append(header::IF_NONE_MATCH, list);
        }
        tag.is_known(&headers)
    }

    #[test]
    fn a_tag_is_found_wherever_it_stands_in_a_list_and_nowhere_else() {
        let tag = ETag::of(&[b"a"]);
        let ours = format!("\"{}\"", tag.opaque());
        let weak = format!("W/{ours}");
        for list in [
            ours.as_str(),
            &weak,
            "*",
            " * ",
            &format!("  {weak}  "),
            &format!("\"other\", W/\"and, another\",{weak}"),
            &format!(",,{ours},"),
            &format!("\"\", \"é\",\t{ours}, broken"),
        ] {
            assert!(known(&tag, &[list]), "{list}");
            assert!(known(&tag, &["\"other\"", list]), "{list}");
            let headers = [(
                header::IF_NONE_MATCH,
                HeaderValue::from_bytes(list.as_bytes()).unwrap(),
            )];
            assert_eq!(
                tag.is_named(&headers.into_iter().collect()),
                list.trim() != "*"
            );
        }
        for list in [
            "",
            "\"*\"",
            "\"other\"",
            tag.opaque(),
            &ours[..ours.len() - 1],
            &ours[1..],
            &format!("w/{ours}"),
            &format!("broken, {ours}"),
            &format!("\"x{}\"", tag.opaque()),
            &format!("\"{},\"", tag.opaque()),
        ] {
            assert!(!known(&tag, &[list]), "{list}");
        }
        assert!(!known(&tag, &[]));
    }

    #[tokio::test]
    async fn of_what_a_caller_has_little_is_kept() {
        let had = async |lists: &[&str]| {
            let mut request = axum::http::Request::get("/");
            for list in lists {
                request = request.header(header::IF_NONE_MATCH, *list);
            }
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            Had::from_request_parts(&mut parts, &()).await.unwrap()
        };
        let tag = ETag::of(&[b"a"]);
        let ours = format!("\"{}\"", tag.opaque());
        let long = format!("{ours}, \"{}\"", "x".repeat(MOST_HAD_BYTES));
        assert!(had(&[]).await.is_unsaid());
        for (lists, is_it) in [
            (&[ours.as_str(), &long][..], true),
            (&[&long, &ours], false),
            (&[&long], false),
        ] {
            let had = had(lists).await;
            assert_eq!((had.is(&tag), had.is_unsaid()), (is_it, false));
            let kept: usize = had.lists.iter().map(String::len).sum();
            assert!(kept <= MOST_HAD_BYTES);
        }
    }

    #[test]
    fn other_parts_have_another_tag() {
        let tags: [&[&[u8]]; 5] = [&[], &[b""], &[b"ab"], &[b"a", b"b"], &[b"", b"ab"]];
        for (index, parts) in tags.iter().enumerate() {
            for (other, others) in tags.iter().enumerate() {
                assert_eq!(ETag::of(parts) == ETag::of(others), index == other);
            }
        }
    }
}
