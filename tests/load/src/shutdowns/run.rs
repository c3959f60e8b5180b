//! A run: start, clients, signal, end, verdict.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::books::Books;
use super::ledger::Ledger;
use super::plan::{self, GOODS, Plan, STOCK};
use super::{clients, http2, verdict};
use crate::Failure;
use crate::child::Service;
use crate::http1::{Connection, json};

/// Longer than the grace and its last second, so that a late end is reported as late.
const END: Duration = Duration::from_secs(plan::GRACE.as_secs() + 10);

/// Prints the line of the run. Returns whether it is good.
pub(super) async fn one(binary: &Path, seed: u64, clients: u64) -> Result<bool, Failure> {
    let mut random = Rng::with_seed(seed);
    let plan = Plan::draw(&mut random);
    // The directory has a prefix, because a bad run keeps it for inspection.
    let directory = tempfile::Builder::new().prefix("followthrough-load-").tempdir()?;
    let file = directory.path().join("orders.db");
    let service = Service::start(command(binary, &plan, &file)).await?;
    fill_shelves(service.address).await?;

    let ledger = Arc::new(Ledger::default());
    let mut running = JoinSet::new();
    for client in 0..clients {
        let (at, ledger, random) = (service.address, ledger.clone(), random.fork());
        running.spawn(async move {
            if client % 2 == 0 {
                clients::http1(at, &ledger, random).await;
            } else {
                http2::http2(at, &ledger, random).await;
            }
        });
    }
    sleep(plan.signal_after).await;
    ledger.signal();
    let ended = service.terminate(END).await?;
    let all_gone = async {
        while let Some(client) = running.join_next().await {
            client?;
        }
        Ok::<_, Failure>(())
    };
    timeout(END, all_gone).await.map_err(|_| "the clients do not end")??;

    let books = Books::read(&file).await?;
    let verdict = verdict::judge(&ledger, &books, &ended)?;
    println!("seed {seed}: {clients} clients, limit {}, {verdict}", plan.max_durable_writes);
    if !verdict.good() {
        std::fs::write(directory.path().join("orders.log"), ended.log.join("\n"))?;
        println!("  database and log are kept in {}", directory.keep().display());
    }
    Ok(verdict.good())
}

fn command(binary: &Path, plan: &Plan, file: &Path) -> Command {
    let ms = |time: Duration| format!("{}ms", time.as_millis());
    let mut command = Command::new(binary);
    command
        .args(["--port", "0", "--report", "json", "--grace", &ms(plan::GRACE)])
        .args(["--read-grace", &ms(plan.read_grace), "--slow", &ms(plan.slow)])
        .args(["--max-durable-writes", &plan.max_durable_writes.to_string()])
        .args(["--log", "orders=warn,orders::peers::payments=info,followthrough=warn", "--db"])
        .arg(file);
    command
}

/// Stocks more of each SKU than the clients can ask for.
async fn fill_shelves(at: SocketAddr) -> io::Result<()> {
    let mut connection = Connection::open(at).await?;
    for sku in GOODS {
        let level = format!(r#"{{"quantity":{STOCK}}}"#);
        let answer = connection.call(&json("PUT", &format!("/stock/{sku}"), "", &level)).await?;
        if answer.status != 200 {
            return Err(io::Error::other(format!("the stock cannot be set: {}", answer.body)));
        }
    }
    Ok(())
}
