//! Three accounts of a run, compared: the clients', the database's and the report's.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use super::books::Books;
use super::ledger::{End, Entry, Ledger};
use super::plan::{GOODS, STOCK, Write};
use crate::Failure;
use crate::child::Ended;
use crate::report::{Report, Troubles};

/// The line of a run.
pub(super) struct Verdict {
    sent: usize,
    answered: usize,
    hung_up: usize,
    refused: usize,
    stopped: usize,
    late: usize,
    lost: usize,
    orders: usize,
    transfers: usize,
    drain: Duration,
    troubles: Troubles,
}

impl Verdict {
    pub(super) fn good(&self) -> bool {
        self.troubles.is_empty()
    }

    fn rows(&self) -> usize {
        self.orders + self.transfers
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, answered, hung_up, refused, orders, transfers, .. } = self;
        let Self { stopped, late, lost, .. } = self;
        write!(f, "{sent} sent: {answered} answered 2xx, {hung_up} hung up, {refused} refused, ")?;
        write!(f, "{stopped} stopped, {late} late, {lost} turned away; {} rows ", self.rows())?;
        write!(f, "({orders} orders, {transfers} transfers), ")?;
        write!(f, "{} followed through; ", self.rows().saturating_sub(*answered))?;
        write!(f, "drained in {} ms: {}", self.drain.as_millis(), self.troubles)
    }
}

pub(super) fn judge(ledger: &Ledger, books: &Books, ended: &Ended) -> Result<Verdict, Failure> {
    let line = ended.out.last().map_or("", String::as_str);
    let report: Report = serde_json::from_str(line)
        .map_err(|error| format!("exit code {:?}, and no report: {error}", ended.code))?;
    let (entries, strange) = ledger.close();
    let count = |so: fn(&End) -> bool| entries.iter().filter(|entry| so(&entry.end)).count();
    let mut verdict = Verdict {
        sent: entries.len(),
        answered: count(|end| status(end).is_some_and(is_success)),
        hung_up: count(|end| *end == End::HungUp),
        refused: count(|end| is_caused(end, "limit_reached")),
        stopped: count(|end| is_caused(end, "shutting_down")),
        late: count(|end| status(end) == Some(504)),
        lost: count(|end| matches!(end, End::Lost { .. })),
        orders: books.orders.len(),
        transfers: books.transfers.len(),
        drain: ended.after,
        troubles: Troubles::default(),
    };
    let troubles = &mut verdict.troubles;
    for strange in strange {
        troubles.push(strange);
    }
    for entry in &entries {
        answer_makes_sense(entry, troubles);
    }
    rows_and_answers(&entries, books, troubles);
    whole_rows(books, troubles);
    stock_is_conserved(books, troubles);
    money(books, ended, troubles);
    troubles.of_shutdown(ended.code, &report);
    counts(&entries, books, &report, troubles);
    let errors = ended.log.iter().filter(|line| line.contains(" ERROR "));
    errors.for_each(|line| troubles.push(line.trim()));
    let something = verdict.rows() > 0 && verdict.answered > 0;
    verdict.troubles.require(something, || "nothing happened".to_owned());
    Ok(verdict)
}

const fn status(end: &End) -> Option<u16> {
    match end {
        End::Answered(answer) => Some(answer.status),
        _ => None,
    }
}

fn is_caused(end: &End, cause: &str) -> bool {
    matches!(end, End::Answered(answer) if answer.said.cause.as_deref() == Some(cause))
}

const fn is_success(status: u16) -> bool {
    status >= 200 && status < 300
}

/// Checks the response of a client that waits: 201, a refusal whose cause fits the moment, 504, or
/// the end of its connection after the signal.
fn answer_makes_sense(Entry { write, end, .. }: &Entry, troubles: &mut Troubles) {
    match end {
        End::HungUp | End::Lost { before_signal: false, .. } => {}
        End::Lost { reason, .. } => troubles.push(format!("{write:?} was dropped early: {reason}")),
        End::Answered(answer) => {
            let makes_sense = match (answer.status, answer.said.cause.as_deref()) {
                (201, None) => answer.said.id.is_some(),
                (503, Some("limit_reached")) | (504, Some("deadline_exceeded")) => true,
                (503, Some("shutting_down")) => !answer.before_signal,
                _ => false,
            };
            troubles.require(makes_sense, || format!("{write:?} was answered {answer:?}"));
        }
    }
}

