//! A fleet of images: bytes per host, memory after days of reports, reading lists, and judging again.
//!
//! All hosts enroll at a new collector, report once and are judged. Then the size of the database (files, or tables and indexes)
//! less that of an empty one is divided by the hosts. An empty PostgreSQL has 8 MB. The collector starts again on that database,
//! the hosts report for some days, operators read lists, and the rules change.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use super::collector::Collector;
use super::lists::{self, Lists};
use super::memory::{MemoryAfter, MemoryWatch};
use super::stores::Prepared;
use super::{Sizes, enough, progress, rejudge};
use crate::agent::Agent;
use crate::drive;
use crate::fleet::{Model, Profile, Report, Shares};
use crate::line::Address;
use crate::statistics::Tally;
use crate::swarm::Swarm;

/// The results of a fleet of images.
#[derive(Debug)]
pub(crate) struct ImageFleet {
    pub(crate) bytes_per_host: u64,
    pub(crate) enrollments_per_s: f64,
    pub(crate) first_reports_per_s: f64,
    pub(crate) rejudged_hosts: u64,
    pub(crate) rejudge_s: f64,
    pub(crate) lists: Lists,
    pub(crate) memory: Vec<MemoryAfter>,
}

/// Measures a fleet of images. While lists are read, `rate` new hosts a second report.
pub(crate) async fn of_images(
    store: &Prepared,
    program: &Path,
    seed: u64,
    sizes: Sizes,
    rate: f64,
) -> Result<ImageFleet> {
    let hosts = sizes.image_hosts;
    progress(&format!("{}: {hosts} hosts of a fleet of images enroll and report", store.name));
    let mut collector = Collector::start(program, store, "images").await?;
    let mut memory = MemoryWatch::of("images");
    memory.note(&collector, "start").await;
    let model = Model { seed, profile: Profile::Images, shares: Shares::default() };
    let mut swarm = Swarm::open(model, Address::parse(&collector.listening.agents)?, None)?;
    swarm.make_keys(0..hosts)?;
    let enrolled = swarm.enroll(0..hosts, &collector.token()?, sizes.at_once).await?;
    enough(&enrolled, "enroll")?;
    memory.note(&collector, "enrollments").await;
    swarm.learn_watchlist().await?;
    let agents = swarm.agents(0..hosts)?;
    let reported = report(&swarm, &agents, 0, sizes.at_once).await?;
    collector.judged().await?;
    memory.note(&collector, "first reports").await;
    let bytes_per_host = collector.stop_and_measure()? / hosts;
    let (enrollments_per_s, first_reports_per_s) = (enrolled.per_second(), reported.per_second());
    progress(&format!(
        "{bytes_per_host} bytes per host; {enrollments_per_s:.0} enrollments/s, {first_reports_per_s:.0} first reports/s"
    ));

    collector.start_again().await?;
    swarm.address = Address::parse(&collector.listening.agents)?;
    memory.note(&collector, "restart").await;
    for day in 1..=sizes.days {
        report(&swarm, &agents, day, sizes.at_once).await?;
        collector.judged().await?;
    }
    drop(agents);
    memory.note(&collector, "days of reports").await;
    let lists = lists::measure(&collector, seed, sizes, rate).await?;
    collector.judged().await?;
    memory.note(&collector, "lists").await;
    let rejudged_hosts = collector.operator.status().await?.hosts;
    let rejudge_s = rejudge::measure(&collector).await?.as_secs_f64();
    memory.note(&collector, "re-judging").await;
    collector.stop_and_measure()?;
    let memory = memory.phases;
    Ok(ImageFleet { bytes_per_host, enrollments_per_s, first_reports_per_s, rejudged_hosts, rejudge_s, lists, memory })
}

/// Lets every host report once on a day.
async fn report(swarm: &Swarm, agents: &[Arc<Agent>], day: u64, at_once: usize) -> Result<Tally> {
    let (model, address) = (Arc::clone(&swarm.model), swarm.address.clone());
    let (reported, _) = drive::each(agents.to_vec(), at_once, move |agent: Arc<Agent>| {
        let (model, address) = (Arc::clone(&model), address.clone());
        async move {
            let report = Report::of(&agent.scan(&model, day));
            agent.connect(&address).await?.report(&report, day == 0).await
        }
    })
    .await;
    enough(&reported, "report")?;
    Ok(reported)
}
