#![forbid(unsafe_code)]
#![deny(warnings)]

use followthrough::{ShutdownToken, background};
use tokio_util::sync::CancellationToken;

#[background]
async fn typed(stop: ShutdownToken, queue: Vec<u32>) -> usize {
    if stop.is_cancelled() { 0 } else { queue.len() }
}

// A raw token parameter accepts the stopping token of `lifecycle.spawn` and any other token.
#[background]
async fn raw(stop: CancellationToken, mut left: u32) -> Result<(), std::fmt::Error> {
    while left > 0 && !stop.is_cancelled() {
        left -= 1;
        tokio::task::yield_now().await;
    }
    Ok(())
}

#[background]
async fn mutable(mut stop: CancellationToken) -> bool {
    stop = stop.child_token();
    Borrowing(&stop).ask().await
}

// A token that the worker passes to another function or to a macro counts as used.
#[background]
async fn handed_on(stop: ShutdownToken) {
    tokio::join!(typed(stop, vec![]));
}

#[background]
async fn in_a_closure(stop: ShutdownToken) -> bool {
    (move || stop.is_cancelled())()
}

struct Borrowing<'a>(&'a CancellationToken);

impl Borrowing<'_> {
    async fn ask(&self) -> bool {
        std::future::ready(self.0.is_cancelled()).await
    }
}

impl Drop for Borrowing<'_> {
    fn drop(&mut self) {
        let _ = self.0.is_cancelled();
    }
}

fn spawn<F: std::future::Future>(_: impl FnOnce(ShutdownToken) -> F) {}

fn main() {
    spawn(|stop| typed(stop, vec![1]));
    spawn(|stop| raw(stop, 3));
    spawn(|stop| mutable(stop));
    let _ = raw(CancellationToken::new(), 1);
    spawn(|stop| handed_on(stop));
    spawn(|stop| in_a_closure(stop));
}
