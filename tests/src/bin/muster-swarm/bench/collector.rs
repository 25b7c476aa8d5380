//! A real collector, started on a store for a measurement.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use muster_proto::wire::{CreateEnrollmentTokenRequest, GetStatusRequest, GetStatusResponse};
use muster_tests::door::{self, FleetDoor};
use muster_tests::lab::{Listening, PATIENCE};
use muster_tests::process::{Answer, Process};
use muster_tests::{binaries, eventually};
use serde::Serialize;

use super::stores::{Database, Prepared};

/// How a program was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Build {
    /// Optimised.
    Release,
    /// Not optimised; the figures say little.
    Debug,
    /// Given by the caller.
    Given,
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Release => "release",
            Self::Debug => "debug",
            Self::Given => "given",
        })
    }
}

/// The collector to measure.
pub(crate) fn program(given: Option<&Path>) -> Result<(PathBuf, Build)> {
    if let Some(path) = given {
        ensure!(path.is_file(), "{} does not exist", path.display());
        return Ok((path.to_owned(), Build::Given));
    }
    let folder = binaries::folder()?;
    let release = folder.parent().map(|target| target.join("release").join("muster-collector"));
    if let Some(path) = release.filter(|path| path.is_file()) {
        return Ok((path, Build::Release));
    }
    let build = if folder.ends_with("release") { Build::Release } else { Build::Debug };
    Ok((binaries::find("muster-collector")?, build))
}

/// A running collector.
#[derive(Debug)]
pub(crate) struct Collector {
    /// Where it listens.
    pub(crate) listening: Listening,
    /// Its data folder.
    pub(crate) data: PathBuf,
    process: Process,
    program: PathBuf,
    database: Database,
    /// Size of the empty database in bytes.
    empty: u64,
    /// The client that reads its status.
    pub(crate) operator: Operator,
}

/// A client of the operators' API.
#[derive(Debug, Clone)]
pub(crate) struct Operator {
    door: FleetDoor,
    bearer: tonic::metadata::MetadataValue<tonic::metadata::Ascii>,
}

impl Operator {
    /// The collector's status.
    pub(crate) async fn status(&self) -> Result<GetStatusResponse> {
        let mut request = tonic::Request::new(GetStatusRequest {});
        request.metadata_mut().insert("authorization", self.bearer.clone());
        let answer = self.door.clone().get_status(request).await;
        Ok(answer.context("ask the collector for its status")?.into_inner())
    }

    /// Creates an enrollment token: one administrative transaction.
    pub(crate) async fn create_token(&self) -> Result<()> {
        let mut request = tonic::Request::new(CreateEnrollmentTokenRequest {
            site: "bench".to_owned(),
            lifetime_ms: 3_600_000,
            max_uses: 1,
        });
        request.metadata_mut().insert("authorization", self.bearer.clone());
        self.door.clone().create_enrollment_token(request).await.context("create an enrollment token")?;
        Ok(())
    }
}

impl Collector {
    /// Initialises and starts one on the store.
    pub(crate) async fn start(program: &Path, store: &Prepared, name: &str) -> Result<Self> {
        let data = store.folder.join(name);
        let database = store.database()?;
        let mut init = Command::new(program);
        database.name_to(&mut init);
        Answer::of(init.arg("init").arg("--data-dir").arg(&data))?.expect_code(0).context("muster-collector init")?;
        // Weighed before any host enrolls, because an empty database has a size, too.
        let empty = database.weigh(&data)?;
        let mut serve = Command::new(program);
        database.name_to(&mut serve);
        serve.arg("serve").arg("--data-dir").arg(&data);
        // The bench measures how fast hosts can enroll, so their rate is not bounded.
        for bound in ["TOKEN", "ADDRESS"] {
            serve.env(format!("MUSTER_COLLECTOR__ENROLLMENT__{bound}_PER_MINUTE"), "1000000");
        }
        for door in ["--agents-listen", "--operators-listen", "--probes-listen"] {
            serve.args([door, "127.0.0.1:0"]);
        }
        let mut process = Process::start(serve, &store.folder.join(format!("{name}.log")))?;
        let listening = await_note::<Listening>(&mut process, &data.join("listening.json"))?;
        let door = door::operators(&listening.operators, &data.join("ca.pem")).await?;
        let token = std::fs::read_to_string(data.join("admin.token")).context("read the first operator's token")?;
        let bearer = format!("Bearer {}", token.trim()).parse().context("the first operator's token")?;
        let operator = Operator { door, bearer };
        Ok(Self { listening, data, process, program: program.to_owned(), database, empty, operator })
    }

    /// A new enrollment token with unlimited uses.
    pub(crate) fn token(&self) -> Result<String> {
        let mut create = Command::new(&self.program);
        self.database.name_to(&mut create);
        create.args(["tokens", "create", "--data-dir"]).arg(&self.data);
        create.args(["--site", "bench", "--uses", "0", "--expires", "12h"]);
        Ok(Answer::of(&mut create)?.expect_code(0).context("muster-collector tokens create")?.stdout.trim().to_owned())
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits until the judge queue is empty.
    pub(crate) async fn judged(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.operator.status().await?.judge_queue > 0 {
            ensure!(Instant::now() < deadline, "the judge queue is not empty after {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Stops it as a service manager does. Returns the size of its database less that of an empty one.
    pub(crate) fn stop_and_measure(&mut self) -> Result<u64> {
        let status = self.process.stop(PATIENCE)?;
        ensure!(status.success(), "the collector stopped with {status}:\n{}", self.process.output());
        Ok(self.database.weigh(&self.data)?.saturating_sub(self.empty))
    }
}

/// Waits for the file in which a process writes where it listens.
pub(crate) fn await_note<T: serde::de::DeserializeOwned>(process: &mut Process, note: &Path) -> Result<T> {
    let answer = eventually("a process listens", PATIENCE, || {
        // A process that has ended writes no note, so end the wait.
        if let Some(status) = process.ended()? {
            return Ok(Some(Err(status)));
        }
        if !note.exists() {
            return Ok(None);
        }
        Ok(Some(Ok(serde_json::from_str(&std::fs::read_to_string(note)?)?)))
    });
    match answer.with_context(|| format!("it printed:\n{}", process.output()))? {
        Ok(listening) => Ok(listening),
        Err(status) => anyhow::bail!("it ended with {status} and printed:\n{}", process.output()),
    }
}
