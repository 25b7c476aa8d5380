//! What a search for software may take: it is refused by the name of its bound, and others are answered meanwhile.

use anyhow::{Result, ensure};
use muster_tests::canned::Root;
use muster_tests::lab::Lab;
use muster_tests::process::Answer;

/// A collector with these settings, and one host with packages.
fn lab_with(settings: &str) -> Result<Lab> {
    let lab = Lab::start_with_settings(settings)?;
    let root = Root::debian("searched")?;
    lab.enrolled_agent("searched")?.report(root.path())?;
    Ok(lab)
}

#[test]
fn a_search_beyond_its_budget_is_refused_with_the_bound_and_how_to_narrow_it() -> Result<()> {
    for (bound, told) in [("rows = 2", "more than 2 rows (searches.rows)"), ("bytes = 50", "(searches.bytes)")] {
        let lab = lab_with(&format!("[searches]\n{bound}\n"))?;
        let answer = lab.muster(&["software", "deb"])?;
        ensure!(answer.code != Some(0), "a part of the answer was shown as the answer: {}", answer.stdout);
        for text in [told, "narrow it with a longer text or a version"] {
            ensure!(answer.stderr.contains(text), "{text:?} is not in {}", answer.stderr);
        }
        lab.muster(&["software", "nothing-of-this-name"])?.expect_code(0)?;
    }
    Ok(())
}

#[test]
fn twenty_searches_at_once_have_their_turns_and_the_status_is_shown_meanwhile() -> Result<()> {
    let lab = lab_with("[searches]\nat_once = 1\nwait = '60s'\n")?;
    std::thread::scope(|scope| -> Result<()> {
        let search = || -> Result<Answer> { lab.muster(&["software", "deb", "-o", "json"]) };
        let searches: Vec<_> = (0..20).map(|_| scope.spawn(search)).collect();
        lab.muster(&["status"])?.expect_code(0)?;
        for search in searches {
            let answer = search.join().expect("a search does not panic")?.expect_code(0)?.json()?;
            ensure!(answer["hosts_total"] == 1, "{answer}");
        }
        Ok(())
    })
}
