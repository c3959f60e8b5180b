//! Named deadlines, which the configuration defines: `#[deadline = "checkout"]`.
//!
//! The tests have a binary of their own, because every lifecycle of a binary must define every name
//! that its handlers have.

use axum::{Router, routing::get};
use followthrough::{
    BuildError, Lifecycle, LifecycleBuilder, Overrides, RequestToken, cancellable, durable_write,
    exempt,
};
use followthrough_tests::{Marks, Server, h1, lifecycle};
use std::{future::pending, time::Duration};

const MS: Duration = Duration::from_millis(1);

#[cancellable(read, name = "pay")]
#[deadline = "checkout"]
async fn pay() {
    pending::<()>().await;
}

#[cancellable(read, deadline = "checkout", name = "ship")]
async fn ship(token: RequestToken) -> String {
    token
        .remaining()
        .map_or("none".to_owned(), |left| (left.as_secs_f64() / 60.0).ceil().to_string())
}

#[durable_write(deadline = "ledger", name = "book")]
async fn book() -> &'static str {
    tokio::task::yield_now().await;
    "booked"
}

#[cancellable(read, name = "plain")]
async fn plain() {
    pending::<()>().await;
}

#[exempt(reason = "nothing ends it", name = "health")]
async fn health(marks: axum::extract::State<Marks>) -> &'static str {
    marks.until("go").await;
    "here"
}

fn app(marks: &Marks) -> Router {
    Router::new()
        .route("/pay", get(pay))
        .route("/ship", get(ship))
        .route("/book", axum::routing::post(book))
        .route("/plain", get(plain))
        .route("/health", get(health))
        .with_state(marks.clone())
}

fn toml(text: &str) -> Overrides {
    Overrides::from_toml(&format!("[deadline]\n{text}")).expect("a table")
}

fn refused(builder: LifecycleBuilder) -> String {
    builder.build().map(drop).unwrap_err().to_string()
}

#[tokio::test]
async fn the_code_and_the_configuration_define_a_name() {
    let builder = lifecycle()
        .named_deadline("checkout", 50 * MS)
        .overrides(toml("ledger = '1s'\nship = '30m'"));
    let server = Server::with(builder, app(&Marks::default())).await;
    assert_eq!(h1::call(server.at, "GET", "/pay").await.status, 504);
    assert_eq!(h1::call(server.at, "GET", "/ship").await.body, "30", "its own name is nearer");
    assert_eq!(h1::call(server.at, "POST", "/book").await.body, "booked");

    let column = |name: &str| {
        let policies = server.lifecycle.policies();
        policies.timings().find(|(policy, _)| policy.name() == name).unwrap().1.to_string()
    };
    assert_eq!(column("pay"), "50 ms by `checkout` in the code");
    assert_eq!(column("ship"), "1800 s by `ship` in TOML");
    assert_eq!(column("book"), "1 s by `ledger` in TOML");
    assert!(format!("{:#}", followthrough::policies()).contains("| checkout |"));
}

#[tokio::test]
async fn the_configuration_wins_over_the_code() {
    let builder = lifecycle()
        .overrides(toml("checkout = '10m'\nledger = '1s'"))
        .named_deadline("checkout", MS);
    let server = Server::with(builder, app(&Marks::default())).await;
    assert_eq!(h1::call(server.at, "GET", "/ship").await.body, "10");
}

#[test]
fn an_undefined_name_stops_the_start() {
    let error: BuildError = Lifecycle::builder().build().map(drop).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("`pay` has the deadline `checkout`, which has no value"), "{error}");
    assert!(error.contains("`.named_deadline(\"ledger\", ..)`"), "{error}");
    let named = || Lifecycle::builder().named_deadline("ledger", MS);
    assert_eq!(
        refused(named().named_deadline("chekout", MS).overrides(toml("checkout = '1s'"))),
        "`chekout` in the code: no handler has this deadline; did you mean `checkout`?"
    );
    let none = refused(named().named_deadline("checkout", Duration::ZERO));
    assert_eq!(none, "`checkout` in the code: a deadline must be between `1ms` and `24h`");
    let typo = refused(named().named_deadline("checkout", MS).overrides(toml("chekcout = '1s'")));
    assert_eq!(typo, "`chekcout` in TOML: no handler has this name; did you mean `checkout`?");
}

/// The handler's own deadline wins over the default, and no deadline ends an exempt handler.
#[tokio::test]
async fn the_default_applies_to_handlers_without_a_deadline() {
    let marks = Marks::default();
    let builder = lifecycle()
        .named_deadline("checkout", 50 * MS)
        .named_deadline("ledger", Duration::from_secs(1))
        .default_deadline(300 * MS);
    let server = Server::with(builder, app(&marks)).await;
    let mut exempt = h1::send(server.at, "GET", "/health").await;
    let began = std::time::Instant::now();
    assert_eq!(h1::call(server.at, "GET", "/plain").await.status, 504);
    assert!(began.elapsed() >= 300 * MS);
    marks.set("go");
    assert_eq!(exempt.answer().await.body, "here");
}

#[tokio::test]
async fn an_operator_changes_the_default_too() {
    let builder = lifecycle()
        .default_deadline(Duration::from_hours(1))
        .overrides(toml("default = '50ms'\nledger = '1s'\ncheckout = '20ms'"));
    let server = Server::with(builder, app(&Marks::default())).await;
    assert_eq!(h1::call(server.at, "GET", "/plain").await.status, 504);
    let column = |name: &str| {
        let policies = server.lifecycle.policies();
        policies.timings().find(|(policy, _)| policy.name() == name).unwrap().1.to_string()
    };
    assert_eq!(column("plain"), "50 ms by `default` in TOML");
    assert_eq!(column("book"), "50 ms by `default` in TOML");
    assert_eq!(column("pay"), "20 ms by `checkout` in TOML");
    assert_eq!(column("health"), "");
}
