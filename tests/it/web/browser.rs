//! A real browser finds nothing wrong with any page, in light and dark, narrow and wide, on paper, and without scripts.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use muster_tests::browser::Browser;
use muster_tests::lab::{Lab, PATIENCE};
use muster_tests::{eventually, left_out};
use serde_json::Value;

use super::fleet;

/// Finds what keeps people from using a page.
const AUDIT: &str = include_str!("audit.js");
/// A folder that keeps the pictures, for those who want to look at them.
const PICTURES: &str = "MUSTER_TEST_PICTURES";

/// Every page that needs no name of anything.
const PAGES: [&str; 21] = [
    "/",
    "/findings",
    "/hosts",
    "/software?q=kaspersky",
    "/coverage",
    "/changes",
    "/timeline",
    "/timeline?by=site",
    "/timeline?by=cause",
    "/orders",
    "/duties",
    "/ledger",
    "/exceptions",
    "/exceptions/1",
    "/change?where=site:lab",
    "/dispositions?all=1",
    "/catalogue",
    "/catalogue/kaspersky-consumer",
    "/tokens",
    "/accounts",
    "/about",
];

#[test]
fn a_browser_finds_nothing_wrong_with_any_page() -> Result<()> {
    if !Browser::is_installed()? {
        left_out("the web board in a browser", "chromium or chromedriver is not installed");
        return Ok(());
    }
    let lab = fleet()?;
    let pictures = std::env::var_os(PICTURES).map_or_else(|| lab.folder().join("pictures"), PathBuf::from);
    std::fs::create_dir_all(&pictures)?;
    let browser = Browser::start(lab.folder())?;
    let base = format!("https://localhost:{}", lab.listening().operators.rsplit(':').next().context("a port")?);
    // Without a session every page leads to the form, and the form back to the page.
    browser.open(&format!("{base}/findings?lane=replace"))?;
    assert!(browser.url()?.contains("/login?next="), "{}", browser.url()?);
    let mut faults = looked_at(&browser, "login", &pictures)?;
    browser.type_into("#token", "nobody.aaaa")?;
    browser.click("button.primary")?;
    eventually("the token is refused", PATIENCE, || {
        let refused = browser.run("return document.querySelector('[role=alert]').textContent")?;
        Ok(refused.as_str().is_some_and(|text| text.contains("not a token")).then_some(()))
    })?;
    let token = std::fs::read_to_string(lab.data_dir().join("admin.token"))?;
    browser.type_into("#token", token.trim())?;
    browser.click("button.primary")?;
    let asked = format!("{base}/findings?lane=replace");
    eventually("the page that was asked for", PATIENCE, || Ok((browser.url()? == asked).then_some(())))?;
    let host = browser.run("return document.querySelector('tbody a').getAttribute('href')")?;
    let host = host.as_str().context("a link to a host")?.to_owned();
    let order = browser.run("return (await (await fetch('/orders')).text()).match(/\\/orders\\/us-bis[^\"]*/)[0]")?;
    let order = order.as_str().context("a link to an order")?.to_owned();
    let pages = PAGES.iter().map(|page| (*page).to_owned()).chain([host, order, "/no-such-page".to_owned()]);
    for page in pages {
        browser.open(&format!("{base}{page}"))?;
        let name = page
            .trim_matches('/')
            .split(['/', '?'])
            .next()
            .filter(|name| !name.is_empty())
            .unwrap_or("board")
            .to_owned();
        let name = if page.len() > 20 { format!("{name}-one") } else { name };
        faults.extend(looked_at(&browser, &name, &pictures)?);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    acts(&lab, &browser, &base)?;
    live(&browser, &base)?;
    interaction(&browser, &base)?;
    without_scripts(&browser, &base, &token)
}

/// What is wrong with the page in light and dark, wide and narrow, and on paper: what the browser refuses, what fails, what keeps people
/// out.
fn looked_at(browser: &Browser, name: &str, pictures: &Path) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for (kind, width, is_dark, is_paper) in [
        ("light", 1440, false, false),
        ("dark", 1440, true, false),
        ("phone", 360, false, false),
        ("wide", 2560, true, false),
        ("print", 800, false, true),
    ] {
        browser.emulate(width, is_dark, is_paper)?;
        let faults = if is_paper { Value::Null } else { browser.run(AUDIT)? };
        if !is_paper {
            all.extend(axe(browser)?.into_iter().map(|line| format!("{name} {kind}, found by axe-core: {line}")));
        }
        browser.picture(&pictures.join(format!("{name}-{kind}.png")))?;
        let faults = faults.as_array().cloned().unwrap_or_default();
        all.extend(faults.iter().map(|fault| format!("{name} {kind}: {fault}")));
    }
    let console = browser.console()?;
    // The page of an error has the status of an error, which the console reports.
    let console: Vec<String> = console.into_iter().filter(|line| !line.contains("status of 404")).collect();
    all.extend(console.into_iter().map(|line| format!("{name}: the console says {line}")));
    browser.emulate(1440, false, false)?;
    Ok(all)
}

