//! Small messages on sockets of `/echo`, each sent back before the next.

use tokio::{net::TcpStream, task::JoinSet};

use super::{
    super::figures::Figures,
    Fault, Meter, Target,
    http1::{Connection, SMALL, connect},
    requests::joined,
};

const SOCKETS: u64 = 16;
const UPGRADE: &[u8] = b"GET /echo HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\n\
    upgrade: websocket\r\nsec-websocket-version: 13\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// The first byte of a frame: binary, and the only one of its message.
const BINARY: u8 = 0x82;
/// The bit of a masked frame.
const MASKED: u8 = 0x80;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// The bytes of a message.
const LENGTH: u8 = 32;

pub(super) async fn echo(target: &Target) -> Result<Figures, Fault> {
    let mut sockets = Vec::new();
    for _ in 0..SOCKETS {
        let mut socket = connect(target.port, SMALL).await?;
        socket.send(UPGRADE).await?;
        socket.head_of(101).await?;
        sockets.push(socket);
    }
    let turns = target.amount.div_ceil(SOCKETS);
    let sockets = all(sockets, turns.div_ceil(10)).await?;
    let meter = Meter::begin(target);
    let sockets = all(sockets, turns).await?;
    let figures = meter.end(turns * SOCKETS);
    drop(sockets);
    Ok(figures)
}

type Socket = Connection<TcpStream>;

async fn all(sockets: Vec<Socket>, turns: u64) -> Result<Vec<Socket>, Fault> {
    let mut tasks = JoinSet::new();
    for mut socket in sockets {
        tasks.spawn(async move {
            for turn in 0..turns {
                let message = message(turn);
                socket.send(&sent(&message)).await?;
                socket.expect(&echoed(&message)).await?;
            }
            Ok::<_, Fault>(socket)
        });
    }
    joined(tasks).await
}

/// Returns the message of a turn; no two turns have the same.
fn message(turn: u64) -> [u8; LENGTH as usize] {
    let mut message = [b'x'; LENGTH as usize];
    message[..8].copy_from_slice(&turn.to_be_bytes());
    message
}

/// Returns the frame of a client, which is masked.
fn sent(message: &[u8]) -> Vec<u8> {
    let mut frame = vec![BINARY, MASKED | LENGTH];
    frame.extend(MASK);
    frame.extend(message.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Returns the frame of the server.
fn echoed(message: &[u8]) -> Vec<u8> {
    let mut frame = vec![BINARY, LENGTH];
    frame.extend(message);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sent_frame_is_the_message_under_the_mask() {
        let frame = sent(&message(258));
        assert_eq!(frame[..6], [0x82, 0xa0, 0x37, 0xfa, 0x21, 0x3d]);
        // The turn is 0, 0, 0, 0, 0, 0, 1, 2.
        assert_eq!(frame[6..14], [0x37, 0xfa, 0x21, 0x3d, 0x37, 0xfa, 0x20, 0x3f]);
        assert_eq!(frame.len(), 6 + usize::from(LENGTH));
        assert_eq!(echoed(&message(258))[..10], [0x82, 0x20, 0, 0, 0, 0, 0, 0, 1, 2]);
    }
}
