//! A client that leaves during extraction: the handler and its write never begin.

use followthrough_tests::{Leaving, Server, h1};
use tokio::time::sleep;

use super::{
    http1::SETTLED,
    kinds::{Kind, app},
    probe::{Probe, Upload},
    verdict::{Table, Verdict, check, noticed},
};

/// The end of the request head, after the path.
const IDLE: &str = " HTTP/1.1\r\nhost: test\r\n\r\n";
const WHOLE: &str = " HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nhello";
const HALF: &str = concat!(
    " HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n",
    "content-length: 50\r\n\r\n{\"half"
);
const HALF_IN_CHUNKS: &str = concat!(
    " HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n",
    "transfer-encoding: chunked\r\n\r\n6\r\n{\"half\r\n"
);
const EXPECTING: &str = concat!(
    " HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n",
    "expect: 100-continue\r\ncontent-length: 50\r\n\r\n"
);
const PIPELINED: &str = " HTTP/1.1\r\nhost: test\r\n\r\nGET /next HTTP/1.1\r\nhost: test\r\n\r\n";

async fn play(upload: Upload, rest: &str, how: Leaving, kind: Kind) -> Verdict {
    let probe = Probe::new(upload);
    let _end = probe.until_here();
    let server = Server::start(app(&probe)).await;
    let call = h1::raw(server.at, &format!("POST {}{rest}", kind.path())).await;
    probe.marks.until("extracting").await;
    sleep(SETTLED).await;
    check(!probe.marks.has("extraction over"), || "it ended before the client left".to_owned())?;
    let left = call.leave(how).await;
    let marks = ["extraction over", "token ClientDisconnected"];
    let took = noticed(&probe.marks, &marks, left.at).await?;
    probe.marks.set("found");
    let report = server.stop().await;
    let seen = probe.marks.all();
    check(!probe.marks.has("begun"), || format!("the handler began: {seen:?}"))?;
    check(!probe.marks.has("next"), || {
        "a pipelined request was served after its client had left".to_owned()
    })?;
    let cancelled = (report.cancelled.client_disconnected, report.cancelled.shutting_down);
    // A plain router cannot tell a handler whose extractor waits from a handler without a policy.
    let counted = u64::from(upload != Upload::Lookup);
    let right = report.durable.begun == 0 && cancelled == (counted, 0);
    check(right, || format!("wrong counts: {report}"))?;
    Ok(took)
}

async fn never_begins(upload: Upload, sent: &[(&str, &str)]) {
    let mut table = Table::default();
    for (what, rest) in sent {
        for how in Leaving::ALL {
            for kind in Kind::ALL {
                let name = format!("extracting {upload:?}, {what}, {how:?}, {kind:?}");
                table.cell(&name, async || play(upload, rest, how, kind).await).await;
            }
        }
    }
    table.done();
}

const UPLOADS: [(&str, &str); 3] =
    [("half sent", HALF), ("half sent in chunks", HALF_IN_CHUNKS), ("expecting", EXPECTING)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_string_that_never_comes_whole() {
    never_begins(Upload::Text, &UPLOADS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_json_that_never_comes_whole() {
    never_begins(Upload::Json, &UPLOADS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extractor_that_waits_for_something_else() {
    never_begins(Upload::Lookup, &[("idle", IDLE)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extractor_that_waits_before_the_body_is_read() {
    let sent = [("body unread", WHOLE), UPLOADS[0], UPLOADS[1], UPLOADS[2]];
    never_begins(Upload::Lookup, &sent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extractor_that_waits_before_a_pipelined_request() {
    never_begins(Upload::Lookup, &[("pipelined", PIPELINED)]).await;
}
