//! A program that uses the gateway.

use reqwest::{
    Body, Client, Method, RequestBuilder,
    multipart::{Form, Part},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, eventually};

/// A program that uses the gateway, with a key of some tenant.
#[derive(Debug, Clone)]
pub struct Caller {
    pub http: Client,
    pub base: String,
    pub key: Option<String>,
    pub tenant_id: Uuid,
    pub api_key_id: Uuid,
}

impl Caller {
    /// The same program, asking another address.
    pub fn at(&self, base: &str) -> Self {
        Self {
            base: base.to_owned(),
            ..self.clone()
        }
    }

    /// The same program with another key.
    pub fn with_key(&self, key: Option<&str>) -> Self {
        Self {
            key: key.map(str::to_owned),
            ..self.clone()
        }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::to(self.request(Method::POST, path).json(body)).await
    }

    /// Asks for a transcription.
    pub async fn transcribe(&self, body: &Value) -> Answer {
        self.post("/v1/transcriptions", body).await
    }

    /// The same, with an idempotency key.
    pub async fn transcribe_once(&self, key: &str, body: &Value) -> Answer {
        let request = self
            .request(Method::POST, "/v1/transcriptions")
            .header("Idempotency-Key", key);
        Answer::to(request.json(body)).await
    }

    /// Asks for a transcription of audio that the simulator makes up, and gives its id.
    pub async fn start(&self, audio: &str) -> String {
        let body = json!({ "audio_url": format!("https://audio.example/{audio}") });
        let job = self.transcribe(&body).await.expect(202);
        job["id"].as_str().unwrap().to_owned()
    }

    /// Sends a file with options, if any.
    pub async fn upload(&self, file: Vec<u8>, filename: &str, options: Option<&Value>) -> Answer {
        Answer::to(self.upload_request(file, filename, options)).await
    }

    pub fn upload_request(
        &self,
        file: Vec<u8>,
        filename: &str,
        options: Option<&Value>,
    ) -> RequestBuilder {
        let mut form = Form::new();
        if let Some(options) = options {
            form = form.part("options", Part::text(options.to_string()));
        }
        form = form.part("audio", Part::bytes(file).file_name(filename.to_owned()));
        self.form("/v1/transcriptions/upload", form)
    }

    pub fn form(&self, path: &str, form: Form) -> RequestBuilder {
        self.request(Method::POST, path).multipart(form)
    }

    /// Uploads a file for later use, and gives its URL.
    pub async fn keep(&self, file: Vec<u8>, filename: &str) -> String {
        let form = Form::new().part("audio", Part::bytes(file).file_name(filename.to_owned()));
        let upload = Answer::to(self.form("/v1/uploads", form)).await.expect(201);
        upload["audio_url"].as_str().unwrap().to_owned()
    }

    /// A request with a body that is written by hand.
    pub fn raw(&self, path: &str, content_type: &str, body: impl Into<Body>) -> RequestBuilder {
        self.request(Method::POST, path)
            .header("content-type", content_type)
            .body(body)
    }

    pub async fn job(&self, id: &str) -> Value {
        self.get(&format!("/v1/transcriptions/{id}"))
            .await
            .expect(200)
    }

    pub async fn result(&self, id: &str) -> Answer {
        self.get(&format!("/v1/transcriptions/{id}/result")).await
    }

    pub async fn cancel(&self, id: &str) -> Answer {
        let path = format!("/v1/transcriptions/{id}/cancel");
        Answer::to(self.request(Method::POST, &path)).await
    }

    /// Has a job tried again, without a word on what that may cost.
    pub async fn retry(&self, id: &str) -> Answer {
        let path = format!("/v1/transcriptions/{id}/retry");
        Answer::to(self.request(Method::POST, &path)).await
    }

    /// Has a job tried again, though it may be billed twice.
    pub async fn retry_at_any_cost(&self, id: &str) -> Answer {
        let path = format!("/v1/transcriptions/{id}/retry");
        self.post(&path, &json!({ "accept_second_bill": true }))
            .await
    }

    pub async fn timeline(&self, id: &str) -> Value {
        self.get(&format!("/v1/transcriptions/{id}/timeline"))
            .await
            .expect(200)
    }

    pub async fn delete(&self, id: &str) -> Answer {
        let path = format!("/v1/transcriptions/{id}");
        Answer::to(self.request(Method::DELETE, &path)).await
    }

    /// Waits until the job has this status, and gives it.
    pub async fn wait_until(&self, id: &str, status: &str) -> Value {
        let what = format!("job {id} that is {status}");
        eventually(&what, async || {
            let job = self.job(id).await;
            (job["status"] == status).then_some(job)
        })
        .await
    }

    pub async fn wait_until_done(&self, id: &str) -> Value {
        self.wait_until(id, "done").await
    }

    /// Waits until the job has this reason for where it is.
    pub async fn wait_until_reason(&self, id: &str, reason: &str) -> Value {
        let what = format!("job {id} with the reason {reason}");
        eventually(&what, async || {
            let job = self.job(id).await;
            (job["status_reason"] == reason).then_some(job)
        })
        .await
    }
}
