//! Accepted jobs per second: `POST /v1/transcriptions` with 600 bytes of options, with an idempotency key and without, against
//! a server that inserts the same row and nothing else (`floors/accept.rs`).
//!
//! The load comes from wrk. The cap is one job, and Gladia never calls back, so that all but the first wait in line: what
//! dispatch does about each new job is in the figure, but no time goes into sending. Events get their numbers meanwhile,
//! as always. Beside it pgbench inserts the floor's row without any server in between, and, against the same floor, a program
//! inserts the rows that accepting a job takes, and does nothing else (`floors/rows.rs`).

mod pgbench;

use std::time::Duration;

use sqlx::PgPool;

use crate::kit::{
    API_KEY, Scale,
    duel::Duel,
    gladia::FakeGladia,
    processes::Program,
    start_postgres,
    table::{Goal, Row},
    wrk::{self, Script},
};

const CONNECTIONS: [usize; 3] = [1, 8, 64];

/// 600 bytes with the address of the audio.
const OPTIONS: &str = r#""language_config":{"languages":["en","fr"],"code_switching":true},"diarization":true,"diarization_config":{"min_speakers":2,"max_speakers":5},"custom_vocabulary":true,"custom_vocabulary_config":{"vocabulary":["Gladia",{"value":"Westeros","pronunciations":["Ouesteros"],"intensity":0.4,"language":"en"}],"default_intensity":0.6},"summarization":true,"summarization_config":{"type":"bullet_points"},"translation":true,"translation_config":{"target_languages":["de"],"model":"base","match_original_utterances":true},"sentences":true,"punctuation_enhanced":true"#;

/// Measures it.
pub async fn measure(scale: Scale) -> anyhow::Result<Vec<Row>> {
    if !wrk::is_there("accept") {
        return Ok(Vec::new());
    }
    let block = scale.of(Duration::from_millis(1500), Duration::from_millis(350));
    let postgres = start_postgres().await?;
    let gladia = FakeGladia::start().await?;
    let cap = [("MAX_IN_FLIGHT", "1")];
    let gateway = Program::gateway(&postgres.url("gateway"), &gladia.url, &cap).await?;
    let floor = Program::floor("accept", &postgres.url("floor"), "").await?;
    let all_rows = Program::floor("rows", &postgres.url("rows"), "").await?;
    let server = PgPool::connect(&postgres.url("postgres")).await?;
    let duel = Duel {
        gateway: &gateway,
        floor: &floor,
        server: &server,
    };
    let url = format!("{}/v1/transcriptions", gateway.url);
    let rows_url = format!("{}/jobs", all_rows.url);
    let scripts = [("", script(false)?), (", key", script(true)?)];
    // Postgres settles on a plan when a connection has run a statement five times, and each has many connections.
    for (_, script) in &scripts {
        wrk::load(&url, script, 64, Duration::from_millis(700)).await?;
        wrk::load(&floor.url, script, 64, Duration::from_millis(700)).await?;
        wrk::load(&rows_url, script, 64, Duration::from_millis(700)).await?;
    }
    let mut rows = Vec::new();
    for connections in CONNECTIONS {
        for (name, script) in &scripts {
            let name = format!("accept, {connections} connections{name}");
            let mut row = Row::new(name, "/s").goal(Goal::AtLeast(0.8));
            let ours = || wrk::load(&url, script, connections, block);
            let least = || wrk::load(&floor.url, script, connections, block);
            duel.run(&mut row, ours, least).await?;
            rows.push(row);
        }
    }
    let duel = Duel {
        gateway: &all_rows,
        ..duel
    };
    for connections in CONNECTIONS {
        let (_, script) = &scripts[0];
        let name = format!("accept, {connections} connections, its rows alone");
        let mut row = Row::new(name, "/s");
        let ours = || wrk::load(&rows_url, script, connections, block);
        let least = || wrk::load(&floor.url, script, connections, block);
        duel.run(&mut row, ours, least).await?;
        rows.push(row);
    }
    rows.extend(pgbench::rows(&postgres.url("floor"), &CONNECTIONS, OPTIONS, scale).await?);
    drop((gateway, floor, all_rows));
    server.close().await;
    postgres.stop().await?;
    Ok(rows)
}

/// Each request of it is another one, also where the script runs again.
fn script(has_key: bool) -> anyhow::Result<Script> {
    let key = if has_key {
        r#"headers["idempotency-key"] = string.format("bench-%d-%d", run, count)"#
    } else {
        ""
    };
    let lua = format!(
        r#"
        local run, count = 0, 0
        local headers = {{ ["content-type"] = "application/json", ["authorization"] = "Bearer {API_KEY}" }}
        function init(args)
            local random = io.open("/dev/urandom", "rb")
            local a, b, c, d, e, f = random:read(6):byte(1, 6)
            random:close()
            run = ((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f
        end
        function request()
            count = count + 1
            {key}
            local audio = string.format("https://audio.example.com/calls/%d/%d.mp3", run, count)
            return wrk.format("POST", nil, headers, '{{"audio_url":"' .. audio .. '",{OPTIONS}}}')
        end
        "#
    );
    Script::write(if has_key { "key" } else { "plain" }, &lua)
}
