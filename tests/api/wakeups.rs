//! What processes tell each other by way of the database.

use sqlx::postgres::PgListener;

use crate::support::TestApp;

const CHANNEL: &str = "gladia_gateway_events";

#[tokio::test(flavor = "multi_thread")]
async fn a_process_notifies_others_once_it_has_heard_of_one() {
    let app = TestApp::start().await;
    let mut listener = PgListener::connect_with(&app.pool).await.unwrap();
    listener.listen(CHANNEL).await.unwrap();
    let id = app.acme.start("a.mp3").await;
    app.acme.wait_until_done(&id).await;
    app.all_numbered().await;
    // As another process would, and so what this one has heard of.
    app.execute(&format!("SELECT pg_notify('{CHANNEL}', 'another')"))
        .await;
    assert_eq!(listener.recv().await.unwrap().payload(), "another");
    let heard = async {
        loop {
            app.acme.start("b.mp3").await;
            let notified = listener.recv();
            let bound = std::time::Duration::from_secs(2);
            if let Ok(notified) = tokio::time::timeout(bound, notified).await {
                return notified.unwrap().payload().to_owned();
            }
        }
    };
    assert_ne!(heard.await, "another");
    // Its connection is of the pool, which is waited for.
    drop(listener);
    app.finish().await;
}
