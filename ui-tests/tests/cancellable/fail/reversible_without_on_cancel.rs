use followthrough::cancellable;

#[cancellable(reversible_write)]
async fn nothing_to_undo_with() {}

fn main() {}
