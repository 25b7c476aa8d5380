//! Forms that send files.

use http::StatusCode;
use muster_proto::model::Role;

use super::kit::Lab;

const LIST: &str = "name,serial,owner,colour\nhost-north,SN1,Ada,red\npc-1,SN2,Bob,blue\n";

#[tokio::test]
async fn a_list_of_machines_is_previewed_and_imported() {
    let lab = Lab::start().await;
    let cookie = lab.login("ada", Role::Operator, &[]).await;
    let coverage = lab.get("/coverage", Some(&cookie)).await.html();
    assert!(coverage.all("input").iter().any(|input| input.attribute("type") == Some("file")));
    let before = lab.ledger_entries().await;
    let fields = |what| [("source", "bought"), ("preset", ""), ("map", ""), ("do", what)];
    let preview = lab.upload("/coverage", &fields("preview"), &[("file", "C:\\x\\l.csv", LIST)], &cookie).await;
    assert_eq!(preview.status, StatusCode::OK, "{}", preview.text);
    let page = preview.html();
    assert_eq!(page.faults(), Vec::<String>::new());
    let text = page.text();
    assert!(text.contains("Nothing was changed") && text.contains("2 rows") && text.contains("pc-1"), "{text}");
    assert!(text.contains("Not used: colour"), "{text}");
    assert_eq!(lab.ledger_entries().await, before);

    let done = lab.upload("/coverage", &fields("import"), &[("file", "l.csv", LIST)], &cookie).await;
    assert!(done.html().text().contains("What the import changed"), "{}", done.text);
    let list = lab.get("/coverage?text=pc-1", Some(&cookie)).await.html().text();
    assert!(list.contains("pc-1") && list.contains("bought") && list.contains("Bob"), "{list}");
    let again = lab.upload("/coverage", &fields("import"), &[("file", "l.csv", LIST)], &cookie).await;
    let rows = again.html().rows();
    assert!(rows.iter().any(|row| row[..2] == ["unchanged", "2"]), "{rows:?}");

    // Half of the list is gone.
    let short = "name,serial\npc-1,SN2\n";
    let lost = lab.upload("/coverage", &fields("import"), &[("file", "l.csv", short)], &cookie).await;
    assert!(lost.status.is_client_error(), "{}", lost.status);
    let accepted = [&fields("import")[..], &[("accept_loss", "1")]].concat();
    let closed = lab.upload("/coverage", &accepted, &[("file", "l.csv", short)], &cookie).await;
    assert!(closed.html().rows().iter().any(|row| row[..2] == ["absent", "1"]), "{}", closed.html().text());
}

#[tokio::test]
async fn a_file_that_is_no_list_changes_nothing_and_is_named() {
    let lab = Lab::start().await;
    let cookie = lab.login("ada", Role::Operator, &[]).await;
    let viewer = lab.login("vera", Role::Viewer, &[]).await;
    let before = lab.ledger_entries().await;
    let fields = [("source", "bought"), ("do", "import")];
    let odd = "<html></html>";
    let broken = "colour,taste\nred,sweet\n";
    let twice = "name,serial\na,1\na,1\n";
    for (files, says) in [
        (&[][..], "No file was chosen"),
        (&[("file", "", "")][..], "No file was chosen"),
        (&[("file", "a.csv", LIST), ("file", "b.csv", LIST)][..], "one file"),
        (&[("file", "a.csv", odd)][..], "cannot be read as a list"),
        (&[("file", "a.csv", broken)][..], "cannot be read as a list"),
        (&[("file", "a.csv", twice)][..], "same machine as line"),
    ] {
        let refused = lab.upload("/coverage", &fields, files, &cookie).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{says}: {}", refused.text);
        assert!(refused.html().text().contains(says), "{says}: {}", refused.html().text());
    }
    for (fields, says) in [
        ([("source", "bought"), ("do", "perhaps")], "neither preview nor import"),
        ([("source", "No Name!"), ("do", "import")], "name of a source"),
        ([("colour", "red"), ("do", "import")], "colour"),
    ] {
        let refused = lab.upload("/coverage", &fields, &[("file", "a.csv", LIST)], &cookie).await;
        assert!(refused.status.is_client_error(), "{says}: {}", refused.status);
        assert!(refused.html().text().contains(says), "{says}: {}", refused.html().text());
    }
    let large = "x".repeat(9 << 20);
    let refused = lab.upload("/coverage", &fields, &[("file", "a.csv", &large)], &cookie).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(refused.html().text().contains("8 MiB"), "{}", refused.html().text());
    let refused = lab.upload("/coverage", &fields, &[("file", "a.csv", LIST)], &viewer).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(lab.ledger_entries().await, before);
}
