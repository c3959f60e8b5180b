//! axum-extra's `TypedPath`: the path of a route is a type that its handler takes.

use axum::{Router, extract::State};
use axum_extra::routing::{RouterExt, TypedPath};
use followthrough::{cancellable, durable_write, routing::get};
use followthrough_tests::{Marks, Server, h1};
use serde::Deserialize;

#[derive(Deserialize, TypedPath)]
#[typed_path("/orders/{id}")]
struct Order {
    id: u32,
}

#[cancellable(read, deadline = "50ms")]
async fn stock(order: Order) -> String {
    if order.id == 0 {
        std::future::pending::<()>().await;
    }
    format!("order {}", order.id)
}

#[durable_write]
async fn place(order: Order, State(marks): State<Marks>) -> String {
    marks.set("begun");
    marks.until("go").await;
    marks.set("landed");
    format!("placed {}", order.id)
}

#[tokio::test]
async fn typed_routes_take_annotated_handlers() {
    let marks = Marks::default();
    let app = Router::new().typed_get(stock).typed_post(place).with_state(marks.clone());
    let server = Server::start(app).await;
    assert_eq!(h1::call(server.at, "GET", "/orders/7").await.body, "order 7");
    assert_eq!(h1::call(server.at, "GET", "/orders/x").await.status, 400);
    assert_eq!(h1::call(server.at, "GET", "/orders/0").await.status, 504);
    let call = h1::send(server.at, "POST", "/orders/7").await;
    marks.until("begun").await;
    call.hang_up();
    marks.set("go");
    marks.until("landed").await;
}

/// `typed_get` is a method of axum's router. The checking router takes the same path by name.
#[tokio::test]
async fn the_checking_router_takes_the_path_of_a_type() {
    let app = followthrough::Router::new().route(Order::PATH, get(stock));
    let server = Server::start(app.into_axum()).await;
    assert_eq!(h1::call(server.at, "GET", "/orders/7").await.body, "order 7");
}
