//! Unchanged check-ins: one digest and one answer, on a new connection each time or on one that each host keeps.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;

use super::load::{cpu, rest};
use super::{BenchContext, Pair, Side, enough, progress, some};
use crate::agent::{Agent, Call, Wanted, digest_bytes};
use crate::drive;
use crate::fleet::Report;
use crate::line::Address;

/// Hosts that take turns on new connections.
const TURNS: usize = 2_000;

/// How the hosts connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// A new connection for every check-in.
    Fresh,
    /// A connection for each host with one call at a time.
    Kept,
}

/// A host that checks in with a snapshot that the collector has.
#[derive(Debug, Clone)]
struct Member {
    agent: Arc<Agent>,
    snapshot: Bytes,
}

/// Measures both sides.
pub(crate) async fn compare(context: &BenchContext<'_>, agents: &[Arc<Agent>], way: Way) -> Result<Pair> {
    let member = |agent: Arc<Agent>| {
        let snapshot = digest_bytes(&Report::of(&agent.scan(&context.swarm.model, 0)));
        Member { agent, snapshot }
    };
    let members: Vec<Member> = some(agents, TURNS).into_iter().map(member).collect();
    let mut pair = Pair::default();
    for number in 0..context.sizes.pairs {
        // The sides take turns at being first, so that a drift of the machine affects both.
        let measured_first = number % 2 == 0;
        for measured in [measured_first, !measured_first] {
            let (address, pid) = match measured {
                true => (&context.swarm.address, context.collector.pid()),
                false => (&context.echo.address, context.echo.pid()),
            };
            let side = if measured { &mut pair.measured } else { &mut pair.echo };
            slice(context, &members, address, pid, way, side).await?;
        }
        let (ours, echo) = (pair.measured.per_second(), pair.echo.per_second());
        let name = if way == Way::Fresh { "fresh" } else { "kept" };
        progress(&format!(
            "check-ins, {name}, {}: {ours:.0}/s, yardstick {echo:.0}/s, ratio {:.3}",
            number + 1,
            pair.ratio()
        ));
    }
    Ok(pair)
}

async fn slice(
    context: &BenchContext<'_>,
    members: &[Member],
    address: &Address,
    pid: u32,
    way: Way,
    side: &mut Side,
) -> Result<()> {
    let pids = [context.collector.pid(), context.echo.pid()];
    let span = Duration::from_secs_f64(context.sizes.slice_seconds);
    let at_once = context.sizes.at_once;
    let (tally, used) = match way {
        Way::Fresh => {
            let share = members.len().div_ceil(at_once).max(1);
            let turns: Vec<Turns> = members
                .chunks(share)
                .map(|part| Turns { members: part.to_vec(), next: 0, address: address.clone() })
                .collect();
            rest(&pids).await;
            let before = cpu(pid);
            let (tally, _) = drive::repeat(turns, span, fresh).await;
            (tally, cpu(pid).saturating_sub(before))
        }
        Way::Kept => {
            let chosen = members.iter().step_by((members.len() / at_once).max(1)).take(at_once).cloned().collect();
            let address = address.clone();
            let (opened, calls) = drive::each(chosen, at_once, move |member: Member| {
                let address = address.clone();
                async move {
                    let mut call = member.agent.connect(&address).await?;
                    unchanged(&mut call, &member.snapshot).await?;
                    Ok((call, member.snapshot))
                }
            })
            .await;
            enough(&opened, "open kept connections")?;
            rest(&pids).await;
            let before = cpu(pid);
            let (tally, _) = drive::repeat(calls, span, |(mut call, snapshot): (Call, Bytes)| async move {
                let answer = unchanged(&mut call, &snapshot).await;
                ((call, snapshot), answer)
            })
            .await;
            (tally, cpu(pid).saturating_sub(before))
        }
    };
    side.cpu += used;
    side.tally.append(tally);
    Ok(())
}

/// Hosts that check in one after another.
struct Turns {
    members: Vec<Member>,
    next: usize,
    address: Address,
}

async fn fresh(mut turns: Turns) -> (Turns, Result<()>) {
    let member = turns.members[turns.next % turns.members.len()].clone();
    turns.next += 1;
    let answer = async {
        let mut call = member.agent.connect(&turns.address).await?;
        unchanged(&mut call, &member.snapshot).await
    }
    .await;
    (turns, answer)
}

async fn unchanged(call: &mut Call, snapshot: &Bytes) -> Result<()> {
    let wanted = call.check_in(snapshot.clone(), None).await?;
    ensure!(wanted == Wanted::Nothing, "the collector asks for an unchanged snapshot again: {wanted:?}");
    Ok(())
}
