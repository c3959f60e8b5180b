//! The end of the service during a write.

use std::error::Error;

use serde_json::json;
use tokio::net::TcpStream;

use super::client::Call;
use super::reads::ENDLESS;
use super::scene::Scene;
use super::stage::Stage;

type Played = Result<Scene, Box<dyn Error>>;

pub(super) async fn mid_write(stage: &mut Stage) -> Played {
    let mut scene = Scene::begin(
        "orders 2 tea, waits for a report, listens to the events: the service is told to stop",
    );
    let (before, charges) = (stage.facts().await?, stage.provider.totals());
    let mut events = Call::get(stage.server, "/events").await?;
    events.read_until("\r\n\r\n").await?;
    let order = json!({ "sku": "tea", "quantity": 2 });
    let write = Call::post(stage.server, "/orders", "last", &order).await?;
    let asked = stage.until(|| stage.provider.totals() != charges).await;
    scene.check("the provider to be asked", asked);
    let read = Call::get(stage.server, ENDLESS).await?;
    scene.check("the query to run", stage.until_database_busy().await);

    stage.lifecycle.shutdown();
    stage.expected.durable += 1;
    let (read, write) = (read.answer().await?, write.answer().await?);
    scene.check_eq("the read's status", &read.status, &503);
    scene.check_eq("the read's cause", &read.body["cause"], &"shutting_down".into());
    scene.check("a Retry-After", read.header("retry-after").is_some());
    scene.check_eq("the read's connection", &read.header("connection"), &Some("close"));
    scene.check_eq("the write's status", &write.status, &201);
    // The last chunk, which a cut body does not have.
    let bye = events.read_until("event: bye\n").await.is_ok();
    let ended = bye && events.read_until("\r\n0\r\n\r\n").await.is_ok();
    scene.check("the events to say goodbye and end cleanly", ended);

    let report = stage.report().await?;
    let refused = TcpStream::connect(stage.server).await.is_err();
    scene.check("new connections to be refused", refused);
    let after = stage.facts().await?;
    scene.check_eq("new orders", &(after.orders - before.orders), &1);
    scene.check_eq("tea", &after.tea, &(before.tea - 2));
    scene.saw(format!(
        "{} for the order, {} for the report, the goodbye of the events",
        write.status,
        read.summary()
    ));
    scene.holds(format!("the order: {} in all, {} tea", after.orders, after.tea));

    let (expected, durable) = (&stage.expected, &report.durable);
    scene.check_eq("durable work begun", &durable.begun, &expected.durable);
    scene.check_eq("durable work completed", &durable.completed, &expected.durable);
    scene.check_eq("work abandoned", &report.abandoned.len(), &0);
    let cancelled = &report.cancelled;
    scene.check_eq("disconnects", &cancelled.client_disconnected, &expected.disconnects);
    scene.check_eq("deadlines", &cancelled.deadline_exceeded, &expected.deadlines);
    // The report, and the events.
    scene.check_eq("reads that shutdown ended", &cancelled.shutting_down, &2);
    scene.check_eq("refusals", &cancelled.refused, &expected.refused);
    scene.check_eq("the exit code", &report.exit_code(), &0);
    println!("\n{report}");
    Ok(scene)
}

pub(super) async fn audit(stage: &mut Stage) -> Played {
    let mut scene = Scene::begin("(an auditor reads the books afterwards)");
    let facts = stage.facts().await?;
    let (charges, refunds) = stage.provider.totals();
    let paid = i64::try_from(charges - refunds)?;
    scene.check_eq("charges that stand", &paid, &facts.orders);
    scene.check_eq("outbox rows", &facts.outbox, &facts.orders);
    scene.check_eq("goods in stock, ordered and on hold", &facts.goods, &stage.goods_at_start);
    scene.saw(format!("{charges} charges, {refunds} of them refunded"));
    scene.holds(format!(
        "{} orders, {} outbox rows; {} items, of {} at the start",
        facts.orders, facts.outbox, facts.goods, stage.goods_at_start
    ));
    Ok(scene)
}
