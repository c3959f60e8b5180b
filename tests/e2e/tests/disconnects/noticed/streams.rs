//! Clients that leave while a response streams.

use std::{convert::Infallible, time::Duration};

use axum::{Extension, Router, body::Body, extract::State, routing::any};
use bytes::Bytes;
use followthrough::{RequestToken, cancellable, durable_write};
use followthrough_tests::{Leaving, Server, h1, h2c, lifecycle};
use tokio::time::sleep;

use super::{
    http1::SETTLED,
    http2::{Going, leave},
    probe::{Probe, Taken, Upload},
    requests::Case,
    verdict::{Table, Verdict, check, noticed},
};

/// The pace of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// A single chunk.
    Waits,
    /// A chunk every few milliseconds.
    KeepsSending,
    /// As many bytes as the client takes, which reads no more.
    Floods,
}

impl Pace {
    const ALL: [Self; 3] = [Self::Waits, Self::KeepsSending, Self::Floods];
}

/// A kind of handler whose response streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Streaming {
    Stream,
    Read,
    Write,
}

impl Streaming {
    const ALL: [Self; 3] = [Self::Stream, Self::Read, Self::Write];

    const fn path(self) -> &'static str {
        match self {
            Self::Stream => "/stream",
            Self::Read => "/read",
            Self::Write => "/write",
        }
    }
}

#[cancellable(stream)]
async fn stream(
    State(probe): State<Probe>,
    Extension(pace): Extension<Pace>,
    token: RequestToken,
    taken: Taken,
) -> Body {
    probe.observe(&token);
    chunks(&probe, pace, taken)
}

#[cancellable(read)]
async fn read(
    State(probe): State<Probe>,
    Extension(pace): Extension<Pace>,
    token: RequestToken,
    taken: Taken,
) -> Body {
    probe.observe(&token);
    chunks(&probe, pace, taken)
}

#[durable_write]
async fn write(State(probe): State<Probe>, Extension(pace): Extension<Pace>, taken: Taken) -> Body {
    chunks(&probe, pace, taken)
}

fn chunks(probe: &Probe, pace: Pace, taken: Taken) -> Body {
    let held = (probe.marks.on_drop("dropped"), taken);
    Body::from_stream(futures_util::stream::unfold((held, true), move |(held, first)| async move {
        if !first {
            match pace {
                Pace::Waits => std::future::pending().await,
                Pace::KeepsSending => sleep(Duration::from_millis(5)).await,
                Pace::Floods => {}
            }
        }
        let chunk = match pace {
            _ if first => Bytes::from_static(b"first"),
            Pace::Floods => Bytes::from_static(&[b'x'; 16 << 10]),
            _ => Bytes::from_static(b"more"),
        };
        Some((Ok::<_, Infallible>(chunk), (held, false)))
    }))
}

fn app(probe: &Probe, pace: Pace) -> Router {
    let next = || async { "next" };
    Router::new()
        .route(Streaming::Stream.path(), any(stream))
        .route(Streaming::Read.path(), any(read))
        .route(Streaming::Write.path(), any(write))
        .route("/next", any(next))
        .layer(Extension(pace))
        .with_state(probe.clone())
}

/// Checks the state after the client has left at `left`.
async fn judge(
    kind: Streaming,
    server: Server,
    probe: &Probe,
    left: std::time::Instant,
) -> Verdict {
    let marks: &[_] = match kind {
        Streaming::Stream | Streaming::Read => &["dropped", "token ClientDisconnected"],
        // Its durable token does not fire for the client, and the write has landed before.
        Streaming::Write => &["dropped"],
    };
    let took = noticed(&probe.marks, marks, left).await?;
    let report = server.stop().await;
    let written = u64::from(kind == Streaming::Write);
    let counts = (report.durable.begun, report.durable.completed, report.durable.cut);
    check(counts == (written, written, 0), || format!("wrong counts: {report}"))?;
    check(report.exit_code() == 0, || format!("something was left behind: {report}"))?;
    Ok(took)
}

async fn play1(case: Case, pace: Pace, how: Leaving, kind: Streaming, half_close: bool) -> Verdict {
    let probe = Probe::new(case.upload());
    let _end = probe.until_here();
    let server = case.serve(lifecycle().half_close(half_close), app(&probe, pace));
    let mut call = h1::raw(server.at, &case.request(kind.path())).await;
    call.until("first").await;
    let whole = call.offer(&case.later()).await;
    assert!(whole || !case.fits(), "{case:?} differs from its name");
    sleep(SETTLED).await;
    check(!probe.marks.has("dropped"), || "it ended before the client left".to_owned())?;
    let left = call.leave(how).await;
    judge(kind, server, &probe, left.at).await
}

async fn over_http1(case: Case) {
    let mut table = Table::default();
    for pace in Pace::ALL {
        for how in case.leavings() {
            for kind in Streaming::ALL {
                let name = format!("{case:?}, response {pace:?}, {how:?}, {kind:?}");
                table.cell(&name, async || play1(case, pace, how, kind, false).await).await;
            }
        }
    }
    table.done();
}

macro_rules! cases {
    ($($name:ident: $case:expr,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            over_http1($case).await;
        }
    )*};
}

cases! {
    after_a_whole_request: Case::Idle,
    after_a_body_that_was_read: Case::BodyRead,
    after_a_body_unread: Case::BodyUnread,
    after_half_a_body_unread: Case::HalfSentUnread,
    after_half_a_body_held: Case::HalfSentHeld,
    after_half_a_body_sipped: Case::HalfSentSipped,
    before_a_pipelined_request: Case::Pipelined,
    before_a_pipelined_request_of_64_kib: Case::PipelinedKib(64),
    after_a_body_larger_than_the_window: Case::LargerThanTheWindowHeld,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_half_close_is_allowed() {
    let mut table = Table::default();
    for case in [Case::Idle, Case::HalfSentHeld, Case::Pipelined] {
        for kind in Streaming::ALL {
            for pace in Pace::ALL {
                let name =
                    format!("{case:?}, half-close allowed, response {pace:?}, Reset, {kind:?}");
                let reset = async || play1(case, pace, Leaving::Reset, kind, true).await;
                table.cell(&name, reset).await;
            }
            // The server can tell a close from a half-close only when it sends.
            let (pace, how) = (Pace::KeepsSending, Leaving::Close);
            let name =
                format!("{case:?}, half-close allowed, response {pace:?}, {how:?}, {kind:?}");
            table.cell(&name, async || play1(case, pace, how, kind, true).await).await;
        }
    }
    table.done();
}

async fn play2(pace: Pace, going: Going, kind: Streaming) -> Verdict {
    let probe = Probe::new(Upload::NotTaken);
    let _end = probe.until_here();
    let server = Server::start(app(&probe, pace)).await;
    let mut connection = h2c::connect(server.at).await;
    let call = connection.send("GET", kind.path()).await;
    let open = call.until("first").await;
    sleep(SETTLED).await;
    check(!probe.marks.has("dropped"), || "it ended before the client left".to_owned())?;
    let mut open = Some(open);
    let reset = || open.take().expect("it is reset once").reset();
    let (at, _kept) = leave(going, connection, reset).await;
    judge(kind, server, &probe, at).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http2() {
    let mut table = Table::default();
    for pace in Pace::ALL {
        for going in Going::ALL {
            for kind in Streaming::ALL {
                let name = format!("HTTP/2, response {pace:?}, {going:?}, {kind:?}");
                table.cell(&name, async || play2(pace, going, kind).await).await;
            }
        }
    }
    table.done();
}
