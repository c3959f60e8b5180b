use followthrough::{cancellable, durable_write};

async fn insert() -> Result<u64, String> {
    Ok(7)
}

async fn mail(_: u64) {}

#[durable_write]
async fn in_a_durable_write() -> Result<(), String> {
    let id = insert().await?;
    tokio::spawn(mail(id));
    let _ = tokio::task::spawn_blocking(move || drop(id));
    if id > 3 {
        std::thread::spawn(move || drop(id));
    }
    Ok(())
}

#[cancellable(read)]
async fn past_the_point_of_no_return() -> Result<(), String> {
    tokio::spawn(mail(1));
    #[durable_write]
    let id = insert().await?;
    drop(tokio::spawn(mail(id)));
    Ok(())
}

#[cancellable(read)]
async fn within_the_statement() -> Result<(), String> {
    #[durable_write]
    {
        let id = insert().await?;
        tokio::task::spawn_blocking(move || mail(id));
    }
    Ok(())
}

fn main() {}
