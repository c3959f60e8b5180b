//! HTTP/1: each case with a close, a reset and a half-close.

use std::time::Duration;

use followthrough_tests::{Leaving, Server, h1, lifecycle};
use tokio::time::sleep;

use super::{
    kinds::{Kind, app},
    probe::Probe,
    requests::Case,
    verdict::{NOTICED, Table, Verdict, Wrong, becomes, check},
};

/// The time for the server to read the request. A later read does no harm, because the case below
/// covers a client that leaves before.
pub(crate) const SETTLED: Duration = Duration::from_millis(20);

/// Brings `server` into the state of the case.
pub(crate) async fn arrange(case: Case, kind: Kind, server: &Server, probe: &Probe) -> h1::Call {
    let mut call = h1::raw(server.at, &case.request(kind.path())).await;
    if case == Case::AfterAnother {
        call.until("first").await;
    }
    probe.marks.until("begun").await;
    let whole = call.offer(&case.later()).await;
    assert!(whole || !case.fits(), "{case:?} differs from its name");
    sleep(SETTLED).await;
    call
}

/// Plays one combination. `half_close` says whether a half-close is allowed.
pub(crate) async fn play(case: Case, how: Leaving, kind: Kind, half_close: bool) -> Verdict {
    let probe = Probe::new(case.upload());
    let _end = probe.until_here();
    let server = case.serve(lifecycle().half_close(half_close), app(&probe));
    let call = arrange(case, kind, &server, &probe).await;
    check(!probe.marks.has("dropped"), || "it ended before the client left".to_owned())?;
    let left = call.leave(how).await;
    let took = kind.noticed(&server, &probe, left.at).await?;
    kind.aftermath(server, &probe).await?;
    Ok(took)
}

async fn noticed(case: Case) {
    let mut table = Table::default();
    for how in case.leavings() {
        for kind in Kind::ALL {
            let name = format!("{case:?}, {how:?}, {kind:?}");
            table.cell(&name, async || play(case, how, kind, false).await).await;
        }
    }
    table.done();
}

macro_rules! cases {
    ($($name:ident: $case:expr,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            noticed($case).await;
        }
    )*};
}

cases! {
    idle: Case::Idle,
    old_protocol: Case::OldProtocol,
    last_on_its_connection: Case::LastOnConnection,
    after_another_request: Case::AfterAnother,
    body_read: Case::BodyRead,
    body_unread: Case::BodyUnread,
    body_held: Case::BodyHeld,
    stray_bytes_behind_the_body: Case::StrayBytes,
    half_sent_unread: Case::HalfSentUnread,
    half_sent_held: Case::HalfSentHeld,
    half_sent_expecting: Case::HalfSentExpecting,
    half_sent_sipped: Case::HalfSentSipped,
    half_sent_being_collected: Case::HalfSentCollected,
    half_sent_being_read_by_frames: Case::HalfSentFrames,
    half_sent_in_chunks_held: Case::HalfSentChunkedHeld,
    half_sent_in_chunks_being_read: Case::HalfSentChunkedFrames,
    pipelined: Case::Pipelined,
    pipelined_later: Case::PipelinedLater,
    pipelined_64_kib: Case::PipelinedKib(64),
    pipelined_160_kib: Case::PipelinedKib(160),
    pipelined_300_kib: Case::PipelinedKib(300),
    unread_and_larger_than_the_window: Case::LargerThanTheWindow,
    held_and_larger_than_the_window: Case::LargerThanTheWindowHeld,
}

/// The client leaves before the server reads its request. In the end no request waits: begun
/// requests were cancelled, and the others never began.
async fn play_at_once(case: Case, how: Leaving, kind: Kind) -> Verdict {
    let probe = Probe::new(case.upload());
    let _end = probe.until_here();
    let server = case.serve(lifecycle(), app(&probe));
    let mut call = h1::raw(server.at, &case.request(kind.path())).await;
    call.offer(&case.later()).await;
    let left = call.leave(how).await;
    sleep(NOTICED).await;
    let nobody_waits = || server.lifecycle.in_flight().requests == 0;
    if !nobody_waits() {
        check(becomes(nobody_waits).await, || "it still waits for its client".to_owned())?;
        return Err(Wrong::Late(left.at.elapsed()));
    }
    probe.marks.set("go");
    let report = server.stop().await;
    let right = report.cancelled.shutting_down == 0 && report.exit_code() == 0;
    check(right, || format!("only the shutdown ended it: {report}"))?;
    check(!probe.marks.has("written"), || "a write began after its client had left".to_owned())?;
    let whole = report.durable.begun == report.durable.completed;
    check(whole, || format!("a write was cut: {report}"))?;
    Ok(NOTICED)
}

#[tokio::test]
async fn a_client_that_leaves_at_once_is_noticed() {
    let played = async |case: Case| {
        let mut table = Table::default();
        for how in Leaving::ALL {
            for kind in [Kind::UnbegunSite, Kind::Write] {
                let name = format!("{case:?}, {how:?} at once, {kind:?}");
                table.cell(&name, async || play_at_once(case, how, kind).await).await;
            }
        }
        table
    };
    let cases = Case::ALL.into_iter().filter(|case| case.fits());
    Table::together(cases.map(played)).await.done();
}
