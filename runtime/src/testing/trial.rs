//! Finds the suspension points of a request by trying them.

use std::convert::Infallible;

use axum::extract::Request;
use http::Response;
use tower::Service;

use super::{
    check::{Verdict, complaint},
    cut::{Await, Cut},
    disconnects::Disconnects,
    exchange::{BoxError, End, Left, exchange},
    point::{Count, Moment, Point, Seed},
    request::Requests,
    run::{Run, State},
    summary::{Failure, Summary},
    watchdog::Watchdog,
};

/// How often a point is tried that some run has come to: how often a request waits may differ from run to
/// run.
const TRIES: usize = 3;

/// One request, on its way through all its points.
pub(super) struct Trial<'a, S, C> {
    service: S,
    requests: Requests<'a>,
    check: C,
    watchdog: Watchdog,
    settings: &'a Disconnects,
    pub(super) summary: Summary,
    /// The method and the path of the last request.
    request: String,
    /// Some suspension passed by unseen in the runs that look where it is: only by their number can such
    /// ones be met.
    unseen: bool,
    /// The most waits at each stage, of all runs.
    waits: Vec<usize>,
    /// The `await`s of a request that is left alone, in their order.
    way: Vec<Await>,
}

/// How far a run came.
#[derive(Clone, Copy, PartialEq)]
enum Came {
    /// It was cut at its point.
    There,
    /// The stage has no such point, or not this time.
    PastIt,
    /// There is no such stage, or not this time.
    NotThere,
    /// It waits for ever, or goes on for ever.
    Stuck,
}

impl<'a, S, B, C, V> Trial<'a, S, C>
where
    S: Service<Request, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data: Send + 'static, Error: Into<BoxError>> + Send + 'static,
    C: AsyncFnMut(Cut) -> V,
    V: Verdict,
{
    pub(super) fn new(
        service: S,
        requests: Requests<'a>,
        check: C,
        watchdog: Watchdog,
        settings: &'a Disconnects,
    ) -> Self {
        Self {
            service,
            requests,
            check,
            watchdog,
            settings,
            summary: Summary::default(),
            request: String::new(),
            unseen: false,
            waits: Vec::new(),
            way: Vec::new(),
        }
    }

    /// Leaves the request alone, to see which way it takes.
    pub(super) async fn rehearse(&mut self) -> Result<(), Failure> {
        let count = Count::ByStage { stage: u16::MAX, wait: 0 };
        let by = self.settings.first_way();
        self.run(Point { count, moment: Moment::Waiting, by, entropy: 0 }).await.map(drop)
    }

    /// Every suspension at every `await` that can be told from the others.
    pub(super) async fn by_stage(
        &mut self,
        mut point: impl FnMut(Count) -> Point,
    ) -> Result<(), Failure> {
        for stage in 0..u16::MAX {
            // Before the first `await` that can be seen, there is no wait that is the first at it.
            for wait in u16::from(stage == 0)..u16::MAX {
                match self.try_at(|| point(Count::ByStage { stage, wait })).await? {
                    Came::There => {}
                    Came::PastIt => break,
                    Came::NotThere if stage == 0 => break,
                    Came::NotThere | Came::Stuck => return Ok(()),
                }
            }
        }
        Ok(())
    }

    /// Every suspension, whatever it is, if that can make a difference.
    pub(super) async fn by_suspension(
        &mut self,
        mut point: impl FnMut(Count) -> Point,
    ) -> Result<(), Failure> {
        if !self.unseen {
            return Ok(());
        }
        for suspension in 1.. {
            if self.try_at(|| point(Count::BySuspension(suspension))).await? != Came::There {
                break;
            }
        }
        Ok(())
    }

    async fn try_at(&mut self, mut point: impl FnMut() -> Point) -> Result<Came, Failure> {
        let mut tried = 0;
        loop {
            let point = point();
            let came = self.run(point).await?;
            tried += 1;
            let again = matches!(came, Came::PastIt | Came::NotThere) && self.is_known(point.count);
            if !again || tried == TRIES {
                return Ok(came);
            }
        }
    }

    /// Whether some run has come there.
    fn is_known(&self, count: Count) -> bool {
        match count {
            Count::ByStage { stage, wait } => {
                self.waits.get(usize::from(stage)).is_some_and(|most| usize::from(wait) <= *most)
            }
            Count::BySuspension(_) => true,
        }
    }

    /// Runs one point, whatever the request makes of it.
    pub(super) async fn replay(&mut self, seed: Seed) -> Result<(), Failure> {
        self.run(seed.point()).await.map(drop)
    }

    async fn run(&mut self, point: Point) -> Result<Came, Failure> {
        let request = self.requests.next().await.map_err(Failure::before)?;
        self.request = format!("{} {}", request.method(), request.uri());
        let lifecycle = self.settings.new_lifecycle()?;
        let run = Run::new(point, self.settings.longest, self.watchdog.clone());
        let left = exchange(self.service.clone(), request, &run, lifecycle, &self.watchdog).await;
        let left =
            left.map_err(|error| Failure::before(format!("no request can be sent: {error}")))?;
        let at_point = run.is_at_point();
        let state = run.take();
        let came = match (left.end, point.count) {
            (End::Cut, _) if at_point => Came::There,
            (End::Stuck, _) => Came::Stuck,
            (_, Count::ByStage { stage, .. }) if state.stage() > usize::from(stage) => Came::PastIt,
            // A cut elsewhere is that of a request without end.
            (End::Cut, _) => Came::Stuck,
            (_, Count::ByStage { stage, .. }) if state.stage() == usize::from(stage) => {
                Came::PastIt
            }
            _ => Came::NotThere,
        };
        self.unseen |= state.unseen;
        self.waits.resize(self.waits.len().max(state.waits.len()), 0);
        for (most, waits) in self.waits.iter_mut().zip(&state.waits) {
            *most = (*most).max(*waits);
        }
        if came == Came::NotThere && self.way.is_empty() {
            self.way.extend(state.way().cloned());
        }
        self.judge(point, state, left).await?;
        Ok(came)
    }

    async fn judge(&mut self, point: Point, state: State, left: Left) -> Result<(), Failure> {
        let next = if state.seen { None } else { self.way.get(state.stage()).cloned() };
        let cut = Cut {
            request: self.request.clone(),
            next,
            by: point.by,
            moment: point.moment,
            seed: Seed::from(point),
            whole: matches!(left.end, End::Whole),
            suspension: state.suspensions,
            awaits: state.at,
            seen: state.seen,
            handler: state.handler,
            begun: state.begun,
            status: state.status,
            report: left.report,
        };
        let complaint = if !left.noticed {
            Some(format!("the server did not notice it within {:?}", self.settings.patience))
        } else if cut.report.abandoned.is_empty() {
            complaint((self.check)(cut.clone())).await
        } else {
            let left: Vec<String> = cut.report.abandoned.iter().map(ToString::to_string).collect();
            Some(format!("work did not end within the grace: {}", left.join("; ")))
        };
        if let Some(why) = complaint {
            return Err(Failure::at(cut, why));
        }
        self.summary.add(&cut);
        Ok(())
    }
}
