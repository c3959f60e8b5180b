//! Writes: before their point of no return they stop, and after it they follow through.

use std::error::Error;

use serde_json::json;

use super::client::Call;
use super::scene::Scene;
use super::stage::{LIMIT, Stage};
use crate::recount::BATCH;

type Played = Result<Scene, Box<dyn Error>>;

const PLACE: &str = "orders::orders::place";

pub(super) async fn hang_up_before_the_charge(stage: &mut Stage) -> Played {
    let mut scene = Scene::begin("orders 2 tea, and hangs up before the charge");
    let (before, charges, mark) = (stage.facts().await?, stage.provider.totals(), stage.log.mark());
    let order = json!({ "sku": "tea", "quantity": 2 });
    let call = Call::post(stage.server, "/orders", "early", &order).await?;
    let arrived = stage.until(|| stage.lifecycle.in_flight().requests > 0).await;
    scene.check("the request to arrive", arrived);

    call.hang_up();
    stage.expected.disconnects += 1;
    scene.check("the disconnect in the log within 100 ms", stage.noticed(mark, PLACE).await);
    let gone = stage.until(|| stage.lifecycle.in_flight().requests == 0).await;
    scene.check("the request to be gone", gone);
    let (after, now) = (stage.facts().await?, stage.provider.totals());
    scene.check_eq("the database", &after, &before);
    scene.check_eq("the charges", &now, &charges);
    scene.saw("nothing, it had left");
    scene.holds(format!("{} orders, {} charges, {} tea", after.orders, now.0, after.tea));
    Ok(scene)
}

pub(super) async fn hang_up_during_the_charge(stage: &mut Stage) -> Played {
    let mut scene = Scene::begin(
        "orders 2 tea, hangs up during the charge, and sends the order again at once, with the same idempotency key",
    );
    let (before, charges, mark) = (stage.facts().await?, stage.provider.totals(), stage.log.mark());
    let joined = stage.lifecycle.counts().idempotency.joined;
    let order = json!({ "sku": "tea", "quantity": 2 });
    let call = Call::post(stage.server, "/orders", "late", &order).await?;
    let asked = stage.until(|| stage.provider.totals() != charges).await;
    scene.check("the provider to be asked", asked);

    call.hang_up();
    stage.expected.disconnects += 1;
    stage.expected.durable += 1;
    scene.check("the disconnect in the log within 100 ms", stage.noticed(mark, PLACE).await);
    scene.check_eq("orders, so far", &stage.facts().await?.orders, &before.orders);
    let again = Call::post(stage.server, "/orders", "late", &order).await?.answer().await?;
    scene.check_eq("the status of the second request", &again.status, &201);
    let joined = stage.lifecycle.counts().idempotency.joined - joined;
    scene.check_eq("requests that joined the order under way", &joined, &1);
    scene.check_eq("orders", &stage.facts().await?.orders, &(before.orders + 1));
    let placed = stage.until_logged(mark, &["POST", "/orders", "order placed"]).await;
    scene.check("the order in the log, in the request's span", placed);
    let after = stage.facts().await?;
    scene.check_eq("tea", &after.tea, &(before.tea - 2));
    scene.check_eq("the outbox", &after.outbox, &(before.outbox + 1));
    let now = stage.provider.totals();
    scene.check_eq("charges and refunds", &now, &(charges.0 + 1, charges.1));
    scene.saw(format!("nothing, it had left; then {}, order {}", again.status, again.body["id"]));
    scene.holds(format!(
        "{} order, {} charge, {} outbox row, {} tea: it followed through, once",
        after.orders, now.0, after.outbox, after.tea
    ));
    Ok(scene)
}

pub(super) async fn ask_again(stage: &mut Stage) -> Played {
    let mut scene = Scene::begin("sends that order a third time, when it is done");
    let (before, charges) = (stage.facts().await?, stage.provider.totals());
    let order = json!({ "sku": "tea", "quantity": 2 });
    let answer = Call::post(stage.server, "/orders", "late", &order).await?.answer().await?;

    scene.check_eq("the status", &answer.status, &201);
    let replayed = answer.header("idempotency-replayed");
    scene.check_eq("the mark of a replay", &replayed, &Some("true"));
    let path = format!("/orders/{}", answer.body["id"]);
    let stored = Call::get(stage.server, &path).await?.answer().await?;
    scene.check_eq("the order in the answer", &answer.body, &stored.body);
    let (after, now) = (stage.facts().await?, stage.provider.totals());
    scene.check_eq("the database", &after, &before);
    scene.check_eq("the charges", &now, &charges);
    scene.saw(format!("{}, order {}, from the store", answer.status, answer.body["id"]));
    scene.holds(format!("still {} order and {} charge", after.orders, now.0));
    Ok(scene)
}

