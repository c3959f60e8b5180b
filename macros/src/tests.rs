//! Unit tests of whole expansions.

mod choices;
mod expansions;
mod generated;
mod generator;
mod grammar;
mod half_typed;
mod invocation;
mod properties;

use crate::{deadline, handler, symbol::Symbol, worker};
use proc_macro2::TokenStream;
use quote::quote;
use syn::{File, Item, ItemFn};

/// Returns the function in `output` and the number of errors that it reports.
fn function(output: TokenStream) -> (ItemFn, usize) {
    let text = output.to_string();
    let file: File = syn::parse2(output).expect(&text);
    let [Item::Fn(function)] = &file.items[..] else { panic!("not one function: {text}") };
    (function.clone(), text.matches("compile_error").count())
}

fn cancellable(args: TokenStream, item: TokenStream) -> (ItemFn, usize) {
    function(handler::run(Symbol::Cancellable, args, item))
}

fn text(function: &ItemFn) -> String {
    quote!(#function).to_string().replace(' ', "")
}

#[test]
fn a_handler_keeps_its_parameters() {
    let (function, errors) = cancellable(
        quote!(read),
        quote! {
            /// Docs.
            #[deadline = "10s"]
            #[allow(unused)]
            pub async fn order<T>(State(db): State<T>, mut cancel: CancellationToken, _: u8) -> u8
            where
                T: Db,
            {
                db.order(&cancel).await
            }
        },
    );
    assert_eq!(errors, 0);
    assert_eq!(function.attrs.len(), 2);
    let signature = function.sig;
    let expected = quote! {
        async fn order<T>(State(db): State<T>, cancel: ::followthrough::RawToken, __ft_arg2: u8)
            -> ::followthrough::Governed<u8, ::followthrough::policy::Read>
        where
            T: Db,
    };
    assert_eq!(
        quote!(#signature).to_string().replace(", )", ")"),
        expected.to_string().replace(", )", ")")
    );
}

#[test]
fn a_body_without_sites_is_not_parsed() {
    let run = || {
        handler::run(
            Symbol::Cancellable,
            quote!(read),
            quote!(async fn f() { let x = 1 this does not parse }),
        )
    };
    assert!(run().to_string().contains("this does not parse"));
}

#[test]
fn a_durable_site_makes_a_write() {
    let (function, errors) = cancellable(
        quote!(read),
        quote! {
            async fn f(cancel: RequestToken) -> u8 {
                #[durable_write]
                let x = write(&cancel).await?;
                x
            }
        },
    );
    let text = text(&function);
    assert_eq!(errors, 0);
    assert!(text.contains("policy::Write>"), "{text}");
    assert!(text.contains("run_boxed::<u8"), "{text}");
    assert!(text.contains(".with_durable_sites(1usize)"), "{text}");
    assert!(
        text.contains("(__guard,cancel)=>write(&cancel).await?"),
        "the token is bound again: {text}"
    );
    assert!(!text.contains("#[durable_write]"), "{text}");
}

#[test]
fn statement_attributes_govern_the_whole_statement() {
    for statement in [
        quote!(sum += write().await),
        quote!(sum = write().await),
        quote!(write().await + 1),
        quote!(write().await as u64),
        quote!(write().await..2),
    ] {
        let item = quote!(async fn f() { #[durable_write] #statement; });
        let (function, errors) = cancellable(quote!(read), item);
        assert_eq!(errors, 0, "{statement}");
        // The block contains the semicolon, so that the compiler reports an unused result at the statement.
        let wrapped = format!("{{__guard=>{{{};}}}};", statement.to_string().replace(' ', ""));
        assert!(text(&function).contains(&wrapped), "{}", text(&function));
    }
}

#[test]
fn all_errors_are_reported_together() {
    let (function, errors) = cancellable(
        quote!(raed, deadline = "1.5s", retries = 3),
        quote! {
            #[durable_write]
            unsafe fn f(a: DurableToken) -> u8 {
                #[exempt]
                x.await
            }
        },
    );
    assert_eq!(errors, 8);
    assert!(function.sig.asyncness.is_some());
    assert!(function.attrs.is_empty());
    assert!(text(&function).contains("{const_:()=();x.await}"), "{}", text(&function));
}

#[test]
fn a_body_that_does_not_parse_is_emitted_without_an_error() {
    let output = handler::run(
        Symbol::Cancellable,
        quote!(read),
        quote!(async fn f() { #[durable_write] let x = = 1; }),
    );
    let text = output.to_string();
    assert!(!text.contains("compile_error"), "{text}");
    // The site stays: if the compiler accepts the statement, it must report the attribute.
    assert!(text.contains("durable_write"), "{text}");
}

#[test]
fn a_deadline_moves_below_its_policy() {
    let moved = deadline::run(
        &quote!(10s),
        quote!(
            #[instrument]
            #[followthrough::cancellable(read)]
            #[allow(x)]
            async fn f() {}
        ),
    );
    let expected = quote! {
        #[instrument] #[followthrough::cancellable(read)] #[deadline(10s)] #[allow(x)] async fn f() {}
    };
    assert_eq!(moved.to_string(), expected.to_string());
}

#[test]
fn a_deadline_without_a_policy_is_refused_once() {
    // `instrument` may be a renamed policy, so the deadline moves below it once.
    let moved = deadline::run(
        &quote!(10s),
        quote!(
            #[instrument]
            async fn f() {}
        ),
    )
    .to_string();
    assert!(!moved.contains("compile_error"), "{moved}");
    let again = deadline::run(
        &quote!(10s, __moved),
        quote!(
            #[instrument]
            async fn f() {}
        ),
    );
    assert!(again.to_string().contains("compile_error"));
    let alone = deadline::run(
        &quote!(10s),
        quote!(
            #[doc = "x"]
            async fn f() {}
        ),
    );
    assert!(alone.to_string().contains("compile_error"));
}

#[test]
fn a_worker_takes_any_stopping_token() {
    let item = quote!(
        async fn relay(stop: CancellationToken, n: u8) -> u8 {
            stop.cancelled().await;
            n
        }
    );
    let (function, errors) = function(worker::run(TokenStream::new(), item));
    assert_eq!(errors, 0);
    let text = text(&function);
    assert!(text.contains("stop:impl::core::convert::Into<CancellationToken>,n:u8"), "{text}");
    assert!(
        text.contains("letstop:CancellationToken=::core::convert::Into::into(stop);"),
        "{text}"
    );
}

#[test]
fn sites_above_a_half_typed_statement_stay_sites() {
    let item = quote!(
        async fn f() -> u8 {
            #[durable_write]
            let x = write().await?;
            db.
        }
    );
    let output = handler::run(Symbol::Cancellable, quote!(read), item).to_string().replace(' ', "");
    assert!(output.contains("policy::Write>"), "{output}");
    assert!(output.contains("__guard=>write().await?"), "{output}");
    assert!(output.contains("db.}"), "{output}");
    assert!(!output.contains("compile_error"), "{output}");
}

#[test]
fn valid_arguments_around_a_syntax_error_apply() {
    let args = quote!(stream, deadline = "10s" name = "x", crate = renamed);
    let (function, errors) = cancellable(
        args,
        quote!(
            async fn f() {}
        ),
    );
    assert_eq!(errors, 1);
    let signature = function.sig;
    let expected = "asyncfnf()->renamed::Governed<(),renamed::policy::Stream>";
    assert_eq!(quote!(#signature).to_string().replace(' ', ""), expected);
}

#[test]
fn a_rejected_item_loses_its_followthrough_attributes() {
    let item = quote!(
        #[deadline = "10s"]
        #[allow(unused)]
        async fn f();
    );
    let output = handler::run(Symbol::Cancellable, quote!(read), item).to_string();
    assert!(output.contains("compile_error"), "{output}");
    assert!(output.ends_with("# [allow (unused)] async fn f () ;"), "{output}");
}

#[test]
fn an_exempt_handler_stays_exempt() {
    let item = quote!(
        async fn f() {
            #[durable_write]
            x.await;
        }
    );
    let (function, errors) = function(handler::run(Symbol::Exempt, quote!(reason = "x"), item));
    assert_eq!(errors, 1);
    assert!(text(&function).contains("policy::Exempt>"), "{}", text(&function));
}
