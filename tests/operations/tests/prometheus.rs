//! After 10,000 clients have hung up, the last scrape in a real Prometheus, the report of the shutdown, the clients and
//! the database agree. The alerts and the dashboard of the example are evaluated on the same data.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use followthrough_operations_tests::{Orders, Prometheus, has, request, say};
use followthrough_tests::{Exit, Leaving, Signal, h1::Call};
use serde_json::Value;
use sqlx::{Connection, SqliteConnection};

/// The number of clients that hang up, half of them from reads and half of them from durable writes.
const HANG_UPS: u32 = 10_000;
/// The number of writes at a time, and the limit of the durable writes.
const AT_ONCE: u32 = 250;
/// Fewer connections than the kernel keeps for the service to accept: one more is delayed by a second.
const BACKLOG: u32 = 50;
const ORDER: &str = r#"{"sku": "tea", "quantity": 1}"#;
const TRANSFER: &str = r#"{"from": "tea", "to": "cocoa", "quantity": 1}"#;
/// A query without an end.
const REPORT: &str = "/report?rows=1000000000";
/// The end of the process makes the series stale, so a query for the last scrape looks back.
const LAST: &str = "[1h]";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/orders/operations")
}

/// The counts of the clients.
#[derive(Default)]
struct Clients {
    left: u32,
    answered: BTreeMap<u16, u32>,
}

impl Clients {
    async fn answer(&mut self, mut call: Call) {
        *self.answered.entry(call.answer().await.status).or_default() += 1;
    }

    /// Has each client hang up, unless its answer came first.
    async fn leave(&mut self, calls: Vec<Call>) {
        for call in calls {
            if call.has_begun() {
                self.answer(call).await;
            } else {
                drop(call.leave(Leaving::Reset).await);
                self.left += 1;
            }
        }
    }

    fn answered(&self, status: u16) -> u32 {
        self.answered.get(&status).copied().unwrap_or_default()
    }
}

/// Opens connections first, so that the requests arrive within milliseconds of each other.
async fn connect(orders: &Orders, number: u32) -> Vec<Call> {
    let mut calls = Vec::new();
    for opened in 1..=number {
        calls.push(orders.connect().await);
        if opened % BACKLOG == 0 {
            orders.until("connections", "", opened).await;
        }
    }
    calls
}

async fn send(calls: &mut [Call], method: &str, path: &str, body: &str) {
    for call in calls {
        call.more(&request(method, path, body)).await;
    }
}

