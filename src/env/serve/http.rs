//! The OpenEnv server: `/ws` for episodes, `/health`, `/metadata` and `/schema` for those who ask. One thread per
//! connection.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

use super::Host;
use crate::env::bridge::link::MOST_BYTES;

/// Serves until the listener fails. A connection that fails ends alone.
pub fn serve(host: &Arc<Host>, listener: &TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = match listener.accept() {
            Ok(connection) => connection,
            // the client has gone, or there are too many open files: neither is the end
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted || error.raw_os_error() == Some(24) => {
                thread::sleep(Duration::from_millis(50));
                continue;
            }
            Err(error) => return Err(error),
        };
        let host = Arc::clone(host);
        let started = thread::Builder::new().name("session".into()).spawn(move || {
            if let Err(error) = greet(&host, stream) {
                tracing::debug!("a connection ended: {error}");
            }
        });
        if let Err(error) = started {
            tracing::warn!("a connection was refused: {error}");
        }
    }
}

/// Reads a request, and answers it or opens a session.
fn greet(host: &Arc<Host>, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(GREETING))?;
    let (head, rest) = head(&mut stream)?;
    let mut first = head.lines().next().unwrap_or_default().split(' ');
    let (method, path) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    let path = path.split('?').next().unwrap_or_default();
    match (method, path, header(&head, "sec-websocket-key")) {
        ("GET", "/ws", Some(key)) => {
            let accept = derive_accept_key(key.as_bytes());
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
                 sec-websocket-accept: {accept}\r\n\r\n"
            );
            stream.write_all(answer.as_bytes())?;
            stream.set_read_timeout(Some(IDLE))?;
            let limits = WebSocketConfig::default().max_message_size(Some(MOST_BYTES)).max_frame_size(Some(MOST_BYTES));
            let socket = WebSocket::from_partially_read(stream, rest, Role::Server, Some(limits));
            converse(host, socket).map_err(io::Error::other)
        }
        ("GET", "/health", _) => reply(&mut stream, "200 OK", &json!({ "status": "healthy" })),
        ("GET", "/metadata", _) => reply(&mut stream, "200 OK", &host.metadata()),
        ("GET", "/schema", _) => reply(&mut stream, "200 OK", &host.schema()),
        ("GET", "/ws", None) => {
            reply(&mut stream, "426 Upgrade Required", &json!({ "error": "open it as a WebSocket" }))
        }
        _ => reply(&mut stream, "404 Not Found", &json!({ "error": "there is /ws, /health, /metadata and /schema" })),
    }
}

fn converse(host: &Arc<Host>, mut socket: WebSocket<TcpStream>) -> Result<(), Box<tungstenite::Error>> {
    let Some(mut session) = host.session() else {
        let data = json!({ "message": "all sessions are in use", "code": "CAPACITY_REACHED" });
        socket.send(Message::text(json!({ "type": "error", "data": data }).to_string()))?;
        return Ok(socket.close(None)?);
    };
    loop {
        let text = match socket.read() {
            Ok(Message::Text(text)) => text.as_str().to_owned(),
            Ok(Message::Binary(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
            Ok(_) => continue,
            Err(tungstenite::Error::ConnectionClosed) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        match session.answer(&text) {
            Some(answer) => socket.send(Message::text(answer.to_string()))?,
            None => return Ok(socket.close(None)?),
        }
    }
}

/// The head of a request, and what came after it.
fn head(stream: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let count = stream.read(&mut buffer)?;
        bytes.extend(&buffer[..count]);
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), rest));
        }
        if count == 0 || bytes.len() > MOST_HEAD {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a request"));
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn reply(stream: &mut TcpStream, status: &str, body: &Value) -> io::Result<()> {
    let body = body.to_string();
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

/// How long a client may take to say what it wants, and how long a session may be silent.
const GREETING: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(3600);
const MOST_HEAD: usize = 16 * 1024;
