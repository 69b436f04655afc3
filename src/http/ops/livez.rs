//! `GET /livez`: the process answers. Restarting it would not mend anything that it waits for.

/// Says so.
pub async fn get_livez() -> &'static str {
    "ok\n"
}
