//! Which policy is suggested, and for what reason.

mod support;

use cargo_followthrough::{Format, scan};
use support::{package, run, stdout};

/// Returns policy, confidence and reason of the only handler of a service.
fn only(method: &str, handler: &str) -> (String, String, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let main = format!(
        "fn router() -> Router {{ Router::new().route(\"/\", {method}(handler)) }}\n{handler}\n"
    );
    package(folder.path(), main);
    let (report, notes) = scan(folder.path(), Format::Json).expect("a package");
    assert_eq!(notes, Vec::<String>::new(), "{handler}");
    let report: serde_json::Value = serde_json::from_str(&report).expect("the report is JSON");
    let handler = &report["handlers"][0];
    let text = |key: &str| handler[key].as_str().expect("a text").to_owned();
    (text("suggested"), text("confidence"), text("reason"))
}

#[test]
fn each_reason() {
    for (method, body, policy, reason) in [
        ("get", "async fn handler() {}", "read", "GET; no write was found"),
        (
            "post",
            "async fn handler() {}",
            "durable_write",
            "POST; no write was found, so the method decides",
        ),
        ("get", "async fn handler() { query(\"SELECT a FROM b\"); }", "read", "GET; `SELECT`"),
        (
            "post",
            "async fn handler() { query(\"INSERT INTO a VALUES (1)\"); }",
            "durable_write",
            "POST; `INSERT`",
        ),
        (
            "put",
            "async fn handler() { query(\"REPLACE INTO a VALUES (1)\"); }",
            "idempotent_write",
            "PUT; `upsert`",
        ),
        (
            "get",
            "async fn handler(ws: WebSocketUpgrade) {}",
            "stream",
            "GET; `WebSocketUpgrade` continues after the response's head",
        ),
        (
            "get",
            "async fn handler() -> Sse<S> {}",
            "stream",
            "GET; `Sse` continues after the response's head",
        ),
        (
            "post",
            "async fn handler() { tokio::spawn(work()).await; }",
            "durable_write",
            "POST; spawns a task",
        ),
        (
            "post",
            "async fn handler(body: Multipart) { db.save(body).await; }",
            "durable_write",
            "POST; `db.save`; the body is still arriving (`Multipart`)",
        ),
        (
            "delete",
            "async fn handler() { fs::remove_file(\"a\").await; }",
            "durable_write",
            "DELETE; `fs::remove_file`",
        ),
        (
            "post",
            "async fn handler() { producer.send(record).await; }",
            "durable_write",
            "POST; `producer.send`",
        ),
        (
            "post",
            "async fn handler() { client.post(url).json(&a).send().await; }",
            "durable_write",
            "POST; `json.send`",
        ),
        (
            "post",
            "async fn handler() { session.insert(1).await; }",
            "durable_write",
            "POST; `session.insert`",
        ),
        (
            "post",
            "async fn handler() { state.lock().insert(1); }",
            "durable_write",
            "POST; `lock.insert` changes shared memory",
        ),
        (
            "any",
            "async fn handler() { client.request(req).await; }",
            "durable_write",
            "ANY; `client.request` forwards the request's method",
        ),
        (
            "get",
            "async fn handler() { diesel::delete(users).execute(conn).await; }",
            "durable_write",
            "GET; `diesel::delete`",
        ),
        (
            "get",
            "async fn handler() { one().await; } async fn one() { Db::two().await; } struct Db; impl Db { async fn two() { query(\"UPDATE a SET b = 1\"); } }",
            "durable_write",
            "GET; `UPDATE` in `Db::two`, two calls away",
        ),
    ] {
        let (found, _, why) = only(method, body);
        assert_eq!((found.as_str(), why.as_str()), (policy, reason), "{method}: {body}");
    }
}

#[test]
fn a_name_that_only_looks_is_a_read_behind_post() {
    for name in ["get_users", "list", "validate_name", "search"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let main = format!(
            "fn r() -> Router {{ Router::new().route(\"/\", post({name})) }} async fn {name}() {{}}"
        );
        package(folder.path(), main);
        let (report, _) = scan(folder.path(), Format::Json).expect("a package");
        assert!(report.contains("\"suggested\": \"read\""), "{name}: {report}");
    }
}

#[test]
fn a_name_that_only_looks_and_a_body_that_writes_is_a_write() {
    let (policy, ..) = only(
        "post",
        "async fn handler() { get_or_else().await } async fn get_or_else() { query(\"DELETE FROM a\"); }",
    );
    assert_eq!(policy, "durable_write");
    for name in ["get_or_create", "list_and_delete", "find_and_update"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let main = format!(
            "fn r() -> Router {{ Router::new().route(\"/\", post({name})) }} async fn {name}() {{}}"
        );
        package(folder.path(), main);
        let (report, _) = scan(folder.path(), Format::Json).expect("a package");
        assert!(report.contains("\"suggested\": \"durable_write\""), "{name}: {report}");
    }
}

