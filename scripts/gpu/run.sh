#!/usr/bin/env bash
# The GPU kit on a bare machine without network.
#
#   scripts/gpu/run.sh stash FOLDER   keep the wheels in FOLDER (whole, or split into NAME.part0 …)
#   scripts/gpu/run.sh run OUTPUT     install what was stashed, run the kit, results in OUTPUT
set -euo pipefail
cd "$(dirname "$0")/../.."
stash=/tmp/jatlab-wheels site=/tmp/jatlab-site

case "${1:-}" in
stash)
    mkdir -p "$stash"
    cp "$2"/* "$stash"
    ls -l "$stash"
    ;;
run)
    for first in "$stash"/*.part0; do
        [ -e "$first" ] || continue
        cat "${first%0}"* > "${first%.part0}"
        rm "${first%0}"*
    done
    if [ ! -d "$site" ] && compgen -G "$stash/*.whl" > /dev/null; then
        python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir \
            --target "$site" "$stash"/*.whl
    fi
    export PYTHONPATH="$site:$PWD" MUJOCO_GL=disable
    nvidia-smi || true
    exec python3 -m scripts.gpu --output "$2" "${@:3}"
    ;;
*)
    sed -n '2,5p' "$0"
    exit 2
    ;;
esac
