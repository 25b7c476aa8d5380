//! Owner and access list of a file of Windows, as Windows writes them in text, and whether they are safe. Pure.
//!
//! The text is a security descriptor in the definition language (SDDL): `O:BAG:SYD:PAI(A;OICI;FA;;;SY)`. Sources:
//! <https://learn.microsoft.com/windows/win32/secauthz/security-descriptor-string-format>,
//! <https://learn.microsoft.com/windows/win32/secauthz/ace-strings>.

use super::Others;

/// The accounts that may do everything: Windows itself, the administrators, and the installer of Windows. Each of them
/// can read and change every file anyway. Then the placeholders for the owner of a file, who is one of these too.
const TRUSTED: &[&str] = &[
    "SY",
    "S-1-5-18",
    "BA",
    "S-1-5-32-544",
    "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464",
    "CO",
    "S-1-3-0",
    "OW",
    "S-1-3-4",
];

/// Bits of an access mask, <https://learn.microsoft.com/windows/win32/fileio/file-access-rights-constants>. For a folder, the
/// bits of writing and appending make files and folders in it.
const READ_DATA: u32 = 0x0001;
const WRITE_DATA: u32 = 0x0002;
const APPEND_DATA: u32 = 0x0004;
const WRITE_ATTRIBUTES: u32 = 0x0100;
const WRITE_EXTENDED: u32 = 0x0010;
const DELETE_CHILD: u32 = 0x0040;
const DELETE: u32 = 0x0001_0000;
const WRITE_DAC: u32 = 0x0004_0000;
const WRITE_OWNER: u32 = 0x0008_0000;
const GENERIC_ALL: u32 = 0x1000_0000;
const GENERIC_WRITE: u32 = 0x4000_0000;
const GENERIC_READ: u32 = 0x8000_0000;
const MAXIMUM_ALLOWED: u32 = 0x0200_0000;

const CHANGE: u32 = WRITE_DATA
    | APPEND_DATA
    | WRITE_ATTRIBUTES
    | WRITE_EXTENDED
    | DELETE_CHILD
    | DELETE
    | WRITE_DAC
    | WRITE_OWNER
    | GENERIC_ALL
    | GENERIC_WRITE
    | MAXIMUM_ALLOWED;
/// What lets an account put another folder in the place of one, with everything below it: it deletes or renames the folder, or one
/// in it, or gives itself the right to.
const REPLACE: u32 = DELETE_CHILD | DELETE | WRITE_DAC | WRITE_OWNER | GENERIC_ALL | MAXIMUM_ALLOWED;
const READ: u32 = READ_DATA | GENERIC_ALL | GENERIC_READ | MAXIMUM_ALLOWED;

/// The rights that the text names by two letters. Those that are not here neither read nor change a file.
const RIGHTS: &[(&str, u32)] = &[
    ("FA", 0x001f_01ff),
    ("FR", 0x0012_0089),
    ("FW", 0x0012_0116),
    ("FX", 0x0012_00a0),
    ("GA", GENERIC_ALL),
    ("GR", GENERIC_READ),
    ("GW", GENERIC_WRITE),
    ("GX", 0x2000_0000),
    ("RC", 0x0002_0000),
    ("SD", DELETE),
    ("WD", WRITE_DAC),
    ("WO", WRITE_OWNER),
    // The names for objects of a directory service, for the same bits.
    ("CC", 0x0001),
    ("DC", 0x0002),
    ("LC", 0x0004),
    ("SW", 0x0008),
    ("RP", 0x0010),
    ("WP", 0x0020),
    ("DT", 0x0040),
    ("LO", 0x0080),
    ("CR", 0x0100),
];

/// What makes a file unsafe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unsafe {
    /// It belongs to this account, who can change its access list.
    Owner(String),
    /// This account can `read` or `change` it.
    Open {
        /// What it can do, also `replace`.
        what: &'static str,
        /// The account; `everybody` where there is no access list.
        who: String,
    },
}

/// Owner and access list of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Descriptor {
    owner: String,
    /// What each account may do; `None` if there is no list, and everybody may do everything.
    allowed: Option<Vec<Allowed>>,
}

/// What an account may do.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Allowed {
    account: String,
    mask: u32,
    /// Not with the folder itself, but with what will be made in it.
    only_below: bool,
}

