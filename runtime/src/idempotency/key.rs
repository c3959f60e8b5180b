//! The key of a request, as its handler sees it.

use std::{fmt, sync::Arc};

use axum::response::IntoResponse;
use http::HeaderValue;

use super::{Attempt, Claim, StoreError, StoredAnswer, answer::Read};

/// The longest key, in bytes.
const LONGEST: usize = 255;

/// The `Idempotency-Key` of a request, as an extractor of a keyed handler.
///
/// The header is that of the IETF draft: a string in quotes, `Idempotency-Key: "8e03978e"`. A key without quotes is
/// accepted as well.
///
/// # Rejections
///
/// 400 if the header is absent, empty, repeated, longer than 255 bytes, or not visible ASCII, and if the scope finds no
/// principal. Take `Option<IdempotencyKey>` where the key is optional.
///
/// # Examples
///
/// ```standalone_crate
/// use followthrough::{IdempotencyKey, durable_write};
///
/// #[durable_write(idempotency_key = "required")]
/// async fn charge(key: IdempotencyKey) -> String {
///     key.derive("payment")
/// }
///
/// // A direct call keeps no record.
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let key = IdempotencyKey::new("8e03978e").unwrap();
/// assert_eq!(charge(key.clone()).await.into_result().unwrap(), key.derive("payment"));
/// # }
/// ```
#[derive(Clone)]
pub struct IdempotencyKey {
    key: Arc<str>,
    scope: Option<Arc<str>>,
    attempt: Option<Arc<Attempt>>,
}

impl IdempotencyKey {
    /// Makes a key that belongs to no request, for direct calls of a handler.
    ///
    /// # Errors
    ///
    /// Returns an error if the key is empty, longer than 255 bytes, or not visible ASCII.
    pub fn new(key: &str) -> Result<Self, KeyError> {
        check(key.as_bytes())?;
        Ok(Self { key: key.into(), scope: None, attempt: None })
    }

    /// Reads the key of a request that belongs to no lifecycle.
    pub(crate) fn unrecorded(values: &[HeaderValue]) -> Result<Self, KeyError> {
        Ok(Self { key: parse(values)?.into(), scope: None, attempt: None })
    }

    pub(crate) fn of(key: &str, scope: &str, attempt: Arc<Attempt>) -> Self {
        Self { key: key.into(), scope: Some(scope.into()), attempt: Some(attempt) }
    }

    /// Returns the key as the client chose it, without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.key
    }

    /// Returns a key for a call to another service, the same for each retry of this request: 64 hexadecimal digits,
    /// the SHA-256 hash of the scope, the key and `purpose`.
    ///
    /// Each call of one request has its own `purpose`. Keys of two principals differ, because the scope is part of the
    /// hash. The hash has no secret, so a derived key is no credential. Use the key past the point of no return: a request
    /// that loses its claim has the same derived key, and its compensations would undo the call of the winner.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> String {
        let mut hash = hmac_sha256::Hash::new();
        for part in [self.scope.as_deref().unwrap_or_default(), &self.key, purpose] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        hex_of(&hash.finalize())
    }

    /// Prepares `response` for a store that writes it in a transaction of the handler, which is what `finish_in` of
    /// the stores' crates does. Returns `None` in a direct call, which has no record.
    ///
    /// # Errors
    ///
    /// Returns an error if the request has not passed its point of no return, and if the body of the response fails or is
    /// larger than [`Idempotency::max_answer_bytes`](super::Idempotency::max_answer_bytes).
    pub async fn prepare<R>(&self, response: &R) -> Result<Option<PreparedAnswer>, StoreError>
    where
        R: Clone + IntoResponse,
    {
        let Some(attempt) = &self.attempt else { return Ok(None) };
        let claim = attempt.claim().ok_or(StoreError::new(
            "`finish_in` was called before the point of no return, which claims the key, or after the end: call it in \
             the `#[durable_write]` statement that commits the transaction",
        ))?;
        let limit = attempt.writes().max_answer();
        let read = StoredAnswer::read(response.clone().into_response(), limit).await;
        let read =
            read.map_err(|error| StoreError::new(format!("the response failed: {error}")))?;
        let answer = match read {
            Read::Whole(parts, body) => StoredAnswer::of(&parts, body),
            Read::TooLarge(_) => {
                return Err(StoreError::new(format!("the response is larger than {limit} bytes")));
            }
        };
        Ok(Some(PreparedAnswer { claim, answer, attempt: attempt.clone() }))
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IdempotencyKey").field(&self.key).finish()
    }
}

impl AsRef<str> for IdempotencyKey {
    fn as_ref(&self) -> &str {
        &self.key
    }
}

/// An answer that a store is about to write in a transaction of the handler.
#[derive(Debug)]
pub struct PreparedAnswer {
    claim: Claim,
    answer: StoredAnswer,
    attempt: Arc<Attempt>,
}

impl PreparedAnswer {
    /// Returns the claim that has to hold the record.
    #[must_use]
    pub const fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Returns the answer to store.
    #[must_use]
    pub const fn answer(&self) -> &StoredAnswer {
        &self.answer
    }

    /// Tells the runtime that the transaction contains the answer. If the handler then returns this answer, the
    /// runtime takes the transaction as committed and does not store the answer again.
    pub fn is_in_transaction(self) {
        self.attempt.answered_in_transaction(self.answer);
    }
}

