//! The verdict: the clients' responses, the counts of the side effects and the report, compared.

use std::collections::HashSet;
use std::fmt::Write;

use serde::Deserialize;

use super::LIMIT;
use super::flood::Flood;
use super::target::Account;
use super::witness::{Sampled, Witness};
use crate::Failure;
use crate::child::Ended;
use crate::http1::Answer;
use crate::report::{Report, Troubles};

/// How much more memory the last quarter of a flood may take than the first, in KiB: with 100,000
/// resets, about 50 bytes for each of them.
const MARGIN: u64 = 4 * 1024;

/// The observations from outside.
pub(super) struct Seen<'a> {
    pub(super) flood: &'a Flood,
    pub(super) witness: Witness,
    pub(super) sampled: Sampled,
    /// The responses to patient clients. The last one came after the flood.
    pub(super) answers: Vec<(usize, Answer)>,
}

/// The target's last line.
#[derive(Deserialize)]
struct LastLine {
    report: Report,
    account: Account,
}

/// Returns the line of the run, and whether the run is good.
pub(super) fn judge(seen: &Seen<'_>, ended: &Ended) -> Result<(String, bool), Failure> {
    let line = ended.out.last().map_or("", String::as_str);
    let LastLine { report, account } = serde_json::from_str(line)
        .map_err(|error| format!("exit code {:?}, and no report: {error}", ended.code))?;
    let mut troubles = Troubles::default();
    troubles.of_shutdown(ended.code, &report);
    side_effects(&account, &report, &mut troubles);
    answers(seen, &account, &report, &mut troubles);
    troubles.equal(("resets asked for", seen.flood.count), ("made", seen.flood.reset()));
    let at_once = account.most.max(seen.sampled.in_flight);
    troubles.require(at_once <= LIMIT, || format!("{at_once} at once, the limit is {LIMIT}"));
    let [first, .., last] = seen.sampled.memory;
    troubles.require(last <= first + MARGIN, || "memory grows".to_owned());
    troubles.require(seen.witness.reads > 0, || "there was no read".to_owned());
    Ok((describe(seen, &account, &report, &troubles)?, troubles.is_empty()))
}

/// Checks that each side effect began once, ended, and was counted by the runtime.
fn side_effects(account: &Account, report: &Report, troubles: &mut Troubles) {
    let begun = account.begun.len();
    let different: HashSet<_> = account.begun.iter().collect();
    troubles.equal(("side effects", begun), ("different ones", different.len()));
    troubles.equal(("side effects begun", begun), ("ended", account.ended));
    troubles.equal(("side effects", begun), ("durable begun", report.durable.begun));
    let settled = report.durable.begun + report.cancelled.refused;
    let left = report.cancelled.client_disconnected;
    troubles.require((settled..=settled + left).contains(&account.arrived), || {
        format!("{} arrived, {settled} began or were refused, {left} left", account.arrived)
    });
    troubles.require(report.cancelled.refused > 0, || "nothing was refused".to_owned());
}

/// Checks that each response is 200 with its side effect, or 503 with a `Retry-After` and without
/// the side effect.
fn answers(seen: &Seen<'_>, account: &Account, report: &Report, troubles: &mut Troubles) {
    let begun: HashSet<_> = account.begun.iter().collect();
    let mut refused = 0;
    for (id, answer) in &seen.answers {
        let as_promised = match answer.status {
            200 => begun.contains(id),
            503 => {
                refused += 1;
                let words = answer.body.contains(r#""cause":"limit_reached""#)
                    && answer.body.contains(r#""outcome":"not_begun""#);
                !begun.contains(id) && answer.retry_after && words
            }
            _ => false,
        };
        troubles.require(as_promised, || {
            format!("write {id}: {answer:?}, begun: {}", begun.contains(id))
        });
    }
    troubles.require(refused <= report.cancelled.refused, || {
        format!("{refused} were answered 503, and the report counts {:?}", report.cancelled)
    });
    let last = seen.answers.last().map(|(_, answer)| answer.status);
    troubles.require(last == Some(200), || format!("after the flood a write gets {last:?}"));
}

fn describe(
    seen: &Seen<'_>,
    account: &Account,
    report: &Report,
    troubles: &Troubles,
) -> Result<String, std::fmt::Error> {
    let Seen { flood, witness, sampled, answers } = seen;
    let (connections, calmed) = flood.connections();
    let written = answers.iter().filter(|(_, answer)| answer.status == 200).count();
    let mut line = String::new();
    write!(line, "{} resets on {connections} connections ({calmed} calmed): ", flood.reset())?;
    write!(line, "{} arrived, {} begun and ", account.arrived, account.begun.len())?;
    write!(line, "{} ended, ", account.ended)?;
    write!(line, "{} refused, at most {} at once; ", report.cancelled.refused, account.most)?;
    write!(line, "{} waited, {written} got 200, ", answers.len())?;
    write!(line, "{} got 503; {} reads answered, ", answers.len() - written, witness.reads)?;
    write!(line, "the slowest in {} ms; KiB by quarter ", witness.slowest.as_millis())?;
    write!(line, "{:?}: {troubles}", sampled.memory)?;
    Ok(line)
}
