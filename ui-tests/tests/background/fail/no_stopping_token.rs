use followthrough::background;

#[background]
async fn relay(queue: Vec<u32>) {
    drop(queue);
}

fn main() {}
