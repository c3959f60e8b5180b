//! The write, with a client that leaves at each `.await`.

use axum::http::Request;
use followthrough::Lifecycle;
use followthrough::testing::disconnect_at_every_await;
use service::{Db, router};

#[tokio::test]
async fn a_note_that_is_begun_is_stored() {
    let lifecycle = Lifecycle::builder().signals(false).build().expect("the defaults are valid");
    let db = Db::open(":memory:").await.expect("SQLite opens it");
    let app = router(db.clone(), &lifecycle);
    let request = Request::post("/notes")
        .header("content-type", "application/json")
        .body(r#"{"text":"buy tea"}"#.to_owned())
        .expect("the request is valid");

    let mut expected = db.count().await.expect("there is a table");
    let summary = disconnect_at_every_await(app, request, async |cut| {
        expected += i64::from(cut.is_begun() || !cut.was_cut());
        assert_eq!(db.count().await.expect("there is a table"), expected);
    })
    .await;
    assert!(summary.begun() > 0, "no client left during the write: {summary}");
}
