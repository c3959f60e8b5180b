//! A slot for runs, one after the other. The databases and the service are its own, so all work in
//! flight there belongs to the current run.

use std::{error::Error, path::Path, sync::Arc, time::Duration};

use followthrough::Idempotency;
use followthrough_database_tests::Postgres;
use tokio::time::{Instant, timeout};

use crate::{
    client::{Answer, Client, Sent},
    database::{Db, POOL},
    fault::{PATIENCE, fall},
    handlers::{HANDLERS, Promise},
    keys::{KeyTotals, Keys},
    plan::{Fault, Instance, Plan},
    retries::{Retried, Sending, path_and_key},
    service::Service,
    verdict::{Facts, Kind, RetryKind},
    visit::Watch,
};

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Longer than any run takes, unless it hangs.
const LONGEST: Duration = Duration::from_secs(10);

pub(crate) struct Slot {
    sqlite: Base,
    postgres: Option<Base>,
    service: Option<Service>,
    /// A second instance, for retries.
    other: Option<Service>,
    keys: Keys,
    idempotency: Idempotency,
    pub(crate) key_totals: KeyTotals,
}

/// A database, and another connection, which sees only committed rows.
#[derive(Clone)]
struct Base {
    db: Db,
    look: Db,
}

impl Base {
    /// Returns the numbers of the first charge and the first order of a request.
    async fn first_rows(&self, id: i64) -> Result<(Option<i64>, Option<i64>), Failure> {
        self.db.settles().await?;
        Ok(self.look.first_rows(id).await?)
    }

    /// Returns the rows of a request, after its dropped statements have ended.
    async fn rows(&self, id: i64) -> Result<(i64, i64), Failure> {
        self.db.settles().await?;
        Ok(self.look.rows(id).await?)
    }
}

/// The findings of a run.
pub(crate) struct Outcome {
    pub(crate) plan: Plan,
    /// The name of the stage at which the fault took effect; `None` if the request did not reach
    /// the point.
    pub(crate) held: Option<&'static str>,
    /// `None` if the request did not end.
    pub(crate) kind: Option<Kind>,
    /// The answers of a client that has repeated its request.
    pub(crate) retries: Option<RetryKind>,
    /// The faults; empty if the run is good.
    pub(crate) wrong: Vec<String>,
}

impl Slot {
    /// Opens the databases, the first in `folder`.
    pub(crate) async fn open(
        n: usize,
        folder: &Path,
        postgres: Option<&(&Postgres, Db)>,
        keys: Keys,
    ) -> Result<Self, Failure> {
        let file = folder.join(format!("{n}.sqlite"));
        let sqlite = Base { db: Db::sqlite(&file, POOL).await?, look: Db::sqlite(&file, 1).await? };
        let postgres = match postgres {
            Some((server, look)) => {
                Some(Base { db: Db::postgres(server, POOL).await?, look: look.clone() })
            }
            None => None,
        };
        let (idempotency, key_totals) = (keys.settings(), KeyTotals::default());
        Ok(Self { sqlite, postgres, service: None, other: None, keys, idempotency, key_totals })
    }

    /// Returns the service of the next run.
    pub(crate) async fn service(&mut self) -> Result<&mut Service, Failure> {
        let service = match self.service.take() {
            Some(service) => service,
            None => Service::start(self.idempotency.clone()).await?,
        };
        Ok(self.service.insert(service))
    }