/// What axe-core finds on the page, a line each: the rule, and the element. Nothing if the modules are not installed.
fn axe(browser: &Browser) -> Result<Vec<String>> {
    let Some(modules) = std::env::var_os("MUSTER_TEST_NODE") else {
        left_out("axe-core on the web board", "MUSTER_TEST_NODE is not set; deploy/ci/test web sets it");
        return Ok(Vec::new());
    };
    let file = Path::new(&modules).join("node_modules/axe-core/axe.min.js");
    let source = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let run = "const found = await axe.run(document, { resultTypes: ['violations'] });
               return found.violations.flatMap(rule => rule.nodes.map(node => `${rule.id}: ${node.html.slice(0, 200)} ${node.failureSummary}`))";
    let found = browser.run(&format!("{source}\n;{run}"))?;
    let lines = found.as_array().context("what axe-core found")?;
    Ok(lines.iter().map(|line| line.as_str().unwrap_or_default().to_owned()).collect())
}

/// What people do on the pages: a label for hosts that were ticked, a waiver that another person approves, an entry of the roster.
fn acts(lab: &Lab, browser: &Browser, base: &str) -> Result<()> {
    browser.open(&format!("{base}/findings"))?;
    browser.click("tbody input[name=host]")?;
    browser.click(".selection button")?;
    eventually("the hosts are chosen", PATIENCE, || Ok(browser.url()?.contains("/change?").then_some(())))?;
    browser.type_into("#label", "wave-1")?;
    browser.click("button[value=label]")?;
    eventually("the label is given", PATIENCE, || {
        let told = browser.run("return document.querySelector('main').textContent")?;
        Ok(told.as_str().is_some_and(|text| text.contains("1 of 1 hosts were changed")).then_some(()))
    })?;
    let labelled = lab.muster(&["hosts", "--where", "label:wave-1", "-o", "csv"])?.stdout;
    assert_eq!(labelled.lines().count(), 2, "{labelled}");

    browser.open(&format!("{base}/change?where=label:wave-1"))?;
    browser.type_into("#control", "its own network")?;
    let fill = "document.querySelector('#reason').value = 'research';
                document.querySelector('#until').value = document.querySelector('#until').min;
                document.querySelector('[name=beyond]').checked = true";
    browser.run(fill)?;
    browser.click("form[action='/exceptions'] button")?;
    eventually("the waiver is asked for", PATIENCE, || Ok(browser.url()?.ends_with("/exceptions/2").then_some(())))?;
    // Another person: the first one gets no button for it.
    let buttons = "return [...document.querySelectorAll('main button[name=decision]')].map(button => button.value)";
    assert_eq!(browser.run(buttons)?, serde_json::json!(["refuse"]));
    let second = lab.muster(&["accounts", "create", "second", "--role", "operator"])?.expect_code(0)?.stdout;
    let admin = std::fs::read_to_string(lab.data_dir().join("admin.token"))?;
    logs_in(browser, base, &second, "/exceptions/2")?;
    browser.click("button[value=approve]")?;
    eventually("the waiver is in force", PATIENCE, || {
        let told = browser.run("return document.querySelector('main').textContent")?;
        Ok(told.as_str().is_some_and(|text| text.contains("in-force")).then_some(()))
    })?;
    browser.open(base)?;
    let board = browser.run("return document.querySelector('main').textContent")?;
    assert!(board.as_str().is_some_and(|text| text.contains("waived 1:")), "{board}");

    let list = lab.folder().join("bought.csv");
    std::fs::write(&list, "name,serial\npc-77,SN-77\n")?;
    browser.open(&format!("{base}/coverage"))?;
    browser.type_into("input[type=file]", &list.display().to_string())?;
    browser.type_into("input[name=source]", "bought")?;
    browser.click("button[value=import]")?;
    eventually("the list is imported", PATIENCE, || {
        let told = browser.run("return document.querySelector('h1').textContent")?;
        Ok(told.as_str().is_some_and(|text| text == "Imported the list bought").then_some(()))
    })?;
    let entries = lab.muster(&["roster", "--text", "pc-77", "-o", "csv"])?.stdout;
    assert!(entries.contains("bought"), "{entries}");

    browser.open(&format!("{base}/coverage?state=review"))?;
    browser.click("tbody a[href^='/coverage/']")?;
    browser.click("form[action$='/match'] button.primary")?;
    eventually("the entry is matched", PATIENCE, || {
        let told = browser.run("return document.querySelector('main').textContent")?;
        Ok(told.as_str().is_some_and(|text| text.contains("Matched host")).then_some(()))
    })?;
    logs_in(browser, base, &admin, "/")?;
    let console = browser.console()?;
    let console: Vec<String> = console.into_iter().filter(|line| !line.contains("status of 40")).collect();
    assert!(console.is_empty(), "{console:?}");
    Ok(())
}

