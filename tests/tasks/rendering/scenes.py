"""A scene with a floor and a body of two colours, and where a colour shows in its pictures."""

import numpy as np

WORLD = """<mujoco><asset><material name="matte" specular="0"/></asset><worldbody>
  <light directional="true" dir="0 0 -1" castshadow="false"/><camera name="above" pos="0 0 4"/>
  <geom type="plane" size="2 2 .1" rgba=".3 .3 .8 1" material="matte"/>
  <body name="walker" pos="0 0 .5"><freejoint/>
    <geom type="capsule" size=".2 .4" euler="0 70 0" rgba=".9 .2 .1 1" material="matte"/>
    <geom type="box" size=".2 .1 .15" pos="0 .5 .1" rgba=".1 .9 .1 1" material="matte"/></body>
</worldbody></mujoco>"""


def where(frame, channel):
    """Centre (column, row) of the pixels in which one colour stands out."""
    rest = np.delete(frame.astype(int), channel, axis=2).max(axis=2)
    rows, columns = np.nonzero(frame[..., channel] > rest + 60)
    return np.array([columns.mean(), rows.mean()]), len(rows)
