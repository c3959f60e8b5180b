//! A request, which checks that a server gives the expected response.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use super::{Protocol, TEXT};

const PATIENCE: Duration = Duration::from_secs(10);

/// Sends one request to the server on `port`.
///
/// # Errors
///
/// If the response is not 200 with the text.
pub fn probe(protocol: Protocol, port: u16) -> Result<(), String> {
    match protocol {
        Protocol::Http1 => {
            let answer = http1(port).map_err(|error| format!("no answer: {error}"))?;
            let is_right = answer.starts_with("HTTP/1.1 200 ")
                && answer.split_once("\r\n\r\n").is_some_and(|(_, body)| body == TEXT);
            if is_right {
                Ok(())
            } else {
                Err(format!("expected 200 and `{TEXT}`, got `{answer}`"))
            }
        }
        Protocol::H2c => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
            let (status, body) = runtime
                .block_on(async { tokio::time::timeout(PATIENCE, h2c(port)).await })
                .map_err(|_| "no answer in time".to_owned())?
                .map_err(|error| format!("no answer: {error}"))?;
            let is_right = status == 200 && body == TEXT.as_bytes();
            let body = String::from_utf8_lossy(&body);
            if is_right {
                Ok(())
            } else {
                Err(format!("expected 200 and `{TEXT}`, got {status} and `{body}`"))
            }
        }
    }
}

fn http1(port: u16) -> std::io::Result<String> {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.write_all(b"GET /x HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}

async fn h2c(port: u16) -> Result<(http::StatusCode, Vec<u8>), Box<dyn std::error::Error>> {
    let connection = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let (mut client, connection) = h2::client::handshake(connection).await?;
    tokio::spawn(connection);
    let request = http::Request::get("http://localhost/x").body(())?;
    let (answer, _) = client.send_request(request, true)?;
    let mut answer = answer.await?;
    let mut text = Vec::new();
    while let Some(part) = answer.body_mut().data().await {
        text.extend_from_slice(&part?);
    }
    Ok((answer.status(), text))
}
