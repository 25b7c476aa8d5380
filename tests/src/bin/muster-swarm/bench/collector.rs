//! A real collector, started on a store for a measurement.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use muster_proto::wire::{
    CreateEnrollmentTokenRequest, GetBoardRequest, GetStatusRequest, GetStatusResponse, ListFindingsRequest,
    ListFindingsResponse, ListHostsRequest, SearchSoftwareRequest,
};
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
    /// Its rules folder.
    rules: PathBuf,
    log: PathBuf,
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

/// How many hosts a search lists.
const SEARCHED_HOSTS: u32 = 100;

impl Operator {
    async fn at(data: &Path, listening: &Listening) -> Result<Self> {
        let door = door::operators(&listening.operators, &data.join("ca.pem")).await?;
        let token = std::fs::read_to_string(data.join("admin.token")).context("read the first operator's token")?;
        let bearer = format!("Bearer {}", token.trim()).parse().context("the first operator's token")?;
        Ok(Self { door, bearer })
    }

    fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer.clone());
        request
    }

    /// The collector's status.
    pub(crate) async fn status(&self) -> Result<GetStatusResponse> {
        let answer = self.door.clone().get_status(self.request(GetStatusRequest {})).await;
        Ok(answer.context("ask the collector for its status")?.into_inner())
    }

    /// Creates an enrollment token: one administrative transaction.
    pub(crate) async fn create_token(&self) -> Result<()> {
        let message = CreateEnrollmentTokenRequest { site: "bench".to_owned(), lifetime_ms: 3_600_000, max_uses: 1 };
        let request = self.request(message);
        self.door.clone().create_enrollment_token(request).await.context("create an enrollment token")?;
        Ok(())
    }

    /// Reads the board.
    pub(crate) async fn board(&self) -> Result<()> {
        self.door.clone().get_board(self.request(GetBoardRequest::default())).await.context("read the board")?;
        Ok(())
    }

    /// Reads the first page of the hosts.
    pub(crate) async fn hosts(&self) -> Result<()> {
        self.door.clone().list_hosts(self.request(ListHostsRequest::default())).await.context("list hosts")?;
        Ok(())
    }

    /// Reads the page of the findings after `page_token`; an empty one means the first page.
    pub(crate) async fn findings(&self, page_token: String) -> Result<ListFindingsResponse> {
        let message = ListFindingsRequest { page_token, ..ListFindingsRequest::default() };
        Ok(self.door.clone().list_findings(self.request(message)).await.context("list findings")?.into_inner())
    }

    /// Searches for software and for hosts that have it.
    pub(crate) async fn search(&self, text: &str) -> Result<()> {
        let message = SearchSoftwareRequest {
            text: text.to_owned(),
            host_rows: SEARCHED_HOSTS,
            ..SearchSoftwareRequest::default()
        };
        self.door.clone().search_software(self.request(message)).await.with_context(|| format!("search {text}"))?;
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
        let (rules, log) = (store.folder.join(format!("{name}-rules")), store.folder.join(format!("{name}.log")));
        std::fs::create_dir_all(rules.join("catalogue")).with_context(|| format!("make {}", rules.display()))?;
        let (process, listening) = serve(program, &database, &data, &rules, &log)?;
        let operator = Operator::at(&data, &listening).await?;
        let program = program.to_owned();
        Ok(Self { listening, data, process, program, rules, log, database, empty, operator })
    }

    /// Starts it again on the same data after it was stopped.
    pub(crate) async fn start_again(&mut self) -> Result<()> {
        let note = self.data.join("listening.json");
        if note.exists() {
            std::fs::remove_file(&note).with_context(|| format!("remove {}", note.display()))?;
        }
        (self.process, self.listening) = serve(&self.program, &self.database, &self.data, &self.rules, &self.log)?;
        self.operator = Operator::at(&self.data, &self.listening).await?;
        Ok(())
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

    /// Adds a file to its rules and waits until the new rules are in force and every host is queued.
    pub(crate) async fn add_rule(&self, name: &str, text: &str) -> Result<()> {
        const ADOPTED: &str = "every host is judged again";
        let adoptions = self.process.log_lines(ADOPTED)?;
        let file = self.rules.join("catalogue").join(name);
        std::fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
        let pid = self.pid().to_string();
        let hung_up = Command::new("kill").args(["-HUP", &pid]).status().context("run kill")?;
        ensure!(hung_up.success(), "kill -HUP {pid} failed");
        let deadline = Instant::now() + PATIENCE;
        while self.process.log_lines(ADOPTED)? == adoptions {
            ensure!(Instant::now() < deadline, "the new rules are not in force after {PATIENCE:?}");
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

/// Starts a collector on free ports.
fn serve(program: &Path, database: &Database, data: &Path, rules: &Path, log: &Path) -> Result<(Process, Listening)> {
    let mut serve = Command::new(program);
    database.name_to(&mut serve);
    serve.arg("serve").arg("--data-dir").arg(data);
    // The bench measures how fast hosts can enroll, so their rate is not bounded.
    for bound in ["TOKEN", "ADDRESS"] {
        serve.env(format!("MUSTER_COLLECTOR__ENROLLMENT__{bound}_PER_MINUTE"), "1000000");
    }
    serve.env("MUSTER_COLLECTOR__RULES__OVERLAY", rules);
    for door in ["--agents-listen", "--operators-listen", "--probes-listen"] {
        serve.args([door, "127.0.0.1:0"]);
    }
    let mut process = Process::start(serve, log)?;
    let listening = await_note(&mut process, &data.join("listening.json"))?;
    Ok((process, listening))
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