impl Descriptor {
    /// Reads the text of Windows; `None` if it is not understood, which is not safe.
    pub(super) fn parse(text: &str) -> Option<Self> {
        // A list that is cut off may lack the entry that counts.
        if !is_balanced(text) {
            return None;
        }
        let owner = part(text, "O:")?;
        let list = part(text, "D:");
        let flags = list.map(|list| list.split('(').next().unwrap_or_default());
        let allowed = match (list, flags) {
            (Some(list), Some(flags)) if !flags.contains("NO_ACCESS_CONTROL") => Some(entries(&list[flags.len()..])?),
            _ => None,
        };
        Some(Self { owner: owner.to_owned(), allowed })
    }

    /// Checks that the file belongs to a trusted account, or to this process' own.
    pub(super) fn check_owner(&self, own: &str) -> Result<(), Unsafe> {
        if is_trusted(&self.owner, own) { Ok(()) } else { Err(Unsafe::Owner(self.owner.clone())) }
    }

    /// Checks that only the trusted accounts and this process' own may do more than `others`.
    pub(super) fn check_list(&self, others: Others, own: &str) -> Result<(), Unsafe> {
        let Some(allowed) = &self.allowed else {
            return Err(Unsafe::Open { what: "change", who: "everybody".to_owned() });
        };
        let forbidden = match others {
            Others::Nothing => READ | CHANGE,
            // An administrator may leave a token on a share that the machines read.
            Others::GroupReads | Others::Read => CHANGE,
        };
        for Allowed { account, mask, .. } in allowed {
            if mask & forbidden != 0 && !is_trusted(account, own) {
                let what = if mask & forbidden & CHANGE == 0 { "read" } else { "change" };
                return Err(Unsafe::Open { what, who: shown(account) });
            }
        }
        Ok(())
    }

    /// Checks that only the trusted accounts and this process' own may put another folder in the place of this one or of one in
    /// it. Others may make files and folders. The top of a volume cannot be deleted or renamed.
    pub(super) fn check_above(&self, is_top: bool, own: &str) -> Result<(), Unsafe> {
        self.check_owner(own)?;
        let replace = |who| Unsafe::Open { what: "replace", who };
        let Some(allowed) = &self.allowed else { return Err(replace("everybody".to_owned())) };
        let forbidden = if is_top { REPLACE & !DELETE } else { REPLACE };
        let here = allowed.iter().filter(|entry| !entry.only_below);
        let mut others = here.filter(|entry| entry.mask & forbidden != 0 && !is_trusted(&entry.account, own));
        others.next().map_or(Ok(()), |entry| Err(replace(shown(&entry.account))))
    }
}

fn is_trusted(account: &str, own: &str) -> bool {
    account == own || TRUSTED.contains(&account) || administers_domain(account)
}

/// The administrators of a domain and of its forest administer each of its machines anyway, and usually the file server with the
/// token too. <https://learn.microsoft.com/windows-server/identity/ad-ds/manage/understand-security-identifiers>
fn administers_domain(account: &str) -> bool {
    let of_domain = account.strip_prefix("S-1-5-21-").and_then(|rest| rest.rsplit_once('-'));
    matches!(account, "DA" | "EA") || matches!(of_domain, Some((_, "512" | "519")))
}

/// Whether every parenthesis is closed. One within a text of a condition makes the descriptor one that is not understood.
fn is_balanced(text: &str) -> bool {
    let depth = text.chars().try_fold(0_usize, |depth, c| match c {
        '(' => Some(depth + 1),
        ')' => depth.checked_sub(1),
        _ => Some(depth),
    });
    depth == Some(0)
}

/// The part of a descriptor behind `O:` or `D:`, up to the next one. No account and no right contains a colon.
fn part<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    // The conditions of an entry may contain anything, and stand in parentheses.
    let mut depth = 0_usize;
    let mut begun = None;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            ':' if depth == 0 => {
                let key = at.checked_sub(1)?;
                if let Some(begun) = begun {
                    return text.get(begun..key);
                }
                if text.get(key..=at) == Some(name) {
                    begun = Some(at + 1);
                }
            }
            _ => {}
        }
    }
    text.get(begun?..)
}