pub(super) async fn order_more_with_that_key(stage: &mut Stage) -> Played {
    let mut scene = Scene::begin("orders 3 tea with the key of the 2");
    let (before, charges) = (stage.facts().await?, stage.provider.totals());
    let order = json!({ "sku": "tea", "quantity": 3 });
    let answer = Call::post(stage.server, "/orders", "late", &order).await?.answer().await?;

    scene.check_eq("the status", &answer.status, &422);
    let media_type = answer.header("content-type");
    scene.check_eq("the media type", &media_type, &Some("application/problem+json"));
    let (after, now) = (stage.facts().await?, stage.provider.totals());
    scene.check_eq("the database", &after, &before);
    scene.check_eq("the charges", &now, &charges);
    scene.saw(format!("{}: the key is that of another order", answer.status));
    scene.holds(format!("still {} order and {} charge", after.orders, now.0));
    Ok(scene)
}

pub(super) async fn hang_up_in_a_hold(stage: &mut Stage) -> Played {
    let mut scene = Scene::begin("puts 5 tea on hold, and hangs up before the answer");
    let (before, mark) = (stage.facts().await?, stage.log.mark());
    let hold = json!({ "sku": "tea", "quantity": 5 });
    let call = Call::post(stage.server, "/holds", "hold", &hold).await?;
    let stored = stage.until_facts(|facts| facts.holds == 1 && facts.tea == before.tea - 5).await?;
    scene.check("the hold to be stored", stored);

    call.hang_up();
    stage.expected.disconnects += 1;
    let noticed = stage.noticed(mark, "orders::holds::create").await;
    scene.check("the disconnect in the log within 100 ms", noticed);
    let released = stage.until_facts(|facts| *facts == before).await?;
    scene.check("the database as before", released);
    let logged = stage.until_logged(mark, &["hold released"]).await;
    scene.check("the release in the log", logged);
    scene.saw("nothing, it had left");
    let after = stage.facts().await?;
    let fate = if released { "it was there, and was released" } else { "not released" };
    scene.holds(format!("{} holds, {} tea: {fate}", after.holds, after.tea));
    Ok(scene)
}

pub(super) async fn hang_up_in_a_transfer(stage: &mut Stage) -> Played {
    let mut scene = Scene::begin("transfers 10 from tea to coffee, and hangs up at once");
    let (before, mark) = (stage.facts().await?, stage.log.mark());
    let transfer = json!({ "from": "tea", "to": "coffee", "quantity": 10 });
    let call = Call::post(stage.server, "/transfers", "transfer", &transfer).await?;
    let handler = "orders::transfers::create";
    let begun = stage.until(|| stage.lifecycle.in_flight().of(handler) == 1).await;
    scene.check("the transfer to begin", begun);

    call.hang_up();
    stage.expected.disconnects += 1;
    stage.expected.durable += 1;
    let noticed = stage.noticed(mark, handler).await;
    scene.check("the disconnect in the log within 100 ms", noticed);
    let stored = stage.until_facts(|facts| facts.transfers == before.transfers + 1).await?;
    scene.check("the transfer to be stored", stored);
    let after = stage.facts().await?;
    scene.check_eq("tea", &after.tea, &(before.tea - 10));
    scene.check_eq("coffee", &after.coffee, &(before.coffee + 10));
    scene.saw("nothing, it had left");
    scene.holds(format!("the transfer: {} tea, {} coffee", after.tea, after.coffee));
    Ok(scene)
}