/// Checks that every 2xx has its row, and every row a request that may have written it.
fn rows_and_answers(entries: &[Entry], books: &Books, troubles: &mut Troubles) {
    let by_body: HashMap<_, _> = entries.iter().map(|entry| (mark(&entry.write), entry)).collect();
    let mut rows: HashMap<(&str, String), i64> = HashMap::new();
    for order in &books.orders {
        let mark = (order.key.as_str(), format!("{} {}", order.sku, order.quantity));
        rows.insert(mark, order.id);
    }
    for transfer in &books.transfers {
        let mark = format!("{} {} {}", transfer.source, transfer.target, transfer.quantity);
        troubles.require(rows.insert(("", mark), transfer.id).is_none(), || {
            format!("two rows for one request: {transfer:?}")
        });
    }
    for (mark, id) in &rows {
        let Some(entry) = by_body.get(mark) else {
            troubles.push(format!("no request asked for {mark:?}"));
            continue;
        };
        let Entry { write, whole, end } = entry;
        troubles.require(*whole, || format!("{write:?} was never sent whole and has a row"));
        match end {
            End::Answered(answer) if is_success(answer.status) => {
                troubles.require(answer.said.id == Some(*id), || {
                    format!("{write:?} has row {id} and was answered {answer:?}")
                });
            }
            End::Answered(answer) => troubles.require(answer.status == 504, || {
                format!("{write:?} has a row and was answered {answer:?}")
            }),
            End::Lost { reason, .. } => {
                troubles.push(format!("{write:?} has a row and its answer was lost: {reason}"));
            }
            End::HungUp => {}
        }
    }
    for Entry { write, end, .. } in entries {
        let answered = status(end).is_some_and(is_success);
        troubles.require(!answered || rows.contains_key(&mark(write)), || {
            format!("{write:?} was answered {end:?} and is not in the database")
        });
    }
}

/// Returns the text that identifies a request.
fn mark(write: &Write) -> (&str, String) {
    match write {
        Write::Order { key, sku, quantity } => (key, format!("{sku} {quantity}")),
        Write::Transfer { source, target, quantity } => {
            ("", format!("{source} {target} {quantity}"))
        }
    }
}

fn whole_rows(books: &Books, troubles: &mut Troubles) {
    for order in &books.orders {
        let whole = order.letters == 1 && order.owed_cents == 0 && !order.charge.is_empty();
        troubles.require(whole, || format!("half an order: {order:?}"));
    }
    troubles.require(books.letters == rows(&books.orders), || {
        format!("{} letters for {} orders", books.letters, books.orders.len())
    });
    troubles.require(books.holds == 0, || format!("{} holds", books.holds));
    troubles.require(books.broken.is_empty(), || format!("SQLite: {:?}", books.broken));
}

fn rows<T>(rows: &[T]) -> i64 {
    i64::try_from(rows.len()).unwrap_or(i64::MAX)
}

/// Checks that each SKU has its initial stock, minus the orders, plus and minus the transfers.
fn stock_is_conserved(books: &Books, troubles: &mut Troubles) {
    let mut expected: HashMap<_, _> = GOODS.iter().map(|sku| ((*sku), STOCK)).collect();
    let mut moves = |sku: &str, by: i64| {
        if let Some(quantity) = expected.get_mut(sku) {
            *quantity += by;
        }
    };
    for order in &books.orders {
        moves(&order.sku, -order.quantity);
    }
    for transfer in &books.transfers {
        moves(&transfer.source, -transfer.quantity);
        moves(&transfer.target, transfer.quantity);
    }
    for (sku, expected) in expected {
        let found = books.stock.get(sku).copied();
        troubles.require(found == Some(expected), || {
            format!("expected {expected} of {sku}, found {found:?}")
        });
    }
}

/// Checks that every order was paid, and that each payment has its order.
fn money(books: &Books, ended: &Ended, troubles: &mut Troubles) {
    let totals =
        ended.log.iter().find(|line| line.contains("the payment provider closes its books"));
    let field = |name: &str| {
        let words = totals?.split_whitespace();
        words.filter_map(|word| word.split_once('=')).find(|(key, _)| *key == name)?.1.parse().ok()
    };
    let (charges, refunds): (Option<usize>, Option<usize>) = (field("charges"), field("refunds"));
    // The stock is large and each key is used once, so no order is refunded.
    let paid = (charges, refunds) == (Some(books.orders.len()), Some(0));
    troubles.require(paid, || {
        format!("{} orders, {charges:?} charges, {refunds:?} refunds", books.orders.len())
    });
}

/// Checks that the counts of the report agree with the rows and the responses.
fn counts(entries: &[Entry], books: &Books, report: &Report, troubles: &mut Troubles) {
    troubles.equal(("completed", report.durable.completed), ("rows", books.rows()));
    let count = |so: &dyn Fn(&End) -> bool| entries.iter().filter(|entry| so(&entry.end)).count();
    let caused = |cause| count(&|end| is_caused(end, cause));
    let successes = count(&|end| status(end).is_some_and(is_success));
    let unseen = count(&|end| status(end).is_none());
    // A client may leave before or after the server has ended its request, so each count lies
    // between none and all of the requests whose clients left.
    let cancelled = &report.cancelled;
    let sums = [
        ("refused", cancelled.refused, caused("limit_reached"), unseen),
        ("ended by shutdown", cancelled.shutting_down, caused("shutting_down"), unseen),
        ("late", cancelled.deadline_exceeded, caused("deadline_exceeded"), unseen),
        ("left", cancelled.client_disconnected, 0, unseen),
        (
            "followed through",
            report.durable.followed_through,
            0,
            books.rows().saturating_sub(successes),
        ),
    ];
    for (what, reported, seen, unseen) in sums {
        troubles.require((seen..=seen + unseen).contains(&reported), || {
            format!("the report counts {reported} {what}, the clients {seen} and {unseen} unseen")
        });
    }
}