    /// Returns how much is in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.service.iter().chain(&self.other).map(|service| service.in_flight().0).sum()
    }

    /// Starts the second instance, if clients repeat their requests.
    async fn start_other(&mut self) -> Result<(), Failure> {
        if self.keys.are_sent() && self.other.is_none() {
            self.other = Some(Service::start(self.idempotency.clone()).await?);
        }
        Ok(())
    }

    /// Ends both instances. Returns the faults of their reports.
    pub(crate) async fn close(&mut self) -> Vec<String> {
        let mut wrong = self.stop().await;
        if let Some(other) = self.other.take() {
            wrong.extend(other.end(&mut self.key_totals).await);
        }
        wrong
    }

    /// Ends the service. Returns the faults of its report.
    async fn stop(&mut self) -> Vec<String> {
        match self.service.take() {
            Some(service) => service.end(&mut self.key_totals).await,
            None => Vec::new(),
        }
    }

    /// Removes all rows.
    pub(crate) async fn clear(&self) -> Result<(), Failure> {
        self.sqlite.db.clear().await?;
        if let Some(postgres) = &self.postgres {
            postgres.db.clear().await?;
        }
        Ok(())
    }

    /// Sends a request without a fault, and returns the number of its stages.
    pub(crate) async fn stages(&mut self, handler: usize, id: i64) -> Result<u32, Failure> {
        let (name, promise) = HANDLERS[handler];
        let (base, watch) = (self.sqlite.clone(), Watch::new(None));
        let service = self.service().await?;
        let answer = send_again(service, &base.db, &watch, (name, false, id)).await?;
        service.account(promise, &watch);
        let rows = base.rows(id).await?;
        let expected = if promise == Promise::Nothing { (0, 0) } else { (1, 1) };
        if answer.status != 200 || rows != expected {
            let found =
                format!("`{name}`, left alone: {} {}, {rows:?}", answer.status, answer.body);
            return Err(found.into());
        }
        Ok(watch.seen().stage)
    }

    /// Does one run.
    pub(crate) async fn run(&mut self, plan: Plan, id: i64) -> Outcome {
        let watch = Watch::new(Some(plan.point));
        let promise = HANDLERS[plan.handler].1;
        let attempt = timeout(LONGEST, self.attempt(&plan, id, &watch)).await;
        let (facts, mut wrong) = match attempt {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return self.failed(plan, &watch, format!("the run failed: {error}")),
            Err(_) => {
                let left = self.service.as_ref().map(Service::in_flight).unwrap_or_default().1;
                let left = format!("no end after {LONGEST:?}; in flight: {left}");
                return self.failed(plan, &watch, left);
            }
        };
        wrong.extend(facts.wrong(&plan, promise));
        let held = facts.held.map(|(label, _)| label);
        let (kind, retries) = (Some(facts.kind(promise)), facts.retry_kind(&plan));
        Outcome { plan, held, kind, retries, wrong }
    }

    fn failed(&mut self, plan: Plan, watch: &Watch, why: String) -> Outcome {
        (self.service, self.other) = (None, None);
        let seen = watch.seen();
        let held = seen.held.map(|(label, _)| label);
        Outcome { plan, held, kind: None, retries: None, wrong: vec![why, format!("{seen:?}")] }
    }

    async fn attempt(
        &mut self,
        plan: &Plan,
        id: i64,
        watch: &Arc<Watch>,
    ) -> Result<(Facts, Vec<String>), Failure> {
        let (name, promise) = HANDLERS[plan.handler];
        let base = self.postgres.as_ref().filter(|_| plan.postgres).unwrap_or(&self.sqlite).clone();
        let keyed = self.keys.are_sent();
        self.start_other().await?;
        let mut other = self.other.take();
        let service = self.service().await?;
        let First { held, answer, sending } =
            first([service, other.as_ref().unwrap_or(service)], plan, &base.db, id, watch, keyed)
                .await?;
        let mut retried = Retried::default();
        let early = match sending {
            Some(sending) => {
                let elsewhere = plan.early_retry() == Some(Instance::Other);
                let at = other.as_mut().filter(|_| elsewhere).unwrap_or(&mut *service);
                at.answer_of(sending, id, &mut retried).await
            }
            None => None,
        };
        service.settles(watch, id).await;
        service.account(promise, watch);
        self.other = other;
        let mut wrong = Vec::new();
        if plan.fault == Fault::Stopping && held.is_some() {
            wrong = self.stop().await;
        }
        let mut facts = Facts { held, answer, ..Facts::default() };
        if keyed {
            let definite = |answer: &Answer| answer.is_definite();
            retried.answer = facts.answer.clone().filter(definite).or(early.filter(definite));
            self.retry(plan, id, &base.db, &mut retried).await?;
            retried.first_rows = base.first_rows(id).await?;
            facts.retried = Some(retried);
        }
        facts.rows = base.rows(id).await?;
        {
            let seen = watch.seen();
            (facts.begun, facts.ended, facts.undone) = (seen.begun, seen.ended, seen.undone);
        }
        let answered = facts.answer.as_ref().is_some_and(|answer| answer.status == 200);
        if promise == Promise::Again && !answered {
            let service = self.service().await?;
            let answer =
                send_again(service, &base.db, &Watch::new(None), (name, plan.http2, id)).await?;
            if answer.status != 200 {
                wrong.push(format!("sent again: {} {}", answer.status, answer.body));
            }
            facts.again = Some(base.rows(id).await?);
        }
        Ok((facts, wrong))
    }
}

