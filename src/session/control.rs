//! The control socket of a trainer: commands in, one JSON object a line; replies out.
//!
//! 1. Only this user can connect (mode 0600, and the peer's user id is checked).
//! 2. A line is at most 64 KiB; a message that is not a command is answered with an error line.
//! 3. At most [`CLIENTS`] connections and [`QUEUE`] waiting commands; more are answered as busy.
//! 4. A socket left by a trainer that died is replaced; one that answers is not.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener as Listener, UnixStream as Probe};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use super::halt::{Halt, Urgency};
use super::reply::Reply;
use super::socket::{POINTER, to_bind};
use crate::core::Command;

/// A command and the way its answer goes back.
pub struct Order {
    pub command: Command,
    pub reply: Box<dyn FnOnce(Reply) + Send>,
}

/// A bound control socket, served by a thread of its own until dropped.
pub struct Control {
    /// Where readers connect.
    pub path: PathBuf,
    pointer: PathBuf,
    /// Dropping it ends the thread.
    _open: oneshot::Sender<()>,
}

impl Control {
    /// Binds the control socket of the run in `folder`. An abort is passed to `halt` at once, because the trainer may
    /// be deep in a step.
    ///
    /// # Errors
    /// Another trainer serves this run, or the socket cannot be made.
    pub fn bind(folder: &Path, halt: Arc<Halt>) -> Result<(Control, Receiver<Order>)> {
        let path = to_bind(folder)?;
        let listener = take_place(&path)?;
        let pointer = folder.join(POINTER);
        let _ = fs::remove_file(&pointer);
        if path.parent() != folder.canonicalize().ok().as_deref() {
            fs::write(&pointer, format!("{}\n", path.display())).context("cannot write `control.path`")?;
        }
        let (queue, orders) = sync_channel(QUEUE);
        let (open, closed) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("control".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = closed => {}
                    _ = accept(listener, Desk { queue, halt }) => {}
                }
            });
        })?;
        Ok((Control { path, pointer, _open: open }, orders))
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(&self.pointer);
    }
}

/// Connections at a time.
const CLIENTS: usize = 16;
/// Commands waiting for the trainer.
const QUEUE: usize = 64;
/// Longest message in bytes, its newline included.
pub(super) const LONGEST_LINE: u64 = 64 * 1024;
/// Malformed messages after which a connection is closed.
const MISTAKES: usize = 8;
/// A connection that says nothing for so long is closed.
const IDLE: Duration = Duration::from_secs(60);
/// How long a command waits to be taken up before its sender is told that it is queued.
const TAKEN_UP: Duration = Duration::from_secs(10);

/// Binds `path`, replacing a socket that nobody serves.
fn take_place(path: &Path) -> Result<Listener> {
    let shown = path.display();
    if Probe::connect(path).is_ok() {
        bail!("a trainer already serves this run (`{shown}` answers), use `sdlab attach`");
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => bail!("cannot replace `{shown}`: {error}"),
        _ => {}
    }
    let listener = Listener::bind(path).with_context(|| format!("cannot make the control socket `{shown}`"))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).with_context(|| format!("cannot close `{shown}`"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// What every connection needs.
#[derive(Clone)]
struct Desk {
    queue: SyncSender<Order>,
    halt: Arc<Halt>,
}

async fn accept(listener: Listener, desk: Desk) -> std::io::Result<()> {
    let listener = UnixListener::from_std(listener)?;
    let seats = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            // out of file descriptors, most likely: let some close
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        if !stream.peer_cred().is_ok_and(|peer| peer.uid() == rustix::process::geteuid().as_raw()) {
            continue;
        }
        match seats.clone().try_acquire_owned() {
            Ok(seat) => {
                let desk = desk.clone();
                tokio::spawn(async move {
                    let _ = converse(stream, desk).await;
                    drop(seat);
                });
            }
            Err(_) => {
                let busy = line(&Reply::refused("too many connections, try again"));
                let _ = timeout(Duration::from_secs(1), stream.write_all(&busy)).await;
            }
        }
    }
}

/// Serves one connection until it closes, idles or makes too many mistakes.
async fn converse(stream: UnixStream, desk: Desk) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut reader = BufReader::new(read);
    let mut mistakes = 0;
    while mistakes < MISTAKES {
        let mut text = Vec::new();
        let Ok(read) = timeout(IDLE, (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut text)).await else {
            return Ok(());
        };
        if read? == 0 {
            return Ok(());
        }
        if text.len() as u64 == LONGEST_LINE && text.last() != Some(&b'\n') {
            let refusal = Reply::refused(format!("a message must be shorter than {LONGEST_LINE} bytes"));
            return write.write_all(&line(&refusal)).await;
        }
        let reply = match serde_json::from_slice::<Command>(&text) {
            Ok(command) => ask(command, &desk).await,
            Err(error) => {
                mistakes += 1;
                Reply::refused(format!("not a command: {error}"))
            }
        };
        timeout(IDLE, write.write_all(&line(&reply))).await??;
    }
    Ok(())
}

