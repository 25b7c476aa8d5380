//! Runs many calls concurrently and counts them.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::statistics::Tally;

/// Does every job once, `at_once` at a time. Returns the results of successful jobs in no particular order.
pub(crate) async fn each<J, T, F, R>(jobs: Vec<J>, at_once: usize, work: F) -> (Tally, Vec<T>)
where
    J: Send + 'static,
    T: Send + 'static,
    F: Fn(J) -> R + Clone + Send + 'static,
    R: Future<Output = Result<T>> + Send,
{
    let count = jobs.len();
    let jobs = Arc::new(Mutex::new(jobs.into_iter()));
    let began = Instant::now();
    // `clamp` panics if its bounds are swapped, so an empty list counts as one job.
    let workers: Vec<_> = (0..at_once.clamp(1, count.max(1)))
        .map(|_| {
            let (jobs, work) = (Arc::clone(&jobs), work.clone());
            tokio::spawn(async move {
                let (mut tally, mut given) = (Tally::default(), Vec::new());
                loop {
                    // The queue is intact after a panic of another worker, and `gather` counts that panic.
                    let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(job) = next else { break };
                    let began = Instant::now();
                    given.extend(tally.count(began, work(job).await));
                }
                (tally, given)
            })
        })
        .collect();
    gather(workers, began).await
}

/// Lets every worker repeat its work until the time is over. A call that has begun is finished and counted.
pub(crate) async fn repeat<W, F, R>(workers: Vec<W>, span: Duration, work: F) -> (Tally, Vec<W>)
where
    W: Send + 'static,
    F: Fn(W) -> R + Clone + Send + 'static,
    R: Future<Output = (W, Result<()>)> + Send,
{
    let began = Instant::now();
    let workers: Vec<_> = workers
        .into_iter()
        .map(|mut worker| {
            let work = work.clone();
            tokio::spawn(async move {
                let mut tally = Tally::default();
                while began.elapsed() < span {
                    let call = Instant::now();
                    let (back, answer) = work(worker).await;
                    worker = back;
                    let failed = answer.is_err();
                    tally.count(call, answer);
                    if failed {
                        // Without a pause a server that refuses would get a million calls.
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
                (tally, vec![worker])
            })
        })
        .collect();
    gather(workers, began).await
}

async fn gather<T>(workers: Vec<tokio::task::JoinHandle<(Tally, Vec<T>)>>, began: Instant) -> (Tally, Vec<T>) {
    let (mut all, mut given) = (Tally::default(), Vec::new());
    for worker in workers {
        match worker.await {
            Ok((tally, mut part)) => {
                all.merge(tally);
                given.append(&mut part);
            }
            Err(error) => all.fail(&anyhow!("a worker of the swarm ended: {error}")),
        }
    }
    all.elapsed = began.elapsed();
    (all, given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_job_is_done_once_and_a_failed_one_is_counted_apart() {
        let work = |job: u64| async move { if job % 10 == 3 { Err(anyhow!("job {job}")) } else { Ok(job) } };
        let (tally, mut given) = each((0..100).collect(), 7, work).await;
        given.sort_unstable();
        assert_eq!(given, (0..100).filter(|job| job % 10 != 3).collect::<Vec<u64>>());
        assert_eq!((tally.done(), tally.failed), (90, 10));
    }

    #[tokio::test]
    async fn workers_repeat_until_the_time_is_over_and_come_back() {
        let work = |done: u64| async move {
            tokio::task::yield_now().await;
            (done + 1, Ok(()))
        };
        let (tally, workers) = repeat(vec![0, 0, 0], Duration::from_millis(50), work).await;
        assert_eq!(workers.iter().sum::<u64>(), tally.done());
        assert!(workers.iter().all(|done| *done > 0), "{workers:?}");
        assert!(tally.elapsed >= Duration::from_millis(50));
    }
}
