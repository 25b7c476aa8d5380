//! Tests of the door to property lists.

use proptest::prelude::*;

use super::*;

const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
    \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\">\n<dict>\n\t<key>Label</key>\n\
    \t<string>com.example.&lt;job&gt;</string>\n<key>RunAtLoad</key><true/><key>Nice</key><integer>-5</integer>\n\
    <key>Args</key><array><string>/bin/x</string><real>1.5</real><date>2026-01-02T03:04:05Z</date><data>AAAA</data></array>\
    </dict>\n</plist>\n";

/// A binary list: objects in order, each as bytes, with references of one byte.
fn binary(objects: &[&[u8]], root: u8) -> Vec<u8> {
    let mut bytes = b"bplist00".to_vec();
    let mut offsets = Vec::new();
    for object in objects {
        offsets.push(u8::try_from(bytes.len()).expect("a short list"));
        bytes.extend(*object);
    }
    let table = bytes.len();
    bytes.extend(&offsets);
    bytes.extend([0, 0, 0, 0, 0, 0, 1, 1]);
    bytes.extend((objects.len() as u64).to_be_bytes());
    bytes.extend(u64::from(root).to_be_bytes());
    bytes.extend((table as u64).to_be_bytes());
    bytes
}

#[test]
fn xml_and_the_old_form_are_read() {
    let plist = parse(XML.as_bytes()).expect("a list");
    assert_eq!(plist.text("Label"), "com.example.<job>");
    assert_eq!((plist.flag("RunAtLoad"), plist.text("Nice").as_str()), (Some(true), "-5"));
    assert_eq!(plist.texts("Args"), ["/bin/x", "1.5"]);
    assert_eq!(plist.get("Args").and_then(Plist::array).map(Vec::len), Some(4));
    let old =
        parse(b"{ CFBundleIdentifier = \"com.kaspersky.kav\"; Parts = (a, b); 7 = { x = 1; }; }").expect("a list");
    assert_eq!(old.text("CFBundleIdentifier"), "com.kaspersky.kav");
    assert_eq!(old.texts("Parts"), ["a", "b"]);
    assert_eq!(old.at(&["7", "x"]), Some(&Plist::Integer(1)));
}

#[test]
fn a_list_that_was_cut_anywhere_is_a_fault() {
    let end = XML.rfind("</dict>").expect("an end") + "</dict>".len();
    for cut in 0..end {
        assert!(parse(&XML.as_bytes()[..cut]).is_err(), "cut at {cut}");
    }
    let bytes = binary(&[b"\xd1\x01\x02", b"\x51a", b"\x51b"], 0);
    assert_eq!(parse(&bytes).expect("a list").text("a"), "b");
    for cut in 0..bytes.len() {
        assert!(parse(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    for more in ["<string/>", "{a=b;", "junk", "{ a = b; } x"] {
        assert!(parse(more.as_bytes()).is_err(), "{more}");
    }
}

#[test]
fn a_list_that_contains_or_repeats_itself_is_a_fault() {
    assert_eq!(parse(&binary(&[b"\xa1\x00"], 0)), Err(PlistFault::Circle));
    assert_eq!(parse(&binary(&[b"\xa1\x01", b"\xa1\x00"], 0)), Err(PlistFault::Circle));
    // Each level names the next one 15 times: a short file for more values than there is memory.
    let objects: Vec<Vec<u8>> = (0..16_u8)
        .map(|level| if level == 15 { b"\x51x".to_vec() } else { [vec![0xae], vec![level + 1; 14]].concat() })
        .collect();
    let objects: Vec<&[u8]> = objects.iter().map(Vec::as_slice).collect();
    assert_eq!(parse(&binary(&objects, 0)), Err(PlistFault::TooLarge));
    let deep = "<array>".repeat(5000) + &"</array>".repeat(5000);
    assert_eq!(parse(deep.as_bytes()), Err(PlistFault::TooLarge));
}

#[test]
fn what_only_other_programs_write_is_a_fault_and_no_loss() {
    let literal = XML.replace("com.example.&lt;job&gt;", "<![CDATA[com.kaspersky.kav]]>");
    assert_eq!(parse(literal.as_bytes()), Err(PlistFault::Foreign));
    let entity = XML.replace("<plist version", "<!ENTITY k \"kaspersky\"><plist version");
    assert_eq!(parse(entity.as_bytes()), Err(PlistFault::Foreign));
    let archive = "<plist><dict><key>$archiver</key><string>NSKeyedArchiver</string></dict></plist>";
    assert_eq!(parse(archive.as_bytes()), Err(PlistFault::Archive));
    let wide: Vec<u8> = XML.encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert!(parse(&wide).is_err());
}

#[test]
fn an_object_that_nothing_refers_to_shows_that_a_reference_was_lost() {
    let bytes = binary(&[b"\xd1\x01\x02", b"\x51a", b"\xa0", b"\x51c"], 0);
    assert_eq!(parse(&bytes), Err(PlistFault::Unreferenced));
    let short = binary(&[b"\xd1\x01\x02", b"\x51a", b"\x50b"], 0);
    assert_eq!(parse(&short), Err(PlistFault::Unreferenced), "a text was cut");
    assert!(parse(&binary(&[b"\xd1\x01\x02", b"\x51a", b"\x52bc"], 0)).is_ok());
    assert!(parse(XML.as_bytes()).is_ok());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        text in "(<plist>|<dict>|</dict>|<key>|</key>|<array>|</array>|<string>|x|&lt;|\\{|\\}|=|;|\\(|\\)|,|\"|/\\*|\\\\U1| ){0,40}",
        objects in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..8), 1..10),
    ) {
        let objects: Vec<&[u8]> = objects.iter().map(Vec::as_slice).collect();
        for bytes in [&bytes[..], text.as_bytes(), &binary(&objects, 0)] {
            let _ = parse(bytes);
        }
    }
}