/// The entries that allow something. Entries that deny are left out: they never make a file less safe.
fn entries(text: &str) -> Option<Vec<Allowed>> {
    let mut allowed = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let inner = rest.strip_prefix('(')?;
        let end = closing(inner)?;
        let fields: Vec<&str> = inner[..end].splitn(7, ';').collect();
        let [kind, flags, rights, _, _, account, ..] = fields[..] else { return None };
        // `XA` has a condition, and `OA` an object; both may allow. `D`, `XD`, `OD` deny.
        if matches!(kind, "A" | "XA" | "OA" | "ZA") {
            let only_below = flags.as_bytes().chunks(2).any(|flag| flag == b"IO");
            allowed.push(Allowed { account: account.to_owned(), mask: mask(rights)?, only_below });
        }
        rest = &inner[end + 1..];
    }
    Some(allowed)
}

/// Where the parenthesis ends that is open.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

fn mask(rights: &str) -> Option<u32> {
    if let Some(hex) = rights.strip_prefix("0x") {
        return u32::from_str_radix(hex, 16).ok();
    }
    if rights.starts_with(|c: char| c.is_ascii_digit()) {
        return rights.parse().ok();
    }
    let mut mask = 0;
    let mut rest = rights;
    while !rest.is_empty() {
        let name = rest.get(..2)?;
        mask |= RIGHTS.iter().find(|(known, _)| *known == name)?.1;
        rest = &rest[2..];
    }
    Some(mask)
}

