//! `cargo check` with incremental compilation, after a change of one line in one handler.

use crate::{
    Failure, check,
    handlers::{self, HANDLERS, Way},
    table,
};

const ROUNDS: usize = 5;

/// The line that changes, which is in every second handler.
const LINE: &str = "tries == 3 ";

const WAYS: [(Way, &str, &str); 3] = [
    (Way::Identity, "plain", "an attribute that changes nothing"),
    (Way::ByHand, "by-hand", "the body in an `async move` block, by hand"),
    (Way::Policy, "policies", "a policy"),
];

/// Returns `source` with another number in a line of its first handler, or `None` if the line is
/// not there.
fn edited(source: &str, number: usize) -> Option<String> {
    source.contains(LINE).then(|| source.replacen(LINE, &format!("tries == {} ", 4 + number), 1))
}

/// Prints the table.
pub(crate) fn run() -> Result<(), Failure> {
    let scratch = check::scratch()?.incremental();
    for (_, name, _) in WAYS {
        scratch.compile(&["check", "--package", name])?;
    }
    let mut number = 0;
    let least = table::least(ROUNDS, &WAYS, |(way, name, _)| {
        number += 1;
        let source = edited(&handlers::source(*way), number).ok_or("no handler has the line")?;
        scratch.write(name, &source)?;
        scratch.recompile("check", name)
    })?;
    println!(
        "| incremental `cargo check` of {HANDLERS} handlers after a change of one line, least of \
         {ROUNDS} | s | over the first | ratio |"
    );
    println!("|---|---:|---:|---:|");
    for ((_, _, title), seconds) in WAYS.iter().zip(&least) {
        let (over, ratio) = (seconds - least[0], seconds / least[0]);
        println!("| {title} | {seconds:.2} | {over:+.2} | {ratio:.2} |");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_changes_one_line_of_each_way_and_every_edit_is_another() {
        for (way, name, _) in WAYS {
            let source = handlers::source(way);
            let [first, second] =
                [1, 2].map(|number| edited(&source, number).expect("the line is there"));
            let changed =
                |edit: &str| source.lines().zip(edit.lines()).filter(|(a, b)| a != b).count();
            assert_eq!((changed(&first), changed(&second)), (1, 1), "{name}");
            assert_ne!(first, second, "{name}");
        }
        assert_eq!(edited("", 1), None);
    }
}
