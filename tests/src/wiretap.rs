//! Forwards between an agent and its collector, and counts the bytes in each direction. It cannot read them, because they
//! are encrypted.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result};

/// A listener that forwards to a collector and counts.
#[derive(Debug)]
pub struct Wiretap {
    address: String,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    up: AtomicU64,
    down: AtomicU64,
    connections: AtomicU64,
    closed: AtomicBool,
}

/// Bytes on the wire, including TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// From the agent to the collector.
    pub up: u64,
    /// From the collector to the agent.
    pub down: u64,
    /// Connections that the agent opened.
    pub connections: u64,
}

impl Wiretap {
    /// Listens on a free port and forwards to the address.
    ///
    /// # Errors
    /// It could not listen.
    pub fn before(target: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen for a wiretap")?;
        let address = listener.local_addr()?.to_string();
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        let target = target.to_owned();
        std::thread::spawn(move || {
            for agent in listener.incoming().flatten() {
                if shared.closed.load(Ordering::SeqCst) {
                    break;
                }
                // If the collector is away, the connection ends here, as it would there.
                let Ok(collector) = TcpStream::connect(&target) else { continue };
                shared.connections.fetch_add(1, Ordering::SeqCst);
                pass(&agent, &collector, &shared, |counts| &counts.up);
                pass(&collector, &agent, &shared, |counts| &counts.down);
            }
        });
        Ok(Self { address, counts })
    }

    /// The address for the agent.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The traffic since the last call.
    pub fn take(&self) -> Traffic {
        Traffic {
            up: self.counts.up.swap(0, Ordering::SeqCst),
            down: self.counts.down.swap(0, Ordering::SeqCst),
            connections: self.counts.connections.swap(0, Ordering::SeqCst),
        }
    }
}

impl Drop for Wiretap {
    fn drop(&mut self) {
        self.counts.closed.store(true, Ordering::SeqCst);
        // One more connection wakes the listener, so that its thread ends.
        let _ = TcpStream::connect(&self.address);
    }
}

fn pass(from: &TcpStream, to: &TcpStream, counts: &Arc<Counts>, counter: fn(&Counts) -> &AtomicU64) {
    let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else { return };
    let counts = Arc::clone(counts);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            counter(&counts).fetch_add(read as u64, Ordering::SeqCst);
            if to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