/// The error of an invalid key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// There is no key.
    Missing,
    /// There is more than one key.
    Repeated,
    /// The key is empty.
    Empty,
    /// The key has more than 255 bytes.
    TooLong,
    /// The key is neither a string in quotes nor visible ASCII without quotes, commas and spaces.
    Malformed,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => {
                "this request needs the header `Idempotency-Key`: send a new random key for each operation, and the \
                 same key when you repeat it"
            }
            Self::Repeated => "there is more than one `Idempotency-Key`: send one",
            Self::Empty => "the `Idempotency-Key` is empty: send a random key, such as a UUID",
            Self::TooLong => "the `Idempotency-Key` is longer than 255 bytes: send a shorter one, such as a UUID",
            Self::Malformed => {
                "the `Idempotency-Key` is not a string of visible ASCII characters: send one in quotes, such as a UUID"
            }
        })
    }
}

impl std::error::Error for KeyError {}

/// Parses the values of all `Idempotency-Key` headers of a request.
pub(super) fn parse(values: &[HeaderValue]) -> Result<String, KeyError> {
    let [value] = values else {
        return Err(if values.is_empty() { KeyError::Missing } else { KeyError::Repeated });
    };
    let value = value.as_bytes().trim_ascii();
    let key = match value.strip_prefix(b"\"") {
        Some(quoted) => unquoted(quoted)?,
        None if value.iter().any(|byte| matches!(byte, b'"' | b',' | b';' | b' ')) => {
            let several = value.contains(&b',');
            return Err(if several { KeyError::Repeated } else { KeyError::Malformed });
        }
        None => value.to_vec(),
    };
    check(&key)?;
    String::from_utf8(key).map_err(|_| KeyError::Malformed)
}

/// Reads a string of RFC 9651 after its first quote.
fn unquoted(quoted: &[u8]) -> Result<Vec<u8>, KeyError> {
    let mut key = Vec::with_capacity(quoted.len());
    let mut rest = quoted.iter().copied();
    loop {
        match rest.next().ok_or(KeyError::Malformed)? {
            b'"' => break,
            b'\\' => match rest.next() {
                Some(escaped @ (b'"' | b'\\')) => key.push(escaped),
                _ => return Err(KeyError::Malformed),
            },
            byte => key.push(byte),
        }
    }
    match rest.next() {
        None => Ok(key),
        Some(b',') => Err(KeyError::Repeated),
        Some(_) => Err(KeyError::Malformed),
    }
}

fn check(key: &[u8]) -> Result<(), KeyError> {
    match key.len() {
        0 => return Err(KeyError::Empty),
        length if length > LONGEST => return Err(KeyError::TooLong),
        _ => {}
    }
    let is_visible = |byte: &u8| matches!(byte, b' '..=b'~');
    if key.iter().all(is_visible) { Ok(()) } else { Err(KeyError::Malformed) }
}

pub(super) fn hex_of(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&[u8]]) -> Result<String, KeyError> {
        let values: Vec<_> = values
            .iter()
            .map(|value| HeaderValue::from_bytes(value).expect("it is valid"))
            .collect();
        parse(&values)
    }

    #[test]
    fn a_key_in_quotes_and_a_bare_one_are_the_same() {
        assert_eq!(of(&[b"\"8e03978e-40d5\""]).as_deref(), Ok("8e03978e-40d5"));
        assert_eq!(of(&[b"8e03978e-40d5"]).as_deref(), Ok("8e03978e-40d5"));
        assert_eq!(of(&[b"\"a \\\"quoted\\\" \\\\ key\""]).as_deref(), Ok("a \"quoted\" \\ key"));
    }

    #[test]
    fn each_invalid_key_has_its_error() {
        assert_eq!(of(&[]), Err(KeyError::Missing));
        assert_eq!(of(&[b"a", b"b"]), Err(KeyError::Repeated));
        assert_eq!(of(&[b"a, b"]), Err(KeyError::Repeated));
        assert_eq!(of(&[b"\"a\", \"b\""]), Err(KeyError::Repeated));
        assert_eq!(of(&[b""]), Err(KeyError::Empty));
        assert_eq!(of(&[b"\"\""]), Err(KeyError::Empty));
        assert_eq!(of(&[&[b'k'; 255]]).map(|key| key.len()), Ok(255));
        assert_eq!(of(&[&[b'k'; 256]]), Err(KeyError::TooLong));
        for malformed in
            [&b"\"open"[..], b"\"a\"b", b"a b", b"a\"b", b"\"\\n\"", b"caf\xc3\xa9", b"\"caf\xe9\""]
        {
            assert_eq!(of(&[malformed]), Err(KeyError::Malformed), "{malformed:?}");
        }
    }

    #[test]
    fn derived_keys_differ_by_purpose_and_key() {
        let [a, b] = ["a", "b"].map(|key| IdempotencyKey::new(key).expect("it is valid"));
        assert_eq!(a.derive("charge"), a.derive("charge"));
        assert_ne!(a.derive("charge"), a.derive("mail"));
        assert_ne!(a.derive("charge"), b.derive("charge"));
        assert_eq!(a.derive("charge").len(), 64);
    }
}
