//! Tests of the spellings of image paths.

use proptest::prelude::*;

use super::*;

/// The folders of nearly every machine.
fn usual() -> Folders {
    Folders::usual('C')
}

/// The file that is used if only these exist.
fn chosen(path: &ImagePath, existing: &[&str]) -> String {
    let exists = |place: &&FilePlace| existing.iter().any(|file| file.eq_ignore_ascii_case(place.text()));
    let found = path.tries.iter().find(exists).or(path.likeliest.as_ref());
    found.map_or_else(String::new, |place| place.text().to_owned())
}

#[test]
fn a_driver_is_found_in_every_spelling() {
    let file = "C:\\Windows\\system32\\drivers\\klif.sys";
    for text in [
        "\\SystemRoot\\system32\\drivers\\klif.sys",
        "\\??\\C:\\Windows\\system32\\drivers\\klif.sys",
        "\\??\\c:\\windows\\system32\\drivers\\klif.sys",
        "\\\\?\\C:\\Windows\\system32\\drivers\\klif.sys",
        "%SystemRoot%\\system32\\drivers\\klif.sys",
        "%windir%/system32/drivers/klif.sys",
        "system32\\drivers\\klif.sys",
        "System32\\DRIVERS\\klif.sys",
        "klif.sys",
        "\\DosDevices\\C:\\Windows\\system32\\drivers\\klif.sys",
        "\\??\\GLOBALROOT\\SystemRoot\\system32\\drivers\\klif.sys",
        "\"C:\\Windows\\system32\\drivers\\klif.sys\"",
        "\\Windows\\system32\\drivers\\klif.sys",
        "C:\\Windows\\.\\inf\\..\\system32\\drivers\\klif.sys",
        "",
    ] {
        let path = of_driver(text, "klif", &usual());
        assert!(chosen(&path, &[file]).eq_ignore_ascii_case(file), "{text}: {path:?}");
        assert!(path.likeliest.is_some(), "{text}");
    }
    let path = of_driver("\\Device\\HarddiskVolume3\\Program Files\\X\\klif.sys", "klif", &usual());
    assert_eq!(path.tries, [FilePlace::UnknownVolume("\\Program Files\\X\\klif.sys".to_owned())]);
    let path = of_driver("C:\\Program Files\\Kaspersky Lab\\x y.sys", "klif", &usual());
    assert_eq!(chosen(&path, &[]), "C:\\Program Files\\Kaspersky Lab\\x y.sys", "a driver has no arguments");
}

#[test]
fn arguments_are_cut_and_quotation_marks_end_a_path() {
    for (text, file) in [
        ("\"C:\\Program Files\\K Lab\\avp.exe\" -r --k=\"x y\"", "C:\\Program Files\\K Lab\\avp.exe"),
        ("C:\\Program Files (x86)\\K Lab\\avp.exe -r", "C:\\Program Files (x86)\\K Lab\\avp.exe"),
        ("C:\\Program Files\\K Lab\\avp /service", "C:\\Program Files\\K Lab\\avp"),
        ("\"C:\\Program Files\\K Lab\\avp.exe", "C:\\Program Files\\K Lab\\avp.exe"),
        ("%SystemRoot%\\system32\\svchost.exe -k netsvcs -p", "C:\\Windows\\system32\\svchost.exe"),
        ("system32\\svchost.exe -k x", "C:\\Windows\\System32\\system32\\svchost.exe"),
        ("\\??\\C:\\K\\a.exe", "C:\\K\\a.exe"),
        ("c:/K/a.exe --x", "C:\\K\\a.exe"),
        ("\\\\server\\share\\a.exe -x", "\\\\server\\share\\a.exe"),
        ("\\\\?\\UNC\\server\\share\\a.exe", "\\\\server\\share\\a.exe"),
        ("%APPDATA%\\x\\a.exe -q", "%APPDATA%\\x\\a.exe"),
        ("C:\\x.executable\\a.exe.old\\b.exe -q", "C:\\x.executable\\a.exe.old\\b.exe"),
    ] {
        assert_eq!(chosen(&of_program(text, &usual()), &[]), file, "{text}");
    }
    assert_eq!(of_program("  ", &usual()), ImagePath::default());
}

#[test]
fn the_file_that_exists_decides_an_unquoted_path_with_blanks() {
    let text = "C:\\Program Files\\Kaspersky Lab\\My App\\avp.exe run now";
    let path = of_program(text, &usual());
    let whole = "C:\\Program Files\\Kaspersky Lab\\My App\\avp.exe";
    assert_eq!(chosen(&path, &[whole]), whole);
    assert_eq!(chosen(&path, &["C:\\Program.exe", whole]), "C:\\Program.exe", "as Windows does");
    let blank = "C:\\Kaspersky Lab\\avp service.exe";
    assert_eq!(chosen(&of_program(blank, &usual()), &[blank]), blank);
    let bare = of_program("C:\\Kaspersky Lab\\avp -r", &usual());
    assert_eq!(chosen(&bare, &["C:\\Kaspersky Lab\\avp.exe"]), "C:\\Kaspersky Lab\\avp.exe");
    let relative = of_program("system32\\svchost.exe -k x", &usual());
    let file = "C:\\Windows\\system32\\svchost.exe";
    assert_eq!(chosen(&relative, &[file]), file);
    assert_eq!(chosen(&of_program("svchost.exe", &usual()), &[file]).to_lowercase(), file.to_lowercase());
}

