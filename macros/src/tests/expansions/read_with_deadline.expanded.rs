/// A page of orders.
#[instrument]
pub async fn orders<S: Store>(
    State(db): State<S>,
    Query(page): Query<Page>,
) -> ::followthrough::Governed<impl IntoResponse, ::followthrough::policy::Read> {
    static __FT_POLICY: ::followthrough::__private::HandlerPolicy = ::followthrough::__private::HandlerPolicy::new(
            ::core::concat!(::core::module_path!(), "::", "orders"),
            ::core::file!(),
            ::core::line!(),
            ::followthrough::__private::Mode::Read,
        )
        .with_path({
            enum __Path {}
            ::core::any::type_name::<__Path>
        })
        .with_deadline(::core::time::Duration::from_millis(10000u64));
    ::followthrough::__private::inventory::submit! {
        ::followthrough::__private::Declared(& __FT_POLICY)
    }
    let __given = ::followthrough::__private::NO_TOKEN;
    ::followthrough::__private::run_inline::<
        _,
        ::followthrough::policy::Read,
        _,
        _,
    >(
            &__FT_POLICY,
            __given,
            ::followthrough::__private::NO_COMPENSATION,
            async move {
                if let ::core::option::Option::Some(__r) = ::followthrough::__private::no_answer::<
                    _,
                >() {
                    let _ = (&page, &db);
                    return __r;
                }
                {
                    const _: () = ();
                    Json(db.orders(page).await)
                }
            },
        )
        .await
}
