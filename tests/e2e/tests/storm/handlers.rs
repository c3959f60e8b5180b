//! The shapes of the storm's handlers.

use std::{pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Path, State},
    routing::{MethodRouter, post},
};
use followthrough::{cancellable, durable_write};
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{task::yield_now, time::sleep};
use tokio_util::sync::CancellationToken;

use super::ledger::{Ledger, ON_PURPOSE};

/// A shape: its name, which is its path, and its handler.
type Shape = (&'static str, fn() -> MethodRouter<Storm>);

pub(crate) const SHAPES: [Shape; 17] = [
    ("whole", || post(whole)),
    ("hurried", || post(hurried)),
    ("site", || post(site)),
    ("hurried_site", || post(hurried_site)),
    ("two_sites", || post(two_sites)),
    ("joined", || post(joined)),
    ("unordered", || post(unordered)),
    ("nested", || post(nested)),
    ("nested_in_site", || post(nested_in_site)),
    ("siblings", || post(siblings)),
    ("side_by_side", || post(side_by_side)),
    ("cooperative", || post(cooperative)),
    ("panics", || post(panics)),
    ("panics_after_site", || post(panics_after_site)),
    ("beside_a_panic", || post(beside_a_panic)),
    ("only_panics", || post(only_panics)),
    ("only_reads", || post(only_reads)),
];

/// The shapes without a point of no return.
pub(crate) const HARMLESS: [&str; 2] = ["only_panics", "only_reads"];

#[derive(Clone)]
pub(crate) struct Storm {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) seed: u64,
    /// The number of requests. A second body of a request has its line behind those of all
    /// requests.
    pub(crate) requests: usize,
}

impl Storm {
    pub(crate) fn router(self) -> Router {
        SHAPES
            .iter()
            .fold(Router::new(), |router, (name, shape)| {
                router.route(&format!("/{name}/{{id}}"), shape())
            })
            .with_state(self)
    }

    /// Suspends a few times, with a different waker and delay each time.
    async fn naps(&self, id: usize, place: u64) {
        let mut random = fastrand::Rng::with_seed(self.seed ^ (id as u64) << 8 ^ place);
        for _ in 0..random.u8(1..4) {
            match random.u8(..4) {
                0 => yield_now().await,
                1 => sleep(Duration::from_millis(random.u64(..4))).await,
                2 => tokio::spawn(yield_now()).await.expect("it yields"),
                _ => tokio::task::spawn_blocking(|| ()).await.expect("it does nothing"),
            }
        }
    }
}

type At = (State<Storm>, Path<usize>);

#[durable_write]
async fn whole((State(storm), Path(id)): At) {
    let passage = storm.ledger.begins(id);
    storm.naps(id, 1).await;
    passage.ends();
}

#[durable_write]
#[deadline = "2ms"]
async fn hurried((State(storm), Path(id)): At) {
    let passage = storm.ledger.begins(id);
    storm.naps(id, 1).await;
    passage.ends();
}

#[cancellable(read)]
async fn site((State(storm), Path(id)): At) {
    storm.naps(id, 1).await;
    #[durable_write]
    let passage = {
        let passage = storm.ledger.begins(id);
        storm.naps(id, 2).await;
        passage
    };
    storm.naps(id, 3).await;
    passage.ends();
}

#[cancellable(read)]
#[deadline = "3ms"]
async fn hurried_site((State(storm), Path(id)): At) {
    storm.naps(id, 1).await;
    #[durable_write]
    let passage = {
        let passage = storm.ledger.begins(id);
        storm.naps(id, 2).await;
        passage
    };
    storm.naps(id, 3).await;
    passage.ends();
}

#[cancellable(idempotent_write)]
async fn two_sites((State(storm), Path(id)): At, cancel: CancellationToken) {
    storm.naps(id, 1).await;
    #[durable_write]
    let passage = {
        let passage = storm.ledger.begins(id);
        storm.naps(id, 2).await;
        assert!(!cancel.is_cancelled(), "the durable token fires at the end of the grace only");
        passage
    };
    storm.naps(id, 3).await;
    #[durable_write]
    storm.naps(id, 4).await;
    passage.ends();
}

