//! Readers of Server-Sent Events.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::{Answer, BOUND, Caller, TestApp, eventually};

/// An event, as its frame has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub id: i64,
    pub kind: String,
    /// The bytes of `data`.
    pub data: String,
}

impl Told {
    /// Takes a block for what it must be: id, type and one line of data, in this order.
    #[track_caller]
    fn parse(block: &str) -> Self {
        let fields: Vec<_> = block
            .lines()
            .map(|line| line.split_once(": ").expect("a field"))
            .collect();
        let [("id", id), ("event", kind), ("data", data)] = fields[..] else {
            panic!("no event but {block:?}");
        };
        let told = Self {
            id: number(id),
            kind: kind.to_owned(),
            data: data.to_owned(),
        };
        let json = told.json();
        assert_eq!((&json["id"], &json["type"]), (&id.into(), &kind.into()));
        told
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).expect("data is JSON")
    }

    pub fn cursor(&self) -> String {
        format!("evt_{}", self.id)
    }

    /// The transcription that it is about.
    pub fn job(&self) -> String {
        let id = &self.json()["data"]["transcription_id"];
        id.as_str().expect("it is about one").to_owned()
    }
}

/// The number in an event's id.
pub fn number(id: &str) -> i64 {
    let digits = id.strip_prefix("evt_").expect("an event's id");
    digits.parse().expect("a number")
}

/// Blocks of text that arrive bit by bit.
#[derive(Debug, Default)]
pub struct Blocks(Vec<u8>);

impl Blocks {
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole one.
    pub fn next(&mut self) -> Option<String> {
        let end = self.0.windows(2).position(|pair| pair == b"\n\n")?;
        let block: Vec<u8> = self.0.drain(..end + 2).collect();
        Some(String::from_utf8(block[..end].to_vec()).expect("streams are UTF-8"))
    }
}

/// A stream that is read.
pub struct EventStream {
    pub answer: Answer,
    /// The last id, with or without an event: what an `EventSource` comes back with.
    pub last_id: Option<String>,
    bytes: BoxStream<'static, reqwest::Result<Bytes>>,
    blocks: Blocks,
}

impl EventStream {
    /// Opens a stream.
    pub async fn open(caller: &Caller, path: &str) -> Self {
        Self::of(caller.request(Method::GET, path)).await
    }

    /// Comes back to a stream, as an `EventSource` does.
    pub async fn resume(caller: &Caller, path: &str, last_seen: &str) -> Self {
        let request = caller.request(Method::GET, path);
        Self::of(request.header("Last-Event-ID", last_seen)).await
    }

    pub async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("the gateway answers");
        Self::read(response).await
    }

    async fn read(response: Response) -> Self {
        if response.status() != 200 {
            let answer = Answer::read(response).await;
            panic!("no stream but {} {}", answer.status, answer.text());
        }
        let answer = Answer {
            status: 200,
            headers: response.headers().clone(),
            bytes: Bytes::new(),
        };
        let mut stream = Self {
            answer,
            last_id: None,
            bytes: response.bytes_stream().boxed(),
            blocks: Blocks::default(),
        };
        let opening = stream.block().await.expect("a first block");
        let (retry, id) = opening.split_once('\n').unwrap_or((&opening, ""));
        assert_eq!(retry, "retry: 2000");
        if !id.is_empty() {
            stream.note_id(id);
        }
        stream
    }

    fn note_id(&mut self, line: &str) {
        let id = line.strip_prefix("id: ").expect("a line with an id");
        assert!(number(id) >= 0);
        self.last_id = Some(id.to_owned());
    }

    /// The next block, comments too, but none that has an id alone. `None` at the end, which must be a proper one.
    pub async fn block(&mut self) -> Option<String> {
        loop {
            if let Some(block) = self.blocks.next() {
                if let Some(line) = block.lines().find(|line| line.starts_with("id: ")) {
                    self.note_id(line);
                }
                if block.starts_with("id: ") && block.lines().count() == 1 {
                    continue;
                }
                return Some(block);
            }
            let read = tokio::time::timeout(BOUND, self.bytes.next()).await;
            match read.expect("something comes within the bound") {
                Some(bytes) => self.blocks.push(&bytes.expect("the stream is not cut off")),
                None => return None,
            }
        }
    }

    /// The next event. `None` at the end.
    pub async fn event(&mut self) -> Option<Told> {
        loop {
            let block = self.block().await?;
            if !block.starts_with(':') {
                return Some(Told::parse(&block));
            }
        }
    }

    /// The next event, where there must be one.
    pub async fn next(&mut self) -> Told {
        self.event().await.expect("the stream goes on")
    }

    /// So many events.
    pub async fn take(&mut self, count: usize) -> Vec<Told> {
        let mut taken = Vec::new();
        while taken.len() < count {
            taken.push(self.next().await);
        }
        taken
    }

    /// Everything up to the end.
    pub async fn rest(&mut self) -> Vec<Told> {
        let mut rest = Vec::new();
        while let Some(told) = self.event().await {
            rest.push(told);
        }
        rest
    }
}

