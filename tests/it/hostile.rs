//! Strangers, thieves and broken clients at both ports: each is refused with a reason, and others are not affected.

mod credentials;
mod holders;
mod messages;
mod rule_files;
mod tokens;

use std::io::{Read, Write};
use std::time::Duration;

use anyhow::Result;
use muster_tests::lab::Lab;
use muster_tests::player::{Player, snapshot_of};
use tokio::runtime::Runtime;

/// The runtime on which a test plays its clients.
fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Whether an honest host can still report: whatever was tried before has hurt nobody else.
async fn assert_serves(lab: &Lab) -> Result<()> {
    let mut honest = Player::enroll(lab, "honest").await?;
    let (snapshot, sections) = snapshot_of(&["adduser", "dpkg"]);
    assert!(honest.deliver(&snapshot, &sections).await?, "an honest snapshot was not accepted");
    Ok(())
}

#[test]
fn bytes_that_are_no_tls_close_the_connection_and_nothing_else() -> Result<()> {
    let lab = Lab::start()?;
    for listener in [&lab.listening().agents, &lab.listening().operators] {
        for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4096], &[0x16, 0x03, 0x01, 0xff, 0xff], &[0; 1]] {
            let mut stream = std::net::TcpStream::connect(listener)?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            stream.write_all(garbage)?;
            stream.shutdown(std::net::Shutdown::Write)?;
            let mut answer = Vec::new();
            // A reset is an answer too; what matters is that nothing of HTTP comes back.
            let _ = stream.read_to_end(&mut answer);
            assert!(!answer.starts_with(b"HTTP/"), "the listener {listener} speaks without TLS");
        }
    }
    runtime()?.block_on(assert_serves(&lab))
}
