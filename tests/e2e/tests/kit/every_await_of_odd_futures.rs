//! `disconnect_at_every_await` in hard cases: futures with their own wakers, a slow check, and a
//! search that is dropped.

use std::{
    convert::Infallible,
    future::{Future, pending},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    http::Response,
    routing::get,
};
use followthrough::{
    cancellable,
    testing::{Disconnect, Disconnects},
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::{Notify, oneshot},
    task::yield_now,
    time::{sleep, timeout},
};
use tower::service_fn;

const MS: Duration = Duration::from_millis(1);

/// Waits for another task, as a query does.
async fn elsewhere() {
    let (done, waits) = oneshot::channel();
    tokio::spawn(async { done.send(()) });
    let _ = waits.await;
}

fn ask() -> Request<String> {
    Request::get("/").body(String::new()).expect("a sound request")
}

#[tokio::test]
async fn a_check_that_takes_longer_than_the_timeout_does_not_end_the_search() {
    async fn waits_twice() {
        elsewhere().await;
        elsewhere().await;
    }
    let search = async |mut time: Duration| {
        let app = Router::new().route("/", get(waits_twice));
        let impatient = Disconnects::default().timeout(400 * MS);
        let check = async |_| sleep(std::mem::take(&mut time)).await;
        let summary = impatient.at_every_await(app, ask(), check).await;
        summary.expect("there is nothing to lose")
    };
    let summary = search(600 * MS).await;
    assert_eq!(summary.cut(), 4, "two awaits, two moments: {summary}");
    assert_eq!(summary.to_string(), search(Duration::ZERO).await.to_string());
    assert!(!summary.to_string().contains("was not tried"), "{summary}");
}

#[cancellable(read, deadline = "20ms", internal)]
async fn late() {
    pending::<()>().await;
}

#[tokio::test]
async fn the_deadline_of_a_handler_within_a_set_of_futures_fires() {
    #[cancellable(read)]
    async fn has_callees() -> String {
        let mut callees = FuturesUnordered::from_iter([late(), late()]);
        let mut ended = 0;
        while let Some(value) = callees.next().await {
            ended += u32::from(value.into_result().is_err());
        }
        ended.to_string()
    }
    let app = Router::new().route("/", get(has_callees));
    let whole = AtomicU32::new(0);
    let patient = Disconnects::default().timeout(500 * MS);
    let summary = patient.at_every_await(app, ask(), async |cut| {
        whole.fetch_add(u32::from(!cut.was_cut()), SeqCst);
    });
    let summary = summary.await.expect("there is nothing to lose");
    assert!(whole.into_inner() > 0, "no request ended: {summary}");
}

/// Keeps its waker, and is ready at the second poll.
struct Twice(Option<Waker>);

impl Future for Twice {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.take().is_some() {
            return Poll::Ready(());
        }
        self.0 = Some(cx.waker().clone());
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[derive(Clone, Default)]
struct Shop {
    charged: Arc<AtomicU32>,
    shipped: Arc<AtomicU32>,
}

const SECOND: u32 = line!() + 5;

async fn loses_a_write(State(shop): State<Shop>) {
    Twice(None).await;
    shop.charged.fetch_add(1, SeqCst);
    elsewhere().await;
    shop.shipped.fetch_add(1, SeqCst);
}

#[tokio::test]
async fn a_future_that_is_ready_at_the_second_poll_is_not_reported() {
    let shop = Shop::default();
    let app = Router::new().route("/", get(loses_a_write)).with_state(shop.clone());
    let check = async |_| assert_eq!(shop.charged.load(SeqCst), shop.shipped.load(SeqCst));
    let failure = Disconnects::default().at_every_await(app, ask(), check).await;
    let failure = failure.expect_err("it loses one");
    let cut = failure.cut().expect("it was cut");
    assert_eq!(cut.awaits().last().map(|at| at.line), Some(SECOND), "{failure}");
}

#[tokio::test]
async fn a_future_that_keeps_no_waker_is_reported_as_unseen() {
    let app = Router::new().route("/", get(pending::<()>));
    let impatient = Disconnects::default().timeout(50 * MS);
    let mut said = Vec::new();
    let summary = impatient.at_every_await(app, ask(), async |cut| said.push(cut.to_string()));
    let summary = summary.await.expect("there is nothing to lose").to_string();
    assert!(summary.contains("was not tried"), "{summary}");
    assert!(said.iter().all(|said| said.contains("cannot be seen")), "{said:?}");
}

#[tokio::test]
async fn a_search_that_is_given_up_leaves_no_server() {
    let alive = Arc::new(());
    let held = alive.clone();
    let (arrived, came) = oneshot::channel();
    let arrived = Arc::new(std::sync::Mutex::new(Some(arrived)));
    let service = service_fn(move |_: Request| {
        let (held, arrived) = (held.clone(), arrived.clone());
        async move {
            let arrived = arrived.lock().expect("nothing panics").take();
            arrived.map(|arrived| arrived.send(()));
            pending::<()>().await;
            drop(held);
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    let wire = Disconnects::default().by([Disconnect::Http1Close]).timeout(1000 * 1000 * MS);
    tokio::select! {
        _ = wire.at_every_await(service, ask(), async |_| ()) => {}
        _ = came => {}
    }
    let gone = async {
        while Arc::strong_count(&alive) > 1 {
            yield_now().await;
        }
    };
    timeout(3000 * MS, gone).await.expect("its server is still there");
}

#[tokio::test]
async fn two_searches_at_once_wake_each_other() {
    let bell = Arc::new(Notify::new());
    let rung = bell.clone();
    let waits = service_fn(move |_: Request| {
        let rung = rung.clone();
        async move {
            rung.notified().await;
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    let rings = service_fn(move |_: Request| {
        let bell = bell.clone();
        async move {
            bell.notify_waiters();
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    let whole = AtomicU32::new(0);
    let search = Disconnects::default().timeout(1000 * MS);
    let search = search.at_every_await(waits, ask(), async |cut| {
        whole.fetch_add(u32::from(!cut.was_cut()), SeqCst);
    });
    let others = async {
        loop {
            let other = Disconnects::default().at_every_await(rings.clone(), ask(), async |_| ());
            let never_waits = other.await.expect_err("there is nothing to cut");
            assert!(never_waits.cut().is_none(), "{never_waits}");
            yield_now().await;
        }
    };
    let summary = tokio::select! {
        summary = search => summary.expect("there is nothing to lose"),
        () = others => unreachable!("it never ends"),
    };
    assert!(whole.into_inner() > 0, "no request ended: {summary}");
}
