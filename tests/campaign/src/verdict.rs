//! What became of one request, compared with what its policy promises.

use crate::{
    around::ANSWER,
    client::Answer,
    handlers::{HANDLERS, Promise},
    plan::{Fault, Plan},
};

/// What was found, in one of four kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Begun and whole.
    Whole,
    /// Begun and lost.
    Lost,
    /// Unbegun and absent, or begun and undone where that is the promise.
    Absent,
    /// Half done.
    Half,
}

/// What is known of a request once nothing of it is in flight.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// Where the fault fell: the name of the stage, and whether that was in the body. None if the
    /// request passed the point by.
    pub(crate) held: Option<(&'static str, bool)>,
    pub(crate) begun: bool,
    pub(crate) undone: bool,
    pub(crate) ended: bool,
    /// Charges and orders.
    pub(crate) rows: (i64, i64),
    /// The same after the client had sent it again.
    pub(crate) again: Option<(i64, i64)>,
    /// What the client saw.
    pub(crate) answer: Option<Answer>,
}

const WHOLE: (i64, i64) = (1, 1);
const ABSENT: (i64, i64) = (0, 0);

impl Facts {
    /// The kind of it, by rows.
    pub(crate) fn kind(&self, promise: Promise) -> Kind {
        let rows = self.again.unwrap_or(self.rows);
        match (self.begun, rows) {
            // What it began is what it sent again, so only that can be half.
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

    /// What is wrong, in words. Empty is good.
    pub(crate) fn wrong(&self, plan: &Plan, promise: Promise) -> Vec<String> {
        let mut wrong = Vec::new();
        let (begun, rows) = (self.begun, self.rows);
        match self.kind(promise) {
            Kind::Lost => wrong.push("begun and lost".to_owned()),
            Kind::Half => wrong.push(format!("half done: {rows:?}, then {:?}", self.again)),
            Kind::Whole | Kind::Absent => {}
        }
        // A reopened statement ends the body of a client that does not wait any more.
        let may_end = HANDLERS[plan.handler].0 == "reopened" && plan.fault != Fault::Stopping;
        if promise == Promise::Durable && begun && !self.ended && !may_end {
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
        wrong
    }

    /// What no answer may say, whatever happened.
    fn wrong_answer(&self, promise: Promise, answer: &Answer, wrong: &mut Vec<String>) {
        let writes = promise != Promise::Nothing;
        // It ends well, too, where it stops by itself; then it has not begun.
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
            504 => require(!answer.retry_after, "504 with `Retry-After`"),
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

    /// Whether the body of the answer is cut, which its client has to see (law 6). Where a deadline has
    /// fallen is not known of a stream that was not held: then it is what the client saw.
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

    /// The statuses that a client may see after the fault; none if it may see nothing.
    fn expected(&self, plan: &Plan, promise: Promise) -> Option<&'static [u16]> {
        // Without the fault it is answered; a deadline may have fallen before its point.
        let Some((label, _)) = self.held else {
            return Some(if plan.fault == Fault::Deadline { &[200, 504] } else { &[200] });
        };
        // After the head the status stands.
        let answered = label == ANSWER || label.starts_with("stream:");
        match plan.fault {
            Fault::Panic if plan.sibling => Some(&[200]),
            Fault::Disconnect | Fault::Reset | Fault::Panic => None,
            // It may have fallen before.
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
