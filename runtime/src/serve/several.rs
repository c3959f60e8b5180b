//! Several listeners as one [`Listener`].
//!
//! Invariants:
//!
//! 1. No listener starves beside a busy one, because the listener that is polled first changes with each accept.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    task::Poll,
};

use super::{accepted::Accepted, listener::Listener};

type Result<P> = io::Result<Accepted<P>>;

/// Adds the listener's name to an error.
fn named<L: Listener>(listener: &L, accepted: Result<L::Peer>) -> Result<L::Peer> {
    accepted.map_err(|error| {
        let name = listener.name().unwrap_or_else(|_| "a listener".to_owned());
        io::Error::new(error.kind(), format!("{name}: {error}"))
    })
}

macro_rules! tuple {
    ($first:ident $($other:ident)*, $($n:tt)*) => {
        impl<$first: Listener, $($other: Listener<Peer = $first::Peer>),*> Listener
            for ($first, $($other),*)
        {
            type Peer = $first::Peer;

            async fn accept(&mut self) -> Result<Self::Peer> {
                // `select!` polls the listeners in random order (invariant 1).
                tokio::select! {
                    $(accepted = Listener::accept(&mut self.$n) => named(&self.$n, accepted),)*
                }
            }

            fn accept_now(&mut self) -> Option<Accepted<Self::Peer>> {
                None$(.or_else(|| self.$n.accept_now()))*
            }

            fn name(&self) -> io::Result<String> {
                Ok([$(self.$n.name()?),*].join(", "))
            }
        }
    };
}

tuple!(A B, 0 1);
tuple!(A B C, 0 1 2);
tuple!(A B C D, 0 1 2 3);

impl<L: Listener> Listener for Vec<L> {
    type Peer = L::Peer;

    async fn accept(&mut self) -> Result<L::Peer> {
        // Invariant 1. Any value will do, so `Relaxed` suffices.
        static FIRST: AtomicUsize = AtomicUsize::new(0);
        let first = FIRST.fetch_add(1, Relaxed) % self.len().max(1);
        let (n, accepted) = {
            let mut accepts: Vec<Pin<Box<_>>> =
                self.iter_mut().map(|listener| Box::pin(listener.accept())).collect();
            poll_fn(|cx| {
                let count = accepts.len();
                for n in (first..count).chain(0..first) {
                    if let Poll::Ready(accepted) = accepts[n].as_mut().poll(cx) {
                        return Poll::Ready((n, accepted));
                    }
                }
                Poll::Pending
            })
            .await
        };
        named(&self[n], accepted)
    }

    fn accept_now(&mut self) -> Option<Accepted<L::Peer>> {
        self.iter_mut().find_map(Listener::accept_now)
    }

    fn name(&self) -> io::Result<String> {
        if self.is_empty() {
            let why = "there is no listener to accept on: give `serve` at least one";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let names: io::Result<Vec<_>> = self.iter().map(Listener::name).collect();
        Ok(names?.join(", "))
    }
}
