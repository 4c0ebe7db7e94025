"""From an agent to its scores: episodes are played, recorded and summarised as plain results.

`evaluate.evaluate` is the entry point. `playing` plays one task, `records` keeps what was played,
`results` and `statistics` turn episodes into scores, `language` scores text and pictures, and
`observation_prediction` measures how well an agent predicts. Nothing here draws or writes prose:
that is `jatlab.viz.report`, which reads the results.
"""
