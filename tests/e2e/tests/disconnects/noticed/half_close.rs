//! `half_close(true)`: a client that closes its sending half still gets its response. A reset is
//! still a disconnect.

use std::time::Duration;

use followthrough_tests::{Leaving, lifecycle};
use tokio::time::sleep;

use super::{
    http1::{arrange, play},
    kinds::{Kind, app},
    probe::Probe,
    requests::Case,
    verdict::{NOTICED, Table, Verdict, check},
};

/// Longer than a disconnect may go unnoticed.
const UNNOTICED: Duration = NOTICED.saturating_add(Duration::from_millis(50));

async fn answered(case: Case, kind: Kind) -> Verdict {
    let probe = Probe::new(case.upload());
    let _end = probe.until_here();
    let server = case.serve(lifecycle().half_close(true), app(&probe));
    let left = arrange(case, kind, &server, &probe).await.leave(Leaving::HalfClose).await;
    sleep(UNNOTICED).await;
    let seen = probe.marks.all();
    let gone = |mark: &String| mark == "dropped" || mark.starts_with("token");
    check(!seen.iter().any(gone), || format!("the request was ended: {seen:?}"))?;
    let detached = server.lifecycle.in_flight().work.iter().any(|work| work.detached);
    check(!detached, || "the client does not wait for the write any more".to_owned())?;
    probe.marks.set("go");
    let answer = left.kept.expect("it still reads").answer().await;
    let whole = answer.status == 200 && answer.body.starts_with("answered");
    check(whole, || format!("not the handler's answer: {answer:?}"))?;
    probe.was_told_of_the_upload(true)?;
    let report = server.stop().await;
    let (counts, cancelled) = (&report.durable, &report.cancelled);
    let right = cancelled.client_disconnected == 0 && counts.followed_through == 0;
    check(right, || format!("wrong counts: {report}"))?;
    Ok(UNNOTICED)
}

#[tokio::test]
async fn the_answer_arrives() {
    let played = async |case: Case| {
        let mut table = Table::default();
        for kind in Kind::ALL {
            let name = format!("{case:?}, half-close allowed, {kind:?}");
            table.cell(&name, async || answered(case, kind).await).await;
        }
        table
    };
    let cases = Case::ALL.into_iter().filter(|case| case.fits());
    Table::together(cases.map(played)).await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_is_a_disconnect() {
    let mut table = Table::default();
    for case in Case::ALL {
        for kind in Kind::ALL {
            let name = format!("{case:?}, reset where half-close is allowed, {kind:?}");
            table.cell(&name, async || play(case, Leaving::Reset, kind, true).await).await;
        }
    }
    table.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_after_a_half_close_is_a_disconnect() {
    let played = async |case: Case| {
        let mut table = Table::default();
        for kind in Kind::ALL {
            let name = format!("{case:?}, half-closed and then reset, {kind:?}");
            table.cell(&name, async || reset_later(case, kind).await).await;
        }
        table
    };
    let cases = Case::ALL.into_iter().filter(|case| case.fits());
    Table::together(cases.map(played)).await.done();
}

async fn reset_later(case: Case, kind: Kind) -> Verdict {
    let probe = Probe::new(case.upload());
    let _end = probe.until_here();
    let server = case.serve(lifecycle().half_close(true), app(&probe));
    let left = arrange(case, kind, &server, &probe).await.leave(Leaving::HalfClose).await;
    sleep(UNNOTICED).await;
    let left = left.kept.expect("it still reads").leave(Leaving::Reset).await;
    let took = kind.noticed(&server, &probe, left.at).await?;
    kind.aftermath(server, &probe).await?;
    Ok(took)
}
