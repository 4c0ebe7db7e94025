"""Pictures of MuJoCo and Meta-World scenes on every machine, with or without OpenGL."""

from jatlab.utils.opengl import import_mujoco

import_mujoco()  # before the modules here do