/// Logs in as somebody else, in the same browser.
fn logs_in(browser: &Browser, base: &str, token: &str, next: &str) -> Result<()> {
    browser.open(&format!("{base}/login?next={next}"))?;
    browser.type_into("#token", token.trim())?;
    browser.click("button.primary")?;
    let page = format!("{base}{next}");
    eventually("the page after the login", PATIENCE, || Ok((browser.url()? == page).then_some(())))
}

/// Filters by a click, the board's newer numbers, the search box, and the end of the session.
fn interaction(browser: &Browser, base: &str) -> Result<()> {
    browser.open(&format!("{base}/findings"))?;
    browser.click("input[name=lane][value=replace]")?;
    eventually("the filter is applied", PATIENCE, || Ok(browser.url()?.contains("lane=replace").then_some(())))?;
    let local = browser.run("return document.querySelectorAll('time[data-local]').length")?;
    assert!(local.as_u64().is_some_and(|times| times > 0), "times are shown in the viewer's zone");
    browser.type_into(".find input", "db-1\n")?;
    eventually("the host is found", PATIENCE, || Ok(browser.url()?.contains("/hosts/").then_some(())))?;
    // By keyboard alone: the first stop leads to the content.
    browser.open(base)?;
    browser.type_into("body", "\u{e004}")?;
    let first = browser.run("return document.activeElement.className")?;
    assert_eq!(first, "skip");
    browser.open(&format!("{base}/about"))?;
    browser.click(".who button")?;
    eventually("logged out", PATIENCE, || Ok(browser.url()?.ends_with("/login").then_some(())))?;
    browser.open(&format!("{base}/hosts"))?;
    assert!(browser.url()?.contains("/login?next="), "{}", browser.url()?);
    let console = browser.console()?;
    assert!(console.is_empty(), "{console:?}");
    Ok(())
}

