//! The documents of both libraries with the policies. `SNAPSHOTS=overwrite cargo test -p followthrough-openapi-tests`
//! records them again.

use std::{env, fs, path::Path};

use followthrough::{openapi, policies};
use followthrough_openapi_tests::{aide_shop, store::Store, utoipa_shop};
use serde::Serialize;
use serde_json::{Value, json};

fn json(document: impl Serialize) -> Value {
    serde_json::to_value(document).expect("a document is JSON")
}

fn compare(name: &str, document: &Value) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(name);
    let now = format!("{document:#}\n");
    if env::var_os("SNAPSHOTS").is_some_and(|value| value == "overwrite") {
        fs::write(&file, &now).expect("the folder is there");
    }
    let before = fs::read_to_string(&file).unwrap_or_default();
    assert!(now == before, "{} is different:\n{now}", file.display());
}

fn without_ours(mut document: Value) -> Value {
    if let Some(components) = document["components"].as_object_mut() {
        components.remove("responses");
    }
    let paths = document["paths"].as_object_mut().expect("it has paths");
    let operations = paths.values_mut().flat_map(|item| item.as_object_mut().unwrap().values_mut());
    for operation in operations {
        operation.as_object_mut().unwrap().remove("x-followthrough");
        if let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) {
            parameters.retain(|parameter| parameter["name"] != "Idempotency-Key");
            if parameters.is_empty() {
                operation.as_object_mut().unwrap().remove("parameters");
            }
        }
        let responses = operation["responses"].as_object_mut().unwrap();
        responses.retain(|_, response| {
            let reference = response["$ref"].as_str().unwrap_or_default();
            !reference.starts_with("#/components/responses/Followthrough")
        });
    }
    document
}

#[test]
fn the_document_of_utoipa_has_the_policies() {
    let mut document = utoipa_shop::document();
    let before = json(&document);
    let routes = utoipa_shop::router(Store::default()).routes();
    assert_eq!(openapi::annotate(&mut document, &routes), Ok(Vec::new()));
    compare("utoipa.json", &json(&document));

    // The rest stays, a response of the same status included.
    let document = json(&document);
    let place = &document["paths"]["/pets"]["post"]["responses"]["503"];
    assert_eq!(place["description"], "the shop is full");
    assert_eq!(without_ours(document), before);
}

#[test]
fn a_document_in_json_gets_what_that_of_utoipa_gets() {
    let routes = utoipa_shop::router(Store::default()).routes();
    let mut typed = utoipa_shop::document();
    let mut untyped = json(&typed);
    openapi::annotate(&mut typed, &routes).unwrap();
    openapi::annotate(&mut untyped, &routes).unwrap();
    assert_eq!(json(&typed), untyped);
    let once = untyped.clone();
    openapi::annotate(&mut untyped, &routes).unwrap();
    assert_eq!(untyped, once, "a second call changes nothing");
}

#[test]
fn the_document_of_utoipa_axum_has_the_policies() {
    let (_, mut document) = utoipa_shop::open_api_router(Store::default());
    let before = json(&document);
    let unknown = openapi::annotate_by_operation_id(&mut document, &policies());
    assert_eq!(unknown, Ok(Vec::new()));
    let document = json(&document);
    compare("utoipa_axum.json", &document);
    assert_eq!(without_ours(document), before);
}

#[test]
fn the_document_of_aide_has_the_policies() {
    let (_, mut document) = aide_shop::api_router(Store::default());
    let before = json(&document);
    let unknown = openapi::annotate_by_operation_id(&mut document, &policies());
    assert_eq!(unknown, Ok(Vec::new()));
    let document = json(&document);
    compare("aide.json", &document);
    assert_eq!(without_ours(document), before);
}

/// Returns the headers among the parameters of an operation, and whether each is required.
fn headers(operation: &Value) -> Vec<(&str, bool)> {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let headers = parameters.filter(|parameter| parameter["in"] == "header");
    let is_required = |header: &Value| header["required"].as_bool().unwrap_or_default();
    headers.map(|header| (header["name"].as_str().unwrap(), is_required(header))).collect()
}

