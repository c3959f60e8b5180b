async fn order(
    State(db): State<Db>,
    Path(id): Path<u64>,
) -> ::followthrough::Governed<
    Result<Json<Order>, AppError>,
    ::followthrough::policy::Read,
> {
    static __FT_POLICY: ::followthrough::__private::HandlerPolicy = ::followthrough::__private::HandlerPolicy::new(
            ::core::concat!(::core::module_path!(), "::", "order"),
            ::core::file!(),
            ::core::line!(),
            ::followthrough::__private::Mode::Read,
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
        Result<Json<Order>, AppError>,
        ::followthrough::policy::Read,
        _,
        _,
    >(
            &__FT_POLICY,
            __given,
            ::followthrough::__private::NO_COMPENSATION,
            async move {
                if let ::core::option::Option::Some(__r) = ::followthrough::__private::no_answer::<
                    Result<Json<Order>, AppError>,
                >() {
                    let _ = (&id, &db);
                    return __r;
                }
                {
                    const _: () = ();
                    Ok(Json(db.order(id).await?))
                }
            },
        )
        .await
}
