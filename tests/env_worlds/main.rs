//! Our own worlds: their solutions win, doing nothing does not, hostile actions are answered, small recordings of ours
//! repeat, and each can be trained on.

mod apps;
mod code;
mod files;
mod goldens;
mod hostile;
mod scene;
mod series;
mod training;
