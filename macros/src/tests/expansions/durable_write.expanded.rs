async fn append(
    State(db): State<Db>,
    cancel: ::followthrough::RawToken,
    body: Body,
) -> ::followthrough::Governed<StatusCode, ::followthrough::policy::SafeMethodWrite> {
    static __FT_POLICY: ::followthrough::__private::HandlerPolicy = ::followthrough::__private::HandlerPolicy::new(
            "ledger::append",
            ::core::file!(),
            ::core::line!(),
            ::followthrough::__private::Mode::DurableWrite,
        )
        .with_path({
            enum __Path {}
            ::core::any::type_name::<__Path>
        })
        .with_reopened_sites(1usize)
        .with_deadline(::core::time::Duration::from_millis(10000u64))
        .with_reason("the ledger is append-only")
        .with_streaming_body("half an upload is kept and resumed")
        .with_safe_method("the mail client can follow a link only")
        .with_max_in_flight(64)
        .with_needs(::core::time::Duration::from_millis(2000u64));
    ::followthrough::__private::inventory::submit! {
        ::followthrough::__private::Declared(& __FT_POLICY)
    }
    let __given = ::followthrough::__private::NO_TOKEN;
    ::followthrough::__private::run_boxed::<
        StatusCode,
        ::followthrough::policy::SafeMethodWrite,
        _,
        _,
    >(
            &__FT_POLICY,
            __given,
            ::followthrough::__private::NO_COMPENSATION,
            async move {
                if let ::core::option::Option::Some(__r) = ::followthrough::__private::no_answer::<
                    StatusCode,
                >() {
                    let _ = (&body, &cancel, &db);
                    return __r;
                }
                let cancel: CancellationToken = ::followthrough::__private::durable_raw_from(
                    cancel,
                );
                let _ = (&cancel,);
                {
                    const _: () = ();
                    db.append(body, &cancel).await;
                    match (
                        ::followthrough::__private::allow_cancellation(
                                const {
                                    &::followthrough::__private::Site::new(
                                        ::core::file!(),
                                        ::core::line!(),
                                    )
                                },
                                ::core::option::Option::None,
                            )
                            .await,
                        ::followthrough::__private::request_raw(),
                    ) {
                        (__guard, cancel) => {
                            notify(&db, &cancel).await;
                        }
                    };
                    StatusCode::CREATED
                }
            },
        )
        .await
}
