//! The time from a client's close until the handler is dropped.

use super::{
    super::{
        figures::{Figure, Figures, Spread, float, p99},
        server::now,
    },
    Fault, Target,
    http1::{SMALL, connect},
};

/// Hangs up `amount` times, one after the other.
pub(super) async fn notice(target: &Target) -> Result<Figures, Fault> {
    let mut observer = connect(target.port, SMALL).await?;
    let mut times = Vec::new();
    for count in 1..=target.amount {
        let mut client = connect(target.port, SMALL).await?;
        client.send(b"GET /wait HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
        let request = format!("GET /began/{count} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        observer.send(request.as_bytes()).await?;
        observer.answer(count.to_string().as_bytes()).await?;
        let closed = now();
        drop(client);
        let request = format!("GET /dropped/{count} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        observer.send(request.as_bytes()).await?;
        times.push(microseconds(closed, &observer.text().await?)?);
    }
    let median = Spread::of(times.clone()).map(|times| (Figure::Time, times.median));
    let percentile = p99(times).map(|time| (Figure::P99, time));
    Ok(median.into_iter().chain(percentile).collect())
}

/// Returns the time between a close and a drop, both in nanoseconds since 1970.
fn microseconds(closed: u128, dropped: &str) -> Result<f64, Fault> {
    let dropped: u128 =
        dropped.parse().map_err(|_| Fault::Wrong(format!("`{dropped}` is no time")))?;
    let took = dropped.checked_sub(closed).and_then(|took| u64::try_from(took).ok());
    let took = took.ok_or("a handler was dropped before its client closed")?;
    Ok(float(took) / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drop_before_the_close_is_a_fault() {
        assert_eq!(microseconds(1_000, "251000"), Ok(250.0));
        assert!(microseconds(1_000, "999").is_err());
        assert!(microseconds(1_000, "soon").is_err());
    }
}
