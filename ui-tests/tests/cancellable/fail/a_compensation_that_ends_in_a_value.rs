use followthrough::{cancellable, compensate};

async fn release(seat: u64) -> bool {
    seat > 0
}

#[cancellable(reversible_write, on_cancel = release(7))]
async fn of_the_parameters() {}

#[cancellable(idempotent_write)]
async fn of_the_body() {
    let _undo = compensate(release(7));
}

fn main() {}
