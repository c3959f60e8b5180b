//! The search for the suspension points of a request, by trying them.

use std::convert::Infallible;

use axum::extract::Request;
use http::Response;
use tower::Service;

use super::{
    check::{Verdict, complaint},
    disconnect_run::{Await, DisconnectRun},
    disconnects::Disconnects,
    exchange::{BoxError, End, Left, exchange},
    point::{Disconnect, Moment, Point, Seed},
    request::Requests,
    retry::{self, give_fresh_key},
    run::{Run, State},
    summary::{Failure, Summary},
    watchdog::Watchdog,
};

/// The number of tries at a point that an earlier run has reached, because the number of suspensions may differ
/// from run to run.
const TRIES: usize = 3;

/// The number of runs of one seed.
const REPLAYS: usize = 10;

/// The search of one request.
pub(super) struct Trial<'a, S, C> {
    service: S,
    requests: Requests<'a>,
    check: C,
    watchdog: Watchdog,
    settings: &'a Disconnects,
    pub(super) summary: Summary,
    /// The method and the path of the last request.
    request: String,
    /// The highest number of suspensions at each stage, over all runs.
    waits: Vec<usize>,
    /// The `await`s of the request that ran without a disconnect, in order.
    way: Vec<Await>,
}

/// How far a run has come.
#[derive(Clone, Copy, PartialEq)]
enum Came {
    /// The request was cut at its point.
    There,
    /// The stage had no such suspension in this run.
    PastIt,
    /// There was no such stage in this run.
    NotThere,
    /// The request is stuck or endless.
    Stuck,
}

impl<'a, S, B, C, V> Trial<'a, S, C>
where
    S: Service<Request, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data: Send + 'static, Error: Into<BoxError>> + Send + 'static,
    C: AsyncFnMut(DisconnectRun) -> V,
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
            waits: Vec::new(),
            way: Vec::new(),
        }
    }

    /// Returns the method and the path of the last request.
    pub(super) fn request(&self) -> &str {
        &self.request
    }

    /// Runs the request without a disconnect, to record its `await`s.
    pub(super) async fn rehearse(&mut self, by: Disconnect) -> Result<(), Failure> {
        let nowhere = Point { stage: u16::MAX, wait: 0, moment: Moment::Waiting, by, entropy: 0 };
        self.run(nowhere).await.map(drop)
    }

    /// Disconnects at every suspension of every `await`. `point` makes a [`Point`] of a stage and a wait.
    pub(super) async fn every_await(
        &mut self,
        mut point: impl FnMut(u16, u16) -> Point,
    ) -> Result<(), Failure> {
        for stage in 0..u16::MAX {
            // Stage 0 is before the first visible `await`, and its waits count from 1.
            for wait in u16::from(stage == 0)..u16::MAX {
                match self.try_at(|| point(stage, wait)).await? {
                    Came::There => {}
                    Came::PastIt => break,
                    Came::NotThere if stage == 0 => break,
                    Came::NotThere | Came::Stuck => return Ok(()),
                }
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
            let again = matches!(came, Came::PastIt | Came::NotThere) && self.is_known(point);
            if !again || tried == TRIES {
                return Ok(came);
            }
        }
    }

    /// Returns whether an earlier run has reached the point.
    fn is_known(&self, point: Point) -> bool {
        let waits = self.waits.get(usize::from(point.stage));
        waits.is_some_and(|most| usize::from(point.wait) <= *most)
    }

    /// Runs one point until the request was cut there [`REPLAYS`] times.
    pub(super) async fn replay(&mut self, seed: Seed) -> Result<(), Failure> {
        let point = seed.point();
        self.rehearse(point.by).await?;
        let mut there = 0;
        for _ in 0..REPLAYS * TRIES {
            there += usize::from(self.run(point).await? == Came::There);
            if there == REPLAYS {
                break;
            }
        }
        if there == 0 {
            return Err(Failure::before(format!(
                "no request came to the point of the seed {seed}: expected the test that printed it, alone, as in \
                 `FOLLOWTHROUGH_SEED={seed} cargo test its_name`"
            )));
        }
        Ok(())
    }

    async fn run(&mut self, point: Point) -> Result<Came, Failure> {
        let mut request = self.requests.next().await.map_err(Failure::before)?;
        self.request = format!("{} {}", request.method(), request.uri());
        let retries = self.settings.retries;
        if retries {
            give_fresh_key(request.headers_mut());
        }
        let lifecycle = self.settings.new_lifecycle()?;
        let run = Run::new(point, self.settings.max_suspensions, self.watchdog.clone());
        let service = self.service.clone();
        let left = exchange(service, request, &run, lifecycle, &self.watchdog, retries).await;
        let left =
            left.map_err(|error| Failure::before(format!("no request can be sent: {error}")))?;
        let at_point = run.is_at_point();
        let state = run.take();
        let wanted = usize::from(point.stage);
        let came = match left.end {
            End::Cut if at_point => Came::There,
            End::Cut | End::Whole if state.stage() > wanted => Came::PastIt,
            End::Whole if state.stage() == wanted => Came::PastIt,
            End::Whole => Came::NotThere,
            // An endless request is cut elsewhere.
            End::Cut | End::Stuck => Came::Stuck,
        };
        self.waits.resize(self.waits.len().max(state.waits.len()), 0);
        for (most, waits) in self.waits.iter_mut().zip(&state.waits) {
            *most = (*most).max(*waits);
        }
        if came == Came::NotThere && self.way.is_empty() {
            self.way.extend(state.way().cloned());
            self.summary.alone(state.status);
        }
        self.judge(point, state, left).await?;
        Ok(came)
    }

    async fn judge(&mut self, point: Point, state: State, left: Left) -> Result<(), Failure> {
        let stuck = matches!(left.end, End::Stuck);
        let next = if state.seen { None } else { self.way.get(state.stage()).cloned() };
        let (retry, unanswered) = match left.retry.transpose() {
            Ok(retry) => (retry, None),
            Err(why) => (None, Some(why)),
        };
        let differs = retry
            .as_ref()
            .and_then(|retry| retry::complaint(state.status, left.whole.as_ref(), retry));
        let cut = DisconnectRun {
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
            retry,
            report: left.report,
        };
        let complaint = if !left.noticed {
            Some(format!("the server did not notice it within {:?}", self.settings.timeout))
        } else if cut.report.abandoned.is_empty() {
            match unanswered.or(differs) {
                Some(why) => Some(why),
                None => complaint((self.check)(cut.clone())).await,
            }
        } else {
            let left: Vec<String> = cut.report.abandoned.iter().map(ToString::to_string).collect();
            Some(format!("work did not end within the grace: {}", left.join("; ")))
        };
        if let Some(why) = complaint {
            return Err(Failure::at(cut, why));
        }
        self.summary.add(&cut, stuck);
        Ok(())
    }
}
