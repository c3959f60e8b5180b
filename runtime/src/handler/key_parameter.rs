//! Tells the runtime's `IdempotencyKey` from a user's own type of that name, which the macros cannot.

use std::marker::PhantomData;

use crate::idempotency::IdempotencyKey;

/// The type of a handler's parameter.
///
/// `Parameter::<T>::IS_KEY` is the inherent constant for the two types below, and that of [`NoKey`] for any other type,
/// because the compiler prefers inherent constants.
#[doc(hidden)]
#[derive(Debug)]
pub struct Parameter<T>(PhantomData<T>);

impl Parameter<IdempotencyKey> {
    /// `IdempotencyKey` is the key.
    pub const IS_KEY: bool = true;
}

impl Parameter<Option<IdempotencyKey>> {
    /// `Option<IdempotencyKey>` is the key.
    pub const IS_KEY: bool = true;
}

/// The constant for every other type.
#[doc(hidden)]
pub trait NoKey {
    /// Any other type is no key.
    const IS_KEY: bool = false;
}

impl<T> NoKey for Parameter<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_type_of_the_runtime_is_the_key() {
        mod own {
            pub(super) struct IdempotencyKey;
        }
        let is_key = [
            Parameter::<IdempotencyKey>::IS_KEY,
            Parameter::<Option<IdempotencyKey>>::IS_KEY,
            Parameter::<own::IdempotencyKey>::IS_KEY,
            Parameter::<Option<own::IdempotencyKey>>::IS_KEY,
        ];
        assert_eq!(is_key, [true, true, false, false]);
    }
}
