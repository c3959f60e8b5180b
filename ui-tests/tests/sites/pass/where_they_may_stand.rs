#![forbid(unsafe_code)]
#![deny(warnings)]

use followthrough::{DurableToken, RequestToken, cancellable, durable_write};
use tokio_util::sync::CancellationToken;

async fn read(_: &CancellationToken) -> u32 {
    std::future::ready(1).await
}

async fn write(_: &DurableToken) -> Result<u32, std::fmt::Error> {
    std::future::ready(Ok(1)).await
}

// A handler may have both tokens.
#[cancellable(read, internal)]
async fn typed(cancel: RequestToken, stop: followthrough::ShutdownToken) -> Option<u32> {
    let before = read(&cancel.token()).await;
    #[cfg(all())]
    #[durable_write]
    let after = write(&cancel).await.ok()?;
    #[cfg(any())]
    #[durable_write]
    let after = missing(&cancel).await;
    #[allow(unused_must_use)]
    #[durable_write]
    write(&cancel).await;
    #[cancellable(read, deadline = "2s")]
    let checked = read(&cancel.token()).await;
    Some(before + after + checked + u32::from(stop.is_cancelled()))
}

// A nested handler has its own policy. A closure may stand beside a site and may not contain one.
#[durable_write(internal)]
async fn nested(cancel: CancellationToken) -> u32 {
    #[cancellable(read, internal)]
    async fn inner(cancel: RequestToken) -> u32 {
        #[durable_write]
        let value = write(&cancel).await.unwrap_or_default();
        value
    }
    struct Local;
    impl Local {
        #[cancellable(read, internal)]
        async fn associated(cancel: RequestToken) -> u32 {
            #[deadline = "1s"]
            let value = read(&cancel.token()).await;
            value
        }
    }
    let add = |a: u32, b: u32| a + b;
    let value = inner(RequestToken::never()).await.into_result().unwrap_or_default();
    #[cancellable(idempotent_write)]
    #[deadline(500ms)]
    let other = add(read(&cancel).await, 1);
    let more = Local::associated(RequestToken::never()).await.into_result().unwrap_or_default();
    value + other + more
}

// The name may be bound again after the last site, or where no site uses it.
#[cancellable(read, internal)]
async fn shadowed(cancel: CancellationToken) -> u32 {
    #[durable_write]
    let written = read(&cancel).await;
    {
        let cancel = read(&cancel).await;
        #[durable_write]
        let _ = std::future::ready(1).await;
        let _ = cancel;
    }
    #[durable_write]
    let again = read(&cancel).await;
    let cancel = again;
    written + cancel
}

fn main() {
    let _ = (typed, nested, shadowed);
}
