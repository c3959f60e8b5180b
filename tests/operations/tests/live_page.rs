//! The live page in a real browser, while the service works and while it drains.

use followthrough_operations_tests::{Chromium, Orders, has};
use followthrough_tests::{Leaving, Signal, soon};
use serde_json::json;

/// The reads that wait for the end of the service.
const READS: usize = 12;

/// Reads the cells of a handler's row in the page.
const ROW: &str = "(handler => [...document.querySelectorAll(`[data-handler=\"${handler}\"] td`)].slice(1, 4)\
    .map(cell => cell.textContent).join())";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_shows_the_work_while_it_runs_and_while_the_service_drains() {
    if !has("chromium").await {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (deadlines, db) = (dir.path().join("deadlines.toml"), dir.path().join("orders.db"));
    std::fs::write(&deadlines, "[deadline]\n\"orders::report::run\" = \"60s\"\n").unwrap();
    // A transfer runs seven statements one after the other, so it outlives the read grace.
    let args = ["--deadlines", deadlines.to_str().unwrap(), "--db", db.to_str().unwrap()];
    let graces = ["--grace", "30s", "--read-grace", "2s", "--slow", "1s"];
    let program = env!("CARGO_BIN_EXE_orders-under-test");
    let orders = Orders::start(program, &[args.as_slice(), &graces].concat()).await;
    let mut page = Chromium::open(orders.operations, "dark").await;
    page.until("document.querySelector('[aria-current]')?.textContent === 'running'").await;

    let mut reads = Vec::new();
    for _ in 0..READS {
        reads.push(orders.send("GET", "/report?rows=1000000000", "").await);
    }
    let body = r#"{"from": "tea", "to": "cocoa", "quantity": 1}"#;
    let transfer = orders.send("POST", "/transfers", body).await;
    orders.until("durable_work_begun_total", "", 1).await;
    page.until(&format!("{ROW}('orders::report::run') === '{READS},0,0'")).await;
    page.until(&format!("{ROW}('orders::transfers::create') === '1,1,0'")).await;
    drop(transfer.leave(Leaving::Reset).await);
    page.until(&format!("{ROW}('orders::transfers::create') === '0,1,1'")).await;
    page.until("document.querySelector('[data-end=\"499 client_disconnected\"]') !== null").await;

    let since = orders.process.signal(Signal::TERM);
    page.until("document.querySelector('[aria-current]').textContent === 'closing'").await;
    page.until(&format!("{ROW}('orders::report::run') === '{READS},0,0'")).await;
    page.until("document.querySelector('[aria-current]').textContent === 'stopping'").await;
    page.until(&format!("{ROW}('orders::transfers::create') === '0,1,1'")).await;
    let ended =
        "document.querySelector('[data-end=\"503 shutting_down\"] td:last-child')?.textContent";
    page.until(&format!("{ended} === '{READS}'")).await;
    for read in &mut reads {
        assert_eq!(read.answer().await.status, 503);
    }
    let exit = soon("the end", orders.process.exit(since)).await;
    page.until("document.getElementById('link').textContent === 'the service has ended'").await;
    page.until("document.querySelector('[aria-current]').textContent === 'ended'").await;
    // The last snapshot agrees with the report.
    let tiles =
        ["requests", "durable", "detached", "followed", "left", "late", "refused", "abandoned"];
    let shown = "map(id => Number(document.getElementById(id).textContent))";
    let shown = page.evaluate(&format!("{}.{shown}", json!(tiles))).await;
    let cancelled = &exit.report["cancelled"];
    let [left, late, refused] = ["client_disconnected", "deadline_exceeded", "refused"];
    let followed = exit.durable("followed_through");
    let report =
        json!([0, 0, 0, followed, cancelled[left], cancelled[late], cancelled[refused], 0]);
    assert_eq!(shown, report);
    assert_eq!((followed, &cancelled[left]), (1, &json!(1)), "{exit}");
}
