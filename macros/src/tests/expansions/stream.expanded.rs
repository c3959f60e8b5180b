async fn events(
    State(bus): State<Bus>,
) -> ::followthrough::Governed<
    Sse<impl Stream<Item = Result<Event, Infallible>>>,
    ::followthrough::policy::Stream,
> {
    static __FT_POLICY: ::followthrough::__private::HandlerPolicy = ::followthrough::__private::HandlerPolicy::new(
            ::core::concat!(::core::module_path!(), "::", "events"),
            ::core::file!(),
            ::core::line!(),
            ::followthrough::__private::Mode::Stream,
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
        Sse<_>,
        ::followthrough::policy::Stream,
        _,
        _,
    >(
            &__FT_POLICY,
            __given,
            ::followthrough::__private::NO_COMPENSATION,
            async move {
                if let ::core::option::Option::Some(__r) = ::followthrough::__private::no_answer::<
                    Sse<_>,
                >() {
                    let _ = (&bus,);
                    return __r;
                }
                {
                    const _: () = ();
                    Sse::new(bus.subscribe().await)
                }
            },
        )
        .await
}
