//! A line to a gateway that fails once for each create, so that its caller does not know what became of it.
//!
//! A create is told by its path and body: the first of its kind fails, the second and all other requests get through.

use std::{
    collections::HashSet,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderName, Method, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use super::connection::{SeverableConnection, SeverableListener};

/// A create is options and URLs.
const CREATE_LIMIT: usize = 2 * 1024 * 1024;

/// What is said anew on the way to the gateway.
const OF_THE_CONNECTION: [HeaderName; 4] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
];

/// When the line fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fails {
    /// It breaks as soon as the create is through, before it is answered.
    BeforeTheAnswer,
    /// It breaks once the create is answered, with nothing of the answer read.
    AtTheAnswer,
    /// It takes the whole answer, as a load balancer does, and says 503 instead.
    AfterTheAnswer,
}

/// The line. Dropping it closes it.
#[derive(Debug)]
pub struct LossyLine {
    url: Url,
    _open: DropGuard,
}

#[derive(Debug)]
struct Ends {
    fails: Fails,
    gateway: Url,
    address: SocketAddr,
    http: reqwest::Client,
    lost: Mutex<HashSet<(String, Bytes)>>,
}

impl LossyLine {
    /// Listens on a free port, for requests to a gateway on this machine.
    ///
    /// # Errors
    /// Where it cannot listen, or the gateway has no address.
    pub async fn start(gateway: &Url, fails: Fails) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}/", listener.local_addr()?).parse()?;
        let address = *gateway
            .socket_addrs(|| None)?
            .first()
            .context("the gateway has no address")?;
        let ends = Arc::new(Ends {
            fails,
            gateway: gateway.clone(),
            address,
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .build()?,
            lost: Mutex::default(),
        });
        let service = Router::new()
            .fallback(pass)
            .with_state(ends)
            .into_make_service_with_connect_info::<SeverableConnection>();
        let open = CancellationToken::new();
        let closed = open.clone();
        tokio::spawn(closed.run_until_cancelled_owned(async move {
            if let Err(error) = axum::serve(SeverableListener::new(listener), service).await {
                tracing::error!(%error, "A lossy line stopped");
            }
        }));
        Ok(Self {
            url,
            _open: open.drop_guard(),
        })
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }
}

async fn pass(
    State(ends): State<Arc<Ends>>,
    ConnectInfo(connection): ConnectInfo<SeverableConnection>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let passed = if parts.method == Method::POST && is_create(parts.uri.path()) {
        match axum::body::to_bytes(body, CREATE_LIMIT).await {
            Ok(body) if ends.is_first(parts.uri.path(), &body) => {
                let failed = ends.fail(&parts, &body).await;
                if ends.fails != Fails::AfterTheAnswer {
                    connection.sever();
                }
                failed
                    .map(|()| StatusCode::SERVICE_UNAVAILABLE.into_response())
                    .map_err(anyhow::Error::from)
            }
            Ok(body) => ends.forward(parts, body.into()).await,
            Err(error) => Err(error.into()),
        }
    } else {
        ends.forward(parts, body).await
    };
    passed.unwrap_or_else(|error| {
        tracing::error!(
            error = format!("{error:#}"),
            "A lossy line lost more than it should"
        );
        StatusCode::BAD_GATEWAY.into_response()
    })
}

fn is_create(path: &str) -> bool {
    matches!(
        path.trim_end_matches('/'),
        "/v1/transcriptions" | "/v2/pre-recorded" | "/v2/transcription"
    )
}

impl Ends {
    fn is_first(&self, path: &str, body: &Bytes) -> bool {
        self.lost
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((path.to_owned(), body.clone()))
    }

    /// Sends a request on, and loses the answer with the connection.
    async fn fail(&self, parts: &Parts, body: &[u8]) -> io::Result<()> {
        let target = parts.uri.path_and_query().map_or("/", |uri| uri.as_str());
        let mut head = format!(
            "{} {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n",
            parts.method,
            self.address,
            body.len()
        )
        .into_bytes();
        for (name, value) in &parts.headers {
            if !OF_THE_CONNECTION.contains(name) {
                head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
            }
        }
        head.extend(b"\r\n");
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(&[&head, body].concat()).await?;
        match self.fails {
            Fails::BeforeTheAnswer => {}
            Fails::AtTheAnswer => {
                stream.peek(&mut [0]).await?;
            }
            Fails::AfterTheAnswer => {
                stream.read_to_end(&mut Vec::new()).await?;
            }
        }
        Ok(())
    }

    async fn forward(&self, parts: Parts, body: Body) -> anyhow::Result<Response> {
        let target = parts.uri.path_and_query().map_or("/", |uri| uri.as_str());
        let mut headers = parts.headers;
        // The client says what fits its own connection.
        for name in [header::HOST, header::CONNECTION, header::TRANSFER_ENCODING] {
            headers.remove(name);
        }
        let answer = self
            .http
            .request(parts.method, self.gateway.join(target)?)
            .headers(headers)
            .body(reqwest::Body::wrap_stream(body.into_data_stream()))
            .send()
            .await?;
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        headers.remove(header::CONNECTION);
        headers.remove(header::TRANSFER_ENCODING);
        let body = Body::from_stream(answer.bytes_stream());
        Ok((status, headers, body).into_response())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::routing::post;

    use super::*;

    /// The line to a gateway that counts its answers.
    async fn line(fails: Fails) -> anyhow::Result<(LossyLine, Arc<AtomicUsize>)> {
        let answered = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&answered);
        let create = post(move |body: String| async move {
            count.fetch_add(1, Ordering::SeqCst);
            (StatusCode::CREATED, body)
        });
        let router = Router::new().route("/v2/pre-recorded", create);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let gateway: Url = format!("http://{}/", listener.local_addr()?).parse()?;
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok((LossyLine::start(&gateway, fails).await?, answered))
    }

    async fn create(line: &LossyLine, body: &'static str) -> reqwest::Result<reqwest::Response> {
        let url = line.url().join("v2/pre-recorded").unwrap();
        let client = reqwest::Client::builder().no_proxy().build()?;
        client.post(url).body(body).send().await
    }

    #[tokio::test]
    async fn the_first_create_with_a_body_gets_no_answer_and_the_second_does() -> anyhow::Result<()>
    {
        for fails in [Fails::BeforeTheAnswer, Fails::AtTheAnswer] {
            let (line, _) = line(fails).await?;
            for body in ["a", "b"] {
                let error = create(&line, body).await.expect_err("the line breaks");
                assert!(error.is_request(), "{error:?}");
                let answer = create(&line, body).await?;
                assert_eq!(answer.status(), StatusCode::CREATED);
                assert_eq!(answer.text().await?, body);
            }
        }
        Ok(())
    }

    #[tokio::test]
    async fn an_answer_that_is_lost_was_given() -> anyhow::Result<()> {
        let (line, answered) = line(Fails::AtTheAnswer).await?;
        create(&line, "a").await.expect_err("the line breaks");
        assert_eq!(answered.load(Ordering::SeqCst), 1);
        Ok(())
    }

    #[tokio::test]
    async fn an_answer_can_be_taken_and_another_given() -> anyhow::Result<()> {
        let (line, answered) = line(Fails::AfterTheAnswer).await?;
        let answer = create(&line, "a").await?;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answered.load(Ordering::SeqCst), 1);
        assert_eq!(create(&line, "a").await?.status(), StatusCode::CREATED);
        Ok(())
    }
}
