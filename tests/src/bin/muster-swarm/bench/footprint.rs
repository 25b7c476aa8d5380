//! Bytes per host in a fleet of images. All hosts enroll at a new collector, report once and are judged. Then the size of the
//! database (files, or tables and indexes) less that of an empty one is divided by the hosts. An empty PostgreSQL has 8 MB.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use super::collector::Collector;
use super::stores::Prepared;
use super::{Sizes, enough, progress};
use crate::agent::Agent;
use crate::drive;
use crate::fleet::{Model, Profile, Report, Shares};
use crate::line::Address;
use crate::swarm::Swarm;

/// The size of a fleet in the database.
#[derive(Debug)]
pub(crate) struct Footprint {
    pub(crate) bytes_per_host: u64,
}

/// Measures a fleet of images.
pub(crate) async fn of_images(store: &Prepared, program: &Path, seed: u64, sizes: Sizes) -> Result<Footprint> {
    let hosts = sizes.image_hosts;
    progress(&format!("{}: {hosts} hosts of a fleet of images enroll and report", store.name));
    let mut collector = Collector::start(program, store, "images").await?;
    let model = Model { seed, profile: Profile::Images, shares: Shares::default() };
    let mut swarm = Swarm::open(model, Address::parse(&collector.listening.agents)?, None)?;
    swarm.make_keys(0..hosts)?;
    let enrolled = swarm.enroll(0..hosts, &collector.token()?, sizes.at_once).await?;
    enough(&enrolled, "enroll")?;
    swarm.learn_watchlist().await?;
    let (model, address) = (Arc::clone(&swarm.model), swarm.address.clone());
    let (reported, _) = drive::each(swarm.agents(0..hosts)?, sizes.at_once, move |agent: Arc<Agent>| {
        let (model, address) = (Arc::clone(&model), address.clone());
        async move {
            let report = Report::of(&agent.scan(&model, 0));
            agent.connect(&address).await?.report(&report, true).await
        }
    })
    .await;
    enough(&reported, "report")?;
    collector.judged().await?;
    let bytes_per_host = collector.stop_and_measure()? / hosts;
    let (enrolled, reported) = (enrolled.per_second(), reported.per_second());
    progress(&format!("{bytes_per_host} bytes per host; {enrolled:.0} enrollments/s, {reported:.0} first reports/s"));
    Ok(Footprint { bytes_per_host })
}
