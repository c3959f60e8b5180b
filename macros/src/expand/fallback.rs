//! What is left when not even the signature could be read.

use crate::{error::Errors, scan};
use proc_macro2::TokenStream;
use quote::quote;

/// The item as written, without our attributes, after its errors.
pub(crate) fn fallback(item: TokenStream, errors: &Errors) -> TokenStream {
    let reports = errors.to_compile_errors();
    let item = scan::strip(item);
    quote!(#reports #item)
}