#[test]
fn a_keyed_operation_has_the_header_and_its_answers() {
    let routes = utoipa_shop::router(Store::default()).routes();
    let mut document = utoipa_shop::document();
    openapi::annotate(&mut document, &routes).unwrap();
    let document = json(&document);
    let operation = |path: &str| &document["paths"][path]["post"];

    let sale = operation("/pets/{id}/sale");
    assert_eq!(headers(sale), [("Idempotency-Key", true)]);
    assert_eq!(sale["parameters"][1]["schema"]["maxLength"], 255);
    assert_eq!(sale["x-followthrough"]["idempotency_key"], "required");
    assert_eq!(sale["x-followthrough"]["keep_ms"], 86_400_000);
    for status in ["400", "409", "422"] {
        let reference = sale["responses"][status]["$ref"].as_str().expect(status);
        let answer = document.pointer(&reference[1..]).expect(reference);
        assert!(answer["content"]["application/problem+json"].is_object(), "{answer}");
        assert_eq!(answer["headers"]["Retry-After"].is_object(), status == "409", "{answer}");
    }

    // The header of the document stays, in its own case, and so does its response.
    let meals = operation("/pets/{id}/meals");
    assert_eq!(headers(meals), [("idempotency-key", false)]);
    assert_eq!(meals["x-followthrough"]["idempotency_key"], "optional");
    assert_eq!(meals["responses"]["409"]["description"], "the pet is eating");

    // A handler without keys gets none of it.
    let pets = operation("/pets");
    assert_eq!(headers(pets), []);
    assert_eq!(pets["x-followthrough"]["idempotency_key"], Value::Null);
    assert_eq!(pets["responses"]["422"], Value::Null);
}

#[test]
fn aide_documents_the_header_as_optional() {
    let (_, mut document) = aide_shop::api_router(Store::default());
    openapi::annotate_by_operation_id(&mut document, &policies()).unwrap();
    let document = json(&document);
    let operation = |path: &str| &document["paths"][path]["post"];
    assert_eq!(headers(operation("/pets/sales")), [("Idempotency-Key", true)]);
    assert_eq!(headers(operation("/pets/meals")), [("Idempotency-Key", false)]);
}

#[test]
fn a_header_among_the_components_or_of_the_path_is_not_added_again() {
    let routes = utoipa_shop::router(Store::default()).routes();
    let annotated = |item: Value| {
        let mut document = json!({
            "openapi": "3.1.0",
            "paths": { "/pets/{id}/sale": item },
            "components": { "parameters": {
                "Key": { "name": "Idempotency-Key", "in": "header" },
                "Trace": { "name": "Trace", "in": "header" },
                "Query": { "name": "Idempotency-Key", "in": "query" },
            } },
        });
        openapi::annotate(&mut document, &routes).unwrap();
        document["paths"]["/pets/{id}/sale"]["post"].take()
    };
    let reference = |name: &str| json!([{ "$ref": format!("#/components/parameters/{name}") }]);
    let own = annotated(json!({ "post": { "parameters": reference("Key") } }));
    assert_eq!(own["parameters"], reference("Key"));
    let of_path = annotated(json!({ "parameters": reference("Key"), "post": {} }));
    assert_eq!(of_path["parameters"], Value::Null);
    for other in ["Trace", "Query"] {
        let added = annotated(json!({ "post": { "parameters": reference(other) } }));
        assert_eq!(added["parameters"].as_array().map(Vec::len), Some(2), "{other}");
        assert_eq!(added["parameters"][1]["name"], "Idempotency-Key");
    }
}

mod one {
    #[followthrough::cancellable(read)]
    pub(super) async fn twin() {}
}

mod two {
    #[followthrough::durable_write]
    pub(super) async fn twin() {}
}

