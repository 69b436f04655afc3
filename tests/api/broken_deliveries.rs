//! What goes wrong on this side of a delivery, and costs neither its receiver nor anybody else.

use crate::support::{
    TestApp, eventually,
    receiver::{Receiver, Reply},
};

const DONE: &[&str] = &["transcription.done"];

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_which_no_delivery_can_be_made_keeps_nobody_else_from_being_told() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    app.pause_dispatch().await;
    let broken = app.acme.start("a.mp3").await;
    app.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'nobody foresaw this'; END $$",
    )
    .await;
    app.execute(&format!(
        "CREATE TRIGGER refuse BEFORE INSERT ON deliveries
             FOR EACH ROW WHEN (NEW.job_id = '{broken}') EXECUTE FUNCTION refuse()"
    ))
    .await;
    let endpoint = app.add_endpoint(&app.globex, &receiver.url(), DONE).await;
    app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    app.resume_dispatch().await;
    app.acme.wait_until_done(&broken).await;
    app.globex.start("b.mp3").await;
    app.wait_for_deliveries(&endpoint, &["delivered"]).await;
    // It is told of in every other way, and what comes after it in all of them.
    app.all_numbered().await;
    let page = app.acme.get("/v1/events?types=transcription.done").await;
    let events = page.expect(200)["events"].clone();
    assert_eq!(events[0]["data"]["transcription_id"], broken);
    app.acme.start("c.mp3").await;
    receiver.wait_for(2).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_whose_secret_cannot_be_opened_shows_so_and_is_no_failure_of_its_receiver() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    app.execute("CREATE TABLE kept AS SELECT id, sealed FROM signing_secrets")
        .await;
    app.execute("UPDATE signing_secrets SET sealed = '\\x00'")
        .await;
    app.acme.start("a.mp3").await;
    app.wait_for_tries("true", 1).await;
    let delivery = app.deliveries_to(&endpoint).await[0].clone();
    assert_eq!((delivery.status.as_str(), delivery.tries), ("pending", 1));
    let shown = app
        .acme
        .get(&format!("/v1/deliveries/{}", delivery.id))
        .await;
    assert_eq!(shown.expect(200)["attempts"][0]["error"], "internal");
    assert_eq!(app.lane(&endpoint).await, (0, false));
    app.execute("UPDATE signing_secrets s SET sealed = k.sealed FROM kept k WHERE k.id = s.id")
        .await;
    app.set_clock_ahead("7 seconds").await;
    app.wait_for_deliveries(&endpoint, &["delivered"]).await;
    assert_eq!(receiver.received().len(), 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_die_again_and_again_do_not_use_up_the_schedule() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(Reply::Status(500)).await;
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), DONE).await;
    app.acme.start("a.mp3").await;
    app.wait_for_tries("true", 1).await;
    let id = app.deliveries_to(&endpoint).await[0].id;
    // The tenth try, of eleven, whose process has died like two before it; and the same with one.
    for (interrupted, status, tries) in [(3, "pending", 10), (1, "dead", 11)] {
        app.execute("DELETE FROM delivery_attempts").await;
        app.execute(&format!(
            "INSERT INTO delivery_attempts (delivery_id, number, started_at, duration_ms, error)
             SELECT id, n, gateway_now(), 1, 'interrupted' FROM deliveries, generate_series(1, {interrupted}) n"
        ))
        .await;
        app.execute(
            "UPDATE deliveries SET tries = 10, lease_until = gateway_now() - interval '1 second',
                                   next_try_at = gateway_now()",
        )
        .await;
        eventually("another try", async || {
            let tried = app.tries(id).await.last()?.http_status;
            (tried == Some(500)).then_some(())
        })
        .await;
        let delivery = app.deliveries_to(&endpoint).await[0].clone();
        assert_eq!((delivery.status.as_str(), delivery.tries), (status, tries));
    }
    app.finish().await;
}
