async fn misspelt(
    cancel: DurableToken,
) -> ::followthrough::Governed<Json<Order>, ::followthrough::policy::Write> {
    ::core::compile_error! {
        "unknown mode `raed`: did you mean `read`? expected `read`, `stream`, `idempotent_write` or `reversible_write`"
    }
    ::core::compile_error! {
        "unknown option `retries` of `cancellable`: expected `cooperative`, `finish`, `on_cancel`, `safe_method`, `idempotency_key`, `keep`, `after_crash`, `deadline`, `name`, `internal` or `crate`"
    }
    ::core::compile_error! {
        "a duration is a whole number: write `1500ms`"
    }
    ::core::compile_error! {
        "a cancellable handler has no `DurableToken` of its own: take `RequestToken`, which is a `DurableToken` inside a `#[durable_write]` site"
    }
    ::core::compile_error! {
        "this statement awaits nothing, so nothing can cut it: move the attribute to the statement that has the `.await`"
    }
    ::followthrough::__private::run_exempt::<
        Json<Order>,
        ::followthrough::policy::Write,
        _,
    >(async move {
            if let ::core::option::Option::Some(__r) = ::followthrough::__private::no_answer::<
                Json<Order>,
            >() {
                let _ = (&cancel,);
                return __r;
            }
            {
                const _: () = ();
                let order = match ::followthrough::__private::enter(const {
                        &::followthrough::__private::Site::new(
                            ::core::file!(),
                            ::core::line!(),
                        )
                    })
                    .await
                {
                    __guard => find(),
                };
                Json(order)
            }
        })
        .await
}
