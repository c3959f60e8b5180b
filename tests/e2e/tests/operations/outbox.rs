//! The relay of an outbox, as an operator sees it.

use std::{future::pending, time::Duration};

use followthrough::{
    Lifecycle,
    integration::{RelayBacklog, RelayMeter, RelaySettled},
    observe::{MessagesSettled, Observer},
};
use followthrough_tests::{Marks, lifecycle, soon};

use crate::metrics::{Samples, scrape};

/// Keeps what it is told, as a line each.
#[derive(Clone, Default)]
struct Notes(Marks);

impl Observer for Notes {
    fn messages_settled(&self, messages: &MessagesSettled) {
        let MessagesSettled { relay, sent, retried, parked, .. } = messages;
        self.0.set(format!("{relay}: {sent} {retried} {parked}"));
    }
}

/// Returns the whole parts of the gauges: messages that wait, parked messages and the age of the oldest.
fn gauges(samples: &Samples, relay: &str) -> [Option<u64>; 3] {
    ["waiting", "parked", "oldest_seconds"].map(|gauge| {
        samples.get(&format!("followthrough_outbox_{gauge}{{relay=\"{relay}\"}}")).copied()
    })
}

fn messages(samples: &Samples, relay: &str) -> [Option<u64>; 3] {
    ["sent", "retried", "parked"].map(|result| {
        let labels = format!("relay=\"{relay}\",result=\"{result}\"");
        samples.get(&format!("followthrough_outbox_messages_total{{{labels}}}")).copied()
    })
}

async fn until_scraped(lifecycle: &Lifecycle, mut is_reached: impl FnMut(&Samples) -> bool) {
    soon("the metrics", async {
        while !is_reached(&scrape(lifecycle).await) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_relay_is_seen_in_the_metrics_the_counts_the_report_and_by_observers() {
    let notes = Notes::default();
    let lifecycle = lifecycle().observer(notes.clone()).build().unwrap();
    lifecycle.spawn("relay", async |stop| {
        let meter = RelayMeter::new(&stop, "orders");
        meter.settled(RelaySettled::default());
        meter.settled(RelaySettled { sent: 20, retried: 3, ..RelaySettled::default() });
        let oldest = Some(Duration::from_hours(1));
        meter.backlog(RelayBacklog { waiting: 5, parked: 1, oldest });
        stop.cancelled().await;
        meter.settled(RelaySettled { sent: 4, parked: 1, ..RelaySettled::default() });
    });
    until_scraped(&lifecycle, |samples| gauges(samples, "orders")[0].is_some()).await;
    let samples = scrape(&lifecycle).await;
    let [waiting, parked, oldest] = gauges(&samples, "orders");
    assert_eq!((waiting, parked), (Some(5), Some(1)));
    assert!(oldest >= Some(3600), "{oldest:?}");
    assert_eq!(messages(&samples, "orders"), [Some(20), Some(3), Some(0)]);
    let outbox = lifecycle.counts().outbox;
    assert_eq!((outbox.sent, outbox.retried, outbox.parked), (20, 3, 0));

    lifecycle.shutdown();
    let report = lifecycle.drained().await;
    let samples = scrape(&lifecycle).await;
    assert_eq!(gauges(&samples, "orders"), [None; 3]);
    assert_eq!(messages(&samples, "orders"), [Some(24), Some(3), Some(1)]);
    assert_eq!(report.outbox, lifecycle.counts().outbox);
    let text = report.to_string();
    assert!(text.contains("\n  outbox: 24 sent, 3 retried, 1 parked\n"), "{text}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["outbox"], serde_json::json!({"sent": 24, "retried": 3, "parked": 1}));
    // The end of the drain waits for the observers. A batch without a message is no event.
    assert_eq!(notes.0.all(), ["orders: 20 3 0", "orders: 4 0 1"]);
    assert_eq!(report.exit_code(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_panics_leaves_no_gauge_and_its_next_start_goes_on_counting() {
    let lifecycle = lifecycle().build().unwrap();
    let (marks, mut starts) = (Marks::default(), 0);
    let of_relay = marks.clone();
    lifecycle.spawn_restartable("relay", move |stop| {
        starts += 1;
        let marks = of_relay.clone();
        async move {
            let meter = RelayMeter::new(&stop, "orders");
            meter.settled(RelaySettled { sent: 10, ..RelaySettled::default() });
            if starts == 1 {
                meter.backlog(RelayBacklog { waiting: 7, ..RelayBacklog::default() });
                panic!("the first start");
            }
            marks.set("second start");
            stop.cancelled().await;
        }
    });
    marks.until("second start").await;
    let samples = scrape(&lifecycle).await;
    assert_eq!(messages(&samples, "orders")[0], Some(20));
    assert_eq!(gauges(&samples, "orders"), [None; 3]);
    lifecycle.shutdown();
    assert_eq!(lifecycle.drained().await.worker_restarts, 1);
}

#[tokio::test]
async fn a_relay_that_is_abandoned_leaves_its_counts_in_the_report() {
    let lifecycle = lifecycle().grace(Duration::from_millis(50)).build().unwrap();
    lifecycle.spawn("relay", async |stop| {
        let meter = RelayMeter::new(&stop, "orders");
        meter.settled(RelaySettled { retried: 2, ..RelaySettled::default() });
        pending::<()>().await;
        drop(meter);
    });
    until_scraped(&lifecycle, |samples| messages(samples, "orders")[1] == Some(2)).await;
    lifecycle.shutdown();
    let report = lifecycle.drained().await;
    assert_eq!((report.outbox.retried, report.abandoned.len()), (2, 1));
}

#[tokio::test]
async fn a_service_without_a_relay_has_no_word_of_outboxes() {
    let lifecycle = lifecycle().build().unwrap();
    let samples = scrape(&lifecycle).await;
    assert!(!samples.keys().any(|series| series.contains("outbox")), "{samples:?}");
    lifecycle.shutdown();
    let text = lifecycle.drained().await.to_string();
    assert!(!text.contains("outbox"), "{text}");
}
