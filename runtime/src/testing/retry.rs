//! Sends the request of a run again, as a client does that has no answer.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode};

use super::{
    answer::Answer,
    exchange::BoxError,
    request::{Fed, in_pieces},
    watchdog::Watchdog,
};
use crate::idempotency::{IDEMPOTENCY_KEY, new_name};

/// How often the request is sent again at most.
const RETRIES: usize = 5;

/// Gives a request an `Idempotency-Key` that no other request has. A key of the request's own gets a suffix.
pub(super) fn give_fresh_key(headers: &mut HeaderMap) {
    let mut keys = headers.get_all(&IDEMPOTENCY_KEY).iter();
    let key = match (keys.next(), keys.next()) {
        (None, _) => new_name(),
        (Some(key), None) => {
            // A malformed key stays, so that its answer can be tested.
            let Ok(key) = key.to_str() else { return };
            match key.strip_suffix('"') {
                Some(quoted) => format!("{quoted}-{}\"", new_name()),
                None => format!("{key}-{}", new_name()),
            }
        }
        (Some(_), Some(_)) => return,
    };
    if let Ok(key) = HeaderValue::try_from(key) {
        headers.insert(IDEMPOTENCY_KEY, key);
    }
}

/// Sends `request` until its answer is definite, and returns that answer. An answer 503, and one with `Retry-After`,
/// invites the client to send its request again.
pub(super) async fn retry(
    request: &Request<Bytes>,
    watchdog: &Watchdog,
    send: impl AsyncFn(Request<Fed>) -> Result<Answer, BoxError>,
) -> Result<Answer, String> {
    let mut tries = 0;
    loop {
        watchdog.pet();
        let answer = tokio::select! {
            biased;
            answer = send(in_one_piece(request.clone())) => {
                answer.map_err(|error| format!("the retry has no answer: {error}"))?
            }
            () = watchdog.barked() => {
                return Err(format!("the retry has no answer within {:?}", watchdog.timeout()));
            }
        };
        tries += 1;
        if tries == RETRIES || !answer.invites_retry() {
            return Ok(answer);
        }
        tokio::time::sleep(answer.pause()).await;
    }
}

fn in_one_piece(request: Request<Bytes>) -> Request<Fed> {
    request.map(|body| {
        let (mut feed, body) = in_pieces(body, 0);
        feed.all();
        body
    })
}

/// Returns why the answer of the retry is not the one that the first request received, or was about to receive.
pub(super) fn complaint(
    status: Option<StatusCode>,
    whole: Option<&Answer>,
    retry: &Answer,
) -> Option<String> {
    let first = status?;
    // The deadline of the first request does not end its write.
    if first == StatusCode::GATEWAY_TIMEOUT {
        return None;
    }
    if let Some(whole) = whole {
        return if whole.invites_retry() { None } else { whole.differs_from(retry) };
    }
    // The client left within the body, and these may have asked it to come back.
    let may_invite = matches!(
        first,
        StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    );
    (first != retry.status() && !may_invite).then(|| {
        let retry = retry.status();
        format!("the retry with the same `Idempotency-Key` has another status: {first}, and then {retry}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh(keys: &[&'static str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for key in keys {
            headers.append(IDEMPOTENCY_KEY, HeaderValue::from_static(key));
        }
        give_fresh_key(&mut headers);
        let keys = headers.get_all(IDEMPOTENCY_KEY).iter();
        keys.map(|key| key.to_str().expect("it is ASCII").to_owned()).collect()
    }

    #[test]
    fn each_run_has_a_key_of_its_own() {
        assert_eq!(fresh(&[]).len(), 1);
        assert_ne!(fresh(&[]), fresh(&[]));
        let [bare, quoted] = [fresh(&["a"]), fresh(&["\"a\""])].map(|mut keys| keys.remove(0));
        assert!(bare.starts_with("a-"), "{bare}");
        assert!(quoted.starts_with("\"a-") && quoted.ends_with('"'), "{quoted}");
        assert_ne!(fresh(&["a"]), fresh(&["a"]));
        assert_eq!(fresh(&["a", "b"]), ["a", "b"]);
    }
}