/// Runs the clients. The last of them hang up right before the function returns.
async fn run(orders: &Orders) -> Clients {
    let mut clients = Clients::default();
    clients.answer(orders.send("PUT", "/stock/tea", r#"{"quantity": 1000000}"#).await).await;
    let mut reports = connect(orders, 3).await;
    // These end by their deadline of 2 s.
    send(&mut reports, "GET", REPORT, "").await;
    for report in reports {
        clients.answer(report).await;
    }
    let mut placed = connect(orders, 5).await;
    send(&mut placed, "POST", "/orders", ORDER).await;
    for order in placed {
        clients.answer(order).await;
    }
    let mut begun = clients.answered(201);
    while clients.left < HANG_UPS {
        let rest = HANG_UPS - clients.left;
        let mut writes = connect(orders, AT_ONCE.min(rest.div_ceil(2))).await;
        let mut refused = connect(orders, if rest == HANG_UPS { 10 } else { 0 }).await;
        orders.until_idle().await;
        send(&mut writes, "POST", "/orders", ORDER).await;
        begun += u32::try_from(writes.len()).unwrap();
        orders.until("durable_work_begun_total", "", begun).await;
        // All permits are taken.
        send(&mut refused, "POST", "/transfers", TRANSFER).await;
        for transfer in refused {
            clients.answer(transfer).await;
        }
        clients.leave(writes).await;
        let mut reads = connect(orders, AT_ONCE.min(rest / 2)).await;
        send(&mut reads, "GET", REPORT, "").await;
        let number = u32::try_from(reads.len()).unwrap();
        orders.until("requests_in_flight", "report::run", number).await;
        clients.leave(reads).await;
    }
    clients
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_hang_ups_are_the_same_in_prometheus_the_report_the_clients_and_the_database()
{
    if !has("prometheus").await {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("orders.db");
    let limit = AT_ONCE.to_string();
    let args = ["--db", db.to_str().unwrap(), "--max-durable-writes", &limit];
    let program = env!("CARGO_BIN_EXE_orders-under-test");
    let orders = Orders::start(program, &args).await;
    let prometheus = Prometheus::start(orders.operations, &folder().join("alerts.yml")).await;
    prometheus.until("up", 1.0).await;
    let start = now();

    let clients = run(&orders).await;
    let since = orders.process.signal(Signal::TERM);
    let exit = orders.process.exit(since).await;

    prometheus
        .until(&format!("last_over_time(followthrough_phase{{phase=\"ended\"}}{LAST})"), 1.0)
        .await;
    let url = format!("sqlite://{}", db.display());
    let mut database = SqliteConnection::connect(&url).await.unwrap();
    let stored: i64 =
        sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(&mut database).await.unwrap();
    agree(&prometheus, &exit, &clients, u32::try_from(stored).unwrap()).await;

    the_rules_are_evaluated(&prometheus).await;
    the_dashboard_shows_data(&prometheus, start).await;
}

/// Prints the table, and fails if two columns disagree.
async fn agree(prometheus: &Prometheus, exit: &Exit, clients: &Clients, stored: u32) {
    let metric = |name: &str| format!("followthrough_{name}");
    let cancelled = |cause: &str| metric(&format!("cancelled_total{{cause=\"{cause}\"}}"));
    let ended = |status: u16| metric(&format!("requests_ended_total{{status=\"{status}\"}}"));
    let report = |path: &str| exit.report.pointer(path).and_then(Value::as_u64);
    let (placed, left) = (clients.answered(201), clients.left);
    let rows = [
        (
            "clients that hung up",
            left,
            cancelled("client_disconnected"),
            "/cancelled/client_disconnected",
        ),
        ("requests with the status 499", left, ended(499), "/cancelled/client_disconnected"),
        (
            "deadlines exceeded",
            clients.answered(504),
            cancelled("deadline_exceeded"),
            "/cancelled/deadline_exceeded",
        ),
        (
            "refused at a limit",
            clients.answered(503),
            metric("refused_total{reason=\"limit_reached\"}"),
            "/cancelled/refused",
        ),
        ("orders placed and answered", placed, ended(201), ""),
        ("other requests answered", clients.answered(200), ended(200), ""),
        (
            "orders placed without a client",
            stored - placed,
            metric("rescued_total"),
            "/durable/followed_through",
        ),
        ("orders in the database", stored, metric("durable_work_begun_total"), "/durable/begun"),
        (
            "durable work completed",
            stored,
            metric("durable_work_ended_total{end=\"completed\"}"),
            "/durable/completed",
        ),
        ("durable work timed", stored, metric("durable_work_seconds_count"), "/durable/completed"),
        (
            "work abandoned",
            0,
            metric("durable_work_ended_total{end=\"abandoned\"}"),
            "/durable/abandoned",
        ),
        ("connections left open", 0, metric("connections"), ""),
    ];
    let mut table = format!("{:<32} {:>8} {:>10} {:>8}\n", "", "clients", "Prometheus", "report");
    let mut differs = Vec::new();
    for (what, clients, metric, path) in rows {
        let query = format!("sum(last_over_time({metric}{LAST}))");
        let scraped = prometheus.number(&query).await;
        let scraped = scraped.map(|number| number.to_string()).unwrap_or_default();
        let reported = report(path).map(|number| number.to_string());
        let is_same = scraped == clients.to_string()
            && (path.is_empty() || reported.as_ref() == Some(&scraped));
        if !is_same {
            differs.push(what);
        }
        let reported = reported.unwrap_or_default();
        writeln!(table, "{what:<32} {clients:>8} {scraped:>10} {reported:>8}").unwrap();
    }
    say(&table);
    assert!(differs.is_empty(), "{differs:?} differ:\n{table}{exit}");
    assert_eq!((left, exit.code), (HANG_UPS, Some(0)), "{exit}");
}

async fn the_rules_are_evaluated(prometheus: &Prometheus) {
    // A rule has been evaluated on the refusals, which are in the range for five minutes.
    let state = "count(ALERTS{alertname=\"FollowthroughRefusals\"})";
    prometheus.until(state, 1.0).await;
    let groups = prometheus.ask("rules", &[]).await;
    let rules = groups["groups"][0]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 6, "{groups}");
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    let alerts = folder().join("alerts-test.yml");
    let tested = Command::new("promtool").args(["test", "rules"]).arg(alerts).output().unwrap();
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
}

async fn the_dashboard_shows_data(prometheus: &Prometheus, start: u64) {
    let dashboard = fs::read_to_string(folder().join("dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut queries = 0;
    let (start, end) = (start.to_string(), now().to_string());
    for panel in panels {
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            let replaced = [
                ("$__rate_interval", "10s"),
                ("$__range", "1h"),
                ("$job", "orders"),
                ("$instance", ".*"),
            ];
            let query =
                replaced.iter().fold(query.to_owned(), |query, (from, to)| query.replace(from, to));
            let range =
                [("query", query.as_str()), ("start", &start), ("end", &end), ("step", "1")];
            let data = prometheus.ask("query_range", &range).await;
            let series = data["result"].as_array().unwrap();
            let has_number = |series: &Value| {
                let values = series["values"].as_array().unwrap();
                values.iter().any(|value| value[1].as_str().unwrap() != "NaN")
            };
            assert!(series.iter().any(has_number), "{}: {query} has no data", panel["title"]);
            queries += 1;
        }
    }
    say(&format!("{queries} queries of the dashboard have data, and 6 alerts are evaluated"));
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
