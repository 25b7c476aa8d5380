//! `muster catalogue`: how products are recognised. `match` and `check` work without a collector.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::Context;
use muster_proto::model::ProductReport;
use muster_proto::terminal::{Progress, json_text};
use serde_json::{Value, json};

use super::args::{CheckArgs, MatchArgs, Output, ShowArgs};
use super::client::Client;
use super::faults::{self, FAULT_HEADER, record};
use super::render::{Answer, Cell, Paint, Screen, Table, clean, counted, fields, or_dash};
use crate::judge::matching::Matcher;
use crate::judge::{Checked, Score, Scores, check_rules};
use crate::rules::{self, FOLDERS, OverlayLimits, RuleErrors, RuleFault};

const HEADER: [&str; 7] = ["id", "name", "vendor", "category", "family", "platforms", "recognisers"];
const MATCH_HEADER: [&str; 12] = [
    "match",
    "product",
    "platform",
    "source_kind",
    "name",
    "vendor",
    "version",
    "state",
    "path",
    "id",
    "rule",
    "error",
];
const SCORE_HEADER: [&str; 9] =
    ["of", "prohibited", "recall", "others", "others_recall", "harmless", "accused", "products", "products_recall"];
/// The longest accepted line. An observation is shorter: its longest field is a path of 4096 bytes.
const LINE_BYTES: usize = 1 << 20;

pub(super) async fn list(mut client: Client, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let products = client.products().await?;
    let answer = Answer { whole: &products, header: &HEADER };
    screen.show(&answer, &products, || products.iter().map(row).collect(), |paint| page(&products, paint))?;
    Ok(0)
}

pub(super) async fn show(mut client: Client, asked: ShowArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let product = client.product(&asked.product).await?;
    let answer = Answer { whole: &product, header: &HEADER };
    screen.show(&answer, std::slice::from_ref(&product), || vec![row(&product)], |paint| one(&product, paint))?;
    Ok(0)
}

