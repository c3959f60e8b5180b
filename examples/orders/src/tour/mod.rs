//! `orders tour`: runs the service and its clients, and checks that each request ended by its
//! policy.

mod client;
mod logbook;
mod reads;
mod scene;
mod shutdown;
mod stage;
mod table;
mod writes;

use std::error::Error;
use std::process::ExitCode;

use logbook::Logbook;
use scene::Scene;
use stage::Stage;

const INTRODUCTION: &str = "\
This is an order service and its worst clients. It listens on a free port, keeps its data in a fresh
SQLite file and takes 100 ms for each statement. A charge takes the payment provider 800 ms.

Each scene says what a client does; lines with a bar are the service's own log. The table at the end
is filled from what the client saw and from the database, read through a connection of its own.";

/// Plays all scenes. Fails if one verdict fails.
pub(crate) async fn run() -> ExitCode {
    println!("{INTRODUCTION}");
    let scenes = match play().await {
        Ok(scenes) => scenes,
        Err(error) => {
            eprintln!("orders: the tour broke off: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("\n{}", table::render(&scenes));
    let passed = scenes.iter().filter(|scene| scene.passed()).count();
    println!("{passed} of {} passed", scenes.len());
    if passed == scenes.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn play() -> Result<Vec<Scene>, Box<dyn Error>> {
    let mut stage = Stage::build(Logbook::default().install()).await?;
    Ok(vec![
        reads::hang_up(&mut stage).await.unwrap_or_else(Scene::broken),
        reads::reset_one_stream(&mut stage).await.unwrap_or_else(Scene::broken),
        reads::run_into_the_deadline(&mut stage).await.unwrap_or_else(Scene::broken),
        writes::hang_up_before_the_charge(&mut stage).await.unwrap_or_else(Scene::broken),
        writes::hang_up_during_the_charge(&mut stage).await.unwrap_or_else(Scene::broken),
        writes::ask_again(&mut stage).await.unwrap_or_else(Scene::broken),
        writes::order_more_with_that_key(&mut stage).await.unwrap_or_else(Scene::broken),
        writes::hang_up_in_a_hold(&mut stage).await.unwrap_or_else(Scene::broken),
        writes::hang_up_in_a_transfer(&mut stage).await.unwrap_or_else(Scene::broken),
        writes::hang_up_in_a_recount(&mut stage).await.unwrap_or_else(Scene::broken),
        writes::race_for_the_last(&mut stage).await.unwrap_or_else(Scene::broken),
        writes::saturate(&mut stage).await.unwrap_or_else(Scene::broken),
        shutdown::mid_write(&mut stage).await.unwrap_or_else(Scene::broken),
        shutdown::audit(&mut stage).await.unwrap_or_else(Scene::broken),
    ])
}
