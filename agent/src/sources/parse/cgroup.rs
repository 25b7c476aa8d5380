//! Control groups: which systemd unit a process belongs to.

/// The service unit in a line of `/proc/PID/cgroup`, if the line is of the unified hierarchy or of systemd's own one.
///
/// It is the first component of the path that is not a slice; deeper ones belong to containers.
#[must_use]
pub fn unit_of_group(line: &str) -> Option<&str> {
    let mut fields = line.splitn(3, ':');
    let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    if !((id == "0" && controllers.is_empty()) || controllers == "name=systemd") {
        return None;
    }
    let part = path.split('/').find(|part| !part.is_empty() && !has_extension(part, "slice"))?;
    has_extension(part, "service").then_some(part)
}

fn has_extension(name: &str, extension: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, found)| found == extension)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_unit_is_the_first_component_that_is_not_a_slice() {
        for (line, unit) in [
            ("0::/system.slice/kesl.service", Some("kesl.service")),
            ("0::/security.slice/security-av.slice/falcon-sensor.service/worker", Some("falcon-sensor.service")),
            ("1:name=systemd:/system.slice/clamav-daemon.service", Some("clamav-daemon.service")),
            ("4:memory:/system.slice/clamav-daemon.service", None),
            ("0::/system.slice/docker-0a.scope/system.slice/kesl.service", None),
            ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service", Some("user@1000.service")),
            ("0::/init.scope", None),
            ("0::/", None),
            ("nonsense", None),
        ] {
            assert_eq!(unit_of_group(line), unit, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = unit_of_group(&text);
        }
    }
}
