//! tower-sessions.

use axum::extract::State;
use followthrough::{Router, durable_write, routing::post};
use followthrough_tests::{Marks, Server, h1};
use tower_sessions::{
    MemoryStore, Session, SessionManagerLayer, SessionStore,
    session::{Id, Record},
    session_store::Result,
};

use crate::handlers::until_detached;

/// Changes the session. The layer saves it with the response.
#[durable_write]
async fn left_to_the_layer(session: Session, State(marks): State<Marks>) {
    change(&session, &marks).await;
    marks.set("landed");
}

/// Changes the session and saves it.
#[durable_write]
async fn saved(session: Session, State(marks): State<Marks>) {
    change(&session, &marks).await;
    session.save().await.expect("the memory takes it");
    marks.set("landed");
}

async fn change(session: &Session, marks: &Marks) {
    session.insert("cart", 7).await.expect("a number serializes");
    marks.set("begun");
    marks.until("go").await;
}

async fn start(marks: &Marks, store: &Store) -> Server {
    let app = Router::new()
        .route("/layer", post(left_to_the_layer))
        .route("/saved", post(saved))
        .with_state(marks.clone())
        .layer(SessionManagerLayer::new(store.clone()).with_secure(false));
    Server::start(app.into_axum()).await
}

/// A store that marks each session that it stores.
#[derive(Clone, Debug, Default)]
struct Store(MemoryStore, Marks);

#[async_trait::async_trait]
impl SessionStore for Store {
    async fn create(&self, record: &mut Record) -> Result<()> {
        self.1.set("stored");
        self.0.create(record).await
    }

    async fn save(&self, record: &Record) -> Result<()> {
        self.1.set("stored");
        self.0.save(record).await
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        self.0.load(id).await
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.0.delete(id).await
    }
}

/// Posts to `path`, leaves in the middle of the write, and returns whether a session was stored.
async fn is_stored_for_a_client_that_left(path: &str) -> bool {
    let (marks, store) = (Marks::default(), Store::default());
    let server = start(&marks, &store).await;
    let call = h1::send(server.at, "POST", path).await;
    marks.until("begun").await;
    call.hang_up();
    until_detached(&server).await;
    marks.set("go");
    marks.until("landed").await;
    server.stop().await;
    store.1.has("stored")
}

#[tokio::test]
async fn a_session_is_stored_with_the_answer() {
    let (marks, store) = (Marks::default(), Store::default());
    let server = start(&marks, &store).await;
    marks.set("go");
    let answer = h1::call(server.at, "POST", "/layer").await;
    assert!(answer.header("set-cookie").is_some(), "{answer:?}");
    assert!(store.1.has("stored"));
    server.stop().await;
}

#[tokio::test]
async fn a_session_of_a_client_that_left_is_stored_by_the_body_alone() {
    assert!(
        !is_stored_for_a_client_that_left("/layer").await,
        "the layer is dropped with the client"
    );
    assert!(is_stored_for_a_client_that_left("/saved").await);
}
