//! The scope of keys: whose keys they are.

use std::{borrow::Cow, fmt, sync::Arc};

use http::request::Parts;

use super::key::hex_of;

/// The scope of idempotency keys, so that the keys of two principals never meet.
///
/// A key is chosen by its client, so two clients may choose the same one. Without a scope, one of them would receive
/// the answer of the other.
///
/// ```
/// use followthrough::Scope;
///
/// #[derive(Clone)]
/// struct Customer(String);
///
/// // `Customer` is an extension that the service's own authentication sets.
/// let by_customer = Scope::by(|parts| parts.extensions.get::<Customer>().map(|customer| customer.0.clone()));
/// ```
#[derive(Clone)]
pub struct Scope(Kind);

type Principal = Arc<dyn Fn(&Parts) -> Option<String> + Send + Sync>;

#[derive(Clone)]
enum Kind {
    By(Principal),
    Global { reason: Cow<'static, str>, hash: Arc<str> },
}

impl Scope {
    /// Takes the principal of a request from its head: a customer, a tenant, an API key.
    ///
    /// The function sees the extensions that the layers of the router have set. The function sees those of the handler's own
    /// `.layer(..)` only if the handler takes [`IdempotencyKey`](super::IdempotencyKey). A request without a principal,
    /// for which it returns `None`, is answered 400. The principal is stored as a hash.
    pub fn by<F, P>(principal: F) -> Self
    where
        F: Fn(&Parts) -> P + Send + Sync + 'static,
        P: IntoPrincipal,
    {
        Self(Kind::By(Arc::new(move |parts| principal(parts).into_principal())))
    }

    /// Puts the keys of all clients into one scope, for this reason: the service has one client, or its keys cannot
    /// be guessed.
    ///
    /// # Panics
    ///
    /// Panics if the reason is blank.
    pub fn global(reason: impl Into<Cow<'static, str>>) -> Self {
        let reason = reason.into();
        assert!(
            !reason.trim().is_empty(),
            "`Scope::global` needs a reason why the keys of two clients cannot meet"
        );
        Self(Kind::Global { reason, hash: hashed(None).into() })
    }

    /// Returns the hash of the request's principal, or `None` without one.
    pub(crate) fn of(&self, parts: &Parts) -> Option<String> {
        match &self.0 {
            Kind::By(principal) => principal(parts).map(|principal| hashed(Some(&principal))),
            Kind::Global { .. } => self.without_parts(),
        }
    }

    /// Returns the hash of the scope that all clients share, or `None` if each has its own.
    pub(crate) fn without_parts(&self) -> Option<String> {
        match &self.0 {
            Kind::By(_) => None,
            Kind::Global { hash, .. } => Some(hash.as_ref().to_owned()),
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::By(_) => f.write_str("Scope::by(..)"),
            Kind::Global { reason, .. } => write!(f, "Scope::global({reason:?})"),
        }
    }
}

/// The scope of a request's key.
#[derive(Clone)]
pub(super) enum SeenScope {
    /// The head was not shown to the scope yet.
    Unseen,
    NoPrincipal,
    /// The hash of the principal.
    Of(String),
}

/// Returns the first half of a SHA-256 hash. The global scope differs from every principal by its first byte.
fn hashed(principal: Option<&str>) -> String {
    let mut hash = hmac_sha256::Hash::new();
    hash.update([u8::from(principal.is_some())]);
    hash.update(principal.unwrap_or_default());
    hex_of(&hash.finalize()[..16])
}

/// The return types of [`Scope::by`]: a string, or an optional one.
pub trait IntoPrincipal {
    /// Returns the principal, if there is one.
    fn into_principal(self) -> Option<String>;
}

impl IntoPrincipal for String {
    fn into_principal(self) -> Option<String> {
        Some(self)
    }
}

impl IntoPrincipal for &'static str {
    fn into_principal(self) -> Option<String> {
        Some(self.to_owned())
    }
}

impl<P: IntoPrincipal> IntoPrincipal for Option<P> {
    fn into_principal(self) -> Option<String> {
        self.and_then(IntoPrincipal::into_principal)
    }
}

impl<P: IntoPrincipal, E> IntoPrincipal for Result<P, E> {
    fn into_principal(self) -> Option<String> {
        self.ok().and_then(IntoPrincipal::into_principal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_principals_and_the_global_scope_differ() {
        let by_user = Scope::by(|parts| parts.headers["user"].to_str().map(str::to_owned));
        let parts = |user: &str| {
            http::Request::get("/").header("user", user).body(()).unwrap().into_parts().0
        };
        let of = |user| by_user.of(&parts(user)).expect("there is a user");
        assert_eq!(of("a"), of("a"));
        assert_ne!(of("a"), of("b"));
        assert_ne!(of(""), Scope::global("one client").of(&parts("a")).expect("it is global"));
    }
}
