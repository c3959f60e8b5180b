async fn place_order(
    State(db): State<Db>,
    cancel: RequestToken,
    Json(order): Json<NewOrder>,
) -> ::followthrough::Governed<
    Result<Json<Receipt>, AppError>,
    ::followthrough::policy::Write,
> {
    static __FT_POLICY: ::followthrough::__private::HandlerPolicy = ::followthrough::__private::HandlerPolicy::new(
            ::core::concat!(::core::module_path!(), "::", "place_order"),
            ::core::file!(),
            ::core::line!(),
            ::followthrough::__private::Mode::Read,
        )
        .with_path({
            enum __Path {}
            ::core::any::type_name::<__Path>
        })
        .with_durable_sites(1usize)
        .with_reopened_sites(1usize)
        .with_deadline(::core::time::Duration::from_millis(30000u64));
    ::followthrough::__private::inventory::submit! {
        ::followthrough::__private::Declared(& __FT_POLICY)
    }
    let __given = ::followthrough::__private::given_request(&cancel);
    ::followthrough::__private::run_boxed::<
        Result<Json<Receipt>, AppError>,
        ::followthrough::policy::Write,
        _,
        _,
    >(
            &__FT_POLICY,
            __given,
            ::followthrough::__private::NO_COMPENSATION,
            async move {
                if let ::core::option::Option::Some(__r) = ::followthrough::__private::no_answer::<
                    Result<Json<Receipt>, AppError>,
                >() {
                    let _ = (&order, &cancel, &db);
                    return __r;
                }
                let cancel: RequestToken = ::followthrough::__private::request_token_from(
                    cancel,
                );
                let _ = (&cancel,);
                {
                    const _: () = ();
                    let stock = match (
                        ::followthrough::__private::bound(
                                const {
                                    &::followthrough::__private::Site::new(
                                        ::core::file!(),
                                        ::core::line!(),
                                    )
                                },
                                ::core::time::Duration::from_millis(500u64),
                            )
                            .await,
                        ::followthrough::__private::request_token(),
                    ) {
                        (__guard, cancel) => db.find_stock(&order.sku, &cancel).await?,
                    };
                    let receipt = match (
                        ::followthrough::__private::enter(const {
                                &::followthrough::__private::Site::new(
                                    ::core::file!(),
                                    ::core::line!(),
                                )
                            })
                            .await,
                        ::followthrough::__private::durable_token(),
                    ) {
                        (__guard, cancel) => db.insert(order, stock, &cancel).await?,
                    };
                    match (
                        ::followthrough::__private::allow_cancellation(
                                const {
                                    &::followthrough::__private::Site::new(
                                        ::core::file!(),
                                        ::core::line!(),
                                    )
                                },
                                ::core::option::Option::Some(
                                    ::core::time::Duration::from_millis(2000u64),
                                ),
                            )
                            .await,
                        ::followthrough::__private::request_token(),
                    ) {
                        (__guard, cancel) => {
                            mail(&receipt, &cancel).await;
                        }
                    };
                    Ok(Json(receipt))
                }
            },
        )
        .await
}
