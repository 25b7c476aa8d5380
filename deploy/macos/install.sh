#!/bin/sh
# Installs the agent of this archive on this Mac, or upgrades it. Settings, identity and spool stay. Run it as root.
#
#   install.sh [--collector URL] [--token-file FILE] [--no-start]
#   install.sh --root DIR       copies the files below DIR only
set -eu
umask 022
here=$(cd "$(dirname "$0")" && pwd)
folder='Library/Application Support/Muster'
job=Library/LaunchDaemons/muster-agent.plist
root='' collector='' token='' start=yes

fail() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case $1 in
        --root) root=${2:?a folder}; shift 2 ;;
        --collector) collector=${2:?an address}; shift 2 ;;
        --token-file) token=${2:?a file}; shift 2 ;;
        --no-start) start=no; shift ;;
        *) sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done
if [ -n "$root" ]; then
    [ -d "$root" ] || fail "there is no folder $root"
    [ -z "$collector$token" ] || fail 'the collector can be set on the running Mac only'
    # A running Mac shows the folders of this volume at the top.
    [ -L "$root/System/Volumes/Data" ] || [ ! -d "$root/System/Volumes/Data" ] || root=$root/System/Volumes/Data
else
    [ "$(uname -s)" = Darwin ] || fail 'this is no Mac; use --root DIR'
    [ "$(id -u)" = 0 ] || fail 'run it as root: sudo ./install.sh'
fi

# copy FILE MODE: replaces the file at once, so that a running program keeps its own.
copy() {
    target=$root/$1
    mkdir -p "${target%/*}"
    cp "$here/payload/$1" "$target.new"
    chmod "$2" "$target.new"
    [ "$(id -u)" != 0 ] || chown 0:0 "$target.new"
    mv -f "$target.new" "$target"
}

copy "$folder/muster-agent" 755
if [ -n "$root" ]; then
    copy "$job" 644
    exit 0
fi
# What a browser has downloaded is not started.
xattr -d com.apple.quarantine "/$folder/muster-agent" 2>/dev/null || true
if [ -n "$collector$token" ]; then
    set -- service configure
    [ -z "$collector" ] || set -- "$@" --collector "$collector"
    [ -z "$token" ] || set -- "$@" --token-file "$token"
    "/$folder/muster-agent" "$@"
fi
if [ "$start" = no ]; then
    "/$folder/muster-agent" service install --no-start
else
    "/$folder/muster-agent" service install
fi
