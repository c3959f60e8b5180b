//! x
use followthrough::*;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[cancellable(read)]
#[deadline = "50ms"]
async fn slow(_cancel: CancellationToken) -> &'static str {
    tokio::time::sleep(Duration::from_secs(5)).await;
    "x"
}
static N: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
#[cancellable(read)]
#[deadline("50ms")]
async fn place(cancel: CancellationToken) -> String {
    tokio::task::yield_now().await;
    #[durable_write]
    let x = { let _ = &cancel; tokio::time::sleep(Duration::from_millis(100)).await; 3 };
    tokio::time::sleep(Duration::from_millis(20)).await;
    N.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    format!("{x}")
}

#[tokio::test]
async fn smoke() {
    let t = CancellationToken::new();
    let e = slow(t.into()).await.into_result().unwrap_err();
    assert_eq!(e.status(), 504);
    let e = place(CancellationToken::new().into()).await.into_result().unwrap_err();
    assert_eq!(e.outcome(), Outcome::Unknown);
    tokio::time::sleep(Duration::from_millis(120)).await;
    assert_eq!(N.load(std::sync::atomic::Ordering::SeqCst), 1);
    let e = tokio::time::timeout(Duration::from_millis(20), place(CancellationToken::new().into())).await.unwrap_err();
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(N.load(std::sync::atomic::Ordering::SeqCst), 2);
    let _ = e;
}
