"""How the teachers' numbers were found: ``teach`` for controllers, ``tune`` for Meta-World."""

from jatlab.utils.opengl import import_mujoco

import_mujoco()  # before the modules here do
