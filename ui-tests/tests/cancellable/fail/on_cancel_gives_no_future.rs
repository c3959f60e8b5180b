use followthrough::cancellable;

fn release(seat: u64) -> bool {
    seat > 0
}

#[cancellable(reversible_write, on_cancel = release(7))]
async fn a_plain_function() {}

#[cancellable(reversible_write, on_cancel = || async { release(7) })]
async fn a_closure() {}

#[cancellable(reversible_write, on_cancel = {})]
async fn nothing() {}

fn main() {}
