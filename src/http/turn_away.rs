//! What a connection hears for which there is no room: one answer, and the end.
//!
//! It is not given to hyper and holds no permit but one of a few. The head of its request is read
//! first, as far as it comes at once, since a socket that is closed with bytes unread takes the
//! answer back.

use std::time::Duration;

use axum::response::IntoResponse as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::admission::RETRY_AFTER;
use super::error::Problem;

/// How long all of it may take.
const WAIT: Duration = Duration::from_secs(2);

/// Bytes of a request that are read at most.
const READ_MAX: usize = 64 << 10;

/// Reads a request's head, says why it is refused, and reads on until the client has closed.
pub(crate) async fn turn_away(mut socket: TcpStream, problem: Problem) {
    let talk = async {
        let mut head = Vec::with_capacity(1 << 10);
        while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < READ_MAX {
            if socket.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let answer = answer(problem).await;
        socket.write_all(&answer).await?;
        socket.shutdown().await?;
        let (mut ignored, mut n_bytes) = ([0; 1 << 10], 0);
        while n_bytes < READ_MAX {
            match socket.read(&mut ignored).await? {
                0 => break,
                n => n_bytes += n,
            }
        }
        std::io::Result::Ok(())
    };
    // A client that is gone, or slow, has no use for the answer.
    let _ = tokio::time::timeout(WAIT, talk).await;
}

async fn answer(problem: Problem) -> Vec<u8> {
    let status = problem.code().status();
    let body = axum::body::to_bytes(problem.into_response().into_body(), READ_MAX).await;
    let body = body.unwrap_or_default();
    let mut answer = format!(
        "HTTP/1.1 {status} Service Unavailable\r\ncontent-type: application/problem+json\r\n\
         content-length: {}\r\nretry-after: {}\r\nconnection: close\r\n\r\n",
        body.len(),
        RETRY_AFTER.as_secs(),
    )
    .into_bytes();
    answer.extend_from_slice(&body);
    answer
}
