//! Streams: their ends, and the items that they hold until then.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    response::{Response, Sse, sse::Event},
    routing::get,
};
use bytes::Bytes;
use followthrough::{LastEvent, RequestToken, cancellable};
use followthrough_tests::{Marks, Server, h1, h2c, lifecycle, soon};
use futures_util::{Stream, StreamExt, stream};
use tokio::time::{Instant, sleep};

const MS: Duration = Duration::from_millis(1);

type Events<S> = (LastEvent, Sse<S>);

fn bye() -> Event {
    Event::default().event("bye").data("come back")
}

fn ticks() -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold((), |()| async {
        sleep(5 * MS).await;
        Some((Ok(Event::default().data("tick")), ()))
    })
}

#[cancellable(stream)]
async fn declared() -> Events<impl Stream<Item = Result<Event, Infallible>>> {
    (LastEvent::new(bye()), Sse::new(ticks()))
}

#[cancellable(stream)]
async fn said(token: RequestToken) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let stopped = async move {
        token.cancelled().await;
        // The last event may take a moment.
        sleep(20 * MS).await;
    };
    Sse::new(ticks().take_until(stopped).chain(stream::iter([Ok(bye())])))
}

#[cancellable(stream)]
async fn deaf(_token: RequestToken) -> Events<impl Stream<Item = Result<Event, Infallible>>> {
    (LastEvent::new(bye()), Sse::new(ticks()))
}

#[cancellable(stream, deadline = "50ms")]
async fn bounded() -> Events<impl Stream<Item = Result<Event, Infallible>>> {
    (LastEvent::new(bye()), Sse::new(ticks()))
}

#[cancellable(stream)]
async fn of_known_length() -> (LastEvent, Response) {
    let ticks = stream::unfold((), |()| async {
        sleep(5 * MS).await;
        Some((Ok::<_, Infallible>("tick"), ()))
    });
    let response = Response::builder().header("content-length", "4000");
    (LastEvent::new(bye()), response.body(Body::from_stream(ticks)).unwrap())
}

const BYE: &str = "event: bye\ndata: come back\n\n";

