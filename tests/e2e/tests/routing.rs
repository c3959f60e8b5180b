//! The parts of the router that axum's does not have: services with a reason, checked method filters, the list of routes.

use std::{convert::Infallible, panic::catch_unwind};

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    response::Response,
};
use followthrough::{
    Router, cancellable, durable_write, exempt, policies, policy,
    routing::{MethodFilter, MethodRouter, any, connect, get, on, post, trace},
};
use http::{Method, StatusCode};
use serde_json::json;
use tower::{Service, ServiceExt as _, service_fn};

#[cancellable(read, name = "show")]
async fn show() -> &'static str {
    "shown"
}

#[durable_write(name = "place", reason = "it must land")]
async fn place() -> &'static str {
    "placed"
}

#[durable_write(name = "callback", safe_method = "a code for one use")]
async fn callback() -> &'static str {
    "logged in"
}

#[exempt(name = "nothing", reason = "answers at once")]
async fn nothing() -> StatusCode {
    StatusCode::NOT_FOUND
}

#[cancellable(read, name = "never routed")]
async fn never_routed() {}

fn service()
-> impl Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync
{
    service_fn(async |request: Request| {
        Ok(Response::new(Body::from(format!("a service at {}", request.uri().path()))))
    })
}

async fn answer(app: &Router, method: Method, path: &str) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let response = app.clone().into_axum().oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// Returns the message of a panic.
fn panic_of<T>(build: impl FnOnce() -> T + std::panic::UnwindSafe) -> String {
    let panic = catch_unwind(build).err().expect("it panics");
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => (*panic.downcast::<&str>().expect("a message")).to_owned(),
    }
}

#[tokio::test]
async fn services_answer_where_they_are_routed() {
    let app: Router = Router::new()
        .route_service("/one", service(), "a test")
        .nest_service("/below", service(), "a test")
        .fallback_service(service(), "a test");
    for (path, seen) in [("/one", "/one"), ("/below/it", "/it"), ("/elsewhere", "/elsewhere")] {
        let text = answer(&app, Method::GET, path).await.1;
        assert_eq!(text, format!("a service at {seen}"));
    }
}

#[test]
fn a_service_without_a_reason_is_refused() {
    let app = Router::<()>::new;
    for (name, message) in [
        ("route_service", panic_of(|| app().route_service("/a", service(), " "))),
        ("nest_service", panic_of(|| app().nest_service("/a", service(), ""))),
        ("fallback_service", panic_of(|| app().fallback_service(service(), "\t"))),
        ("merge_axum", panic_of(|| app().merge_axum(axum::Router::new(), ""))),
    ] {
        let expected = format!("`{name}` needs a reason: say why these routes have no policy");
        assert_eq!(message, expected);
    }
    let router = panic_of(|| app().route_service("/a", axum::Router::new(), "a test"));
    assert_eq!(router, "`route_service` cannot route a router: use `merge_axum` or `nest_service`");
}

