//! `disconnect_at_every_await`: the faults that it finds, the awaits that it tries, and the text of
//! its failures.

use std::{
    convert::Infallible,
    future::pending,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{Response, StatusCode},
    routing::{MethodRouter, get, post},
};
use followthrough::{
    cancellable, durable_write,
    testing::{
        Disconnect, DisconnectRun, Disconnects, Failure, Moment, Summary, disconnect_at_every_await,
    },
};
use futures_util::stream;
use tokio::{sync::oneshot, task::yield_now, time::sleep};
use tower::service_fn;

const HOUR: Duration = Duration::from_hours(1);

#[derive(Clone, Default)]
struct Shop {
    charged: Arc<AtomicU32>,
    shipped: Arc<AtomicU32>,
}

impl Shop {
    /// Asserts that each charge has its order, and each order its charge.
    fn assert_whole(&self) {
        assert_eq!(self.charged.load(SeqCst), self.shipped.load(SeqCst), "charged and shipped");
    }
}

/// Waits for another task, as a query does.
async fn elsewhere() {
    let (done, waits) = oneshot::channel();
    tokio::spawn(async { done.send(()) });
    let _ = waits.await;
}

/// The lines of the awaits of `plain`.
const PLAIN: [u32; 2] = [line!() + 3, line!() + 5];

async fn plain(State(shop): State<Shop>, _: String) {
    elsewhere().await;
    shop.charged.fetch_add(1, SeqCst);
    elsewhere().await;
    shop.shipped.fetch_add(1, SeqCst);
}

#[durable_write]
async fn durable(State(shop): State<Shop>, _: String) {
    elsewhere().await;
    shop.charged.fetch_add(1, SeqCst);
    elsewhere().await;
    shop.shipped.fetch_add(1, SeqCst);
}

fn order() -> Request<String> {
    Request::post("/").body("one bicycle".to_owned()).expect("a sound request")
}

async fn try_all(
    disconnects: Disconnects,
    handler: MethodRouter<Shop>,
) -> Result<Summary, Failure> {
    let shop = Shop::default();
    let app = Router::new().route("/", handler).with_state(shop.clone());
    disconnects.at_every_await(app, order(), async |_| shop.assert_whole()).await
}

#[tokio::test]
async fn a_handler_that_loses_a_write_is_found_with_its_line() {
    let failure = try_all(Disconnects::default(), post(plain)).await.expect_err("it loses one");
    let cut = failure.cut().expect("it was cut");
    // The innermost await is within `elsewhere`, and the next one is the handler's own.
    assert_eq!(cut.awaits().last().map(|at| at.line), Some(PLAIN[1]), "{failure}");
    assert!(cut.was_cut() && !cut.is_begun() && cut.handler().is_none(), "{failure}");
    let said = failure.to_string();
    for word in ["charged and shipped", "tests/kit/every_await.rs:", "FOLLOWTHROUGH_SEED=0x"] {
        assert!(said.contains(word), "{said}");
    }
}

#[tokio::test]
async fn a_seed_repeats_the_failure_that_printed_it() {
    let first = try_all(Disconnects::default(), post(plain)).await.expect_err("it loses one");
    let seed = first.cut().expect("it was cut").seed();
    let seed = seed.to_string().parse().expect("a printed seed can be read");
    let again = Disconnects::default().replay(seed);
    let again = try_all(again, post(plain)).await.expect_err("it loses it again");
    let place =
        |failure: &Failure| failure.to_string().split_once("dropped").map(|(_, at)| at.to_owned());
    assert_eq!(place(&again), place(&first), "{again}");
    assert!(place(&first).is_some(), "{first}");
    // The durable handler passes at the same point, and the search tried that point.
    let good = try_all(Disconnects::default().replay(seed), post(durable)).await;
    assert_eq!(good.expect("nothing is lost").cut(), 10);
}

#[tokio::test]
async fn an_annotated_handler_is_cut_at_each_await_and_loses_nothing() {
    let shop = Shop::default();
    let app = Router::new().route("/", post(durable)).with_state(shop.clone());
    let summary = disconnect_at_every_await(app, order(), async |cut| {
        shop.assert_whole();
        let policy = cut.handler().map(|handler| handler.policy().name());
        assert!(!cut.is_begun() || policy == Some("kit::every_await::durable"), "{cut}");
        assert_eq!(cut.report().durable.completed, u64::from(cut.is_begun()), "{cut}");
    })
    .await;
    let at = |line: u32| summary.awaits().any(|at| at.contains(&format!("every_await.rs:{line}")));
    let inner = PLAIN[0] - 7;
    assert!(at(inner), "{summary}");
    // Two awaits of its own body, each cut while it waits and when it is woken.
    assert_eq!((summary.cut(), summary.begun()), (8, 4), "{summary}");
    assert_eq!(
        shop.shipped.load(SeqCst) as usize,
        summary.begun() + summary.runs() - summary.cut()
    );
}

