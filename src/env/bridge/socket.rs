//! A session over a WebSocket, as OpenEnv's servers offer it at `/ws`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use serde_json::Value;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{HandshakeError, Message, WebSocket};

use super::link::{Fault, Link, MOST_BYTES};

/// A connected session.
pub struct Socket {
    socket: WebSocket<Timed>,
    timeout: Duration,
    /// Whether every message was answered.
    sound: bool,
}

impl Socket {
    /// Connects to `ws://host:port/path`. Fails if nothing listens there, or not in time.
    pub fn connect(url: &str, timeout: Duration) -> Result<Socket, Fault> {
        let broken = |e: &dyn std::fmt::Display| Fault::Broken(format!("`{url}` cannot be reached: {e}"));
        let (host, _) = address(url).ok_or_else(|| broken(&"expected an address like `ws://127.0.0.1:8000/ws`"))?;
        let mut last = io::Error::from(ErrorKind::NotFound);
        for place in host.to_socket_addrs().map_err(|e| broken(&e))? {
            match TcpStream::connect_timeout(&place, timeout) {
                Ok(stream) => return Socket::shake_hands(url, stream, timeout),
                Err(error) => last = error,
            }
        }
        Err(broken(&last))
    }

    fn shake_hands(url: &str, stream: TcpStream, timeout: Duration) -> Result<Socket, Fault> {
        // small messages must not wait for company
        stream.set_nodelay(true).map_err(|e| Fault::Broken(e.to_string()))?;
        let stream = Timed { stream, deadline: Instant::now() + timeout };
        let limits = WebSocketConfig::default().max_message_size(Some(MOST_BYTES)).max_frame_size(Some(MOST_BYTES));
        match tungstenite::client::client_with_config(url, stream, Some(limits)) {
            Ok((socket, _)) => Ok(Socket { socket, timeout, sound: true }),
            Err(HandshakeError::Failure(error)) => {
                Err(Fault::Broken(format!("`{url}` does not open a session: {error}")))
            }
            Err(HandshakeError::Interrupted(_)) => {
                Err(Fault::Broken(format!("`{url}` does not open a session in time")))
            }
        }
    }

    fn answer(&mut self) -> Result<Value, tungstenite::Error> {
        loop {
            let text = match self.socket.read()? {
                Message::Text(text) => text.as_str().to_owned(),
                Message::Binary(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Message::Close(_) => return Err(tungstenite::Error::ConnectionClosed),
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            return serde_json::from_str(&text)
                .map_err(|e| io::Error::new(ErrorKind::InvalidData, format!("its answer is not JSON: {e}")).into());
        }
    }
}

impl Link for Socket {
    fn exchange(&mut self, message: &Value) -> Result<Value, Fault> {
        self.socket.get_mut().deadline = Instant::now() + self.timeout;
        let sent = self.socket.send(Message::text(message.to_string()));
        // a server that refuses a session says why before it closes: what it said is read even if sending failed
        let answer = self.answer();
        let seconds = self.timeout.as_secs_f64();
        self.sound &= answer.is_ok();
        match (sent, answer) {
            (_, Ok(answer)) => Ok(answer),
            (_, Err(tungstenite::Error::Io(error))) if late(&error) => {
                Err(Fault::Broken(format!("it did not answer within {seconds} s")))
            }
            (Err(error), _) | (_, Err(error)) => Err(Fault::Broken(format!("the connection is lost: {error}"))),
        }
    }
}

/// The server is asked to end the session, and waited for while it does: one that finds the connection gone logs an error.
impl Drop for Socket {
    fn drop(&mut self) {
        self.socket.get_mut().deadline = Instant::now() + FAREWELL;
        let mut open = self.socket.send(Message::text(r#"{"type":"close"}"#)).is_ok() && self.sound;
        while open {
            open = self.socket.read().is_ok();
        }
        let _ = self.socket.close(None);
    }
}

/// A stream whose every read and write ends before the deadline, however slowly bytes trickle.
struct Timed {
    stream: TcpStream,
    deadline: Instant,
}

impl Timed {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn late(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// `host:port` and path of a `ws://` address; the port is 80 if left out.
pub fn address(url: &str) -> Option<(String, &str)> {
    let rest = url.strip_prefix("ws://")?;
    let at = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(at);
    if host.is_empty() || host.starts_with(':') {
        return None;
    }
    let port = host.rsplit(':').next().is_some_and(|port| port.parse::<u16>().is_ok()) && host.contains(':');
    Some((if port { host.to_owned() } else { format!("{host}:80") }, path))
}

const FAREWELL: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn addresses_are_read() {
        assert_eq!(address("ws://127.0.0.1:8000/ws"), Some(("127.0.0.1:8000".into(), "/ws")));
        assert_eq!(address("ws://box"), Some(("box:80".into(), "")));
        for bad in ["http://x", "ws://", "ws:///ws", "ws://:80/ws", ""] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }
}
