async fn place(
    State(db): State<Db>,
    key: Option<IdempotencyKey>,
    Json(order): Json<Order>,
) -> ::followthrough::Governed<
    Result<Json<Receipt>, Error>,
    ::followthrough::policy::Write,
> {
    static __FT_POLICY: ::followthrough::__private::HandlerPolicy = ::followthrough::__private::HandlerPolicy::new(
            ::core::concat!(::core::module_path!(), "::", "place"),
            ::core::file!(),
            ::core::line!(),
            ::followthrough::__private::Mode::IdempotentWrite,
        )
        .with_path({
            enum __Path {}
            ::core::any::type_name::<__Path>
        })
        .with_durable_sites(1usize)
        .with_deadline(::core::time::Duration::from_millis(10000u64))
        .with_idempotency_key(
            ::followthrough::__private::KeyPolicy::new(false)
                .keep(::core::time::Duration::from_millis(604800000u64))
                .again_after_crash()
                .taking_key({
                    #[allow(unused_imports)]
                    use ::followthrough::__private::NoKey as _;
                    ::followthrough::__private::Parameter::<
                        Option<IdempotencyKey>,
                    >::IS_KEY
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
                    match ::followthrough::__private::enter(const {
                            &::followthrough::__private::Site::new(
                                ::core::file!(),
                                ::core::line!(),
                            )
                        })
                        .await
                    {
                        __guard => {
                            match key {
                                Some(key) => key.finish_in(tx, &receipt).await?,
                                None => tx.commit().await?,
                            }
                        }
                    }
                    Ok(receipt)
                }
            },
        )
        .await
}
