//! HTTP/2: a stream that is reset, and a connection that is lost.

use std::time::{Duration, Instant};

use axum::Router;
use followthrough_tests::{Leaving, Server, h2c};
use h2::Reason;
use tokio::time::sleep;

use super::{
    http1::SETTLED,
    kinds::{Kind, app},
    probe::{Probe, Upload},
    verdict::{NOTICED, Table, Verdict, becomes, check, noticed},
};

/// A way to leave.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Going {
    ResetStream,
    Connection(Leaving),
    GoAwayThenClose,
}

impl Going {
    pub(crate) const ALL: [Self; 5] = [
        Self::ResetStream,
        Self::Connection(Leaving::Close),
        Self::Connection(Leaving::Reset),
        Self::Connection(Leaving::HalfClose),
        Self::GoAwayThenClose,
    ];
}

/// Leaves. Returns the time, and the connection that a half-close keeps.
pub(crate) async fn leave(
    going: Going,
    connection: h2c::Connection,
    reset: impl FnOnce(),
) -> (Instant, Option<h2c::Connection>) {
    let how = match going {
        Going::ResetStream => {
            let at = Instant::now();
            reset();
            return (at, Some(connection));
        }
        Going::Connection(how) => how,
        Going::GoAwayThenClose => {
            connection.go_away();
            sleep(SETTLED).await;
            Leaving::Close
        }
    };
    let left = connection.leave(how).await;
    (left.at, left.kept)
}

/// Sends the request that `upload` is about and waits for `mark`.
async fn arrange(
    connection: &mut h2c::Connection,
    kind: Kind,
    probe: &Probe,
    mark: &str,
) -> h2c::Call {
    let whole = matches!(probe.upload, Upload::NotTaken | Upload::Lookup);
    let mut call = if whole {
        connection.send("POST", kind.path()).await
    } else {
        connection.begin("POST", kind.path()).await
    };
    if !whole {
        call.data(b"hello");
    }
    probe.marks.until(mark).await;
    sleep(SETTLED).await;
    call
}

async fn play(upload: Upload, going: Going, kind: Kind) -> Verdict {
    let probe = Probe::new(upload);
    let _end = probe.until_here();
    let server = Server::start(app(&probe)).await;
    let mut connection = h2c::connect(server.at).await;
    let call = arrange(&mut connection, kind, &probe, "begun").await;
    check(!probe.marks.has("dropped"), || "it ended before the client left".to_owned())?;
    let mut call = Some(call);
    let reset = || call.take().expect("it is reset once").reset();
    let (at, _kept) = leave(going, connection, reset).await;
    let took = kind.noticed(&server, &probe, at).await?;
    kind.aftermath(server, &probe).await?;
    Ok(took)
}

async fn all(upload: Upload) {
    let mut table = Table::default();
    for going in Going::ALL {
        for kind in Kind::ALL {
            let name = format!("HTTP/2, {upload:?}, {going:?}, {kind:?}");
            table.cell(&name, async || play(upload, going, kind).await).await;
        }
    }
    table.done();
}

macro_rules! cases {
    ($($name:ident: $upload:expr,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            all($upload).await;
        }
    )*};
}

