#!/bin/sh
# What `top` costs on eight simulated cards with 200 processes whose readings change each second, beside other monitors on the same driver.
#
#   benches/monitor.sh
#
# SECONDS_LIVE=300  time over which the CPU is measured, one sample a second, terminal of 120×40
# STARTS=21         starts of which the first frame and the snapshot are timed
# PYTHON=python3    an interpreter (standard library alone)
# NVITOP=, ALL_SMI= programs to measure beside it; left out where they are not named
# SHARDFIT=         another build to measure
# RECORD=1          append the table to benches/RESULTS.md
set -eu
cd "$(dirname "$0")/.."

seconds=${SECONDS_LIVE:-300} starts=${STARTS:-21} python=${PYTHON:-python3}
folder=$(mktemp -d)
table=$folder/table
pids=
trap 'kill $pids 2>/dev/null || true; rm -rf "$folder"' EXIT

cargo build --release --quiet --bin shardfit
cargo build --release --quiet -p simgpu --example machine
shardfit=${SHARDFIT:-$PWD/target/release/shardfit}

for _ in $(seq 200); do
    sleep 100000 &
    pids="$pids $!"
done
# Settings of whoever runs this stay out of it.
export XDG_CONFIG_HOME="$folder"
eval "$(target/release/examples/machine "$folder/machine" --cards 8 --wander --processes "$pids")"

row() { printf '| %s | %s | %s | %s | %s | %s |\n' "$@" >>"$table"; }

# A row of a monitor: name, words that its first whole frame ends with (commas between), its command; then its command for one snapshot.
measure() {
    name=$1 words=$2 live=$3 once=$4
    # The simulated driver keeps a page for each process that ever asked it: every row starts with an empty book.
    rm -f "$SIMGPU_STATE"
    # shellcheck disable=SC2086
    "$python" benches/monitor.py live "$seconds" 120 40 "$starts" "$words" $live >"$folder/live"
    rm -f "$SIMGPU_STATE"
    # shellcheck disable=SC2086
    "$python" benches/monitor.py once "$starts" $once >"$folder/once"
    tab=$(printf '\t')
    IFS="$tab" read -r cpu user system memory frame frames written <"$folder/live"
    IFS="$tab" read -r snapshot snapshots <"$folder/once"
    row "$name" "$cpu % ($user user, $system system)" "$memory MB" "$frame ms ($frames)" "$snapshot ms ($snapshots)" "$written"
}

export TERM=xterm-256color
measure "shardfit top" "processes 200,quit" "$shardfit top" "$shardfit top --once"
[ -z "${NVITOP:-}" ] || measure "nvitop" "Processes:" "$NVITOP" "$NVITOP -1"
[ -z "${ALL_SMI:-}" ] || measure "all-smi" "${ALL_SMI_WORDS:-GPU}" "$ALL_SMI local --interval 1" "$ALL_SMI snapshot"

{
    printf 'On %s, %s; load average %s. ' "$(date -u +%F)" "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(nproc) cores" \
        "$(cut -d' ' -f1-3 /proc/loadavg)"
    printf '%s over %s s; %s starts, medians.\n\n' "$("$shardfit" --version)$(git log -1 --format=', %h')" "$seconds" "$starts"
    printf '| | CPU, of one core | peak memory | first frame | one snapshot | bytes drawn a second |\n| --- | --- | --- | --- | --- | --- |\n'
    cat "$table"
} >"$folder/report"
cat "$folder/report"
[ -z "${RECORD:-}" ] || { echo; cat "$folder/report"; } >>benches/RESULTS.md
