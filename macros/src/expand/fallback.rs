//! What is left when not even the signature could be read.

use crate::{error::Errors, scan};
use proc_macro2::TokenStream;
use quote::quote;

/// The item as written, without our attributes, after its errors. Only functions inside it keep
/// theirs: what was refused once must not run again.
pub(crate) fn fallback(item: TokenStream, errors: &Errors) -> TokenStream {
    let reports = errors.to_compile_errors();
    let item = scan::strip(scan::strip_front(item));
    // In the place of an expression there is room for one only.
    if syn::parse2::<syn::Expr>(item.clone()).is_ok() {
        return quote!({ #reports #item });
    }
    quote!(#reports #item)
}