cases! {
    idle: Upload::NotTaken,
    half_sent_held: Upload::Held,
    half_sent_sipped: Upload::Sipped,
    half_sent_being_collected: Upload::Collected,
    half_sent_being_read_by_frames: Upload::Frames,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn during_extraction() {
    let mut table = Table::default();
    for upload in [Upload::Lookup, Upload::Text] {
        for going in Going::ALL {
            for kind in Kind::ALL {
                let name = format!("HTTP/2, extracting {upload:?}, {going:?}, {kind:?}");
                table.cell(&name, async || never_begins(upload, going, kind).await).await;
            }
        }
    }
    table.done();
}

async fn never_begins(upload: Upload, going: Going, kind: Kind) -> Verdict {
    let probe = Probe::new(upload);
    let _end = probe.until_here();
    let server = Server::start(app(&probe)).await;
    let mut connection = h2c::connect(server.at).await;
    let mut call = Some(arrange(&mut connection, kind, &probe, "extracting").await);
    let reset = || call.take().expect("it is reset once").reset();
    let (at, _kept) = leave(going, connection, reset).await;
    let took = noticed(&probe.marks, &["extraction over"], at).await?;
    probe.marks.set("found");
    let report = server.stop().await;
    let seen = probe.marks.all();
    check(!probe.marks.has("begun"), || format!("the handler began: {seen:?}"))?;
    let right = report.durable.begun == 0 && report.cancelled.shutting_down == 0;
    check(right, || format!("wrong counts: {report}"))?;
    Ok(took)
}

#[tokio::test]
async fn goaway_alone_cancels_nothing() {
    for kind in Kind::ALL {
        let probe = Probe::new(Upload::NotTaken);
        let _end = probe.until_here();
        let server = Server::start(app(&probe)).await;
        let mut connection = h2c::connect(server.at).await;
        let call = arrange(&mut connection, kind, &probe, "begun").await;
        connection.go_away();
        sleep(NOTICED + Duration::from_millis(50)).await;
        assert!(!probe.marks.has("dropped"), "{kind:?}: {:?}", probe.marks.all());
        assert!(!server.lifecycle.in_flight().work.iter().any(|work| work.detached), "{kind:?}");
        probe.marks.set("go");
        let answer = call.answer().await;
        assert!(answer.whole && answer.body == "answered", "{kind:?}: {answer:?}");
        let report = server.stop().await;
        assert_eq!(report.cancelled.client_disconnected, 0, "{kind:?}: {report}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_stream_among_many() {
    let mut table = Table::default();
    for kind in Kind::ALL {
        let name = format!("HTTP/2, one stream among many, {kind:?}");
        table.cell(&name, async || one_among_many(kind).await).await;
    }
    table.done();
}

async fn one_among_many(kind: Kind) -> Verdict {
    const OTHERS: usize = 8;
    // Two apps have separate marks.
    let (one, many) = (Probe::new(Upload::NotTaken), Probe::new(Upload::NotTaken));
    let _end = (one.until_here(), many.until_here());
    let server = Server::start(Router::new().nest("/many", app(&many)).merge(app(&one))).await;
    let mut connection = h2c::connect(server.at).await;
    let mut others = Vec::new();
    for _ in 0..OTHERS {
        others.push(connection.send("POST", "/many/read").await);
    }
    let call = connection.send("POST", kind.path()).await;
    one.marks.until("begun").await;
    let begun = || many.marks.all().iter().filter(|mark| *mark == "begun").count();
    check(becomes(|| begun() == OTHERS).await, || "the others did not begin".to_owned())?;
    let (at, _kept) = leave(Going::ResetStream, connection, || call.reset()).await;
    let took = kind.noticed(&server, &one, at).await?;
    sleep(NOTICED).await;
    check(!many.marks.has("dropped"), || "another one was ended".to_owned())?;
    many.marks.set("go");
    for other in others {
        let answer = other.answer().await;
        let right = answer.whole && answer.body == "answered";
        check(right, || format!("not the answer: {answer:?}"))?;
    }
    kind.aftermath(server, &one).await?;
    Ok(took)
}

/// A server resets with `NO_ERROR` after it has read enough. A reset by the client always cuts the
/// upload, so no write may begin with the bytes that came before.
#[tokio::test]
async fn an_upload_that_is_reset_without_an_error_is_not_whole() {
    for upload in [Upload::Text, Upload::Collected, Upload::Frames, Upload::Held] {
        let probe = Probe::new(upload);
        let _end = probe.until_here();
        let server = Server::start(app(&probe)).await;
        let mut connection = h2c::connect(server.at).await;
        let mark = if upload == Upload::Text { "extracting" } else { "begun" };
        let call = arrange(&mut connection, Kind::Write, &probe, mark).await;
        call.reset_with(Reason::NO_ERROR);
        assert!(becomes(|| server.lifecycle.in_flight().requests == 0).await, "{upload:?}");
        probe.marks.set("go");
        assert!(becomes(|| server.lifecycle.in_flight().work.is_empty()).await, "{upload:?}");
        let seen = probe.marks.all();
        assert!(upload != Upload::Text || !probe.marks.has("begun"), "it began: {seen:?}");
        assert!(probe.was_told_of_the_upload(true).is_ok(), "{upload:?}: {seen:?}");
        server.stop().await;
    }
}
