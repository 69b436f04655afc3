//! What happens beyond capacity: more callers than can be served, none of whom waits between two creates.
//!
//! Connections are doubled until the rate of accepted creates rises by less than a tenth: that is saturation. Then blocks at
//! saturation and at twice as many connections take turns, and others at sixteen times as many. Callers who are shed come
//! again at once, which is worse than what `Retry-After` asks of them. Right after the last block, gateway and Postgres
//! crash, and what is still there is counted. wrk does not tell the latency of what is accepted from that of what is shed, so
//! the load is made here: prepared bytes on bare sockets.

use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use gladia_gateway::dev_tools::postgres::ShutdownMode;
use sqlx::PgPool;
use tokio::task::JoinSet;

use crate::kit::{
    API_KEY, PAIRS, Scale,
    processes::Program,
    start_postgres,
    table::{Goal, Row, milliseconds},
    wire::Wire,
};

/// More than saturate anything here.
const MOST_CONNECTIONS: usize = 512;

/// What the rate has to rise by for saturation not to be reached.
const RISE: f64 = 1.1;

/// Several times what saturates.
const FAR_BEYOND: usize = 16;

/// What came of a block.
struct Served {
    accepted: Vec<Duration>,
    shed: usize,
    took: Duration,
}

impl Served {
    fn rate(&self) -> f64 {
        number(self.accepted.len()) / self.took.as_secs_f64()
    }

    /// The latency of all but a hundredth of what was accepted.
    fn p99(&self) -> f64 {
        let mut all = self.accepted.clone();
        all.sort_unstable();
        let nth = all.len().saturating_sub(1) * 99 / 100;
        all.get(nth).copied().map_or(f64::NAN, milliseconds)
    }

    /// In percent.
    fn shed(&self) -> f64 {
        let (accepted, shed) = (number(self.accepted.len()), number(self.shed));
        100.0 * shed / (accepted + shed)
    }
}

/// Measures it.
pub async fn measure(scale: Scale) -> anyhow::Result<Vec<Row>> {
    let block = scale.of(Duration::from_secs(5), Duration::from_secs(1));
    let mut postgres = start_postgres().await?;
    // Nothing is dispatched: the one slot's create goes nowhere.
    let settings = [("MAX_IN_FLIGHT", "1")];
    let database_url = postgres.url("gateway");
    let gateway = Program::gateway(&database_url, "http://127.0.0.1:9", &settings).await?;
    let mut accepted = 0;
    let mut run = async |connections| {
        let served = load(&gateway.url, connections, block).await?;
        accepted += served.accepted.len();
        anyhow::Ok(served)
    };
    run(8).await?;
    let mut saturating = 8;
    let mut rate = run(saturating).await?.rate();
    while saturating < MOST_CONNECTIONS {
        let next = run(2 * saturating).await?.rate();
        if next < rate * RISE {
            break;
        }
        (saturating, rate) = (2 * saturating, next);
    }
    let (twice, beyond) = (2 * saturating, FAR_BEYOND * saturating);
    let mut rows = [
        Row::new(format!("overload, p99, {twice} to {saturating}"), "ms").goal(Goal::AtMost(3.0)),
        Row::new(format!("overload, p99, {beyond} to {saturating}"), "ms"),
        Row::new(format!("overload, rate, {twice} to {saturating}"), "/s"),
        Row::new(format!("overload, rate, {beyond} to {saturating}"), "/s"),
        Row::new(format!("overload, shed at {twice}"), "%"),
        Row::new(format!("overload, shed at {beyond}"), "%"),
    ];
    for _ in 0..PAIRS {
        let (at_twice, at_saturation) = (run(twice).await?, run(saturating).await?);
        let far_beyond = run(beyond).await?;
        rows[0].add(at_twice.p99(), at_saturation.p99());
        rows[1].add(far_beyond.p99(), at_saturation.p99());
        rows[2].add(at_twice.rate(), at_saturation.rate());
        rows[3].add(far_beyond.rate(), at_saturation.rate());
        rows[4].add_alone(at_twice.shed());
        rows[5].add_alone(far_beyond.shed());
    }
    // What Postgres has not written to its log by then is gone.
    drop(gateway);
    postgres.restart(ShutdownMode::Immediate).await?;
    let pool = PgPool::connect(&database_url).await?;
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM jobs")
        .fetch_one(&pool)
        .await?;
    pool.close().await;
    postgres.stop().await?;
    let lost = number(accepted) - number(usize::try_from(kept)?);
    let lost = Row::single("overload, accepted and lost", "", lost.abs()).goal(Goal::AtMost(0.0));
    Ok(rows.into_iter().chain([lost]).collect())
}

/// Creates jobs as fast as they are answered.
async fn load(url: &str, connections: usize, block: Duration) -> anyhow::Result<Served> {
    let request = create();
    let mut all = Vec::with_capacity(connections);
    for _ in 0..connections {
        all.push(Wire::open(url).await?);
    }
    let (start, mut callers) = (Instant::now(), JoinSet::new());
    for mut connection in all {
        let request = request.clone();
        callers.spawn(async move {
            let (mut accepted, mut shed) = (Vec::new(), 0);
            while start.elapsed() < block {
                let asked = Instant::now();
                connection.send(&request[..]).await?;
                match connection.status().await? {
                    202 => accepted.push(asked.elapsed()),
                    503 => shed += 1,
                    other => bail!("answered {other}"),
                }
            }
            anyhow::Ok((accepted, shed))
        });
    }
    let (mut accepted, mut shed) = (Vec::new(), 0);
    while let Some(of_caller) = callers.join_next().await {
        let of_caller = of_caller??;
        accepted.extend(of_caller.0);
        shed += of_caller.1;
    }
    let took = start.elapsed();
    ensure!(!accepted.is_empty(), "nothing was accepted");
    Ok(Served {
        accepted,
        shed,
        took,
    })
}

/// A create with 600 bytes of options.
fn create() -> Vec<u8> {
    let words: Vec<String> = (0..38).map(|at| format!("\"vocabulary{at:02}\"")).collect();
    let body = format!(
        r#"{{"audio_url":"https://audio.example.com/a.mp3","custom_vocabulary":true,"custom_vocabulary_config":{{"vocabulary":[{}]}}}}"#,
        words.join(",")
    );
    let length = body.len();
    let head = format!(
        "POST /v1/transcriptions HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {API_KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    (head + &body).into_bytes()
}

fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::NAN, f64::from)
}
