//! Annotated handlers answer in the routers of both libraries.

use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use followthrough_openapi_tests::{
    aide_shop,
    store::{Pet, Store},
    utoipa_shop,
};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

async fn ask(app: &axum::Router, method: Method, path: &str, pet: Option<&Pet>) -> (u16, String) {
    let body = pet.map_or_else(Body::empty, |pet| serde_json::to_vec(pet).unwrap().into());
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(body)
        .unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

fn cat() -> Pet {
    Pet { id: 7, name: "Mimi".to_owned() }
}

#[tokio::test]
async fn handlers_answer_in_the_router_of_utoipa_axum() {
    let (app, _) = utoipa_shop::open_api_router(Store::default());
    let created = ask(&app, Method::POST, "/api/pets", Some(&cat())).await;
    assert_eq!(created.0, StatusCode::CREATED.as_u16());
    let shown = ask(&app, Method::GET, "/api/pets/7", None).await;
    assert_eq!(shown, (200, r#"{"id":7,"name":"Mimi"}"#.to_owned()));
    assert_eq!(ask(&app, Method::DELETE, "/api/pets/7", None).await.0, 204);
    assert_eq!(ask(&app, Method::GET, "/api/pets/7", None).await.0, 404);
    assert_eq!(ask(&app, Method::GET, "/health", None).await, (200, "open".to_owned()));
}

#[tokio::test]
async fn handlers_answer_in_the_router_of_aide() {
    let (app, _) = aide_shop::api_router(Store::default());
    assert_eq!(ask(&app, Method::POST, "/pets", Some(&cat())).await.0, 200);
    let shown = ask(&app, Method::GET, "/pets/7", None).await;
    assert_eq!(shown, (200, r#"{"id":7,"name":"Mimi"}"#.to_owned()));
    assert_eq!(ask(&app, Method::GET, "/pets/count", None).await, (200, "0".to_owned()));
    assert_eq!(ask(&app, Method::GET, "/health", None).await, (200, "open".to_owned()));
}