#[test]
fn a_variable_or_folder_of_two_views_gives_both() {
    let folders = Folders::usual('D');
    let text = "%ProgramFiles%\\Kaspersky Lab\\avp.exe";
    for folder in ["Program Files", "Program Files (x86)"] {
        let file = format!("D:\\{folder}\\Kaspersky Lab\\avp.exe");
        assert_eq!(chosen(&of_program(text, &folders), &[&file]), file);
    }
    let file = "C:\\Windows\\SysWOW64\\x.exe";
    assert_eq!(chosen(&of_program("%windir%\\system32\\x.exe", &usual()), &[file]), file);
    let native = "C:\\Windows\\System32\\x.exe";
    assert_eq!(chosen(&of_program("C:\\Windows\\Sysnative\\x.exe", &usual()), &[]), native);
}

#[test]
fn variables_mean_the_folders_of_this_machine() {
    let folders = Folders {
        letter: 'D',
        program_files: BothViews {
            native: r"E:\Programs".to_owned(),
            of_32_bits: r"E:\Programs of 32 bits".to_owned(),
        },
        common_files: BothViews { native: r"E:\Shared".to_owned(), of_32_bits: r"E:\Shared of 32 bits".to_owned() },
        program_data: r"F:\Data".to_owned(),
        public: r"F:\Everybody".to_owned(),
        system_root: r"D:\WINNT".to_owned(),
        doubt: None,
    };
    for (text, files) in [
        (r"%ProgramFiles%\x.exe", &[r"E:\Programs\x.exe", r"E:\Programs of 32 bits\x.exe"][..]),
        (r"%ProgramW6432%\x.exe", &[r"E:\Programs\x.exe"]),
        (r"%programfiles(x86)%\x.exe", &[r"E:\Programs of 32 bits\x.exe"]),
        (r"%CommonProgramFiles%\x.exe", &[r"E:\Shared\x.exe", r"E:\Shared of 32 bits\x.exe"]),
        (r"%CommonProgramW6432%\x.exe", &[r"E:\Shared\x.exe"]),
        (r"%CommonProgramFiles(x86)%\x.exe", &[r"E:\Shared of 32 bits\x.exe"]),
        (r"%ProgramData%\x.exe", &[r"F:\Data\x.exe"]),
        (r"%AllUsersProfile%\x.exe", &[r"F:\Data\x.exe"]),
        (r"%Public%\x.exe", &[r"F:\Everybody\x.exe"]),
        (r"%SystemRoot%\x.exe", &[r"D:\WINNT\x.exe"]),
        (r"\SystemRoot\x.exe", &[r"D:\WINNT\x.exe"]),
        (r"%SystemDrive%\x.exe", &[r"D:\x.exe"]),
    ] {
        let expected: Vec<FilePlace> = files.iter().map(|file| FilePlace::Local((*file).to_owned())).collect();
        assert_eq!(of_program(text, &folders).tries, expected, "{text}");
    }
    // In a folder that nobody could read, it may be elsewhere.
    let unknown = Folders { doubt: Some("permission denied".to_owned()), ..folders };
    let tries = of_program(r"%ProgramData%\x.exe", &unknown).tries;
    let elsewhere = FilePlace::Variable(r"%ProgramData%\x.exe".to_owned());
    assert_eq!(tries, [FilePlace::Local(r"F:\Data\x.exe".to_owned()), elsewhere]);
    assert_eq!(of_program(r"C:\x.exe", &unknown).tries, [FilePlace::Local(r"C:\x.exe".to_owned())]);
}

#[test]
fn a_text_of_many_words_has_a_bounded_number_of_meanings() {
    let text = format!("C:\\{}", "a ".repeat(20_000));
    assert!(of_program(&text, &usual()).tries.len() <= 2 * (CUTS + 1));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), spelled in "([\\\\/?%.: \"]|\\?\\?|SystemRoot|C:|UNC|ä|exe){0,30}") {
        for text in [&text, &spelled] {
            let both = || BothViews { native: text.clone(), of_32_bits: text.clone() };
            let hostile =
                Folders { program_files: both(), common_files: both(), system_root: text.clone(), ..usual() };
            let _ = (of_driver(text, text, &usual()), of_program(text, &usual()), of_program(text, &hostile));
        }
    }
}
