//! Reports each wait that ended early, by one log event, one count and one hook call (law 16). Warnings are
//! [repeated events](crate::repeated).

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use axum::response::Response;
use http::StatusCode;
use tokio::time::Instant;

use super::current as request;
use crate::{
    cause::{Cancelled, Cause, Outcome},
    escaped::Escaped,
    handler_policy::HandlerPolicy,
    panic_message::panic_message,
    problem,
    repeated::{Event, Repeated},
    service::{OnCancelled, ServiceState},
};

/// Reports that the current request's wait for `policy` ended early. Returns the hook's answer.
pub(crate) fn report(
    policy: &'static HandlerPolicy,
    cancelled: Cancelled,
) -> Option<Box<Response>> {
    let (hook, arrival, warned) = request::with(|request| {
        let first = !std::mem::replace(&mut request.flags.reported, true);
        first.then(|| {
            // A clone of the `Arc` would contend when many requests end at once.
            request.life().note_cancelled(cancelled.ended_by());
            let event = Event::Cancelled(cancelled.ended_by());
            let warned = warns(cancelled).then(|| request.life().events.by(event, policy.name()));
            request.observe_cancelled(policy, cancelled);
            (request.life().hook(), request.arrival(), warned)
        })
    })
    .flatten()?;
    let status = cancelled.status().as_u16();
    log(policy, cancelled, arrival, Some(status), warned, "request cancelled");
    ask(&hook?, policy, cancelled)
}

/// Keeps the hook's answer to a request whose handler was called by other code, which may return its `Cancelled`.
#[cold]
pub(crate) fn keep_answer(cancelled: Cancelled, answer: Box<Response>) {
    let mut answer = Some((cancelled, answer));
    request::with(|request| {
        request.response.extra.get_or_insert_default().hooked = answer.take();
    });
}

/// Returns the answer to a request whose handler returns `cancelled`, the end of a handler that it has called.
/// Reports the end of the request, unless it is reported.
#[cold]
pub(crate) fn answer(cancelled: Cancelled) -> Response {
    let seen = request::with(|request| {
        request.flags.close |= cancelled.ended_by() == Cause::ShuttingDown;
        let may_land = request.body.past || request.flags.may_land;
        let hooked = request.response.extra.as_mut().and_then(|extra| extra.hooked.take());
        // The answer to another call, or one from before a write, does not fit.
        let fits = |(to, answer): &(Cancelled, Box<Response>)| {
            *to == cancelled && !(may_land && answer.status() == StatusCode::SERVICE_UNAVAILABLE)
        };
        let hooked = hooked.filter(fits).map(|(_, answer)| answer);
        (may_land, request.policy(), hooked)
    });
    let Some((may_land, policy, hooked)) = seen else { return problem::cancelled(cancelled) };
    let invites_a_retry = cancelled.outcome() == Outcome::NotBegun || is_503(cancelled);
    let cancelled =
        if may_land && invites_a_retry { cancelled.beside_work_that_goes_on() } else { cancelled };
    let hooked = hooked.or_else(|| report(policy?, cancelled));
    hooked.map_or_else(|| problem::cancelled(cancelled), |answer| *answer)
}

fn is_503(cancelled: Cancelled) -> bool {
    cancelled.status() == StatusCode::SERVICE_UNAVAILABLE
}

/// Reports that a stream ended early. Its client has the head of the response already, so the hook's answer is
/// dropped and no status is logged.
pub(crate) fn report_stream(
    life: &ServiceState,
    policy: &'static HandlerPolicy,
    cancelled: Cancelled,
    arrival: Instant,
) {
    life.note_cancelled(cancelled.ended_by());
    let event = Event::StreamEnded(cancelled.ended_by());
    let warned = warns(cancelled).then(|| life.events.by(event, policy.name()));
    log(policy, cancelled, arrival, None, warned, "stream ended early");
    drop(life.hook().and_then(|hook| ask(&hook, policy, cancelled)));
}

fn ask(
    hook: &OnCancelled,
    policy: &'static HandlerPolicy,
    cancelled: Cancelled,
) -> Option<Box<Response>> {
    // The hook may run in a destructor, where a second panic would end the process.
    match catch_unwind(AssertUnwindSafe(|| hook(&cancelled, policy))) {
        Ok(answer) => answer.map(Box::new),
        Err(panic) => {
            let message = panic_message(&*panic).to_owned();
            repeated(Event::HookPanicked, policy).note(move |count| {
                tracing::error!(
                    target: "followthrough",
                    handler = policy.name(),
                    count,
                    "the `on_cancelled` hook panicked: {}",
                    Escaped(message)
                );
            });
            None
        }
    }
}

/// Returns the events of this kind of one handler, of the current request's lifecycle.
pub(crate) fn repeated(event: Event, policy: &'static HandlerPolicy) -> Arc<Repeated> {
    request::with(|request| request.life().events.by(event, policy.name()))
        .unwrap_or_else(|| ServiceState::unlinked().events.by(event, policy.name()))
}

/// Returns whether the end of the wait is a warning, which is logged as a count.
fn warns(cancelled: Cancelled) -> bool {
    match cancelled.ended_by() {
        Cause::ClientDisconnected
        | Cause::BodyReadTimeout
        | Cause::ShuttingDown
        | Cause::AnsweredByKey => false,
        Cause::DeadlineExceeded
        | Cause::LimitReached
        | Cause::TimeTooShort
        | Cause::KeyStoreUnavailable => true,
    }
}

fn log(
    policy: &'static HandlerPolicy,
    cancelled: Cancelled,
    arrival: Instant,
    status: Option<u16>,
    warned: Option<Arc<Repeated>>,
    what: &'static str,
) {
    let elapsed_ms = arrival.elapsed().as_millis();
    macro_rules! event {
        ($level:ident) => {
            tracing::$level!(
                target: "followthrough",
                handler = policy.name(),
                cause = %cancelled.cause(),
                outcome = %cancelled.outcome(),
                status,
                elapsed_ms,
                "{what}"
            )
        };
    }
    match warned {
        None if cancelled.ended_by() == Cause::ShuttingDown => event!(info),
        None => event!(debug),
        Some(warned) => warned.note(move |count| {
            tracing::warn!(
                target: "followthrough",
                handler = policy.name(),
                cause = %cancelled.cause(),
                outcome = %cancelled.outcome(),
                status,
                elapsed_ms,
                count,
                "{what}"
            );
        }),
    }
}

/// Returns `cancelled` without 503 and `not_begun` if another body of the same request may land (law 8), as after
/// middleware has dropped one handler and called the next.
pub(crate) fn beside_others(cancelled: Cancelled) -> Cancelled {
    if super::with(|request| request.flags.may_land) == Some(true) {
        return cancelled.beside_work_that_goes_on();
    }
    cancelled
}
