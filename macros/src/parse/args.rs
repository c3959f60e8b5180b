//! What stands in an attribute's parentheses, before anyone asks whether it makes sense.

use proc_macro2::TokenStream;
use syn::{
    Expr, Ident, Path, Token,
    ext::IdentExt as _,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
};

/// One argument.
pub(crate) enum Arg {
    /// `read`, `cooperative`
    Word(Ident),
    /// `deadline = "10s"`
    Option { name: Ident, value: Expr },
    /// `crate = my::path`
    Crate { keyword: Token![crate], path: Path },
    /// `"10s"`, `10s`
    Value(Expr),
}

/// All arguments of one attribute.
pub(crate) struct RawArgs(pub(crate) Vec<Arg>);

impl RawArgs {
    pub(crate) fn parse(tokens: TokenStream) -> syn::Result<Self> {
        syn::parse2(tokens)
    }
}

impl Parse for RawArgs {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let args = Punctuated::<Arg, Token![,]>::parse_terminated(input)?;
        Ok(Self(args.into_iter().collect()))
    }
}

impl Parse for Arg {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(Token![crate]) && input.peek2(Token![=]) {
            let keyword = input.parse()?;
            input.parse::<Token![=]>()?;
            let path = input.call(Path::parse_mod_style)?;
            return Ok(Self::Crate { keyword, path });
        }
        // `read` and `reason = ..`, but not `f(x)` or `a + b`.
        let ahead = input.fork();
        if ahead.call(Ident::parse_any).is_ok() {
            if ahead.is_empty() || ahead.peek(Token![,]) {
                return input.call(Ident::parse_any).map(Self::Word);
            }
            if ahead.peek(Token![=]) && !ahead.peek(Token![==]) {
                let name = input.call(Ident::parse_any)?;
                input.parse::<Token![=]>()?;
                let value = input.parse()?;
                return Ok(Self::Option { name, value });
            }
        }
        input.parse().map(Self::Value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    #[test]
    fn every_shape_of_argument() {
        let args = RawArgs::parse(quote!(
            reversible_write,
            on_cancel = undo(db.clone(), id),
            deadline = 10s,
            crate = ::renamed::path,
            "10s",
        ));
        let args = args.expect("five arguments").0;
        assert!(matches!(&args[0], Arg::Word(word) if word == "reversible_write"));
        assert!(
            matches!(&args[1], Arg::Option { name, value: Expr::Call(_) } if name == "on_cancel")
        );
        assert!(matches!(&args[2], Arg::Option { value: Expr::Lit(_), .. }));
        assert!(matches!(&args[3], Arg::Crate { path, .. } if path.segments.len() == 2));
        assert!(matches!(&args[4], Arg::Value(Expr::Lit(_))));
    }
}
