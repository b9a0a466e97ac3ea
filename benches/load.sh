#!/bin/sh
# How fast a warm checkpoint of at least four files reaches its cards, beside what the machine allows and what others do. One table.
#
#   benches/load.sh [FOLDER]          folder for the checkpoint (8 GB) and the copies; default: a temporary one
#
# LAYERS=18        layers of the checkpoint, about 0.44 GB each
# RUNS=3           runs of each row, of which the best counts
# DEVICE=host      `cuda` loads onto card 0 instead
# PYTHON=python3   an interpreter with `safetensors` and `numpy` (and `torch` for `DEVICE=cuda`); rows are left out where they are missing
# RECORD=1         append the table to benches/RESULTS.md
set -eu
given=$#
cd "$(dirname "$0")/.."

layers=${LAYERS:-18} runs=${RUNS:-3} device=${DEVICE:-host} python=${PYTHON:-python3}
folder=${1:-$(mktemp -d)}
checkpoint=$folder/checkpoint-$layers
table=$(mktemp)
trap 'rm -f "$table"; [ $given -gt 0 ] || rm -rf "$folder"' EXIT

cargo build --release --quiet --bin shardfit --example 02_write_large_checkpoint
[ -f "$checkpoint/config.json" ] || cargo run --release --quiet --example 02_write_large_checkpoint -- --out "$checkpoint" \
    --hidden 4096 --layers "$layers" --heads 32 --kv-heads 8 --intermediate 14336 --vocabulary 32000 --shards 4
