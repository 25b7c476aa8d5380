#!/bin/sh
# Removes the agent from this Mac. Settings, identity and spool stay without --purge. Run it as root.
#
#   uninstall.sh [--purge] [--root DIR]
set -eu
folder='Library/Application Support/Muster'
job=Library/LaunchDaemons/muster-agent.plist
root='' purge=no

fail() {
    printf 'uninstall.sh: %s\n' "$*" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case $1 in
        --root) root=${2:?a folder}; shift 2 ;;
        --purge) purge=yes; shift ;;
        *) sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done
if [ -n "$root" ]; then
    [ -d "$root" ] || fail "there is no folder $root"
    # A running Mac shows the folders of this volume at the top.
    [ -L "$root/System/Volumes/Data" ] || [ ! -d "$root/System/Volumes/Data" ] || root=$root/System/Volumes/Data
else
    [ "$(uname -s)" = Darwin ] || fail 'this is no Mac; use --root DIR'
    [ "$(id -u)" = 0 ] || fail 'run it as root: sudo ./uninstall.sh'
    program="/$folder/muster-agent"
    if [ -x "$program" ]; then
        # A program that cannot run must not keep the rest from being removed.
        "$program" service uninstall || echo 'uninstall.sh: the program cannot remove its service; removing the files' >&2
        [ "$purge" = no ] || "$program" service purge || true
    fi
    launchctl bootout system/muster-agent 2>/dev/null || true
    # A .pkg has left a receipt.
    pkgutil --forget muster-agent >/dev/null 2>&1 || true
fi
rm -f "$root/$job" "$root/$folder/muster-agent"
if [ "$purge" = yes ]; then
    rm -rf "$root/$folder/agent" "$root/$folder/agent.toml" "$root/$folder/agent.d"
fi
# Only if nothing is left in it.
rmdir "$root/$folder" 2>/dev/null || true
