//! An answer, read whole.

use axum::http::HeaderMap;
use bytes::Bytes;
use gladia_gateway::domain::plain_json;
use reqwest::{RequestBuilder, Response};
use serde_json::Value;

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: Bytes,
}

impl Answer {
    /// Sends a request and reads what comes.
    pub async fn to(request: RequestBuilder) -> Self {
        let response = request
            .send()
            .await
            .expect("the gateway answers every request");
        Self::read(response).await
    }

    pub async fn read(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.expect("answers are whole");
        Self {
            status,
            headers,
            bytes,
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        plain_json::from_slice(&self.bytes)
            .unwrap_or_else(|_| panic!("no JSON but {} {}", self.status, self.text()))
    }

    /// The body of an answer that must have this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        if self.bytes.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }

    /// The body of an answer that must be this problem, in the form that RFC 9457 and this API give it.
    #[track_caller]
    pub fn problem(&self, status: u16, slug: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let body = self.json();
        assert_eq!(body["type"], format!("urn:gladia-gateway:problem:{slug}"));
        assert_eq!(body["status"], status);
        for field in ["title", "detail"] {
            let text = body[field].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "no {field} in {body}");
        }
        assert_eq!(body["request_id"].as_str(), self.header("x-request-id"));
        body
    }

    /// The same, where fields are at fault. Gives where they stand, in the order of the answer.
    #[track_caller]
    pub fn violations(&self, status: u16, slug: &str) -> Vec<String> {
        let body = self.problem(status, slug);
        let errors = body["errors"].as_array().unwrap();
        let pointers = errors.iter().map(|error| error["pointer"].as_str());
        pointers
            .map(|pointer| pointer.unwrap().to_owned())
            .collect()
    }

    /// The same, where exactly one field is at fault. Gives the rule.
    #[track_caller]
    pub fn violation(&self, status: u16, slug: &str, pointer: &str) -> String {
        let body = self.problem(status, slug);
        let errors = body["errors"]
            .as_array()
            .unwrap_or_else(|| panic!("no errors in {body}"));
        assert_eq!(errors.len(), 1, "{body}");
        assert_eq!(errors[0]["pointer"], pointer, "{body}");
        errors[0]["rule"].as_str().unwrap().to_owned()
    }
}