#[cancellable(read)]
async fn joined((State(storm), Path(id)): At) {
    #[durable_write]
    let (passage, (), ()) = tokio::join!(
        async {
            let passage = storm.ledger.begins(id);
            storm.naps(id, 1).await;
            passage
        },
        storm.naps(id, 2),
        storm.naps(id, 3),
    );
    passage.ends();
}

#[cancellable(read)]
async fn unordered((State(storm), Path(id)): At) {
    storm.naps(id, 1).await;
    #[durable_write]
    {
        let passage = storm.ledger.begins(id);
        let mut all: FuturesUnordered<_> = (2..6)
            .map(|place| {
                let storm = &storm;
                async move {
                    storm.naps(id, place).await;
                    whole((State(storm.clone()), Path(id))).await.into_result()
                }
            })
            .collect();
        while let Some(ended) = all.next().await {
            ended.expect("the request has its permit");
        }
        passage.ends();
    }
}

#[cancellable(read)]
async fn nested((State(storm), Path(id)): At) {
    storm.naps(id, 2).await;
    let _ = whole((State(storm.clone()), Path(id))).await;
    storm.naps(id, 3).await;
}

#[cancellable(read)]
async fn nested_in_site((State(storm), Path(id)): At) {
    #[durable_write]
    let passage = {
        let passage = storm.ledger.begins(id);
        whole((State(storm.clone()), Path(id))).await.into_result().expect("it is past");
        passage
    };
    storm.naps(id, 3).await;
    passage.ends();
}

#[cancellable(read)]
async fn siblings((State(storm), Path(id)): At) {
    let mut one = pin!(whole((State(storm.clone()), Path(id))));
    let mut other = pin!(site((State(storm.clone()), Path(id))));
    // These pins are dropped before the two calls, which then go on in other tasks.
    let _ = tokio::join!(one.as_mut(), other.as_mut());
    storm.naps(id, 5).await;
}

/// A plain handler that calls two governed ones. Each call is a body of the request.
async fn side_by_side((State(storm), Path(id)): At) {
    let twin = id + storm.requests;
    let _ = tokio::join!(
        whole((State(storm.clone()), Path(id))),
        site((State(storm.clone()), Path(twin))),
    );
}

#[cancellable(read, cooperative)]
async fn cooperative((State(storm), Path(id)): At, cancel: CancellationToken) {
    let passage = storm.ledger.begins(id);
    for place in 1..4 {
        storm.naps(id, place).await;
        if cancel.is_cancelled() {
            break;
        }
    }
    storm.naps(id, 4).await;
    passage.ends();
}

#[durable_write]
async fn panics((State(storm), Path(id)): At) {
    let passage = storm.ledger.begins(id);
    storm.naps(id, 1).await;
    passage.panics();
}

#[cancellable(read)]
async fn panics_after_site((State(storm), Path(id)): At) {
    #[durable_write]
    let passage = {
        let passage = storm.ledger.begins(id);
        storm.naps(id, 1).await;
        passage
    };
    storm.naps(id, 2).await;
    passage.panics();
}

/// Drops a durable body while the stack unwinds.
async fn beside_a_panic((State(storm), Path(id)): At) {
    let panics = async {
        storm.naps(id, 2).await;
        panic!("{ON_PURPOSE}");
    };
    let _ = tokio::join!(whole((State(storm.clone()), Path(id))), panics);
}

#[cancellable(read)]
async fn only_panics((State(storm), Path(id)): At) {
    storm.naps(id, 1).await;
    panic!("{ON_PURPOSE}");
}

#[cancellable(read)]
async fn only_reads((State(storm), Path(id)): At) {
    storm.naps(id, 1).await;
}
