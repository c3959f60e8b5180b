async fn report(
    State(db): State<Db>,
    cancel: ::renamed::RawToken,
    __ft_arg2: Session,
) -> ::renamed::Governed<Report, ::renamed::policy::Read> {
    static __FT_POLICY: ::renamed::__private::HandlerPolicy = ::renamed::__private::HandlerPolicy::new(
            "reports::daily",
            ::core::file!(),
            ::core::line!(),
            ::renamed::__private::Mode::Read,
        )
        .with_path({
            enum __Path {}
            ::core::any::type_name::<__Path>
        })
        .with_cooperation();
    ::renamed::__private::inventory::submit! {
        ::renamed::__private::Declared(& __FT_POLICY)
    }
    let __given = ::renamed::__private::given_raw(&cancel);
    ::renamed::__private::run_boxed::<
        Report,
        ::renamed::policy::Read,
        _,
        _,
    >(
            &__FT_POLICY,
            __given,
            ::renamed::__private::NO_COMPENSATION,
            async move {
                if let ::core::option::Option::Some(__r) = ::renamed::__private::no_answer::<
                    Report,
                >() {
                    #[allow(clippy::used_underscore_binding)]
                    let _ = (&__ft_arg2, &cancel, &db);
                    return __r;
                }
                let mut cancel: CancellationToken = ::renamed::__private::request_raw_from(
                    cancel,
                );
                {
                    const _: () = ();
                    let mut report = Report::new();
                    while !cancel.is_cancelled() {
                        report.push(db.next(&mut cancel).await);
                    }
                    report
                }
            },
        )
        .await
}
