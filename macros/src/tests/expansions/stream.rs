#[cancellable(stream)]
async fn events(State(bus): State<Bus>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    Sse::new(bus.subscribe().await)
}
