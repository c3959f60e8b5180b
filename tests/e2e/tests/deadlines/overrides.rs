//! Deadlines that an operator overrides by the names of handlers.

use axum::{Extension, Router, routing::get};
use followthrough::{
    Lifecycle, LifecycleBuilder, Overrides, cancellable, catalogue::Origin, exempt,
};
use followthrough_tests::{Marks, Server, h1};
use std::{future::pending, time::Duration};

const MS: Duration = Duration::from_millis(1);

#[cancellable(read, deadline = "1h", name = "long")]
async fn long() {
    pending::<()>().await;
}

#[cancellable(read, name = "none")]
async fn none(Extension(marks): Extension<Marks>) {
    let _over = marks.on_drop("over");
    marks.set("begun");
    pending::<()>().await;
}

/// A handler with a deadline that the operator has extended.
#[cancellable(read, deadline = "1ms", name = "short")]
async fn short(Extension(marks): Extension<Marks>) -> String {
    marks.until("long after the attribute's deadline").await;
    "in time".to_owned()
}

#[cancellable(read, deadline = "1h", name = "outer", internal)]
async fn outer() -> bool {
    long().await.into_result().is_err()
}

#[exempt(reason = "it is always there", name = "health")]
async fn health() {}

macro_rules! copied {
    ($item:item) => {
        mod one {
            $item
        }
        mod two {
            $item
        }
    };
}

// The two copies have one name, so an override cannot tell them apart.
copied! {
    #[followthrough::cancellable(read, name = "copied")]
    pub(super) async fn copied() {
        std::future::pending::<()>().await;
    }
}

fn toml(text: &str) -> LifecycleBuilder {
    let overrides = Overrides::from_toml(&format!("[deadline]\n{text}")).expect("a table");
    followthrough_tests::lifecycle().overrides(overrides)
}

fn app(marks: &Marks) -> Router {
    Router::new()
        .route("/long", get(long))
        .route("/none", get(none))
        .route("/short", get(short))
        .route("/one", get(one::copied))
        .route("/two", get(two::copied))
        .route("/health", get(health))
        .layer(Extension(marks.clone()))
}

#[tokio::test]
async fn an_override_is_in_force_in_place_of_the_attribute() {
    let marks = Marks::default();
    let builder = toml("long = '50ms'\nnone = '50ms'\ncopied = '50ms'\nshort = '1h'");
    let server = Server::with(builder, app(&marks)).await;
    for path in ["/long", "/none", "/one", "/two"] {
        let answer = h1::call(server.at, "GET", path).await;
        assert_eq!(answer.status, 504, "{path}");
        assert!(answer.body.contains("\"cause\":\"deadline_exceeded\""), "{path}: {}", answer.body);
    }
    let mut short = h1::send(server.at, "GET", "/short").await;
    tokio::time::sleep(20 * MS).await;
    marks.set("long after the attribute's deadline");
    assert_eq!(short.answer().await.body, "in time");
}

#[tokio::test]
async fn each_lifecycle_has_its_own_overrides() {
    let marks = Marks::default();
    let server = Server::with(toml("none = '50ms'"), app(&Marks::default())).await;
    let other = Server::start(app(&marks)).await;
    assert_eq!(h1::call(other.at, "GET", "/short").await.status, 504);
    assert_eq!(h1::call(server.at, "GET", "/none").await.status, 504);
    let waits = h1::send(other.at, "GET", "/none").await;
    marks.until("begun").await;
    assert!(!marks.has("over"));
    waits.hang_up();
    marks.until("over").await;
}

#[tokio::test]
async fn a_called_handler_has_its_own_override() {
    let marks = Marks::default();
    let asked = marks.clone();
    let route = get(async move || {
        if outer().await.into_result() == Ok(true) {
            asked.set("the inner one was late");
        }
    });
    let server = Server::with(toml("long = '20ms'"), Router::new().route("/", route)).await;
    assert_eq!(h1::call(server.at, "GET", "/").await.status, 200);
    assert!(marks.has("the inner one was late"));
}

#[test]
fn the_catalogue_shows_the_deadline_in_force_and_its_source() {
    let lifecycle = toml("long = '50ms'\nnone = '2s'").default_deadline(MS * 1500).build().unwrap();
    let policies = lifecycle.policies();
    let of = |name: &str| {
        let (_, timing) = policies.timings().find(|(policy, _)| policy.name() == name).unwrap();
        timing.clone()
    };
    let toml = Some(Origin::Override("`long` in TOML".to_owned()));
    assert_eq!(of("long").to_string(), "50 ms by `long` in TOML, not 3600 s");
    assert_eq!((of("long").deadline, of("long").origin), (Some(50 * MS), toml));
    assert_eq!((of("none").deadline, of("none").origin), (Some(1500 * MS), Some(Origin::Default)));
    assert_eq!(of("none").to_string(), "1500 ms by default");
    assert_eq!(
        (of("short").to_string(), of("short").origin),
        ("1 ms".to_owned(), Some(Origin::Attribute))
    );
    assert_eq!((of("health").deadline, of("health").origin), (None, None));

    let json = serde_json::to_value(&policies).unwrap();
    let row = json.as_array().unwrap().iter().find(|row| row["name"] == "long").unwrap();
    assert_eq!(row["deadline_ms"], 50);
    assert_eq!(row["written_deadline_ms"], 3_600_000);
    assert_eq!(row["deadline_by"]["override"], "`long` in TOML");

    // The page for review shows only the source.
    assert!(!followthrough::policies().to_string().contains("TOML"));
}

#[test]
fn an_override_without_a_handler_stops_the_start() {
    let refused = |text: &str| toml(text).build().unwrap_err().to_string();
    assert_eq!(
        refused("lnog = '1s'"),
        "`lnog` in TOML: no handler has this name; did you mean `long`?"
    );
    assert_eq!(
        refused("health = '1s'"),
        "`health` in TOML: `health` is exempt and has no deadline: remove it"
    );
    let both = refused("lnog = '1s'\nnoen = '1s'");
    assert!(both.contains("`long`") && both.contains("`none`"), "{both}");
}

#[test]
fn without_overrides_the_attributes_hold() {
    let overrides = Overrides::from_env("NOBODY_HAS_SET_THIS").unwrap();
    let lifecycle = Lifecycle::builder().overrides(overrides).build().unwrap();
    assert_eq!(lifecycle.policies().to_string(), followthrough::policies().to_string());
}
