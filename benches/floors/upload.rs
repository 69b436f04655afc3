//! The least that could pass a file on: a form read by one library and written by another, piece by piece.
//!
//! Nothing is counted, hashed, bounded or noted.

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    routing::post,
};
use multer::Multipart;
use reqwest::{
    Client,
    multipart::{Form, Part},
};
use tokio::net::TcpListener;

#[derive(Clone)]
struct Floor {
    http: Client,
    target: String,
}

/// Serves until it is killed. Prints its address first.
pub async fn serve(target: String) -> anyhow::Result<()> {
    let http = Client::builder().no_proxy().build()?;
    let router = Router::new()
        .route("/", post(pass_on))
        .with_state(Floor { http, target });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("Listening on {}", listener.local_addr()?);
    axum::serve(listener, router).await?;
    Ok(())
}

async fn pass_on(State(floor): State<Floor>, headers: HeaderMap, body: Body) -> StatusCode {
    match forward(&floor, &headers, body).await {
        Ok(()) => StatusCode::CREATED,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

async fn forward(floor: &Floor, headers: &HeaderMap, body: Body) -> anyhow::Result<()> {
    let content_type = headers
        .get(CONTENT_TYPE)
        .map_or(Ok(""), |value| value.to_str())?;
    let boundary = multer::parse_boundary(content_type)?;
    let mut form = Multipart::new(body.into_data_stream(), boundary);
    let field = form.next_field().await?;
    let field = field.ok_or_else(|| anyhow::anyhow!("no part"))?;
    let part = Part::stream(reqwest::Body::wrap_stream(field)).file_name("audio");
    let request = floor.http.post(&floor.target);
    let sent = request.multipart(Form::new().part("audio", part)).send();
    sent.await?.error_for_status()?;
    Ok(())
}