/// Asks for something with little room for it, and takes no more than the first line of the answer. `None`: it was refused.
pub async fn ask_and_take_nothing(caller: &Caller, path: &str) -> Option<TcpStream> {
    send_and_take_nothing(caller, "GET", path, "", "").await
}

/// The same with another method, further headers, each with the end of its line, and a body.
pub async fn send_and_take_nothing(
    caller: &Caller,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Option<TcpStream> {
    let address = caller.base.strip_prefix("http://").unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(32 * 1024).unwrap();
    let mut connection = socket.connect(address.parse().unwrap()).await.unwrap();
    let key = caller.key.as_deref().unwrap();
    // As either API wants it.
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\nx-gladia-key: {key}\r\n"
    );
    let length = if body.is_empty() {
        String::new()
    } else {
        format!(
            "content-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        )
    };
    let head = format!("{head}{length}{headers}\r\n");
    connection.write_all(head.as_bytes()).await.unwrap();
    // Whoever is refused at once may not be heard to the end.
    let _ = connection.write_all(body.as_bytes()).await;
    let mut first = [0; 15];
    let read = tokio::time::timeout(BOUND, connection.read_exact(&mut first)).await;
    read.expect("an answer").unwrap();
    first.starts_with(b"HTTP/1.1 20").then_some(connection)
}

/// A reader who has little room, and reads only when it is told to.
pub struct LazyReader {
    connection: TcpStream,
    /// A line that has not ended.
    line: Vec<u8>,
    id: i64,
    /// The ids that it has read.
    pub ids: Vec<i64>,
    /// Whether the last thing was the end of the stream.
    pub is_whole: bool,
}

impl LazyReader {
    pub async fn open(caller: &Caller, path: &str) -> Self {
        let connection = ask_and_take_nothing(caller, path).await;
        let connection = connection.expect("a stream");
        Self {
            connection,
            line: Vec::new(),
            id: 0,
            ids: Vec::new(),
            is_whole: false,
        }
    }

    /// Reads until it has so many events.
    pub async fn read_up_to(&mut self, count: usize) {
        let reading =
            async { while self.ids.len() < count && self.read_some(BOUND).await == Some(true) {} };
        let _ = tokio::time::timeout(BOUND, reading).await;
        assert!(
            self.ids.len() >= count,
            "only {} of {count} events have come",
            self.ids.len()
        );
    }

    /// Reads until nothing comes any more.
    pub async fn read_what_is_there(&mut self) {
        while self.read_some(Duration::from_millis(300)).await == Some(true) {}
    }

    /// Reads until the connection has ended.
    pub async fn read_to_the_end(&mut self) {
        let reading = async { while self.read_some(BOUND).await == Some(true) {} };
        let ended = tokio::time::timeout(BOUND, reading).await;
        ended.expect("the connection ends within the bound");
    }

    /// Whether the connection goes on; `None`: nothing came in time.
    async fn read_some(&mut self, bound: Duration) -> Option<bool> {
        let mut buffer = vec![0; 64 * 1024];
        let read = tokio::time::timeout(bound, self.connection.read(&mut buffer)).await;
        let read = read.ok()?.unwrap_or(0);
        for &byte in &buffer[..read] {
            if byte != b'\n' {
                self.line.push(byte);
                continue;
            }
            // A chunk of no length is the last one.
            self.is_whole = self.line == b"0\r" || self.is_whole && self.line == b"\r";
            if let Some(id) = self.line.strip_prefix(b"id: ") {
                self.id = number(std::str::from_utf8(id).unwrap());
            }
            // An id alone is no event.
            if self.line.starts_with(b"data: ") {
                self.ids.push(self.id);
            }
            self.line.clear();
        }
        Some(read > 0)
    }
}

impl TestApp {
    /// Adds events to a job's log, though nothing happens to it, and waits until they have their numbers.
    pub async fn add_events(&self, job: &str, count: usize) {
        self.insert_events(job, count).await;
        self.all_numbered().await;
    }

    /// The same without waiting.
    pub async fn insert_events(&self, job: &str, count: usize) {
        self.execute(&format!(
            "INSERT INTO events (tenant_id, job_id, type, data)
             SELECT tenant_id, id, 'transcription.processing', '{{\"status\": \"processing\"}}'
             FROM jobs, generate_series(1, {count}) WHERE id = '{job}'"
        ))
        .await;
    }

    /// Waits until every event that others are told has its number.
    pub async fn all_numbered(&self) {
        eventually("moment at which all have numbers", async || {
            let left: i64 = self
                .scalar(
                    "SELECT count(*) FROM events WHERE number IS NULL AND type NOT IN
                     ('transcription.submitting', 'transcription.requeued', 'transcription.unknown')",
                )
                .await;
            (left == 0).then_some(())
        })
        .await;
    }
}
