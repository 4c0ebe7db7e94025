"""Recordings in other libraries' formats, and back: Minari and LeRobot (v3).

`jatlab.data.convert.command.convert` is `jatlab convert`. Recordings lose nothing on the way there
and back. Both formats hold more than ours does, which is left out on the way here: videos, infos,
the observation after the last action, and why an episode ended.
"""
