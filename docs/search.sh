#!/usr/bin/env bash
# Atari's teacher, measured and recorded: hours on two cores. Stopped or killed, the same command goes on where it was.
#   docs/search.sh            everything      docs/search.sh measure      docs/search.sh record
# The games, fixed before the first was measured: the eight that are recorded, then the rest of the 26 of the benchmark Atari 100k. None is left out afterwards.
set -e
recorded="pong boxing breakout freeway qbert mspacman seaquest spaceinvaders"
others="alien amidar assault asterix bankheist battlezone choppercommand crazyclimber demonattack frostbite gopher hero jamesbond kangaroo krull kungfumaster privateeye roadrunner upndown"
decisions=20000  # of each game that is recorded, at least
python=${PYTHON:-python}
tasks() { printf 'atari-%s ' "$@"; }

if [ "${1:-measure}" = measure ]; then
  $python -m jatlab measure $(tasks $recorded $others) --episodes 3 --workers ${WORKERS:-2} --who teacher
fi
if [ "${1:-record}" = record ]; then
  for episodes in 2 4 6 8 10 12 14 16 20 24 28 32 40 50 60 80 100; do
    short=$($python - $decisions $(tasks $recorded) <<'END'
import json, pathlib, sys
limit, *tasks = sys.argv[1:]
for task in tasks:
    about = pathlib.Path("data", task, "recording.json")
    if not about.exists() or json.loads(about.read_text())["timesteps"] < int(limit):
        print(task)
END
    )
    [ -z "$short" ] && break
    $python -m jatlab record $short --episodes $episodes --workers ${WORKERS:-2} --timeout 600
  done
fi