/// Hands a command to the trainer and waits for its answer.
async fn ask(command: Command, desk: &Desk) -> Reply {
    if command == Command::Abort {
        desk.halt.ask(Urgency::Abort);
    }
    let (sender, answer) = oneshot::channel();
    let reply = Box::new(move |reply| {
        // whoever asked may have gone
        let _ = sender.send(reply);
    });
    match desk.queue.try_send(Order { command, reply }) {
        Ok(()) => {}
        Err(TrySendError::Full(_)) => return Reply::refused("too many commands are waiting, try again"),
        Err(TrySendError::Disconnected(_)) => return Reply::refused("the trainer is ending"),
    }
    match timeout(TAKEN_UP, answer).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(_)) => Reply::refused("the trainer is ending"),
        Err(_) => Reply { ok: true, message: "queued: the trainer is busy".into(), standing: None },
    }
}

fn line(reply: &Reply) -> Vec<u8> {
    // a reply is strings, numbers and plain enums, which JSON can always say
    let mut line = serde_json::to_vec(reply).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;
    use std::path::Path;

    use super::*;
    use crate::run::status::State;
    use crate::session::client::send;
    use crate::session::reply::Standing;

    fn standing() -> Standing {
        Standing { state: State::Paused, step: 3, total: 9, phase: None, revision: 1, pid: 7 }
    }

    /// A trainer that answers with the command it got.
    fn echo(folder: &Path) -> Control {
        let (control, orders) = Control::bind(folder, Arc::default()).unwrap();
        thread::spawn(move || {
            for Order { command, reply } in orders {
                reply(Reply { ok: true, message: format!("{command:?}"), standing: Some(standing()) });
            }
        });
        control
    }

    fn raw(control: &Control, message: &[u8]) -> Vec<Reply> {
        let mut stream = UnixStream::connect(&control.path).unwrap();
        let _ = stream.write_all(message);
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        lines.map(|line| serde_json::from_str(&line).unwrap()).collect()
    }

    #[test]
    fn commands_are_answered_and_the_socket_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let control = echo(folder.path());
        let set = Command::Set { key: "optim.lr".into(), value: "1e-4".into() };
        let reply = send(folder.path(), &set).unwrap();
        assert_eq!(reply, Reply { ok: true, message: format!("{set:?}"), standing: Some(standing()) });
        assert_eq!(fs::metadata(&control.path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(control);
        assert!(!folder.path().join("control.sock").exists());
        let error = send(folder.path(), &Command::Status).unwrap_err().to_string();
        assert!(error.contains("no trainer answers"), "{error}");
    }

    #[test]
    fn malformed_messages_are_answered_and_limited() {
        let folder = tempfile::tempdir().unwrap();
        let control = echo(folder.path());
        let replies = raw(
            &control,
            b"hello\n{\"command\":\"fly\"}\n{\"command\":\"set\",\"key\":\"a\"}\n{\"command\":\"status\"}\n",
        );
        assert_eq!(replies.iter().map(|r| r.ok).collect::<Vec<_>>(), [false, false, false, true]);
        assert!(replies[1].message.contains("unknown variant `fly`"), "{:?}", replies[1]);
        assert_eq!(raw(&control, &b"x\n".repeat(MISTAKES)).len(), MISTAKES, "then it is closed");
        let long = raw(&control, &vec![b' '; LONGEST_LINE as usize]);
        assert_eq!(long.len(), 1);
        assert!(long[0].message.contains("shorter than 65536 bytes"), "{long:?}");
    }

    #[test]
    fn a_flood_is_turned_away() {
        let folder = tempfile::tempdir().unwrap();
        // nobody takes the orders, so the queue fills
        let (control, orders) = Control::bind(folder.path(), Arc::default()).unwrap();
        let waiting: Vec<UnixStream> = (0..CLIENTS)
            .map(|_| {
                let mut stream = UnixStream::connect(&control.path).unwrap();
                stream.write_all(b"{\"command\":\"status\"}\n").unwrap();
                stream
            })
            .collect();
        let first = orders.recv().unwrap();
        assert_eq!(first.command, Command::Status);
        let turned_away = raw(&control, b"");
        assert_eq!(turned_away, [Reply::refused("too many connections, try again")]);
        drop(waiting);
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_served_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        drop(Listener::bind(folder.path().join("control.sock")).unwrap());
        assert!(folder.path().join("control.sock").exists(), "left behind");
        let _control = echo(folder.path());
        let error = Control::bind(folder.path(), Arc::default()).err().unwrap().to_string();
        assert!(error.contains("already serves this run"), "{error}");
    }

    #[test]
    fn a_deep_folder_gets_its_socket_elsewhere() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("d".repeat(150));
        fs::create_dir(&folder).unwrap();
        let control = echo(&folder);
        assert!(folder.join("control.path").exists());
        assert_eq!(send(&folder, &Command::Status).unwrap().message, "Status");
        let socket = control.path.clone();
        drop(control);
        assert!(!socket.exists() && !folder.join("control.path").exists());
    }

    #[test]
    fn an_abort_does_not_wait_for_the_trainer() {
        let folder = tempfile::tempdir().unwrap();
        let halt = Arc::new(Halt::default());
        let (control, orders) = Control::bind(folder.path(), halt.clone()).unwrap();
        let mut stream = UnixStream::connect(&control.path).unwrap();
        stream.write_all(b"{\"command\":\"abort\"}\n").unwrap();
        let order = orders.recv().unwrap();
        assert_eq!((order.command, halt.asked()), (Command::Abort, Some(Urgency::Abort)));
    }
}
