async fn book(
    State(db): State<Db>,
) -> ::followthrough::Governed<StatusCode, ::followthrough::policy::Read> {
    static __FT_POLICY: ::followthrough::__private::HandlerPolicy = ::followthrough::__private::HandlerPolicy::new(
            ::core::concat!(::core::module_path!(), "::", "book"),
            ::core::file!(),
            ::core::line!(),
            ::followthrough::__private::Mode::Read,
        )
        .with_path({
            enum __Path {}
            ::core::any::type_name::<__Path>
        })
        .with_compensation();
    ::followthrough::__private::inventory::submit! {
        ::followthrough::__private::Declared(& __FT_POLICY)
    }
    let __given = ::followthrough::__private::NO_TOKEN;
    ::followthrough::__private::run_inline::<
        StatusCode,
        ::followthrough::policy::Read,
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
                    let _ = (&db,);
                    return __r;
                }
                {
                    const _: () = ();
                    let key = db.new_key();
                    let _undo = compensate(release(db.clone(), key));
                    db.reserve(key).await;
                    StatusCode::CREATED
                }
            },
        )
        .await
}