#[tokio::test]
async fn a_stream_ends_cleanly_with_the_last_event_that_its_handler_set() {
    let app = Router::new()
        .route("/declared", get(declared))
        .route("/said", get(said))
        .route("/deaf", get(deaf));
    let builder = lifecycle().grace(4000 * MS).read_grace(3000 * MS);
    let server = Server::with(builder, app).await;
    let mut over_1 = Vec::new();
    let mut over_2 = Vec::new();
    for path in ["/declared", "/said", "/deaf"] {
        let mut call = h1::send(server.at, "GET", path).await;
        call.until("data: tick").await;
        over_1.push(call);
        let mut connection = h2c::connect(server.at).await;
        let call = connection.send("GET", path).await;
        over_2.push(tokio::spawn(async move { (connection, call.answer().await).1 }));
    }
    soon("all streams", async {
        while server.lifecycle.in_flight().requests < 6 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    server.lifecycle.shutdown();
    for mut call in over_1 {
        // The last chunk of a body that ended.
        let rest = call.until("\r\n0\r\n\r\n").await;
        assert!(rest.contains(BYE), "{rest}");
    }
    for answer in over_2 {
        let answer = soon("the end of a stream", answer).await.unwrap();
        assert!(answer.whole && answer.body.ends_with(BYE), "{answer:?}");
    }
    let report = server.ended().await;
    assert_eq!((report.cancelled.shutting_down, report.exit_code()), (6, 0), "{report}");
    // The stream that ignored its token had a second.
    assert!(report.phases.closing > 900 * MS && report.elapsed < 2500 * MS, "{report}");
}

#[tokio::test]
async fn a_stream_that_reached_its_deadline_sends_its_last_event() {
    let app = Router::new().route("/", get(bounded)).route("/known", get(of_known_length));
    let server = Server::start(app).await;
    let rest = h1::send(server.at, "GET", "/").await.until("\r\n0\r\n\r\n").await;
    assert!(rest.contains(BYE), "{rest}");
    // A body with a `Content-Length` cannot have a last event.
    let mut known = h1::send(server.at, "GET", "/known").await;
    known.until("tick").await;
    server.lifecycle.shutdown();
    assert!(!known.rest().await.contains("bye"));
    server.ended().await;
}

#[tokio::test]
async fn a_client_that_leaves_fires_the_token_of_the_stream() {
    #[cancellable(stream)]
    async fn watched(State(marks): State<Marks>, token: RequestToken) -> Body {
        let dropped = marks.on_drop("dropped");
        tokio::spawn(async move { marks.set(token.cancelled().await.as_str()) });
        Body::from_stream(stream::unfold(dropped, |dropped| async {
            sleep(5 * MS).await;
            Some((Ok::<_, Infallible>("tick"), dropped))
        }))
    }
    for over_2 in [false, true] {
        let marks = Marks::default();
        let app = Router::new().route("/", get(watched)).with_state(marks.clone());
        let server = Server::start(app).await;
        if over_2 {
            let mut connection = h2c::connect(server.at).await;
            let call = connection.send("GET", "/").await;
            call.begins().await.reset();
        } else {
            let mut call = h1::send(server.at, "GET", "/").await;
            call.until("tick").await;
            call.hang_up();
        }
        marks.until("dropped").await;
        marks.until("client_disconnected").await;
        let report = server.stop().await;
        assert_eq!(report.cancelled.client_disconnected, 1, "{report}");
    }
}

/// The number of live items, and of those that were asked for.
#[derive(Clone, Default)]
struct Items {
    alive: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    made: Arc<AtomicUsize>,
}

struct Item(Items, Vec<u8>);

impl Item {
    fn new(items: &Items, size: usize) -> Self {
        items.made.fetch_add(1, SeqCst);
        let alive = items.alive.fetch_add(1, SeqCst) + 1;
        items.most.fetch_max(alive, SeqCst);
        Self(items.clone(), vec![b'x'; size])
    }
}

impl AsRef<[u8]> for Item {
    fn as_ref(&self) -> &[u8] {
        &self.1
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, SeqCst);
    }
}

#[derive(Clone)]
struct Rows(Items, Marks, usize);

#[cancellable(stream)]
async fn rows(State(Rows(items, marks, size)): State<Rows>) -> Body {
    let cursor = marks.on_drop("cursor closed");
    // The stream is always ready, so only the reader limits it.
    Body::from_stream(stream::iter(0..).map(move |_| {
        let _open = &cursor;
        Ok::<_, Infallible>(Bytes::from_owner(Item::new(&items, size)))
    }))
}

/// Waits until the server asks for no more items.
async fn stalled(items: &Items) -> usize {
    soon("the stall", async {
        let mut made = 0;
        loop {
            sleep(100 * MS).await;
            let now = items.made.load(SeqCst);
            if now > 0 && now == made {
                return now;
            }
            made = now;
        }
    })
    .await
}

#[tokio::test]
async fn a_reader_that_stalls_holds_a_few_items_and_lets_go_of_them_at_shutdown() {
    for (size, held) in [(100, 15), (64 << 10, 6), (200 << 10, 1)] {
        let (items, marks) = (Items::default(), Marks::default());
        let state = Rows(items.clone(), marks.clone(), size);
        let app = Router::new().route("/", get(rows)).with_state(state);
        let server = Server::with(lifecycle().grace(4000 * MS).read_grace(3000 * MS), app).await;
        let reader = h1::send(server.at, "GET", "/").await;
        let made = stalled(&items).await;
        assert!(made > 3, "the socket's own buffers take some: {made}");
        assert!(items.alive.load(SeqCst) <= held, "{} of {made}", items.alive.load(SeqCst));
        assert!(items.most.load(SeqCst) <= held, "{} of {made}", items.most.load(SeqCst));
        let begun = Instant::now();
        server.lifecycle.shutdown();
        marks.until("cursor closed").await;
        assert!(begun.elapsed() < 1000 * MS, "not only at the end: {:?}", begun.elapsed());
        reader.hang_up();
        let report = server.ended().await;
        assert_eq!(report.exit_code(), 0, "{report}");
    }
}

#[tokio::test]
async fn a_reader_that_stalls_over_http_2_holds_two_items() {
    let (items, marks) = (Items::default(), Marks::default());
    let app = Router::new().route("/", get(rows)).with_state(Rows(items.clone(), marks, 50 << 10));
    let server = Server::start(app).await;
    let mut connection = h2c::connect(server.at).await;
    let reader = connection.send("GET", "/").await;
    let held = reader.begins().await;
    let made = stalled(&items).await;
    assert!(made <= 3, "the window of a stream is 64 KiB: {made}");
    assert!(items.alive.load(SeqCst) <= 2, "{} of {made}", items.alive.load(SeqCst));
    drop(held);
    server.stop().await;
}

#[tokio::test]
async fn many_items_still_arrive_whole_and_in_order() {
    const LINES: usize = 200;
    fn line(n: usize) -> String {
        format!("{n:0>999}\n")
    }
    #[cancellable(stream)]
    async fn numbers() -> Body {
        let lines = stream::iter(0..LINES).map(|n| Ok::<_, Infallible>(line(n)));
        Body::from_stream(lines.chain(stream::once(async {
            tokio::task::yield_now().await;
            Ok("end\n".to_owned())
        })))
    }
    let server = Server::start(Router::new().route("/", get(numbers))).await;
    let expected: String = (0..LINES).map(line).chain(["end\n".to_owned()]).collect();
    let mut connection = h2c::connect(server.at).await;
    let over_2 = connection.send("GET", "/").await.answer().await;
    assert!(over_2.whole && over_2.body == expected);
    let chunked = h1::send(server.at, "GET", "/").await.until("\r\n0\r\n\r\n").await;
    let (_, chunks) = chunked.split_once("\r\n\r\n").unwrap();
    let over_1: String = chunks.split("\r\n").filter(|part| part.ends_with('\n')).collect();
    assert!(over_1 == expected);
    server.stop().await;
}
