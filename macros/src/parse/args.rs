//! The arguments of an attribute, parsed and not yet validated.

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Expr, Ident, Path, Token,
    ext::IdentExt as _,
    parse::{Parse, ParseStream, Parser as _, discouraged::Speculative as _},
    punctuated::Punctuated,
};

/// An argument.
pub(crate) enum Arg {
    /// `read`, `cooperative`
    Word(Ident),
    /// `deadline = "10s"`
    Option { name: Ident, value: Expr },
    /// `deadline: "10s"`
    Colon { name: Ident, colon: Token![:], value: Expr },
    /// `crate = my::path`
    Crate { keyword: Token![crate], path: Path },
    /// `deadline =` without a value
    Unfinished(Ident),
    /// `"10s"`, `10s`
    Value(Expr),
}

/// The arguments of an attribute.
pub(crate) struct RawArgs(pub(crate) Vec<Arg>);

impl RawArgs {
    pub(crate) fn parse(tokens: TokenStream) -> syn::Result<Self> {
        syn::parse2(tokens)
    }

    /// Reads the valid arguments of a list that does not parse as a whole, for example while the user is typing.
    pub(crate) fn salvage(tokens: TokenStream) -> Self {
        let salvage = |input: ParseStream<'_>| {
            let mut args = Vec::new();
            while !input.is_empty() {
                let ahead = input.fork();
                if let (Ok(arg), true) = (ahead.parse(), ahead.is_empty() || ahead.peek(Token![,]))
                {
                    args.push(arg);
                    input.advance_to(&ahead);
                }
                while !input.is_empty() && !input.peek(Token![,]) {
                    input.parse::<TokenTree>()?;
                }
                input.parse::<Option<Token![,]>>()?;
            }
            Ok(Self(args))
        };
        salvage.parse2(tokens).unwrap_or(Self(Vec::new()))
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
        if let Some(name) = unfinished(input)? {
            return Ok(Self::Unfinished(name));
        }
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
            if ahead.peek(Token![:]) && !ahead.peek(Token![::]) {
                let name = input.call(Ident::parse_any)?;
                return Ok(Self::Colon { name, colon: input.parse()?, value: input.parse()? });
            }
        }
        input.parse().map(Self::Value)
    }
}

/// Reads a name with `=` and no value. An error about this name is clearer than one about the end of the input.
fn unfinished(input: ParseStream<'_>) -> syn::Result<Option<Ident>> {
    let ahead = input.fork();
    let Ok(name) = ahead.call(Ident::parse_any) else { return Ok(None) };
    let is_unfinished = ahead.parse::<Option<Token![=]>>()?.is_some()
        && (ahead.is_empty() || ahead.peek(Token![,]));
    if is_unfinished {
        input.advance_to(&ahead);
    }
    Ok(is_unfinished.then_some(name))
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
