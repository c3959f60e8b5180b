//! The output for an item that does not parse as a function.

use crate::{error::Errors, scan};
use proc_macro2::TokenStream;
use quote::quote;

/// Returns the errors and the item without its followthrough attributes, so that a rejected attribute does not run
/// again. Functions inside the item keep theirs.
pub(crate) fn fallback(item: TokenStream, errors: &Errors) -> TokenStream {
    let reports = errors.to_compile_errors();
    let item = scan::strip(scan::strip_front(item));
    // An attribute on an expression must expand to one expression.
    if syn::parse2::<syn::Expr>(item.clone()).is_ok() {
        return quote!({ #reports #item });
    }
    quote!(#reports #item)
}
