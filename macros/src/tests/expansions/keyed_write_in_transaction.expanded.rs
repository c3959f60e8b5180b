async fn place(
    State(db): State<Db>,
    key: IdempotencyKey,
    Json(order): Json<Order>,
) -> ::followthrough::Governed<
    Result<Json<Receipt>, Error>,
    ::followthrough::policy::Write,
> {
    static __FT_POLICY: ::followthrough::__private::HandlerPolicy = ::followthrough::__private::HandlerPolicy::new(
            ::core::concat!(::core::module_path!(), "::", "place"),
            ::core::file!(),
            ::core::line!(),
            ::followthrough::__private::Mode::DurableWrite,
        )
        .with_path({
            enum __Path {}
            ::core::any::type_name::<__Path>
        })
        .with_idempotency_key(
            ::followthrough::__private::KeyPolicy::new(true)
                .finishing_in_transaction()
                .taking_key({
                    #[allow(unused_imports)]
                    use ::followthrough::__private::NoKey as _;
                    ::followthrough::__private::Parameter::<IdempotencyKey>::IS_KEY
                }),
        );
    ::followthrough::__private::inventory::submit! {
        ::followthrough::__private::Declared(& __FT_POLICY)
    }
    let __given = ::followthrough::__private::NO_TOKEN;
    ::followthrough::__private::run_keyed::<
        Result<Json<Receipt>, Error>,
        ::followthrough::policy::Write,
        _,
        _,
    >(
            &__FT_POLICY,
            __given,
            ::followthrough::__private::NO_COMPENSATION,
            async move {
                if let ::core::option::Option::Some(__r) = ::followthrough::__private::no_answer::<
                    Result<Json<Receipt>, Error>,
                >() {
                    let _ = (&order, &key, &db);
                    return __r;
                }
                {
                    const _: () = ();
                    let mut tx = db.begin().await?;
                    let receipt = insert(&mut tx, order).await?;
                    key.finish_in(tx, &receipt).await?;
                    Ok(receipt)
                }
            },
        )
        .await
}