/// The account, with a name for the usual ones.
fn shown(account: &str) -> String {
    let name = match account {
        "WD" | "S-1-1-0" => "Everyone",
        "BU" | "S-1-5-32-545" => "Users",
        "AU" | "S-1-5-11" => "Authenticated Users",
        "IU" | "S-1-5-4" => "everybody who is logged on",
        account => return account.to_owned(),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The account of the process.
    const OWN: &str = "S-1-5-21-1-2-3-1000";
    /// What `make_private_dir` sets.
    const PRIVATE: &str = "O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)";

    fn check(text: &str, others: Others) -> Result<(), Unsafe> {
        let descriptor = Descriptor::parse(text).unwrap_or_else(|| panic!("{text}"));
        descriptor.check_owner(OWN).and_then(|()| descriptor.check_list(others, OWN))
    }

    fn open(what: &'static str, who: &str) -> Result<(), Unsafe> {
        Err(Unsafe::Open { what, who: who.to_owned() })
    }

    #[test]
    fn what_only_the_system_and_administrators_may_use_is_safe() {
        for text in [
            PRIVATE,
            "O:SYG:SYD:(A;;FA;;;SY)(A;;FA;;;BA)",
            "O:S-1-5-32-544D:AI(A;ID;0x1f01ff;;;S-1-5-18)",
            "O:S-1-5-21-1-2-3-1000G:DUD:P(A;OICI;FA;;;S-1-5-21-1-2-3-1000)(A;OICIIO;GA;;;CO)",
            // Who denies takes nothing away, and an empty list allows nothing.
            "O:BAG:SYD:P(D;;FA;;;WD)(A;;FA;;;SY)",
            "O:BAG:SYD:P",
            "O:BAD:PAI(A;;FA;;;BA)S:AI(AU;SA;FA;;;WD)",
            "O:S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464D:(A;;FA;;;BA)",
            // A share of a domain.
            "O:DAD:PAI(A;;FA;;;BA)(A;;FA;;;S-1-5-21-1-2-3-512)(A;;FA;;;EA)",
        ] {
            assert_eq!(check(text, Others::Nothing), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_others_may_read_or_change_is_not() {
        // What a folder in ProgramData inherits: everybody who may log on reads it and makes files in it.
        let inherited = "O:BAG:SYD:AI(A;OICIID;FA;;;SY)(A;OICIID;FA;;;BA)(A;OICIIOID;GA;;;CO)(A;OICIID;0x1200a9;;;BU)\
                         (A;CIID;DCLCRPCR;;;BU)";
        assert_eq!(check(inherited, Others::Nothing), open("read", "Users"));
        assert_eq!(check(inherited, Others::Read), open("change", "Users"));
        for (entry, others, expected) in [
            ("(A;;FR;;;WD)", Others::Nothing, open("read", "Everyone")),
            ("(A;;FR;;;WD)", Others::Read, Ok(())),
            ("(A;;FR;;;WD)", Others::GroupReads, Ok(())),
            ("(A;;FX;;;AU)", Others::Nothing, Ok(())),
            ("(A;;FW;;;AU)", Others::Read, open("change", "Authenticated Users")),
            ("(A;;GA;;;S-1-1-0)", Others::Read, open("change", "Everyone")),
            ("(A;;SD;;;IU)", Others::Read, open("change", "everybody who is logged on")),
            ("(A;;WD;;;BU)", Others::Read, open("change", "Users")),
            ("(A;;WO;;;BU)", Others::Read, open("change", "Users")),
            ("(A;;0x40;;;BU)", Others::Read, open("change", "Users")),
            // What is only inherited holds for the next file that is made.
            ("(A;OICIIO;GA;;;BU)", Others::Read, open("change", "Users")),
            ("(XA;;FA;;;BU;(@User.Title==\"x\"))(A;;FA;;;SY)", Others::Read, open("change", "Users")),
            ("(A;;FA;;;S-1-5-21-1-2-3-1001)", Others::Read, open("change", "S-1-5-21-1-2-3-1001")),
            ("(A;;FA;;;S-1-5-21-1-2-3-1512)", Others::Read, open("change", "S-1-5-21-1-2-3-1512")),
            ("(A;;FA;;;S-1-5-512)", Others::Read, open("change", "S-1-5-512")),
        ] {
            let text = format!("O:BAG:SYD:P(A;;FA;;;SY){entry}");
            assert_eq!(check(&text, others), expected, "{text}");
        }
    }

    #[test]
    fn a_folder_above_is_safe_while_others_can_only_make_something_in_it() {
        let above = |text: &str, is_top| {
            let descriptor = Descriptor::parse(text).unwrap_or_else(|| panic!("{text}"));
            descriptor.check_above(is_top, OWN)
        };
        // The defaults of Windows: the top of its volume, that of another volume, and the folder of programs.
        let top = "O:S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464G:SYD:PAI(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)\
                   (A;OICI;0x1200a9;;;BU)(A;OICIIO;SDGXGWGR;;;AU)(A;;LC;;;AU)";
        let other = "O:BAG:SYD:AI(A;;0x1301bf;;;AU)(A;OICIIO;SDGXGWGR;;;AU)(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)";
        let programs =
            "O:SYG:SYD:PAI(A;;0x1301bf;;;SY)(A;OICIIO;GA;;;SY)(A;;0x1301bf;;;BA)(A;;0x1200a9;;;BU)(A;OICIIO;GA;;;CO)";
        assert_eq!((above(top, true), above(other, true), above(programs, false)), (Ok(()), Ok(()), Ok(())));
        let by = |who: &str| open("replace", who);
        // A folder that an administrator has made at the top inherits that everybody may delete it.
        let made =
            "O:BAG:SYD:AI(A;OICIID;FA;;;BA)(A;OICIID;0x1200a9;;;BU)(A;ID;0x1301bf;;;AU)(A;OICIIOID;SDGXGWGR;;;AU)";
        assert_eq!(above(made, false), by("Authenticated Users"));
        for entry in ["(A;;0x40;;;BU)", "(A;;WD;;;BU)", "(A;CI;WO;;;BU)", "(A;OICI;GA;;;BU)"] {
            assert_eq!(above(&format!("O:BAG:SYD:P(A;;FA;;;SY){entry}"), true), by("Users"), "{entry}");
        }
        assert_eq!(above("O:BUG:SYD:P(A;;FA;;;SY)", false), Err(Unsafe::Owner("BU".to_owned())));
        assert_eq!(above("O:BAG:SY", true), by("everybody"));
    }

    #[test]
    fn what_belongs_to_somebody_else_or_has_no_list_is_not_safe() {
        let owner = |text: &str| check(text, Others::Read);
        for account in ["S-1-5-21-1-2-3-1001", "BU", "LS"] {
            let text = format!("O:{account}G:SYD:P(A;;FA;;;SY)");
            assert_eq!(owner(&text), Err(Unsafe::Owner(account.to_owned())));
        }
        assert_eq!(owner("O:BAG:SYD:NO_ACCESS_CONTROL"), open("change", "everybody"));
        assert_eq!(owner("O:BAG:SY"), open("change", "everybody"));
    }

    #[test]
    fn what_is_not_understood_is_no_descriptor() {
        for text in [
            "",
            "D:(A;;FA;;;SY)",
            "O:BAD:(A;;QQ;;;SY)",
            "O:BAD:(A;;FA;;;SY",
            "O:BAD:(A;;FA)",
            "O:BAD:P)(",
            "O:BAD:(A;;F;;;SY)",
        ] {
            assert_eq!(Descriptor::parse(text), None, "{text}");
        }
    }
}
