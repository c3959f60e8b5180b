//! Takes a picture of the live page under load, as `screenshot FILE [dark]`.
//! `cargo build -p followthrough-operations-tests` builds the service beside this program.

use std::{env, path::Path, time::Duration};

use followthrough_operations_tests::{Chromium, Orders, has};
use followthrough_tests::{Leaving, Signal};
use tokio::time::sleep;

#[tokio::main]
async fn main() {
    let mut arguments = env::args().skip(1);
    let picture = arguments.next().expect("the first argument is a path");
    let scheme = arguments.next().unwrap_or_else(|| "light".to_owned());
    assert!(has("chromium").await, "there is no browser");
    let program = env::current_exe().expect("it has a path").with_file_name("orders-under-test");
    let program = program.to_str().expect("it is text");
    let dir = tempfile::tempdir().expect("a directory can be made");
    let db = dir.path().join("orders.db");
    let args =
        ["--db", db.to_str().expect("it is text"), "--slow", "5ms", "--max-durable-writes", "24"];
    let orders = Orders::start(program, &args).await;
    let mut page = Chromium::open(orders.operations, &scheme).await;
    orders.call("PUT", "/stock/tea", r#"{"quantity": 1000000}"#).await;

    let order = r#"{"sku": "tea", "quantity": 1}"#;
    let reports = (0..3).map(|_| orders.send("GET", "/report?rows=1000000000", ""));
    let mut patient = Vec::new();
    for report in reports {
        patient.push(report.await);
    }
    let mut waiting = Vec::new();
    for wave in 0..110_usize {
        for _ in 0..1 + wave % 7 * (wave % 13) / 12 + wave / 40 {
            waiting.push((wave, orders.send("POST", "/orders", order).await));
        }
        waiting.push((wave, orders.send("GET", "/report?rows=3000000", "").await));
        if wave % 5 == 0 {
            patient.push(orders.send("GET", "/orders/1", "").await);
            patient.push(orders.send("POST", "/orders", order).await);
            patient.push(orders.send("POST", "/recount", "").await);
            patient
                .push(orders.send("POST", "/orders", r#"{"sku": "kettle", "quantity": 9}"#).await);
        }
        if wave % 9 == 0 {
            waiting.push((
                wave,
                orders
                    .send("POST", "/transfers", r#"{"from": "tea", "to": "cocoa", "quantity": 1}"#)
                    .await,
            ));
            waiting.push((
                wave,
                orders.send("POST", "/holds", r#"{"sku": "tea", "quantity": 1}"#).await,
            ));
        }
        sleep(Duration::from_millis(150)).await;
        // A client leaves after 0.3 s to 1 s.
        let is_due = |(since, _): &mut (usize, _)| wave - *since >= 2 + *since % 6;
        for (_, call) in waiting.extract_if(.., is_due) {
            drop(call.leave(Leaving::Reset).await);
        }
    }
    let since = orders.process.signal(Signal::TERM);
    page.until("document.querySelector('[aria-current]').textContent !== 'running'").await;
    page.until("Number(document.getElementById('detached').textContent) > 2").await;
    page.screenshot(Path::new(&picture)).await;
    drop((waiting, patient));
    println!("{}", orders.process.exit(since).await.report);
}
