//! How many system calls a stream takes.

use axum::response::Sse;

use super::*;

const CHUNKS: usize = 1024;

fn chunks() -> Body {
    let chunk = Bytes::from(vec![BYTE; 64 * KIB]);
    Body::from_stream(stream::iter((0..CHUNKS).map(move |_| Ok::<_, Infallible>(chunk.clone()))))
}

#[cancellable(stream)]
async fn streamed() -> Body {
    chunks()
}

#[cancellable(stream)]
async fn events(
    State(marks): State<Marks>,
) -> Sse<impl stream::Stream<Item = Result<Event, Infallible>>> {
    Sse::new(stream::unfold(0, move |n| {
        let marks = marks.clone();
        async move {
            marks.until(&format!("event {n}")).await;
            Some((Ok(Event::default().data(format!("news {n}"))), n + 1))
        }
    }))
}

/// Returns the number of system calls of this thread that write. The runtime of a test has one thread.
fn count() -> usize {
    let io = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("syscw: "));
    line.and_then(|count| count.parse().ok()).unwrap()
}

#[tokio::test]
async fn chunks_that_are_ready_leave_together() {
    let app = Router::new().route("/", get(streamed)).route("/bare", get(async || chunks()));
    let (at, _) = serve_as(app, |serve| serve).await;
    let mut writes = Vec::new();
    for path in ["/bare", "/"] {
        let before = count();
        let read = read_all(connect(at, path).await).await;
        assert_eq!(read, CHUNKS * 64 * KIB, "{path}");
        writes.push(count() - before);
    }
    assert!(writes[1] < CHUNKS / 3 && writes[1] < 2 * writes[0], "{writes:?}");
}

#[tokio::test]
async fn chunks_with_empty_ones_between_leave_together() {
    const CHUNKS: usize = 150;
    #[cancellable(stream)]
    async fn sparse() -> Body {
        let chunk = |n: usize| if n.is_multiple_of(15) { vec![BYTE; 10] } else { Vec::new() };
        let chunks = (0..CHUNKS * 15).map(move |n| Ok::<_, Infallible>(chunk(n)));
        Body::from_stream(stream::iter(chunks))
    }
    let (at, _) = serve_as(Router::new().route("/", get(sparse)), |serve| serve).await;
    let before = count();
    assert_eq!(read_all(connect(at, "/").await).await, CHUNKS * 10);
    let writes = count() - before;
    assert!(writes < CHUNKS / 5, "{writes} writes");
}

#[tokio::test]
async fn an_event_leaves_at_once_in_one_write() {
    let marks = Marks::default();
    let app = Router::new().route("/", get(events)).with_state(marks.clone());
    let (at, _) = serve_as(app, |serve| serve).await;
    let mut stream = connect(at, "/").await;
    let mut buf = [0; 4096];
    // The head.
    assert!(soon("the head", stream.read(&mut buf)).await.unwrap() > 0);
    for n in 0..20 {
        let before = count();
        marks.set(format!("event {n}"));
        let read = soon("an event", stream.read(&mut buf)).await.unwrap();
        let text = String::from_utf8_lossy(&buf[..read]);
        assert!(text.contains(&format!("data: news {n}\n\n")), "{text}");
        assert_eq!(count() - before, 1, "event {n}");
    }
}
