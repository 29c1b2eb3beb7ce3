//! `sdlab env serve`: an environment for other programs.

use std::io::{self, ErrorKind};
use std::net::TcpListener;

use anyhow::{Context, Result};

use super::print;
use crate::core::exit::Exit;
use crate::env::World;
use crate::env::serve::{self, Host, http};

/// Serves until interrupted. The first line of output says where.
pub(super) fn listen(world: Box<dyn World>, about: &'static str, place: (&str, u16), sessions: usize) -> Result<Exit> {
    let host = Host::new(world, about, sessions);
    let (address, port) = place;
    let listener = TcpListener::bind(place).with_context(|| format!("cannot listen at {address}:{port}"))?;
    print(&format!("serving {} at ws://{}/ws\n", host.name(), listener.local_addr()?))?;
    http::serve(&host, &listener)?;
    Ok(Exit::Done)
}

/// Serves on standard input and output.
pub(super) fn lines(world: Box<dyn World>, about: &'static str, sessions: usize) -> Result<Exit> {
    let host = Host::new(world, about, sessions);
    match serve::lines(&host, &mut io::stdin().lock(), &mut io::stdout().lock()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(Exit::Done),
    }
}
