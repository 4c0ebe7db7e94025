"""`import jatlab.gym` registers every task with gymnasium: ``jatlab/mujoco-ant-v0`` and so on."""

from jatlab.tasks.gym import WORDS, NumericMission, gym_name, register_tasks

__all__ = ["WORDS", "NumericMission", "gym_name", "register_tasks"]
