//! Methods of `Result` on a [`Governed`], as compile errors that name `into_result`.

use super::Governed;

/// A bound that no type satisfies, so that a method with it is an error with the message below.
#[diagnostic::on_unimplemented(
    message = "a called handler may have been cancelled: take its value with `.into_result()` first",
    label = "write `.into_result()` before this call"
)]
pub trait IntoResultFirst: Sized {
    #[doc(hidden)]
    fn never<T>(self) -> T;
}

/// Without these methods, the compiler only says that `Governed` has none of these names.
#[doc(hidden)]
impl<R, P> Governed<R, P>
where
    Self: IntoResultFirst,
{
    pub fn unwrap(self) -> R {
        self.never()
    }

    pub fn expect(self, _: &str) -> R {
        self.never()
    }
}
