//! Tests of the series of outboxes.

use std::time::Duration;

use super::RelayMeter;
use crate::{
    Lifecycle, ShutdownToken,
    service::{OutboxCounts, RelayBacklog, RelaySettled},
};

fn lifecycle() -> Lifecycle {
    let lifecycle = Lifecycle::builder().build().expect("the defaults are valid");
    lifecycle.life.begin_metrics();
    lifecycle
}

fn meter(lifecycle: &Lifecycle, relay: &str) -> RelayMeter {
    let life = &lifecycle.life;
    RelayMeter::new(&ShutdownToken::new(life.stopping().clone(), life.clone()), relay)
}

/// Returns the samples of outboxes, without what their names have in common.
fn outboxes(lifecycle: &Lifecycle) -> Vec<String> {
    let text = lifecycle.life.metrics_text();
    let samples = text.lines().filter_map(|line| line.strip_prefix("followthrough_outbox_"));
    samples.map(str::to_owned).collect()
}

fn backlog(waiting: u64, oldest: Option<Duration>) -> RelayBacklog {
    RelayBacklog { waiting, parked: 1, oldest }
}

#[tokio::test(start_paused = true)]
async fn relays_have_series_of_their_own_and_the_oldest_message_is_absent_when_none_waits() {
    let lifecycle = lifecycle();
    assert_eq!(outboxes(&lifecycle), [""; 0]);
    let (orders, mails) = (meter(&lifecycle, "orders"), meter(&lifecycle, "mails"));
    orders.settled(RelaySettled { sent: 3, retried: 2, parked: 1 });
    orders.backlog(backlog(4, Some(Duration::from_millis(1500))));
    mails.backlog(backlog(0, None));
    let expected = [
        "messages_total{relay=\"mails\",result=\"sent\"} 0",
        "messages_total{relay=\"mails\",result=\"retried\"} 0",
        "messages_total{relay=\"mails\",result=\"parked\"} 0",
        "messages_total{relay=\"orders\",result=\"sent\"} 3",
        "messages_total{relay=\"orders\",result=\"retried\"} 2",
        "messages_total{relay=\"orders\",result=\"parked\"} 1",
        "waiting{relay=\"mails\"} 0",
        "waiting{relay=\"orders\"} 4",
        "parked{relay=\"mails\"} 1",
        "parked{relay=\"orders\"} 1",
        "oldest_seconds{relay=\"orders\"} 1.5",
    ];
    assert_eq!(outboxes(&lifecycle), expected);
    drop((orders, mails));
    assert_eq!(outboxes(&lifecycle), expected[..6]);
}

#[tokio::test(start_paused = true)]
async fn relays_of_one_name_add_up_and_the_last_report_of_a_running_one_is_shown() {
    let lifecycle = lifecycle();
    let waiting = || outboxes(&lifecycle).into_iter().find(|line| line.starts_with("waiting"));
    let (first, second) = (meter(&lifecycle, "orders"), meter(&lifecycle, "orders"));
    first.settled(RelaySettled { sent: 3, ..RelaySettled::default() });
    second.settled(RelaySettled { sent: 4, ..RelaySettled::default() });
    let sent = "messages_total{relay=\"orders\",result=\"sent\"} 7";
    assert_eq!(outboxes(&lifecycle)[0], sent);
    first.backlog(backlog(10, None));
    second.backlog(backlog(20, None));
    assert_eq!(waiting().as_deref(), Some("waiting{relay=\"orders\"} 20"));
    first.backlog(backlog(11, None));
    assert_eq!(waiting().as_deref(), Some("waiting{relay=\"orders\"} 11"));
    drop(first);
    assert_eq!(waiting().as_deref(), Some("waiting{relay=\"orders\"} 20"));
    drop(second);
    assert_eq!(waiting(), None);
    assert_eq!(outboxes(&lifecycle)[0], sent);
}

#[tokio::test(start_paused = true)]
async fn the_oldest_message_grows_older_while_its_relay_reports_nothing() {
    let lifecycle = lifecycle();
    let meter = meter(&lifecycle, "orders");
    let oldest = || outboxes(&lifecycle).pop().expect("there are series");
    meter.backlog(backlog(1, Some(Duration::from_secs(2))));
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(oldest(), "oldest_seconds{relay=\"orders\"} 62");
    meter.backlog(backlog(1, Some(Duration::from_secs(3))));
    assert_eq!(oldest(), "oldest_seconds{relay=\"orders\"} 3");
    meter.backlog(backlog(1, Some(Duration::MAX)));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(
        oldest(),
        format!("oldest_seconds{{relay=\"orders\"}} {}", Duration::MAX.as_secs_f64())
    );
}

#[test]
fn a_meter_without_a_service_and_without_a_runtime_reaches_no_service() {
    let lifecycle = lifecycle();
    let meter = RelayMeter::new(&ShutdownToken::never(), "orders");
    meter.settled(RelaySettled { sent: u64::MAX, ..RelaySettled::default() });
    meter.settled(RelaySettled { sent: 1, ..RelaySettled::default() });
    meter.backlog(backlog(1, Some(Duration::from_secs(1))));
    drop(meter);
    assert_eq!(outboxes(&lifecycle), [""; 0]);
    assert_eq!(lifecycle.life.counts().outbox, OutboxCounts::default());
}