/// Writes one line for each line read, in the same order. A bad line comes back with an error. Without `-o`, and with
/// `-o ndjson`, each answer is written at once; the other formats need all answers in memory.
pub(super) fn match_lines(
    asked: &MatchArgs,
    input: &mut (dyn BufRead + Send),
    screen: &mut Screen<'_>,
) -> anyhow::Result<u8> {
    let rules = rules::load(asked.overlay.as_deref())?;
    let matcher = Matcher::new(&rules, asked.order.as_ref())?;
    let is_standard_input = asked.file == Path::new("-");
    let place = || {
        if is_standard_input {
            "cannot read standard input".into()
        } else {
            format!("cannot read {}", asked.file.display())
        }
    };
    // Declared here, because `input` may borrow it until the end of the function.
    let mut file;
    let input: &mut dyn BufRead = if is_standard_input {
        input
    } else {
        file = BufReader::new(File::open(&asked.file).with_context(place)?);
        &mut file
    };
    if asked.table {
        let mut scores = Scores::default();
        match_all(&matcher, input, |answer| {
            scores.add(answer);
            Ok(ControlFlow::Continue(()))
        })
        .with_context(place)?;
        return score(&scores, screen);
    }
    if screen.asked().is_some_and(|output| output != Output::Ndjson) {
        let mut answers: Vec<Value> = Vec::new();
        match_all(&matcher, input, |answer| {
            // An empty line has an empty answer, which is no JSON.
            answers.extend(serde_json::from_str::<Value>(answer).ok());
            Ok(ControlFlow::Continue(()))
        })
        .with_context(place)?;
        return all_matches(&answers, screen);
    }
    let write = |answer: &str| {
        screen.raw(json_text(answer).as_bytes())?;
        screen.raw(b"\n")?;
        // The input may have no end, so do not read on for nobody.
        Ok(if screen.is_closed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    match_all(&matcher, input, write).with_context(place)?;
    Ok(0)
}

fn match_all(
    matcher: &Matcher,
    input: &mut dyn BufRead,
    mut answered: impl FnMut(&str) -> std::io::Result<ControlFlow<()>>,
) -> std::io::Result<()> {
    while let Some((line, cut)) = next_line(input)? {
        // A bad byte in one line must not end the whole run.
        let text = String::from_utf8_lossy(&line);
        let answer = if cut { too_long() } else { matcher.line(&text) };
        if answered(&answer)?.is_break() {
            break;
        }
    }
    Ok(())
}

fn all_matches(answers: &[Value], screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let field = |answer: &Value, name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    let rows =
        || answers.iter().map(|answer| MATCH_HEADER.map(|name| field(answer, name)).to_vec()).collect::<Vec<_>>();
    let page = |paint: &Paint| {
        let mut table = Table::new(&MATCH_HEADER).dispensable(&["error", "id", "rule", "path", "platform", "vendor"]);
        rows().into_iter().for_each(|row| table.row(row.into_iter().map(Cell::text).collect()));
        format!("{}\n{}\n", table.text(paint), counted(answers.len(), "line"))
    };
    screen.show(&Answer { whole: &answers, header: &MATCH_HEADER }, answers, rows, page)?;
    Ok(0)
}

/// Recall and false accusations by platform and source kind, and in total.
fn score(scores: &Scores, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let total = scores.total();
    let all: Vec<(&str, &Score)> =
        scores.rows.iter().map(|(name, row)| (name.as_str(), row)).chain([("all", &total)]).collect();
    let lines: Vec<Value> = all.iter().map(|(name, row)| json!({ "of": name, "score": row })).collect();
    let rows = || {
        all.iter()
            .map(|(name, row)| {
                let recall = |share: Option<f64>| share.map_or_else(String::new, |share| format!("{share:.1}%"));
                vec![
                    (*name).to_owned(),
                    row.prohibited.to_string(),
                    recall(row.recall()),
                    row.others.to_string(),
                    recall(row.others_recall()),
                    row.harmless.to_string(),
                    row.accused.to_string(),
                    row.products.to_string(),
                    recall(row.products_recall()),
                ]
            })
            .collect::<Vec<_>>()
    };
    let page = |paint: &Paint| {
        let mut table = Table::new(&SCORE_HEADER);
        for row in rows() {
            table.row(row.into_iter().map(Cell::text).collect());
        }
        format!(
            "{}\n{} not counted: without a valid `expect` or `expect_product`, or of low certainty\n",
            table.text(paint),
            counted(scores.uncounted, "line")
        )
    };
    screen.show(&Answer { whole: scores, header: &SCORE_HEADER }, &lines, rows, page)?;
    Ok(0)
}

fn too_long() -> String {
    json!({ "error": format!("the line is longer than {LINE_BYTES} bytes") }).to_string()
}

/// The next line without its line ending, and whether it was cut off. Memory is bounded whatever comes in.
fn next_line(input: &mut dyn BufRead) -> std::io::Result<Option<(Vec<u8>, bool)>> {
    let (mut line, mut cut, mut any) = (Vec::new(), false, false);
    loop {
        let buffer = match input.fill_buf() {
            Ok(buffer) => buffer,
            // A signal came in between; nothing was read yet, so nothing is lost.
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if buffer.is_empty() {
            return Ok(any.then_some((line, cut)));
        }
        any = true;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let part = &buffer[..end.unwrap_or(buffer.len())];
        // The rest of a long line is read but not kept, so that no input can fill the memory.
        cut |= line.len() + part.len() > LINE_BYTES;
        if !cut {
            line.extend_from_slice(part);
        }
        let used = end.map_or(buffer.len(), |at| at + 1);
        input.consume(used);
        if end.is_some() {
            // Files from Windows end their lines with CR and LF.
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return Ok(Some((line, cut)));
        }
    }
}

/// Loads the rules with the overlay, and counts the overlay's files. Here a file that is not read is a fault, and so is an
/// empty directory: people who check a directory expect rules in it.
fn check_all(directory: Option<&Path>, progress: &Progress) -> Result<(Checked, usize), RuleErrors> {
    let Some(place) = directory else { return Ok((check_rules(&[], progress)?, 0)) };
    let overlay = rules::read_within(place, &OverlayLimits::default())?;
    let mut faults = overlay.strays;
    if overlay.files.is_empty() {
        let reason = format!("no rule file found: rule files end in .toml and are in one of {}", FOLDERS.join(", "));
        faults.push(RuleFault { file: place.display().to_string(), line: 0, reason });
    }
    match check_rules(&overlay.files, progress) {
        Ok(checked) if faults.is_empty() => Ok((checked, overlay.files.len())),
        Ok(_) => Err(RuleErrors::new(faults)),
        Err(refused) => Err(RuleErrors::new(refused.faults.into_iter().chain(faults).collect())),
    }
}

/// Faults are the answer of this command: programs get them as records, and the exit code is 1.
pub(super) fn check(asked: &CheckArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let progress = Progress::default();
    let shown = progress.show("checking the rules");
    let result = check_all(asked.directory.as_deref(), &progress);
    drop(shown);
    let (checked, overlay_files) = match result {
        Ok(checked) => checked,
        Err(refused) => return faults::show(refused, screen),
    };
    let rules = &checked.rules;
    let (products, orders, active) =
        (rules.catalogue.products().len(), rules.orders.len(), rules.active_orders().count());
    let whole = json!({
        "ok": true, "products": products, "orders": orders, "active": active, "scenarios": checked.scenarios,
        "overlay_files": overlay_files, "version": rules.version, "notices": checked.notices.iter().map(record).collect::<Vec<_>>(),
    });
    let mut page: String = checked.notices.iter().map(|notice| format!("notice: {notice}\n")).collect();
    page += &format!(
        "ok: {products} products, {orders} orders ({active} active), {} scenarios, version {}\n",
        checked.scenarios, rules.version
    );
    if let Some(place) = &asked.directory {
        page += &format!("    {} from {}\n", counted(overlay_files, "file"), place.display());
    }
    screen.show(&Answer { whole: &whole, header: &FAULT_HEADER }, std::slice::from_ref(&whole), Vec::new, |_| page)?;
    Ok(0)
}

fn platforms(product: &ProductReport) -> String {
    product.platforms.iter().map(|platform| platform.name()).collect::<Vec<_>>().join(" ")
}

fn row(product: &ProductReport) -> Vec<String> {
    vec![
        product.id.to_string(),
        product.name.clone(),
        product.vendor.clone(),
        product.category.clone(),
        product.family.clone(),
        platforms(product),
        product.recognisers.to_string(),
    ]
}

fn page(products: &[ProductReport], paint: &Paint) -> String {
    let mut table = Table::new(&["id", "name", "vendor", "category", "platforms", "recognisers"])
        .dispensable(&["recognisers", "category"]);
    for product in products {
        table.row(vec![
            Cell::text(product.id.as_str()),
            Cell::text(&product.name),
            Cell::text(&product.vendor),
            Cell::text(&product.category),
            Cell::text(platforms(product)),
            Cell::number(product.recognisers),
        ]);
    }
    format!("{}\n{}\n", table.text(paint), counted(products.len(), "product"))
}

fn one(product: &ProductReport, paint: &Paint) -> String {
    let mut text = format!("{}  {}\n", paint.bold(product.id.as_str()), clean(&product.name));
    text.push_str(&fields(&[
        ("vendor", &product.vendor),
        ("category", &product.category),
        ("family", or_dash(&product.family)),
        ("platforms", &platforms(product)),
    ]));
    text.push_str(&format!("  {}\n", counted(product.recognisers, "recogniser")));
    for detail in &product.details {
        text.push_str(&format!("    {}\n", clean(detail)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_cut_and_not_kept_in_memory() {
        let mut text = b"one\r\n\ntwo\n".to_vec();
        text.extend(vec![b'x'; 3 * LINE_BYTES]);
        text.extend(b"\nlast without an end");
        let mut input = BufReader::with_capacity(64, text.as_slice());
        let mut lines = Vec::new();
        while let Some((line, cut)) = next_line(&mut input).expect("read") {
            assert!(line.len() <= LINE_BYTES);
            lines.push((String::from_utf8(line[..line.len().min(19)].to_vec()).expect("text"), cut));
        }
        let plain: Vec<(&str, bool)> = lines.iter().map(|(line, cut)| (line.as_str(), *cut)).collect();
        assert_eq!(plain[..3], [("one", false), ("", false), ("two", false)]);
        assert!(plain[3].1, "the long line is marked");
        assert_eq!(plain[4], ("last without an end", false));
    }
}
