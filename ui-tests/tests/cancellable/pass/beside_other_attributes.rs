#![forbid(unsafe_code)]
#![deny(warnings)]

use axum::{debug_handler, extract::State, response::IntoResponse};
use followthrough::{RequestToken, cancellable, durable_write};
use tokio_util::sync::CancellationToken;
use tracing::instrument;

/// Docs above.
#[cancellable(read)]
/// Docs below.
#[debug_handler]
async fn with_debug_handler(State(n): State<u32>, cancel: CancellationToken) -> String {
    format!("{n} {cancel:?}")
}

#[cancellable(read)]
#[debug_handler(state = u32)]
async fn with_debug_handler_and_site(State(n): State<u32>, cancel: RequestToken) -> String {
    #[durable_write]
    let written = write(n, cancel.token()).await;
    written.to_string()
}

#[cancellable(read)]
#[utoipa::path(get, path = "/orders/{id}", responses((status = 200, body = String)))]
#[deadline = "10s"]
async fn with_utoipa(State(n): State<u32>, cancel: CancellationToken) -> impl IntoResponse {
    let _ = write(n, cancel).await;
    "orders"
}

#[instrument]
#[cancellable(read, internal)]
async fn instrument_above(cancel: CancellationToken, n: u32) -> u32 {
    #[durable_write]
    let written = write(n, cancel.clone()).await;
    written
}

#[instrument(skip(cancel), err)]
#[cancellable(read, internal)]
async fn instrument_above_err(cancel: RequestToken, n: u32) -> Result<u32, std::fmt::Error> {
    #[durable_write]
    let written = write(n, cancel.token()).await;
    if written == 0 {
        return Err(std::fmt::Error);
    }
    Ok(written)
}

#[instrument(skip_all, ret)]
#[durable_write(internal)]
async fn instrument_above_ret(cancel: CancellationToken, n: u32) -> u32 {
    let written = write(n, cancel.clone()).await;
    #[cancellable(read)]
    let read = write(written, cancel.clone()).await;
    read
}

#[instrument(skip_all, err, ret)]
#[cancellable(read, internal)]
async fn instrument_above_both(cancel: CancellationToken) -> Result<u32, std::fmt::Error> {
    #[durable_write]
    let written = write(1, cancel.clone()).await;
    Ok(written)
}

#[durable_write(internal)]
#[instrument(skip(n))]
async fn instrument_below(cancel: CancellationToken, n: u32) -> u32 {
    write(n, cancel).await
}

#[cfg(any())]
#[cancellable(nonsense)]
async fn gone_above() {}

#[cancellable(nonsense)]
#[cfg(any())]
async fn gone_below() {}

#[cfg(all())]
#[allow(unused_variables)]
#[cancellable(read, internal)]
#[allow(unused_mut)]
#[cfg_attr(any(), this_does_not_exist)]
#[must_use]
async fn lints(cancel: CancellationToken) -> u32 {
    let unused = 1;
    let mut never_changed = 2;
    never_changed
}

async fn write(n: u32, _: CancellationToken) -> u32 {
    std::future::ready(n).await
}

fn raw() -> followthrough::RawToken {
    CancellationToken::new().into()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let _app: axum::Router = axum::Router::new()
        .route("/a", axum::routing::get(with_debug_handler))
        .route("/b", axum::routing::post(with_debug_handler_and_site))
        .with_state(1_u32);
    let plain = instrument_above(raw(), 2).await.into_result();
    assert_eq!(plain.unwrap(), 2);
    let err = instrument_above_err(RequestToken::never(), 0).await.into_result();
    assert_eq!(err.unwrap(), Err(std::fmt::Error));
    assert_eq!(instrument_above_ret(raw(), 3).await.into_result().unwrap(), 3);
    assert_eq!(instrument_above_both(raw()).await.into_result().unwrap(), Ok(1));
    assert_eq!(instrument_below(raw(), 4).await.into_result().unwrap(), 4);
    assert_eq!(lints(raw()).await.into_result().unwrap(), 2);
    assert!(with_utoipa(State(1), raw()).await.into_result().is_ok());
}