/// The first request of a run, after its fault.
struct First {
    held: Option<(&'static str, bool)>,
    answer: Option<Answer>,
    /// The request that its client has sent again meanwhile.
    sending: Option<Sending>,
}

/// Sends the first request, and lets the fault fall once it is held.
async fn first(
    [service, other]: [&Service; 2],
    plan: &Plan,
    db: &Db,
    id: i64,
    watch: &Arc<Watch>,
    keyed: bool,
) -> Result<First, Failure> {
    service.expected.add(watch.visit(db.clone(), id, 0));
    let timeout = (plan.fault == Fault::Deadline).then_some(PATIENCE);
    let (path, key) = path_and_key(plan, id);
    let request = Sent { path: &path, timeout, key: keyed.then_some(&*key) };
    let mut client = Client::send(service.at, plan.http2, request).await?;
    let sent = Instant::now();
    let mut early = tokio::select! {
        biased;
        () = watch.until(|seen| seen.held.is_some() || seen.uploads) => None,
        answer = client.answer() => Some(answer),
    };
    if early.is_none() && watch.seen().held.is_none() {
        client.finish().await;
        early = tokio::select! {
            biased;
            () = watch.until(|seen| seen.held.is_some()) => None,
            answer = client.answer() => Some(answer),
        };
    }
    let held = watch.seen().held.filter(|_| early.is_none());
    let mut sending = None;
    let answer = if early.is_some() {
        // Without the release, a body that goes on would be held later.
        watch.release();
        early
    } else {
        let again = async || {
            let Some(instance) = plan.early_retry().filter(|_| keyed) else { return };
            let at = if instance == Instance::Same { service } else { other };
            let again = at.send_again(plan, db, id, 1).await;
            if let Ok(again) = &again {
                again.arrives().await;
            }
            sending = Some(again);
        };
        fall(plan, client, sent, watch, service, again).await
    };
    Ok(First { held, answer: answer.and_then(Result::ok), sending: sending.transpose()? })
}

/// Sends a request without a fault, and waits until it has settled.
async fn send_again(
    service: &Service,
    db: &Db,
    watch: &Arc<Watch>,
    (name, http2, id): (&str, bool, i64),
) -> Result<Answer, Failure> {
    service.expected.add(watch.visit(db.clone(), id, 0));
    let path = format!("/{name}/{id}");
    let request = Sent { path: &path, timeout: None, key: None };
    let mut client = Client::send(service.at, http2, request).await?;
    client.finish().await;
    let answer = client.answer().await?;
    service.settles(watch, id).await;
    Ok(answer)
}

impl Service {
    /// Waits until a request has settled, by its own record and by the service's.
    pub(crate) async fn settles(&self, watch: &Watch, id: i64) {
        drop(self.expected.take(id));
        watch.until(|seen| seen.gone).await;
        self.is_quiet().await;
    }

    /// Adds the expected counts of a request to those of the service's report.
    pub(crate) fn account(&mut self, promise: Promise, watch: &Watch) {
        let seen = watch.seen();
        let took_permit = match promise {
            Promise::Durable => seen.begun,
            Promise::Cooperative => seen.entered,
            Promise::Nothing | Promise::Again | Promise::Undone => false,
        };
        self.begun += u64::from(took_permit);
        self.ended += u64::from(seen.ended);
    }
}
