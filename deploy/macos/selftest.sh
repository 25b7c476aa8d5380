#!/bin/sh
# Tests the installed agent on a real Mac, which no test of the project has. Run it as root, on a Mac that may be enrolled anew:
#
#   sudo ./selftest.sh
#
# Prints one line for each step. Ends with 1 if one failed.
set -u
agent='/Library/Application Support/Muster/muster-agent'
failed=0
output=$(mktemp -d) || exit 1
trap 'rm -rf "$output"; chmod g-w "$agent"' EXIT
trap 'exit 1' INT TERM

# step WHAT COMMAND…
step() {
    what=$1
    shift
    if "$@" >"$output/of-step" 2>&1; then
        printf 'ok      %s\n' "$what"
    else
        printf 'FAILED  %s\n' "$what"
        sed 's/^/        /' "$output/of-step"
        failed=1
    fi
}

# shellcheck disable=SC2317 # `step` calls it.
has() { "$@" | grep -q "$pattern"; }

# shellcheck disable=SC2317 # `step` calls it.
refused() { ! "$@"; }

[ "$(id -u)" = 0 ] || { echo 'run it as root' >&2; exit 2; }
step 'the program starts on this processor' "$agent" --version
step 'both processors are in the program' lipo "$agent" -verify_arch x86_64 arm64
# Without an identity only the part for Apple silicon is signed.
[ "$(uname -m)" != arm64 ] || step 'the signature is whole' codesign --verify --strict --architecture arm64 "$agent"
step 'launchd accepts the job' plutil -lint /Library/LaunchDaemons/muster-agent.plist
pattern='"active": *"running"'
step 'the service runs' has "$agent" service status --output json
step 'the service stops' "$agent" service stop
pattern='not loaded'
step 'launchd has unloaded it' has "$agent" service status --output json
step 'the service starts' "$agent" service start
pattern='boot_id'
step 'a scan reads the running Mac' has "$agent" scan --output json
step 'every step of the check passes' "$agent" check
pattern='muster-agent'
step 'the log has the agent' has log show --last 10m --style compact --predicate 'process == "muster-agent"'
pattern='"directories": *[1-9]'
step 'folders are watched for changes' has "$agent" status --output json
chmod g+w "$agent"
step 'a program that others may change is refused' refused "$agent" service install
chmod g-w "$agent"
step 'the service can be set up again' "$agent" service install
exit $failed
