#!/usr/bin/env bash
# The GPU kit on a bare machine without network.
#
#   scripts/gpu/run.sh start LOAD [OPTION …]    unpack LOAD (what scripts.gpu.wheels made, and
#                                               recordings in data.tar, if any); begin, and return
#   scripts/gpu/run.sh end SECONDS              the training ends so many seconds from now
#   scripts/gpu/run.sh await OUTPUT SECONDS     wait for its end, not longer; copy what is there
set -euo pipefail
cd "$(dirname "$0")/../.."
site=/tmp/jatlab-site work=/tmp/jatlab-gpu results=/tmp/jatlab-results

case "${1:-}" in
start)
    rm -f "$work/ended"
    mkdir -p "$site" "$work" "$results"
    tar -xf "$2/site.tar.xz" -C "$site"
    if [ -e "$2/data.tar" ]; then tar -xf "$2/data.tar" -C "$work"; fi
    export PYTHONPATH="$site:$PWD" MUJOCO_GL=disable
    nvidia-smi || true
    setsid nohup python3 -m scripts.gpu --output "$results" --work "$work" "${@:3}" \
        > "$work/kit.log" 2>&1 < /dev/null &
    ;;
end)
    echo "$(($(date +%s) + $2))" > "$work/end"
    ;;
await)
    for ((second = 0; second < $3; second++)); do
        if [ -e "$work/ended" ]; then break; fi
        sleep 1
    done
    cp "$results"/*.* "$2"
    tail -n 5 "$work/kit.log" "$2/log.txt"
    ;;
*)
    sed -n '2,7p' "$0"
    exit 2
    ;;
esac