/// Newer numbers come without losing what somebody has opened or where the keyboard is, and old ones say so.
fn live(browser: &Browser, base: &str) -> Result<()> {
    browser.open(base)?;
    browser.click("details.numbers summary")?;
    let spoil = "document.querySelector('.cell b').textContent = 'old'; document.querySelector('[data-live=as-of]').textContent = 'old';
                 document.querySelector('.cell').id = 'kept-by-focus'; document.querySelector('a.cell').focus()";
    browser.run(spoil)?;
    let again = "document.dispatchEvent(new Event('visibilitychange'))";
    browser.run(again)?;
    let numbers = "return document.querySelector('.cell b').textContent + document.querySelector('[data-live=as-of]').textContent";
    eventually("newer numbers", PATIENCE, || {
        let numbers = browser.run(numbers)?;
        Ok(numbers.as_str().is_some_and(|text| !text.contains("old") && text.contains("As of")).then_some(()))
    })?;
    let kept = "return [document.querySelector('details.numbers').open, document.activeElement.matches('a.cell'),
                document.querySelector('.stale').textContent]";
    assert_eq!(browser.run(kept)?, serde_json::json!([true, true, ""]));
    // The collector is too busy, or cannot be reached: the page says since when its numbers are old.
    for broken in [
        "() => Promise.resolve(new Response('', { status: 503 }))",
        "() => Promise.reject(new TypeError('no network'))",
    ] {
        browser.run(&format!("window.asked = window.asked || window.fetch; window.fetch = {broken}; {again}"))?;
        eventually("the page says that it is old", PATIENCE, || {
            let told = browser.run("return document.querySelector('.stale').textContent")?;
            Ok(told.as_str().is_some_and(|text| text.starts_with("Not refreshed since")).then_some(()))
        })?;
        browser.run(&format!("window.fetch = window.asked; {again}"))?;
        eventually("and that it is not any more", PATIENCE, || {
            let told = browser.run("return document.querySelector('.stale').textContent")?;
            Ok((told == "").then_some(()))
        })?;
    }
    // A deadline has the viewer's time beside UTC.
    let beside = "return document.querySelectorAll('.here').length > 0 && document.querySelector('.zone').textContent.includes('Europe/Berlin')";
    assert_eq!(browser.run(beside)?, true);
    // `/` is a key like any other where somebody types.
    browser.run("document.activeElement.blur()")?;
    let press = "document.body.dispatchEvent(new KeyboardEvent('keydown', { key: '/', bubbles: true, ctrlKey: true }));
                 const held = document.activeElement.matches('.find input');
                 document.body.dispatchEvent(new KeyboardEvent('keydown', { key: '/', bubbles: true }));
                 return [held, document.activeElement.matches('.find input')]";
    assert_eq!(browser.run(press)?, serde_json::json!([false, true]));
    Ok(())
}

/// Everything works without the script: logging in, filters, a host, a file, logging out.
fn without_scripts(browser: &Browser, base: &str, token: &str) -> Result<()> {
    browser.scripts(false)?;
    browser.open(&format!("{base}/findings"))?;
    assert!(browser.url()?.contains("/login?next="), "{}", browser.url()?);
    browser.type_into("#token", token.trim())?;
    browser.click("button.primary")?;
    let page = format!("{base}/findings");
    eventually("the page after the login", PATIENCE, || Ok((browser.url()? == page).then_some(())))?;
    let shown = browser.run(
        "return [document.querySelectorAll('tbody tr').length, document.querySelectorAll('[data-local]').length]",
    )?;
    assert!(shown[0].as_u64().is_some_and(|rows| rows > 0) && shown[1] == 0, "the script did not run: {shown}");
    browser.click("input[name=lane][value=replace]")?;
    browser.click(".filter button.primary")?;
    eventually("the filter is applied", PATIENCE, || Ok(browser.url()?.contains("lane=replace").then_some(())))?;
    browser.click("tbody th a")?;
    eventually("a host is shown", PATIENCE, || Ok(browser.url()?.contains("/hosts/").then_some(())))?;
    for page in PAGES {
        browser.open(&format!("{base}{page}"))?;
        let heading = browser.run("return document.querySelector('main h1').textContent")?;
        assert!(heading.as_str().is_some_and(|text| !text.is_empty()), "{page}: {heading}");
    }
    browser.click(".who button")?;
    eventually("logged out", PATIENCE, || Ok(browser.url()?.ends_with("/login").then_some(())))?;
    Ok(())
}
