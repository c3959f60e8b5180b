//! A router of governed handlers is served and nested as axum's router is.

use std::time::Duration;

use axum::{
    Json,
    extract::{ConnectInfo, Path, State},
    http::StatusCode,
    middleware,
};
use followthrough::{
    DurableToken, Lifecycle, RequestToken, Router, cancellable, durable_write, exempt, policy,
    routing::{any, get, post},
};
use followthrough_tests::{Log, Marks, h1, lifecycle, soon};
use tokio::{net::TcpListener, task::JoinHandle};

const MS: Duration = Duration::from_millis(1);

type Served = JoinHandle<std::io::Result<followthrough::ShutdownReport>>;

async fn serve(app: Router) -> (std::net::SocketAddr, Lifecycle, Served) {
    let lifecycle = lifecycle().build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let app = app.into_make_service_with_connect_info::<std::net::SocketAddr>();
    let serve = followthrough::serve(listener, app).lifecycle(lifecycle.clone());
    (at, lifecycle, tokio::spawn(serve.into_future()))
}

#[cancellable(read)]
async fn show(State(marks): State<Marks>, Path(id): Path<u64>) -> Result<String, StatusCode> {
    marks.set("shown");
    if id == 0 { Err(StatusCode::NOT_FOUND) } else { Ok(format!("order {id}")) }
}

#[durable_write]
async fn place(State(marks): State<Marks>, body: String) -> (StatusCode, String) {
    marks.set("placed");
    (StatusCode::CREATED, body)
}

#[exempt(reason = "answers at once")]
async fn nothing_here() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "nothing here")
}

#[cancellable(read)]
async fn peer(ConnectInfo(peer): ConnectInfo<std::net::SocketAddr>) -> String {
    peer.ip().to_string()
}

#[exempt(reason = "names the methods that there are")]
async fn not_this_one() -> (StatusCode, &'static str) {
    (StatusCode::METHOD_NOT_ALLOWED, "not this one")
}

#[tokio::test]
async fn routes_are_found_nested_merged_layered_and_missed_as_in_axum() {
    let marks = Marks::default();
    let orders = Router::new().route("/{id}", get(show).put(place)).route("/", post(place));
    let plain = axum::Router::new().route("/plain", axum::routing::get(async || "no policy"));
    let layered = marks.clone();
    let app = Router::new()
        .nest("/orders", orders)
        .merge(Router::new().route("/peer", any(peer)))
        .merge_axum(plain, "of another crate")
        .route_layer(middleware::from_fn(move |request, next: middleware::Next| {
            layered.set("layered");
            next.run(request)
        }))
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_this_one)
        .with_state(marks.clone());
    assert!(app.has_routes());
    let (at, lifecycle, served) = serve(app).await;
    let answer = h1::call(at, "GET", "/orders/7").await;
    assert_eq!((answer.status, &*answer.body), (200, "order 7"));
    assert_eq!(marks.all(), ["layered", "shown"]);
    assert_eq!(h1::call(at, "GET", "/orders/0").await.status, 404);
    assert_eq!(h1::call(at, "POST", "/orders").await.status, 201);
    assert_eq!(h1::call(at, "PUT", "/orders/7").await.status, 201);
    assert_eq!(h1::call(at, "GET", "/plain").await.body, "no policy");
    assert_eq!(h1::call(at, "PATCH", "/peer").await.body, "127.0.0.1");
    let missed = h1::call(at, "GET", "/none").await;
    assert_eq!((missed.status, &*missed.body), (404, "nothing here"));
    assert_eq!(h1::call(at, "DELETE", "/orders/7").await.body, "not this one");
    lifecycle.shutdown();
    let report = soon("the end", served).await.unwrap().unwrap();
    assert_eq!(report.durable.completed, 2, "{report}");
}

#[tokio::test]
async fn closures_obey_the_policies_that_they_are_given() {
    let (log, marks) = (Log::capture(), Marks::default());
    let app = Router::new()
        .route(
            "/read",
            get(policy::read(async |State(marks): State<Marks>, token: RequestToken| {
                let _dropped = marks.on_drop("read dropped");
                marks.set("reading");
                let _ = token;
                std::future::pending::<()>().await;
            })),
        )
        .route(
            "/late",
            get(policy::read(async || std::future::pending::<()>().await)
                .deadline(50 * MS)
                .name("late one")),
        )
        .route(
            "/write/{id}",
            post(policy::durable_write(
                async |State(marks): State<Marks>,
                       Path(id): Path<u8>,
                       _: DurableToken,
                       body: Json<u8>| {
                    marks.set("writing");
                    marks.until("go").await;
                    marks.set(format!("wrote {id} {}", body.0));
                },
            )),
        )
        .route("/stream", get(policy::stream(async || "streamed")))
        .route("/upsert", post(policy::idempotent_write(async || "upserted")))
        .route("/ready", get(policy::exempt("answers at once", async || "ready")))
        .with_state(marks.clone());
    let (at, lifecycle, served) = serve(app).await;
    for path in ["/stream", "/ready"] {
        assert_eq!(h1::call(at, "GET", path).await.status, 200, "{path}");
    }
    assert_eq!(h1::call(at, "POST", "/upsert").await.body, "upserted");
    assert_eq!(h1::call(at, "GET", "/late").await.status, 504);
    assert_eq!(log.with("handler=late one").len(), 1);

    let reading = h1::send(at, "GET", "/read").await;
    marks.until("reading").await;
    reading.hang_up();
    marks.until("read dropped").await;

    // The handler does not begin when an extractor rejects the request.
    assert_eq!(h1::call(at, "POST", "/write/none").await.status, 400);
    let body = "content-type: application/json\r\ncontent-length: 1\r\n\r\n7";
    let writing = h1::raw(at, format!("POST /write/3 HTTP/1.1\r\nhost: x\r\n{body}")).await;
    marks.until("writing").await;
    assert_eq!(lifecycle.in_flight().work.len(), 1);
    assert!(lifecycle.in_flight().work[0].handler.starts_with("closure at "));
    writing.hang_up();
    soon("the end of the wait", async {
        while !lifecycle.in_flight().work[0].detached {
            tokio::task::yield_now().await;
        }
    })
    .await;
    marks.set("go");
    marks.until("wrote 3 7").await;
    lifecycle.shutdown();
    let report = soon("the end", served).await.unwrap().unwrap();
    assert_eq!((report.durable.begun, report.durable.followed_through), (1, 1), "{report}");
}

#[test]
#[should_panic(expected = "`merge_axum` needs a reason")]
fn merge_axum_needs_a_reason() {
    let _ = Router::<()>::new().merge_axum(axum::Router::new(), " ");
}

#[tokio::test]
async fn axum_serve_takes_the_router() {
    let lifecycle = lifecycle().build().unwrap();
    let app = Router::new().route("/peer", get(peer)).layer(lifecycle.layer());
    let with_peers = app.clone().into_make_service_with_connect_info::<std::net::SocketAddr>();
    for service in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let server = if service {
            tokio::spawn(axum::serve(listener, with_peers.clone()).into_future())
        } else {
            tokio::spawn(axum::serve(listener, app.clone()).into_future())
        };
        let answer = h1::call(at, "GET", "/peer").await;
        assert_eq!(answer.status, if service { 200 } else { 500 }, "{}", answer.body);
        server.abort();
    }
}
