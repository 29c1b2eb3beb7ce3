//! The trainer process: control socket, reload rules, checkpoints, shutdown.
