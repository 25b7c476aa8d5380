//! The user of this machine who runs `muster-collector`: the actor of what its commands change.

use rustix::process::getuid;

use crate::actions::Caller;

/// The caller of this command line.
pub(super) fn caller() -> Caller {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = name(&passwd, getuid().as_raw());
    // With sudo, the person is the one who called it. Only root can set the variable for a process of root.
    match std::env::var("SUDO_USER") {
        Ok(person) if getuid().is_root() && !person.is_empty() && person != user => {
            let person: String = person.chars().filter(|c| !c.is_control()).take(64).collect();
            Caller::collector(&format!("{user}, by sudo of {person}"))
        }
        _ => Caller::collector(&user),
    }
}

/// The name of a user in `/etc/passwd`. Users of a directory service are not in it and keep their number.
fn name(passwd: &str, uid: u32) -> String {
    let of_line = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    };
    passwd.lines().find_map(of_line).unwrap_or_else(|| format!("uid {uid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_the_name_of_the_password_file_or_a_number() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\n+::::::\nada:x:1000:1000:Ada:/home/ada:/bin/sh\n";
        assert_eq!(name(passwd, 0), "root");
        assert_eq!(name(passwd, 1000), "ada");
        assert_eq!(name(passwd, 1001), "uid 1001");
        assert_eq!(name("", 0), "uid 0");
    }
}
