//! A client that repeats its request, with the same key, until its answer is definite.

use std::{io, sync::Arc, time::Duration};

use crate::{
    client::{Answer, Client, Sent},
    database::{Db, SENT_AT_MOST},
    handlers::{HANDLERS, Promise, WRITTEN},
    plan::Plan,
    service::Service,
    slot::{Failure, Slot},
    visit::Watch,
};

/// The pause before a request is sent again. A client of a real service waits for the time in `Retry-After`.
const PAUSE: Duration = Duration::from_millis(5);

/// A request that was sent again, and is not answered yet.
pub(crate) struct Sending {
    client: Client,
    watch: Arc<Watch>,
}

impl Sending {
    /// Waits until the handler of the request is about to begin, where it joins a write that runs.
    pub(crate) async fn arrives(&self) {
        self.watch.until(|seen| seen.extracted || seen.gone).await;
    }
}

/// The answers of a client after its last retry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retried {
    /// How often the request was sent again.
    pub(crate) sent: i64,
    /// Whether one of these sendings was past its point of no return.
    pub(crate) begun: bool,
    /// The definite answer.
    pub(crate) answer: Option<Answer>,
    /// The answer to one more request with the same key.
    pub(crate) later: Option<Answer>,
    /// The numbers of the first charge and the first order.
    pub(crate) first_rows: (Option<i64>, Option<i64>),
}

impl Answer {
    /// Returns whether the client need not ask again.
    pub(crate) fn is_definite(&self) -> bool {
        self.whole && (self.status == 200 || self.replayed)
    }

    /// Returns the number of the rows that this answer reports.
    pub(crate) fn row(&self) -> Option<i64> {
        let rest = self.body.split_once(WRITTEN)?.1;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    }
}

/// Returns the path and the key of a request.
pub(crate) fn path_and_key(plan: &Plan, id: i64) -> (String, String) {
    (format!("/{}/{id}", HANDLERS[plan.handler].0), format!("campaign-{id}"))
}

impl Service {
    /// Sends a request that was sent `sent` times before.
    pub(crate) async fn send_again(
        &self,
        plan: &Plan,
        db: &Db,
        id: i64,
        sent: i64,
    ) -> io::Result<Sending> {
        let watch = Watch::new(None);
        self.expected.add(watch.visit(db.clone(), id, sent));
        let (path, key) = path_and_key(plan, id);
        let request = Sent { path: &path, timeout: None, key: Some(&key) };
        let mut client = Client::send(self.at, plan.http2, request).await?;
        client.finish().await;
        Ok(Sending { client, watch })
    }

    /// Waits for the answer, and until the request has settled.
    pub(crate) async fn answer_of(
        &mut self,
        mut sending: Sending,
        id: i64,
        retried: &mut Retried,
    ) -> Option<Answer> {
        let answer = sending.client.answer().await.ok();
        self.settles(&sending.watch, id).await;
        self.account(Promise::Durable, &sending.watch);
        retried.sent += 1;
        retried.begun |= sending.watch.seen().begun;
        answer
    }
}

impl Slot {
    /// Sends the request again until its answer is definite, and then once more.
    pub(crate) async fn retry(
        &mut self,
        plan: &Plan,
        id: i64,
        db: &Db,
        retried: &mut Retried,
    ) -> Result<(), Failure> {
        while retried.sent < SENT_AT_MOST - 2 {
            let asked = retried.answer.is_some();
            let service = self.service().await?;
            let sending = service.send_again(plan, db, id, retried.sent + 1).await?;
            let answer = service.answer_of(sending, id, retried).await;
            if asked {
                retried.later = answer;
                break;
            }
            retried.answer = answer.filter(Answer::is_definite);
            if retried.answer.is_none() {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }
}