/// The name says nothing about a call that the scan cannot see into.
#[test]
fn a_name_that_only_looks_and_a_call_that_was_not_read_is_a_write() {
    for (name, body) in [
        ("check_out", "svc.order(1).await"),
        ("check_out", ""),
        ("fetch_and_store", "billing::run(1).await"),
        ("read_all", "svc.acknowledge(1).await"),
        ("read_all", "inbox::acknowledge(1).await"),
        ("read_all", "trait_.acknowledge_all().await"),
        ("get_and_increment", ""),
        ("list_things", "sqlx::query_scalar(\"CALL x()\").fetch_one(&db).await"),
        ("list_things", "acknowledge!(1)"),
        ("list_things", "(self.0)(1).await"),
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let main = format!(
            "trait Inbox {{ async fn acknowledge_all(&self); }}\n\
             fn r() -> Router {{ Router::new().route(\"/\", post({name})) }}\n\
             async fn {name}(State(svc): State<Service>, State(trait_): State<Arc<dyn Inbox>>) {{ {body} }}"
        );
        package(folder.path(), main);
        let (report, _) = scan(folder.path(), Format::Json).expect("a package");
        assert!(report.contains("\"suggested\": \"durable_write\""), "{name} {body}: {report}");
    }
}

#[test]
fn a_name_that_only_looks_and_calls_that_only_look_is_a_read() {
    for body in [
        "Json(filter(&words)).into_response()",
        "let n: Vec<_> = words.iter().map(|word| word.trim().to_owned()).collect(); Ok(Json(json!({\"n\": n})))",
        "sqlx::query(\"SELECT a FROM b\").fetch_all(&db).await.unwrap()",
        "info!(\"searching\"); format!(\"{words}\")",
    ] {
        let (policy, ..) = only_named("search_orders", body);
        assert_eq!(policy, "read", "{body}");
    }
}

/// Returns policy and reason of a handler behind POST.
fn only_named(name: &str, body: &str) -> (String, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let main = format!(
        "fn filter(words: &str) -> usize {{ words.len() }}\n\
         fn r() -> Router {{ Router::new().route(\"/\", post({name})) }}\n\
         async fn {name}(words: String) {{ {body} }}"
    );
    package(folder.path(), main);
    let (report, _) = scan(folder.path(), Format::Json).expect("a package");
    let report: serde_json::Value = serde_json::from_str(&report).expect("the report is JSON");
    let text = |key: &str| report["handlers"][0][key].as_str().expect("a text").to_owned();
    (text("suggested"), text("reason"))
}

#[test]
fn a_stream_that_writes_is_a_write_behind_get() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let insert = "sqlx::query(\"INSERT INTO a VALUES (1)\").execute(&db).await;";
    for (handler, code) in [
        (format!("async fn h() -> Sse<S> {{ {insert} Sse::new(rows()) }}"), 1),
        (
            format!(
                "async fn h(ws: WebSocketUpgrade) -> Response {{ ws.on_upgrade(|s| async {{ {insert} }}) }}"
            ),
            1,
        ),
        (
            format!(
                "async fn h() -> Sse<S> {{ #[durable_write] {{ {insert} }} Sse::new(rows()) }}"
            ),
            0,
        ),
        ("async fn h() -> Sse<S> { Sse::new(rows()) }".to_owned(), 0),
    ] {
        let main = format!("fn r() -> Router {{ Router::new().route(\"/\", get(h)) }}\n{handler}");
        package(folder.path(), main);
        let output = run(&["scan", "--fail-on", "write-behind-get"], folder.path());
        assert_eq!(output.status.code(), Some(code), "{handler}: {}", stdout(&output));
        let shown = stdout(&output);
        assert!(shown.contains("  stream  "), "{shown}");
        assert_eq!(shown.contains("`INSERT`; WRITE BEHIND GET"), code == 1, "{shown}");
    }
}

/// Each definition counts, the handler's own and those of the functions and modules that it calls.
#[test]
fn definitions_that_cfg_chooses_between() {
    let update = "{ query(\"UPDATE a SET b = 1\"); }";
    for definitions in [
        format!("#[cfg(x)] async fn handler() {update} #[cfg(not(x))] async fn handler() {{}}"),
        format!("#[cfg(x)] async fn handler() {{}} #[cfg(not(x))] async fn handler() {update}"),
        format!(
            "async fn handler() {{ f() }} #[cfg(x)] fn f() {update} #[cfg(not(x))] fn f() {{}}"
        ),
        format!(
            "async fn handler() {{ Db::f() }} struct Db; #[cfg(x)] impl Db {{ fn f() {{}} }} \
             #[cfg(not(x))] impl Db {{ fn f() {update} }}"
        ),
        format!(
            "async fn handler() {{ Db::f() }} struct Db; #[cfg(test)] impl Db {{ fn f() {{}} }} \
             #[cfg(not(test))] impl Db {{ fn f() {update} }}"
        ),
        format!(
            "async fn handler() {{ db::f() }} #[cfg(not(test))] mod db {{ pub fn f() {update} }} \
             #[cfg(test)] mod db {{ pub fn f() {{}} }}"
        ),
        format!(
            "async fn handler() {{ db::f() }} #[cfg(x)] mod db {{ pub fn f() {update} }} \
             #[cfg(not(x))] mod db {{ pub fn f() {{}} }}"
        ),
        format!(
            "async fn handler() {{ db::f() }} #[cfg(x)] mod db {{ pub fn f() {update} }} \
             #[cfg(not(x))] mod db {{ }}"
        ),
        "async fn handler() { query(SQL) } #[cfg(not(test))] const SQL: &str = \"DELETE FROM a\"; \
         #[cfg(test)] const SQL: &str = \"SELECT a FROM b\";"
            .to_owned(),
    ] {
        let (policy, ..) = only("get", &definitions);
        assert_eq!(policy, "durable_write", "{definitions}");
    }
}