pub(super) async fn hang_up_in_a_recount(stage: &mut Stage) -> Played {
    let mut scene = Scene::begin("starts a recount of 40 items, and hangs up after a dozen");
    let mark = stage.log.mark();
    let call = Call::post(stage.server, "/recount", "recount", &json!({})).await?;
    let begun = stage.until_facts(|facts| facts.recounted >= 12).await?;
    scene.check("three batches", begun);

    call.hang_up();
    stage.expected.disconnects += 1;
    stage.expected.durable += 1;
    let noticed = stage.noticed(mark, "orders::recount::run").await;
    scene.check("the disconnect in the log within 100 ms", noticed);
    let stopped = stage.until_logged(mark, &["recount stopped", "client_disconnected"]).await;
    scene.check("in the log that it stopped, and why", stopped);
    let counted = stage.facts().await?.recounted;
    let said = stage.log.find(mark, &["recount stopped", &format!("counted={counted} of=40")]);
    scene.check(format!("counted={counted} of=40 in the log"), said.len() == 1);
    let whole = counted > 0 && counted < 40 && counted % i64::try_from(BATCH)? == 0;
    scene.check(format!("some whole batches, and it is {counted} items"), whole);
    scene.saw("nothing, it had left");
    scene.holds(format!("{counted} of 40 items recounted, in whole batches of {BATCH}"));
    Ok(scene)
}

pub(super) async fn race_for_the_last(stage: &mut Stage) -> Played {
    let mut scene = Scene::begin("2 clients order the last 3 kettles at once");
    let (before, (charges, refunds)) = (stage.facts().await?, stage.provider.totals());
    let order = json!({ "sku": "kettle", "quantity": 3 });
    let one = Call::post(stage.server, "/orders", "one", &order).await?;
    let two = Call::post(stage.server, "/orders", "two", &order).await?;
    let mut statuses = [one.answer().await?.status, two.answer().await?.status];
    statuses.sort_unstable();

    stage.expected.durable += 2;
    scene.check_eq("the answers", &statuses, &[201, 409]);
    let after = stage.facts().await?;
    scene.check_eq("new orders", &(after.orders - before.orders), &1);
    scene.check_eq("kettles", &after.kettles, &(before.kettles - 3));
    let now = stage.provider.totals();
    scene.check_eq("charges and refunds", &now, &(charges + 2, refunds + 1));
    scene.saw(format!("{} and {}", statuses[0], statuses[1]));
    scene.holds(format!(
        "{} order more, {} charges more, {} refunded, {} kettles",
        after.orders - before.orders,
        now.0 - charges,
        now.1 - refunds,
        after.kettles
    ));
    Ok(scene)
}

pub(super) async fn saturate(stage: &mut Stage) -> Played {
    let mut scene = Scene::begin("8 clients order at once; 3 charges may be under way");
    let (before, charges) = (stage.facts().await?, stage.provider.totals());
    let order = json!({ "sku": "coffee", "quantity": 1 });
    let mut calls = Vec::new();
    for number in 0..8 {
        let key = format!("crowd-{number}");
        calls.push(Call::post(stage.server, "/orders", &key, &order).await?);
    }
    let (mut created, mut refused) = (0, 0);
    for call in calls {
        let answer = call.answer().await?;
        match answer.status {
            201 => created += 1,
            503 => {
                refused += 1;
                scene.check("a Retry-After", answer.header("retry-after").is_some());
                scene.check_eq("the outcome", &answer.body["outcome"], &"not_begun".into());
            }
            other => scene.check(format!("201 or 503, and one is {other}"), false),
        }
    }

    stage.expected.durable += created;
    stage.expected.refused += refused;
    scene.check_eq("the 201s", &created, &(LIMIT as u64));
    scene.check_eq("the 503s", &refused, &(8 - LIMIT as u64));
    let after = stage.facts().await?;
    let new_orders = after.orders - before.orders;
    scene.check_eq("new orders", &new_orders, &i64::try_from(created)?);
    scene.check_eq("coffee", &after.coffee, &(before.coffee - i64::try_from(created)?));
    let new_charges = stage.provider.totals().0 - charges.0;
    scene.check_eq("new charges", &new_charges, &LIMIT);
    scene.saw(format!("{created} times 201, {refused} times 503 with Retry-After"));
    scene.holds(format!("{new_orders} orders more, {new_charges} charges more"));
    Ok(scene)
}
