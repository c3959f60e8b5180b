//! The bytes that a pending request holds, with many in flight.

use super::{Scale, at_most, command, counted::counted, number, row};
use crate::{
    WAYS,
    apps::{base_of, keyed::can_wait},
    results::Table,
};

pub(super) fn run(scale: &Scale) -> Result<Table, String> {
    let held = counted("pending", u64::try_from(scale.pending).unwrap_or(u64::MAX))?;
    let each =
        |way: &str| Some(number(*held.get(way)?) / number(u64::try_from(scale.pending).ok()?));
    let over = |way: &str| Some(each(way)? - each(base_of(way))?);
    let goal = |aim, name: &str, way| {
        at_most(aim, &format!("bytes over bare: {name}"), over(way).unwrap_or(f64::NAN))
    };
    Ok(Table {
        id: "memory".into(),
        title: format!("Memory of a pending request, {} in flight", scale.pending),
        command: command("memory"),
        columns: vec!["bytes over bare".into(), "bytes".into()],
        rows: WAYS
            .iter()
            .filter(|way| can_wait(way.id))
            .map(|way| row(way.name, [over(way.id).map(f64::round), each(way.id).map(f64::round)]))
            .collect(),
        goals: vec![
            goal(512.0, "a pending read", "read"),
            goal(768.0, "a pending read with a deadline", "read_deadline"),
            goal(768.0, "a pending `#[durable_write]`", "durable_write"),
        ],
        notes: Vec::new(),
    })
}
