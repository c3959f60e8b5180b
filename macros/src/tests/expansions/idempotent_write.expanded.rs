async fn upsert(
    State(db): State<Db>,
    Json(item): Json<Item>,
) -> ::followthrough::Governed<StatusCode, ::followthrough::policy::Write> {
    static __FT_POLICY: ::followthrough::__private::HandlerPolicy = ::followthrough::__private::HandlerPolicy::new(
            ::core::concat!(::core::module_path!(), "::", "upsert"),
            ::core::file!(),
            ::core::line!(),
            ::followthrough::__private::Mode::IdempotentWrite,
        )
        .with_path({
            enum __Path {}
            ::core::any::type_name::<__Path>
        });
    ::followthrough::__private::inventory::submit! {
        ::followthrough::__private::Declared(& __FT_POLICY)
    }
    let __given = ::followthrough::__private::NO_TOKEN;
    ::followthrough::__private::run_inline::<
        StatusCode,
        ::followthrough::policy::Write,
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
                    let _ = (&item, &db);
                    return __r;
                }
                {
                    const _: () = ();
                    db.upsert(item).await;
                    StatusCode::NO_CONTENT
                }
            },
        )
        .await
}
