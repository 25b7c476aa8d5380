//! The proxy that `netsh winhttp` or a policy sets for the whole machine. A service has no settings of a user.

use std::ptr;

use windows_sys::Win32::Foundation::GlobalFree;
use windows_sys::Win32::Networking::WinHttp::{
    WINHTTP_ACCESS_TYPE_NAMED_PROXY, WINHTTP_PROXY_INFO, WinHttpGetDefaultProxyConfiguration,
};

/// The list of proxies and the list of hosts without one; `None` if the machine has no proxy.
#[expect(unsafe_code, reason = "settings of Windows")]
pub(in crate::os) fn machine_proxy() -> Option<(String, String)> {
    let mut found =
        WINHTTP_PROXY_INFO { dwAccessType: 0, lpszProxy: ptr::null_mut(), lpszProxyBypass: ptr::null_mut() };
    // SAFETY: the structure is written by the call, and its texts are freed below.
    // <https://learn.microsoft.com/windows/win32/api/winhttp/nf-winhttp-winhttpgetdefaultproxyconfiguration>
    if unsafe { WinHttpGetDefaultProxyConfiguration(&mut found) } == 0 {
        return None;
    }
    let (proxies, bypass) = (taken(found.lpszProxy), taken(found.lpszProxyBypass));
    (found.dwAccessType == WINHTTP_ACCESS_TYPE_NAMED_PROXY && !proxies.is_empty()).then_some((proxies, bypass))
}

/// Copies a text of Windows and frees it.
#[expect(unsafe_code, reason = "memory of Windows")]
fn taken(text: *mut u16) -> String {
    if text.is_null() {
        return String::new();
    }
    let mut length = 0;
    // SAFETY: the text ends with a zero, nothing is read behind it, and it is freed once.
    // <https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-globalfree>
    unsafe {
        while *text.add(length) != 0 {
            length += 1;
        }
        let copy = String::from_utf16_lossy(std::slice::from_raw_parts(text, length));
        GlobalFree(text.cast());
        copy
    }
}

#[cfg(test)]
mod tests {
    use windows_registry::{LOCAL_MACHINE, Type};

    use super::*;

    #[test]
    fn the_proxy_of_the_machine_is_read() {
        let key = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings\Connections";
        let connections = LOCAL_MACHINE.create(key).expect("created");
        let before = connections.get_value("WinHttpSettings").ok();
        // What `netsh winhttp set proxy` writes: size, counter, a named proxy, and two texts with their lengths.
        let (proxies, bypass) = ("http=a.example:80;https=b.example:8080", "<local>;*.example");
        let mut bytes: Vec<u8> = [0x18_u32, 0, 3].into_iter().flat_map(u32::to_le_bytes).collect();
        for text in [proxies, bypass] {
            bytes.extend(u32::try_from(text.len()).expect("short").to_le_bytes());
            bytes.extend(text.as_bytes());
        }
        connections.set_bytes("WinHttpSettings", Type::Bytes, &bytes).expect("written");
        let read = machine_proxy();
        match before {
            Some(value) => connections.set_value("WinHttpSettings", &value),
            None => connections.remove_value("WinHttpSettings"),
        }
        .expect("restored");
        assert_eq!(read, Some((proxies.to_owned(), bypass.to_owned())));
    }
}
