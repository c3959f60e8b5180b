async fn reserve(
    State(db): State<Db>,
    Path(id): Path<u64>,
) -> ::followthrough::Governed<StatusCode, ::followthrough::policy::Write> {
    static __FT_POLICY: ::followthrough::__private::HandlerPolicy = ::followthrough::__private::HandlerPolicy::new(
            ::core::concat!(::core::module_path!(), "::", "reserve"),
            ::core::file!(),
            ::core::line!(),
            ::followthrough::__private::Mode::ReversibleWrite,
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
            ::followthrough::__private::compensation(release(db.clone(), id)),
            async move {
                if let ::core::option::Option::Some(__r) = ::followthrough::__private::no_answer::<
                    StatusCode,
                >() {
                    let _ = (&id, &db);
                    return __r;
                }
                {
                    const _: () = ();
                    db.reserve(id).await;
                    StatusCode::CREATED
                }
            },
        )
        .await
}