bytes=$(cat "$checkpoint"/*.safetensors | wc -c)   # and keeps it in the page cache

row() { printf '| %s | %s | %s | %s |\n' "$1" "$2" "$3" "$4" >>"$table"; }
seconds() { # the best of the runs of a command
    best=
    for _ in $(seq "$runs"); do
        start=$(date +%s.%N)
        "$@" >/dev/null
        best=$(echo "$start $(date +%s.%N) ${best:-1e9}" | awk '{ t = $2 - $1; print (t < $3) ? t : $3 }')
    done
    echo "$best"
}
rate() { echo "$bytes $1" | awk '{ printf "%.2f", $1 / $2 / 1e9 }'; }

# What the machine allows.
limit=
limits=$(mktemp)
SHARDFIT_BENCH_FILES=$checkpoint cargo bench --quiet --bench load >"$limits"
while IFS="$(printf '\t')" read -r name value; do
    row "limit: $name" "$value" - -
    limit=$value
done <"$limits"
rm -f "$limits"

# Others.
if [ -d /dev/shm ] && [ "$(df --output=avail -B1 /dev/shm | tail -1)" -gt "$bytes" ]; then
    copies=/dev/shm/shardfit-bench.$$
    copy() { rm -rf "$copies"; mkdir "$copies"; cp "$checkpoint"/*.safetensors "$copies"; }
    row 'cp to tmpfs' "$(rate "$(seconds copy)")" - -
    rm -rf "$copies"
fi
ranks_of_python() { # one process a rank, each with its slices of every tensor, as vLLM's workers load
    pids=
    for rank in $(seq 0 $(($1 - 1))); do
        "$python" - "$checkpoint" "$1" "$rank" "$device" <<'EOF' &
import glob, sys
from safetensors import safe_open
folder, tp, rank, device = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
framework = "pt" if device == "cuda" else "numpy"
try:
    import ml_dtypes  # numpy has no bfloat16 of its own
except ImportError:
    framework = "pt"
held = []
for path in sorted(glob.glob(folder + "/*.safetensors")):
    with safe_open(path, framework) as file:
        for name in file.keys():
            view = file.get_slice(name)
            shape = view.get_shape()
            axis = 1 if name.endswith(("o_proj.weight", "down_proj.weight")) else 0
            if len(shape) < 2 or shape[axis] % tp:
                part = view[:]
            else:
                step = shape[axis] // tp
                cut = slice(rank * step, (rank + 1) * step)
                part = view[cut] if axis == 0 else view[:, cut]
            held.append(part.to("cuda:0") if device == "cuda" else part.copy() if hasattr(part, "copy") else part.clone())
EOF
        pids="$pids $!"
    done
    for pid in $pids; do wait "$pid"; done
}
if "$python" -c 'import safetensors, numpy' 2>/dev/null && { "$python" -c 'import ml_dtypes' || "$python" -c 'import torch'; } 2>/dev/null; then
    for tp in 1 8; do
        row "python safetensors get_slice, $tp rank(s)" "$(rate "$(seconds ranks_of_python $tp)")" - -
    done
fi

# The program: its own clock, from the first read to the last byte; peak memory beside the arenas of host cards.
for case in '1 buffered' '2 buffered' '4 buffered' '8 buffered' '1 direct'; do
    tp=${case% *} io=${case#* }
    best=0 most=0 staging=0
    for _ in $(seq "$runs"); do
        report=$(mktemp)
        devices=$(seq -s, 0 $((tp - 1)))
        [ "$device" = host ] || devices=$(yes 0 | head -n "$tp" | paste -sd,)
        set -- --device "$device" --devices "$devices" --io "$io" --verify none --format json
        [ "$device" != host ] || set -- "$@" --gpus "${tp}x40GiB"
        target/release/shardfit load "$checkpoint" --tp "$tp" "$@" >"$report" &
        pid=$! peak=0
        while kill -0 $pid 2>/dev/null; do
            now=$(awk '/^VmHWM/ { printf "%.0f", $2 * 1024 }' /proc/$pid/status 2>/dev/null || true)
            [ "${now:-0}" -le "$peak" ] || peak=$now
            sleep 0.02
        done
        wait $pid || break
        figures=$(awk -v peak="$peak" -v device="$device" '
            /"gigabytes_per_second"/ && !rate { gsub(/[^0-9.e+-]/, "", $2); rate = $2 }
            /"staging_bytes"/ { gsub(/[^0-9]/, "", $2); staging = $2 }
            /"arena_bytes"/ { gsub(/[^0-9]/, "", $2); arenas += $2 }
            END { if (device != "host") arenas = 0; print rate, (peak - arenas) / 1048576, staging / 1048576 }' "$report")
        rm -f "$report"
        best=$(echo "$best $figures" | awk '{ print ($2 > $1) ? $2 : $1 }')
        most=$(echo "$most $figures" | awk '{ printf "%.0f", ($3 > $1) ? $3 : $1 }')
        staging=$(echo "$figures" | awk '{ printf "%.0f", $3 }')
    done
    [ "$best" != 0 ] || continue   # a file system without direct I/O
    share=$(echo "$best $limit" | awk '{ printf "%.0f %%", $1 / $2 * 100 }')
    row "shardfit load, $device, TP $tp$([ "$io" = buffered ] || echo ', not cached')" "$(echo "$best" | awk '{ printf "%.2f", $1 }')" "$share" "$most MiB (staging $staging MiB)"
done

if [ -n "${RECORD:-}" ] && [ ! -f benches/RESULTS.md ]; then
    printf '# Results\n\nEach table is what `RECORD=1 benches/load.sh` printed on one machine on one day.\n' >benches/RESULTS.md
fi
{
    echo
    echo "## $(date -u +%Y-%m-%d), $(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo), $(nproc) cores, $(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo), load average $(cut -d' ' -f1-3 /proc/loadavg)"
    echo
    echo "Warm checkpoint of $(echo "$bytes" | awk '{ printf "%.2f", $1 / 1e9 }') GB in 4 files, best of $runs; $(target/release/shardfit --version), $(git rev-parse --short HEAD 2>/dev/null || echo unknown)."
    echo
    echo '| | GB/s | of one read + one copy | peak memory beside the shards |'
    echo '| --- | ---: | ---: | --- |'
    cat "$table"
} | if [ -n "${RECORD:-}" ]; then tee -a benches/RESULTS.md; else cat; fi
