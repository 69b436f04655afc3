//! Creates and uploads as Gladia's clients make them.

use reqwest::{Method, RequestBuilder, multipart::Form};
use serde_json::Value;

use super::{Answer, Caller};

impl Caller {
    /// A request with this caller's key where Gladia's clients have theirs.
    pub fn as_gladias_client(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.key {
            Some(key) => request.header("x-gladia-key", key),
            None => request,
        }
    }

    /// Creates a job.
    pub async fn v2_create(&self, body: &Value) -> Answer {
        Answer::to(self.v2_create_request(body)).await
    }

    pub fn v2_create_request(&self, body: &Value) -> RequestBuilder {
        self.as_gladias_client(Method::POST, "/v2/pre-recorded")
            .json(body)
    }

    /// Creates a job, and gives its id.
    pub async fn v2_start(&self, body: &Value) -> String {
        let created = self.v2_create(body).await.expect(201);
        created["id"].as_str().unwrap().to_owned()
    }

    /// Uploads a form.
    pub async fn v2_upload(&self, path: &str, form: Form) -> Answer {
        let request = self.as_gladias_client(Method::POST, path);
        Answer::to(request.multipart(form)).await
    }
}

impl Answer {
    /// The body of an answer that must be an error in Gladia's envelope, its fields in order.
    #[track_caller]
    pub fn envelope(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert_eq!(self.header("access-control-allow-origin"), Some("*"));
        let (text, body) = (self.text(), self.json());
        let mut places = Vec::new();
        for name in ["statusCode", "timestamp", "path", "message", "request_id"] {
            let place = text.find(&format!("\"{name}\":"));
            places.push(place.unwrap_or_else(|| panic!("no {name} in {text}")));
        }
        assert!(places.is_sorted(), "{text}");
        assert_eq!(body["statusCode"], status);
        let id = body["request_id"].as_str().unwrap();
        let is_short = id.len() == 10 && id.starts_with("G-");
        assert!(
            is_short && id[2..].bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{id}"
        );
        body
    }
}
