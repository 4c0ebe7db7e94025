#!/usr/bin/env bash
# Atari's look-ahead search, measured: hours on two cores. Stopped or killed, the same command goes on where it was.
# The games, fixed before the first was measured: the eight that the agent learns, then the rest of the 26 of the benchmark Atari 100k. None is left out afterwards.
set -e
learnt="pong boxing breakout freeway qbert mspacman seaquest spaceinvaders"
others="alien amidar assault asterix bankheist battlezone choppercommand crazyclimber demonattack frostbite gopher hero jamesbond kangaroo krull kungfumaster privateeye roadrunner upndown"
${PYTHON:-python} -m jatlab measure $(printf 'atari-%s ' $learnt $others) --episodes 3 --workers 2 --who search --output jatlab/assets/scores/measured_scores.json