#[tokio::test]
async fn methods_of_a_filter_and_the_rarer_ones_are_routed() {
    let writes: MethodRouter = on(MethodFilter::POST.or(MethodFilter::PUT), place);
    let app: Router = Router::new()
        .route("/writes", writes.on(MethodFilter::GET, show))
        .route("/traced", trace(show).connect(place))
        .route("/connected", connect(place).trace(callback))
        .route("/callback", on(MethodFilter::GET, callback));
    for (method, path, text) in [
        (Method::POST, "/writes", "placed"),
        (Method::PUT, "/writes", "placed"),
        (Method::GET, "/writes", "shown"),
        (Method::TRACE, "/traced", "shown"),
        // axum sends no body with a 200 to CONNECT.
        (Method::CONNECT, "/connected", ""),
        (Method::TRACE, "/connected", "logged in"),
        (Method::GET, "/callback", "logged in"),
    ] {
        assert_eq!(answer(&app, method, path).await, (StatusCode::OK, text.to_owned()), "{path}");
    }
    assert_eq!(answer(&app, Method::DELETE, "/writes").await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[test]
fn a_write_behind_a_filter_with_a_safe_method_is_refused() {
    for filter in [
        MethodFilter::GET,
        MethodFilter::HEAD,
        MethodFilter::OPTIONS,
        MethodFilter::TRACE,
        MethodFilter::POST.or(MethodFilter::GET),
    ] {
        let first = panic_of(move || on::<_, _, ()>(filter, place));
        assert!(first.contains("`routing::place`, which writes"), "{first}");
        assert!(first.contains("`safe_method = \"…\"`"), "{first}");
        let chained = panic_of(move || get::<_, _, ()>(show).on(filter, place));
        assert_eq!(chained, first);
    }
    let others = MethodFilter::POST.or(MethodFilter::PUT).or(MethodFilter::PATCH);
    let others = others.or(MethodFilter::DELETE).or(MethodFilter::CONNECT);
    let _: MethodRouter = on(others, place);
}

fn app() -> Router {
    let orders = Router::new()
        .route("/", get(show).post(place))
        .route("/{id}", any(show))
        .route("/files/{*rest}", get(show))
        .fallback(nothing);
    let others = axum::Router::new().route("/old", axum::routing::get(|| async {}));
    Router::new()
        .nest("/orders", orders)
        .merge(Router::new().route("/callback", get(callback)))
        .merge_axum(others, "moves in June")
        .nest_service("/static", service(), "files of the page")
        .route("/closure", post(policy::durable_write(|| async {}).name("closure")))
        .route("/wrapped", get(|| Box::pin(show())))
        .fallback(show)
        .fallback(nothing)
}

#[test]
fn all_routes_are_listed_with_their_policies_and_reasons() {
    let routes = app().routes();
    assert_eq!(
        routes.to_string(),
        "\
method | path                  | handler      | policy            | reason
------ | --------------------- | ------------ | ----------------- | -----------------
any    | /*                    | (service)    |                   | moves in June
any    | /*                    | nothing      | exempt            | answers at once
GET    | /callback             | callback     | durable_write     |
POST   | /closure              | closure      | durable_write     |
GET    | /orders               | show         | cancellable(read) |
POST   | /orders               | place        | durable_write     | it must land
any    | /orders/*             | nothing      | exempt            | answers at once
GET    | /orders/files/{*rest} | show         | cancellable(read) |
any    | /orders/{id}          | show         | cancellable(read) |
any    | /static/*             | (service)    |                   | files of the page
GET    | /wrapped              | routing::app |                   |
"
    );
    let place = routes.iter().find(|route| route.policy().is_some_and(|p| p.name() == "place"));
    let place = place.expect("it is routed");
    assert_eq!((place.method(), place.path()), (Some(&Method::POST), "/orders"));
    let json = serde_json::to_value(&routes).unwrap();
    assert_eq!(
        json[5],
        json!({
            "method": "POST",
            "path": "/orders",
            "handler": "place",
            "policy": "durable_write",
            "reason": "it must land",
        })
    );
    assert_eq!(json[0]["policy"], json!(null));
}

#[test]
fn a_fallback_that_is_reset_is_not_listed() {
    let app = Router::<()>::new().nest("/a", Router::new().fallback(nothing)).fallback(show);
    let paths =
        |app: &Router| app.routes().iter().map(|route| route.path().to_owned()).collect::<Vec<_>>();
    assert_eq!(paths(&app), ["/*", "/a/*"]);
    assert_eq!(paths(&app.reset_fallback()), ["/a/*"]);
}

#[test]
fn the_catalogue_has_a_column_of_routes_on_demand() {
    let without = format!("{:#}", policies());
    assert!(!without.contains("routes"), "{without}");
    let second = Router::<()>::new().route("/again", get(callback)).routes();
    let table = format!("{:#}", policies().with_routes(&app().routes()).with_routes(&second));
    let rows: Vec<Vec<_>> =
        table.lines().map(|row| row.split('|').map(str::trim).collect()).collect();
    assert_eq!(rows[0][..3], ["handler", "routes", "policy"]);
    let routes: Vec<_> = rows[2..].iter().map(|row| (row[0], row[1])).collect();
    assert_eq!(
        routes,
        [
            ("callback", "GET /callback, GET /again"),
            ("never routed", ""),
            ("place", "POST /orders"),
            ("show", "GET /orders, GET /orders/files/{*rest}, any /orders/{id}"),
            ("closure", "POST /closure"),
            ("routing::app", "GET /wrapped"),
            ("nothing", "any /*, any /orders/*"),
            ("(service)", "any /*"),
            ("(service)", "any /static/*"),
        ],
        "{table}"
    );
    assert_eq!(rows[2].last(), Some(&"safe method: a code for one use"));
}
