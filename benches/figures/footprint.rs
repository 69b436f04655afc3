//! How little the gateway needs: the size of the program that ships, how long until it is ready where the migrations are
//! done, and the memory in which it then waits for work.
//!
//! The program is built as the image's is, which takes minutes. `--quick` takes the benchmark's own build instead, which has
//! the developers' tools in it and so is larger.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::ensure;
use tokio::time::sleep;

use crate::kit::{
    Scale, cpu,
    processes::Program,
    start_postgres,
    table::{Goal, Row, milliseconds},
    wire::Wire,
};

/// What `Dockerfile` builds it with.
const BUILD: [&str; 6] = [
    "build",
    "--release",
    "--locked",
    "--no-default-features",
    "--features",
    "otel",
];

/// Measures it over some starts.
pub async fn measure(scale: Scale) -> anyhow::Result<Vec<Row>> {
    let quick = PathBuf::from(env!("CARGO_BIN_EXE_gladia-gateway"));
    let (program, built) = if scale.is_quick {
        eprintln!("footprint: of the benchmark's build, which is larger than the one that ships");
        (quick, "this build")
    } else {
        (build(&quick)?, "as shipped")
    };
    let megabytes = fs::metadata(&program)?.len() / 1000;
    let postgres = start_postgres().await?;
    let mut ready = Row::new("footprint, start to ready", "ms").goal(Goal::AtMost(150.0));
    let mut resident = Row::new("footprint, resident when idle", "MB").goal(Goal::AtMost(25.0));
    let start = async || {
        let begin = Instant::now();
        let url = postgres.url("gateway");
        let gateway = Program::gateway_of(&program, &url, "http://127.0.0.1:9", &[]).await?;
        let mut probe = Wire::open(&gateway.url).await?;
        probe.get("/readyz").await?;
        probe.expect(200).await?;
        anyhow::Ok((gateway, begin.elapsed()))
    };
    // It applies the migrations.
    let (first, _) = start().await?;
    first.end().await?;
    for _ in 0..scale.of(9, 5) {
        // The processes of Postgres that served the one before end after it.
        sleep(Duration::from_secs(1)).await;
        let (gateway, took) = start().await?;
        ready.add_alone(milliseconds(took));
        sleep(Duration::from_secs(scale.of(10, 3))).await;
        let (bytes, _) = cpu::resident_bytes(gateway.pid())?;
        resident.add_alone(f64::from(u32::try_from(bytes / 1000)?) / 1000.0);
        gateway.end().await?;
    }
    postgres.stop().await?;
    let size = f64::from(u32::try_from(megabytes)?) / 1000.0;
    let size = Row::single(format!("footprint, binary {built}"), "MB", size);
    Ok(vec![size.goal(Goal::AtMost(30.0)), ready, resident])
}

/// Builds the program that ships, beside the benchmark's and from the same libraries.
fn build(of_bench: &Path) -> anyhow::Result<PathBuf> {
    eprintln!("footprint: building what ships");
    // Cargo puts the two in one place. The other figures' is laid aside meanwhile.
    let laid_aside = of_bench.with_extension("bench");
    let shipped = of_bench.with_extension("shipped");
    fs::rename(of_bench, &laid_aside)?;
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let built = Command::new(cargo)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(BUILD)
        .arg("--quiet")
        // target/release/gladia-gateway
        .arg("--target-dir")
        .arg(of_bench.ancestors().nth(2).unwrap())
        .env("SQLX_OFFLINE", "true")
        .stdin(Stdio::null())
        .status()
        .map_err(anyhow::Error::from)
        .and_then(|status| {
            ensure!(status.success(), "what ships does not build");
            Ok(fs::rename(of_bench, &shipped)?)
        });
    fs::rename(&laid_aside, of_bench)?;
    built.map(|()| shipped)
}
