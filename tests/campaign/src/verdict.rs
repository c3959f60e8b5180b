//! The verdict on a request: its rows and its answer, compared with the promise of its policy.

use crate::{
    around::ANSWER,
    client::Answer,
    handlers::{HANDLERS, Promise},
    plan::{Fault, Plan},
    retries::Retried,
};

/// A finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Begun and whole.
    Whole,
    /// Begun and lost.
    Lost,
    /// Unbegun and absent, or begun and undone where that is the promise.
    Absent,
    /// Half a write.
    Half,
}

/// A finding about a client that repeats its request with the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetryKind {
    /// The write happened once, and its client has the answer.
    Once,
    /// The write happened more than once.
    Twice,
    /// The client has no answer, or one that does not fit the rows.
    Lost,
    /// A later request with the key has another answer.
    Unequal,
}

/// The facts about a settled request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// The name of the stage at which the fault took effect, and whether that was in the body;
    /// `None` if the request did not reach the point.
    pub(crate) held: Option<(&'static str, bool)>,
    pub(crate) begun: bool,
    pub(crate) undone: bool,
    pub(crate) ended: bool,
    /// Charges and orders.
    pub(crate) rows: (i64, i64),
    /// Charges and orders after the client had sent the request again.
    pub(crate) again: Option<(i64, i64)>,
    /// The client's response.
    pub(crate) answer: Option<Answer>,
    /// The further requests of a client that sends keys.
    pub(crate) retried: Option<Retried>,
}

/// Returns whether the body may be dropped past its point of no return: a reopened statement ends if its client does
/// not wait any more.
fn may_be_cut(plan: &Plan) -> bool {
    HANDLERS[plan.handler].0 == "reopened" && plan.fault != Fault::Stopping
}

const WHOLE: (i64, i64) = (1, 1);
const ABSENT: (i64, i64) = (0, 0);

impl Facts {
    /// Returns the kind of the finding by the rows.
    pub(crate) fn kind(&self, promise: Promise) -> Kind {
        let rows = self.again.unwrap_or(self.rows);
        // A retry may have begun what the first request did not.
        let begun = self.begun || self.retried.as_ref().is_some_and(|retried| retried.begun);
        match (begun, rows) {
            // An unbegun request can be whole only because its client has sent it again.
            (false, _) if promise == Promise::Again && self.rows == ABSENT && rows == WHOLE => {
                Kind::Absent
            }
            (true, WHOLE) => Kind::Whole,
            (true, ABSENT) if promise == Promise::Undone && self.undone => Kind::Absent,
            (true, ABSENT) => Kind::Lost,
            (false, ABSENT) => Kind::Absent,
            _ => Kind::Half,
        }
    }

    /// Returns the kind of the finding about the retries.
    pub(crate) fn retry_kind(&self, plan: &Plan) -> Option<RetryKind> {
        let retried = self.retried.as_ref()?;
        if self.rows.0 > 1 || self.rows.1 > 1 {
            return Some(RetryKind::Twice);
        }
        let Some(answer) = &retried.answer else { return Some(RetryKind::Lost) };
        let reports = match answer.row() {
            Some(row) => answer.status == 200 && retried.first_rows == (Some(row), Some(row)),
            // The answer of a body that was cut where it allows that.
            None => may_be_cut(plan) && answer.outcome() == Some("completed"),
        };
        if self.rows != WHOLE || !reports {
            return Some(RetryKind::Lost);
        }
        let same = |later: &Answer| {
            later.replayed && later.status == answer.status && later.body == answer.body
        };
        let equal = retried.later.as_ref().is_some_and(same);
        Some(if equal { RetryKind::Once } else { RetryKind::Unequal })
    }