#[test]
fn an_id_that_two_handlers_may_mean_is_returned() {
    let _ = (one::twin, two::twin);
    let mut document = json!({
        "openapi": "3.1.0",
        "paths": { "/twin": { "post": { "operationId": "twin" } } },
    });
    let unknown = openapi::annotate_by_operation_id(&mut document, &policies()).unwrap();
    assert_eq!(unknown, ["POST /twin"]);

    let id = "documents::two::twin";
    document["paths"]["/twin"]["post"]["operationId"] = id.into();
    openapi::annotate_by_operation_id(&mut document, &policies()).unwrap();
    assert_eq!(document["paths"]["/twin"]["post"]["x-followthrough"]["handler"], id);
}

/// Its whole name is the last part of another handler's.
#[followthrough::cancellable(read, name = "alone")]
async fn elsewhere() {}

mod three {
    #[followthrough::durable_write]
    pub(super) async fn alone() {}
}

#[test]
fn a_whole_name_wins_and_an_id_that_occurs_twice_is_returned() {
    let _ = (elsewhere, three::alone);
    let with_id = |id: &str| json!({ "operationId": id });
    let mut document = json!({
        "openapi": "3.1.0",
        "paths": {
            "/alone": { "get": with_id("alone") },
            "/a": { "post": with_id("three::alone") },
            "/b": { "put": with_id("three::alone") },
        },
    });
    let unknown = openapi::annotate_by_operation_id(&mut document, &policies()).unwrap();
    assert_eq!(unknown, ["POST /a", "PUT /b"]);
    assert_eq!(document["paths"]["/alone"]["get"]["x-followthrough"]["handler"], "alone");
}

#[test]
fn a_service_below_the_root_does_not_answer_a_misspelt_path() {
    use followthrough::Router;

    let page = axum::Router::new().route("/page", axum::routing::get(|| async {}));
    let app: Router = Router::new()
        .merge_axum(page.clone(), "the page of the API")
        .fallback_service(page, "the app in the browser");
    let mut document = json!({
        "openapi": "3.0.3",
        "paths": { "x-note": "an extension", "/misspelt": { "get": {} } },
    });
    let unknown = openapi::annotate(&mut document, &app.routes()).unwrap();
    assert_eq!(unknown, ["GET /misspelt"]);
}

#[test]
fn operations_without_a_route_are_returned_and_services_stay() {
    use followthrough::Router;

    let others = axum::Router::new().route("/static/app.js", axum::routing::get(|| async {}));
    let app: Router = Router::new().nest_service("/static", others, "files of the page");
    let operation = || json!({ "responses": {} });
    let mut document = json!({
        "openapi": "3.0.3",
        "paths": {
            "/static/{file}": { "get": operation() },
            "/gone/{id}": { "get": operation(), "parameters": [] },
        },
    });
    let before = document.clone();
    let unknown = openapi::annotate(&mut document, &app.routes()).unwrap();
    assert_eq!(unknown, ["GET /gone/{id}"]);
    assert_eq!(document, before);
}

#[test]
fn what_is_no_document_is_an_error_that_names_the_part() {
    let routes = utoipa_shop::router(Store::default()).routes();
    let error = |mut document: Value| {
        openapi::annotate(&mut document, &routes).expect_err("no document").to_string()
    };
    let version = "expected a document of OpenAPI 3, with `\"openapi\": \"3.…\"`";
    assert_eq!(error(json!([])), version);
    assert_eq!(error(json!({ "swagger": "2.0", "paths": {} })), version);
    let with = |paths: Value| error(json!({ "openapi": "3.1.0", "paths": paths }));
    assert_eq!(with(json!([])), "expected `paths` to be an object");
    assert_eq!(with(json!({ "/pets": [] })), "expected `paths./pets` to be an object");
    assert_eq!(
        with(json!({ "/pets": { "post": 1 } })),
        "expected `paths./pets.post` to be an object"
    );
    assert_eq!(
        with(json!({ "/pets": { "post": { "responses": 1 } } })),
        "expected `paths./pets.post.responses` to be an object"
    );
    assert_eq!(
        with(json!({ "/pets/{id}/sale": { "post": { "parameters": 1 } } })),
        "expected `paths./pets/{id}/sale.post.parameters` to be an array"
    );
}
