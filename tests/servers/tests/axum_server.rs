//! `lifecycle.layer()` under axum-server.

use std::time::{Duration, Instant};

use followthrough::LifecycleBuilder;
use followthrough_server_tests::{
    Running,
    app::app,
    hold,
    recipes::axum_server,
    scenarios::{self, DRAIN_DELAY, GET_BIG, IDLERS, POST_WRITE, SHORT_GRACE},
};
use followthrough_tests::{Marks, lifecycle};

const MS: Duration = Duration::from_millis(1);

async fn start_with(builder: LifecycleBuilder, marks: &Marks) -> Running {
    Running::with(builder, |listener, lifecycle, signal| {
        axum_server::serve(listener, app(marks, &lifecycle), lifecycle, signal.comes())
    })
    .await
}

async fn start(marks: &Marks) -> Running {
    start_with(lifecycle(), marks).await
}

async fn start_with_a_short_grace(marks: &Marks) -> Running {
    start_with(lifecycle().grace(SHORT_GRACE), marks).await
}

hold! { start:
    a_read_ends_with_its_client,
    a_begun_write_follows_through,
    a_client_that_leaves_during_its_upload_is_counted,
    a_stream_ends_with_its_client,
    a_signal_ends_reads_and_lets_writes_land,
    a_worker_that_fails_stops_the_server(POST_WRITE),
    a_response_may_be_sent_to_its_end(GET_BIG),
    a_client_that_leaves_bytes_behind_is_not_noticed,
    a_client_is_noticed_behind_a_short_body,
    an_open_websocket_is_told_and_neither_awaited_nor_cut,
    a_websocket_that_took_a_token_of_tokio_util_is_not_told,
    a_websocket_sees_its_client_leave_by_itself,
}

hold! { start_with_a_short_grace:
    a_write_that_never_ends_is_named(POST_WRITE),
}

#[tokio::test]
async fn a_drain_delay_is_kept() {
    let start = async |marks: &Marks| {
        let builder = lifecycle().drain_delay(DRAIN_DELAY);
        Running::with(builder, |listener, lifecycle, signal| {
            let app = app(marks, &lifecycle);
            let stopping = lifecycle.clone();
            axum_server::serve(listener, app, lifecycle, async move {
                signal.comes().await;
                stopping.shutdown();
                tokio::time::sleep(DRAIN_DELAY).await;
            })
        })
        .await
    };
    scenarios::a_drain_delay_is_kept(start).await;
}

#[tokio::test]
async fn graceful_shutdown_of_axum_server_cuts_open_connections() {
    for bytes in IDLERS {
        let server = start_with_a_short_grace(&Marks::default()).await;
        let mut idler = scenarios::idle(server.at, bytes).await;
        let begun = Instant::now();
        server.stop().await;
        assert!(
            begun.elapsed() < SHORT_GRACE + 1000 * MS,
            "the grace and a second: {:?}",
            begun.elapsed()
        );
        idler.ends().await;
    }
}
