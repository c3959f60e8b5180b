//! Reads: a disconnect stops the read and its query.

use std::error::Error;
use std::time::{Duration, Instant};

use super::client::{Call, Http2};
use super::scene::Scene;
use super::stage::{Facts, Stage};

/// Minutes of work, unless the query is stopped.
pub(super) const ENDLESS: &str = "/report?rows=1000000000";

pub(super) const REPORT: &str = "orders::report::run";

type Played = Result<Scene, Box<dyn Error>>;

pub(super) async fn hang_up(stage: &mut Stage) -> Played {
    let mut scene = Scene::begin("asks for a report that takes minutes, and hangs up");
    let (before, mark) = (stage.facts().await?, stage.log.mark());
    let call = Call::get(stage.server, ENDLESS).await?;
    scene.check("the query to run", stage.until_database_busy().await);

    call.hang_up();
    stage.expected.disconnects += 1;
    scene.check("the disconnect in the log within 100 ms", stage.noticed(mark, REPORT).await);
    scene.saw("nothing, it had left");
    untouched(stage, &mut scene, &before).await?;
    Ok(scene)
}

pub(super) async fn reset_one_stream(stage: &mut Stage) -> Played {
    let mut scene = Scene::begin("does the same over HTTP/2, on one stream of two");
    let (before, mark) = (stage.facts().await?, stage.log.mark());
    let mut connection = Http2::connect(stage.server).await?;
    let doomed = connection.get(ENDLESS).await?;
    scene.check("the query to run", stage.until_database_busy().await);
    let other = connection.get("/stock/tea").await?;

    doomed.reset();
    stage.expected.disconnects += 1;
    scene.check("the reset in the log within 100 ms", stage.noticed(mark, REPORT).await);
    let status = other.status().await?;
    scene.check_eq("the other stream's status", &status, &200);
    scene.saw(format!("nothing on that stream, {status} on the other"));
    untouched(stage, &mut scene, &before).await?;
    Ok(scene)
}

pub(super) async fn run_into_the_deadline(stage: &mut Stage) -> Played {
    let mut scene = Scene::begin("asks for that report and stays; its deadline is 2 s");
    let (before, mark) = (stage.facts().await?, stage.log.mark());
    let start = Instant::now();
    let answer = Call::get(stage.server, ENDLESS).await?.answer().await?;
    let waited = start.elapsed();

    stage.expected.deadlines += 1;
    scene.check_eq("the status", &answer.status, &504);
    scene.check_eq("the cause", &answer.body["cause"], &"deadline_exceeded".into());
    let media_type = answer.header("content-type");
    scene.check_eq("the media type", &media_type, &Some("application/problem+json"));
    let on_time = waited.abs_diff(Duration::from_secs(2)) < Duration::from_millis(300);
    scene.check(format!("the answer after 2 s, and it took {waited:.1?}"), on_time);
    let logged = stage.until_logged(mark, &["WARN", REPORT, "deadline_exceeded"]).await;
    scene.check("the deadline in the log", logged);
    scene.saw(format!("{} after {waited:.1?}", answer.summary()));
    untouched(stage, &mut scene, &before).await?;
    Ok(scene)
}

/// Checks that the read left no row and no running query.
async fn untouched(stage: &Stage, scene: &mut Scene, before: &Facts) -> sqlx::Result<()> {
    let idle = stage.until_database_idle().await;
    let facts = stage.facts().await?;
    scene.check("the query to stop within 500 ms", idle);
    scene.check_eq("the database", &facts, before);
    let query = if idle { "the query was stopped, too" } else { "the query runs on" };
    scene.holds(format!("{} orders, {} tea; {query}", facts.orders, facts.tea));
    Ok(())
}