    /// Returns the faults as text; none if the request is good.
    pub(crate) fn wrong(&self, plan: &Plan, promise: Promise) -> Vec<String> {
        let mut wrong = Vec::new();
        let (begun, rows) = (self.begun, self.rows);
        match self.kind(promise) {
            Kind::Lost => wrong.push("begun and lost".to_owned()),
            // Two whole writes have their own text.
            Kind::Half if self.retry_kind(plan) == Some(RetryKind::Twice) => {}
            Kind::Half => wrong.push(format!("half done: {rows:?}, then {:?}", self.again)),
            Kind::Whole | Kind::Absent => {}
        }
        match self.retry_kind(plan) {
            Some(RetryKind::Twice) => wrong.push("written more than once".to_owned()),
            Some(RetryKind::Lost) => wrong.push("the answer is lost".to_owned()),
            Some(RetryKind::Unequal) => wrong.push("two answers for one key".to_owned()),
            Some(RetryKind::Once) | None => {}
        }
        if promise == Promise::Durable && begun && !self.ended && !may_be_cut(plan) {
            wrong.push("begun, and its body did not end".to_owned());
        }
        if self.undone && rows != ABSENT {
            wrong.push(format!("undone, and there is {rows:?}"));
        }
        if let Some(answer) = &self.answer {
            self.wrong_answer(promise, answer, &mut wrong);
            if let Some(expected) = self.expected(plan, promise) {
                if !expected.contains(&answer.status) {
                    wrong.push(format!("status {}, expected {expected:?}", answer.status));
                }
                let cut = answer.status == 200 && self.is_cut(plan, answer.whole);
                if answer.whole == cut {
                    wrong.push(format!("the answer is whole: {}", answer.whole));
                }
            }
        } else if self.expected(plan, promise).is_some() {
            wrong.push("no answer for a client that waited".to_owned());
        }
        if wrong.is_empty() {
            return wrong;
        }
        wrong
            .push(format!("begun: {begun}, undone: {}, charges and orders: {rows:?}", self.undone));
        if let Some(Answer { status, body, .. }) = &self.answer {
            wrong.push(format!("answer: {status} {body}"));
        }
        if let Some(retried) = &self.retried {
            wrong.push(format!("{retried:?}"));
        }
        wrong
    }

    /// Checks what no response may claim, whatever the fault.
    fn wrong_answer(&self, promise: Promise, answer: &Answer, wrong: &mut Vec<String>) {
        let writes = promise != Promise::Nothing;
        // A cooperative body that stops by itself also answers 200, and has not begun.
        let stopped = promise == Promise::Cooperative && answer.body.ends_with("stopped");
        let mut require = |so: bool, otherwise: &str| {
            if !so {
                wrong.push(otherwise.to_owned());
            }
        };
        match answer.status {
            200 => require(!writes || stopped || self.rows == WHOLE, "200, and it is not whole"),
            503 => {
                require(answer.retry_after, "503 without `Retry-After`");
                require(promise != Promise::Durable || !self.begun, "503 for a begun write");
            }
            // The client of a keyed write may ask again.
            504 => require(
                !answer.retry_after || self.retried.is_some() && self.begun,
                "504 with `Retry-After`",
            ),
            _ => require(false, "a status that nothing here gives"),
        }
        let outcome = answer.outcome();
        if promise == Promise::Durable && answer.status != 200 {
            let fits = if self.begun {
                outcome == Some("unknown") || outcome == Some("completed")
            } else {
                outcome == Some("not_begun")
            };
            require(fits, "the outcome does not fit what was begun");
        }
        require(
            outcome != Some("completed") || self.rows == WHOLE,
            "completed, and it is not whole",
        );
    }

    /// Returns whether the body of the response is cut, which its client has to see (law 6). For a
    /// stream that was not held, only the client's view tells whether the deadline has cut it.
    fn is_cut(&self, plan: &Plan, whole: bool) -> bool {
        let cuts = matches!(plan.fault, Fault::Deadline | Fault::Stopping);
        if HANDLERS[plan.handler].0 != "stream" || !cuts {
            return false;
        }
        match self.held {
            Some((label, _)) => label == ANSWER || label.starts_with("stream:"),
            None => plan.fault == Fault::Deadline && !whole,
        }
    }

    /// Returns the statuses that a client may see after the fault, or `None` if it may see no
    /// response.
    fn expected(&self, plan: &Plan, promise: Promise) -> Option<&'static [u16]> {
        // Without the fault the request is answered 200. A deadline may have passed before its
        // point.
        let Some((label, _)) = self.held else {
            return Some(if plan.fault == Fault::Deadline { &[200, 504] } else { &[200] });
        };
        // Behind the head, the status stands.
        let answered = label == ANSWER || label.starts_with("stream:");
        match plan.fault {
            Fault::Panic if plan.sibling => Some(&[200]),
            Fault::Disconnect | Fault::Reset | Fault::Panic => None,
            // The deadline may have passed before.
            Fault::Deadline if label == ANSWER => Some(&[200, 504]),
            Fault::Deadline if answered => Some(&[200]),
            Fault::Deadline => Some(&[504]),
            Fault::Stopping if answered || promise == Promise::Durable && self.begun => {
                Some(&[200])
            }
            Fault::Stopping => Some(&[503]),
        }
    }
}
