//! What one host, token, address or operator may take: each bound is tested against the real programs. One file a subject.

mod budgets;
mod full_store;
mod hung_disk;
mod listeners;
mod searches;
mod settings;
mod undo;