#[tokio::test]
async fn clients_on_real_sockets_leave_in_every_way() {
    for by in Disconnect::OVER_THE_WIRE {
        let wire = || Disconnects::default().by([by]);
        let found = try_all(wire(), post(plain)).await.expect_err("it loses one");
        assert_eq!(found.cut().map(DisconnectRun::disconnect), Some(by), "{found}");
        let summary = try_all(wire(), post(durable)).await.expect("nothing is lost");
        assert!(summary.begun() >= 4 && summary.cut() > summary.begun(), "{by}: {summary}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_makes_hours_pass_at_once() {
    #[durable_write]
    async fn slow(State(shop): State<Shop>, _: String) {
        sleep(HOUR).await;
        shop.charged.fetch_add(1, SeqCst);
        sleep(HOUR).await;
        shop.shipped.fetch_add(1, SeqCst);
    }
    let patient = Disconnects::default().lifecycle(|builder| builder.grace(3 * HOUR));
    let summary = try_all(patient, post(slow)).await.expect("nothing is lost");
    assert_eq!(summary.begun(), 4, "{summary}");
}

#[tokio::test]
async fn yield_now_counts_as_an_await() {
    async fn yields(State(shop): State<Shop>) {
        shop.charged.fetch_add(1, SeqCst);
        yield_now().await;
        shop.shipped.fetch_add(1, SeqCst);
    }
    let line = line!() - 3;
    let failure = try_all(Disconnects::default(), post(yields)).await;
    let failure = failure.expect_err("a client can leave there").to_string();
    assert!(failure.contains(&format!("every_await.rs:{line}:")), "{failure}");
}

#[tokio::test]
async fn a_request_whose_body_is_still_arriving_is_cut_as_well() {
    #[cancellable(read)]
    async fn length(body: Bytes) -> String {
        body.len().to_string()
    }
    let app = Router::new().route("/", post(length));
    let mut moments = Vec::new();
    let request = || order().map(Body::from);
    let summary = disconnect_at_every_await(app, request, async |cut| {
        // Before the handler, no policy applies.
        assert!(!cut.was_cut() || cut.handler().is_none(), "{cut}");
        moments.extend(cut.was_cut().then_some(cut.moment()));
    })
    .await;
    assert_eq!(summary.cut(), 4, "{summary}");
    assert_eq!(moments, [Moment::Waiting, Moment::Waiting, Moment::Woken, Moment::Woken]);
}

#[tokio::test]
async fn a_response_that_is_streamed_is_cut_while_it_is_sent() {
    #[cancellable(stream)]
    async fn three() -> Body {
        let words = stream::unfold(0, |sent| async move {
            elsewhere().await;
            (sent < 3).then(|| (Ok::<_, Infallible>("word"), sent + 1))
        });
        Body::from_stream(words)
    }
    let statuses = Mutex::new(Vec::new());
    let app = Router::new().route("/", get(three));
    let request = Request::get("/").body(String::new()).expect("a sound request");
    let summary = disconnect_at_every_await(app, request, async |cut| {
        if cut.was_cut() {
            statuses.lock().expect("no check panics").push(cut.status());
        }
    })
    .await;
    assert_eq!(summary.cut(), 8, "four waits, two moments: {summary}");
    let statuses = statuses.into_inner().expect("no check panics");
    assert!(statuses.iter().all(|status| *status == Some(StatusCode::OK)), "{statuses:?}");
}

#[tokio::test]
async fn a_stream_without_end_is_cut_where_it_was_told_to() {
    async fn ticks() -> Body {
        Body::from_stream(stream::unfold((), |()| async {
            elsewhere().await;
            Some((Ok::<_, Infallible>("tick"), ()))
        }))
    }
    let app = Router::new().route("/", get(ticks));
    let request = Request::get("/").body(String::new()).expect("a sound request");
    let summary =
        Disconnects::default().max_suspensions(20).at_every_await(app, request, async |_| ()).await;
    let summary = summary.expect("there is nothing to lose");
    assert!((40..60).contains(&summary.cut()), "20 waits, two moments: {summary}");
}

#[tokio::test]
async fn a_request_that_waits_for_ever_ends_the_search() {
    async fn stuck() {
        elsewhere().await;
        pending::<()>().await;
    }
    let app = Router::new().route("/", get(stuck));
    let request = Request::get("/").body(String::new()).expect("a sound request");
    let impatient = Disconnects::default().timeout(Duration::from_millis(50));
    let summary = impatient.at_every_await(app, request, async |_| ()).await;
    let summary = summary.expect("there is nothing to lose");
    assert!(summary.awaits().count() >= 1 && summary.cut() >= 3, "{summary}");
}

#[tokio::test]
async fn a_seed_whose_point_is_never_reached_fails() {
    let far = "0x0000004000000000".parse().expect("it is a seed");
    let lost = try_all(Disconnects::default().replay(far), post(durable)).await;
    let said = lost.expect_err("there is no such await").to_string();
    assert!(said.contains("no request came to the point of the seed 0x"), "{said}");
}

#[tokio::test]
async fn a_request_that_never_waits_has_no_point_to_cut() {
    let app = Router::new().route("/", get(async || "at once"));
    let request = || Request::get("/nowhere").body(String::new()).expect("a sound request");
    let shown = Disconnects::default().at_every_await(app.clone(), request, async |_| ()).await;
    let said = shown.expect_err("nothing was cut").to_string();
    assert_eq!(
        said,
        "nothing was cut, so nothing was shown: GET /nowhere was answered 404 Not Found, and never had to wait"
    );
    let nothing = Disconnects::default().by([]).at_every_await(app, request, async |_| ()).await;
    let said = nothing.expect_err("no way to leave").to_string();
    assert!(said.contains("no way to leave"), "{said}");
}

#[tokio::test]
async fn a_time_out_around_the_handler_does_not_hide_where_it_is() {
    let time_out = tower::timeout::TimeoutLayer::new(HOUR);
    let failed = axum::error_handling::HandleErrorLayer::new(async |_: tower::BoxError| {
        StatusCode::GATEWAY_TIMEOUT
    });
    let shop = Shop::default();
    let app = Router::new().route("/", post(plain)).with_state(shop.clone());
    let app = app.layer(tower::ServiceBuilder::new().layer(failed).layer(time_out));
    let check = async |_| shop.assert_whole();
    let failure = Disconnects::default().at_every_await(app, order(), check).await;
    let failure = failure.expect_err("it loses one");
    let cut = failure.cut().expect("it was cut");
    assert_eq!(cut.awaits().last().map(|at| at.line), Some(PLAIN[1]), "{failure}");
}

#[tokio::test]
async fn the_search_waits_for_work_on_other_threads() {
    async fn blocks(State(shop): State<Shop>) {
        let slow = || std::thread::sleep(Duration::from_millis(1));
        tokio::task::spawn_blocking(slow).await.expect("it does not panic");
        shop.charged.fetch_add(1, SeqCst);
        tokio::task::spawn_blocking(slow).await.expect("it does not panic");
        shop.shipped.fetch_add(1, SeqCst);
    }
    for _ in 0..20 {
        let failure = try_all(Disconnects::default(), post(blocks)).await;
        let failure = failure.expect_err("a client can leave between the two").to_string();
        assert!(failure.contains("every_await.rs:"), "{failure}");
    }
}

#[tokio::test]
async fn any_tower_service_can_be_searched() {
    let cut = AtomicU32::new(0);
    let service = service_fn(|_: Request| async {
        elsewhere().await;
        Ok::<_, Infallible>(Response::new(String::from("hello")))
    });
    let summary = disconnect_at_every_await(service, order(), async |run| {
        cut.fetch_add(u32::from(run.was_cut()), SeqCst);
    })
    .await;
    assert_eq!((summary.cut(), cut.into_inner()), (2, 2), "{summary}");
}

#[tokio::test]
async fn work_that_does_not_end_is_named() {
    #[durable_write]
    async fn endless() {
        elsewhere().await;
        pending::<()>().await;
    }
    let app = Router::new().route("/", post(endless));
    let brief =
        Disconnects::default().lifecycle(|builder| builder.grace(Duration::from_millis(50)));
    let failure =
        brief.at_every_await(app, order(), async |_| ()).await.expect_err("it never ends");
    let said = failure.to_string();
    assert!(said.starts_with("work did not end within the grace: kit::every_await::"), "{said}");
    assert!(said.contains("\n    handler: `kit::every_await::"), "{said}");
    assert!(said.contains("` at tests/e2e/tests/kit/every_await.rs:"), "{said}");
}

#[tokio::test]
async fn a_check_may_give_an_error() {
    let app = Router::new().route("/", post(plain)).with_state(Shop::default());
    let check = async |_| Err::<(), _>("it is Tuesday");
    let failure = Disconnects::default().at_every_await(app, order(), check).await;
    let failure = failure.expect_err("the first check says no").to_string();
    assert!(failure.starts_with("it is Tuesday\n"), "{failure}");
}

#[test]
fn the_short_form_panics_with_the_whole_report() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let shop = Shop::default();
    let app = Router::new().route("/", post(plain)).with_state(shop.clone());
    let all = disconnect_at_every_await(app, order(), async |_| shop.assert_whole());
    let runtime = runtime.expect("a runtime can be built");
    let panic = catch_unwind(AssertUnwindSafe(|| runtime.block_on(all.into_future())))
        .expect_err("it loses one");
    let said = panic.downcast_ref::<String>().expect("a message");
    assert!(said.contains("every_await.rs:") && said.contains("FOLLOWTHROUGH_SEED"), "{said}");
}
