//! Rows of times.

/// Alternates the variants over some rounds, so that other load meets all alike. Returns the least
/// time of each, because noise only adds.
pub(crate) fn least<T>(
    rounds: usize,
    variants: &[T],
    mut time: impl FnMut(&T) -> Result<f64, crate::Failure>,
) -> Result<Vec<f64>, crate::Failure> {
    let mut least = vec![f64::INFINITY; variants.len()];
    for _ in 0..rounds {
        for (variant, least) in variants.iter().zip(&mut least) {
            *least = least.min(time(variant)?);
        }
    }
    Ok(least)
}

/// Prints a table of times, each beside the first.
pub(crate) fn print(head: &str, rows: &[(&str, f64)], aims: &[Option<f64>]) {
    println!("| {head} | s | over the first | aim |");
    println!("|---|---:|---:|---:|");
    let first = rows.first().map_or(f64::NAN, |row| row.1);
    for ((name, seconds), aim) in rows.iter().zip(aims) {
        let aim = aim.map_or(String::new(), |aim| format!("{aim:.1}"));
        println!("| {name} | {seconds:.2} | {:+.2} | {aim} |", seconds - first);
    }
}
