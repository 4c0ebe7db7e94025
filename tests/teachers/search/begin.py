"""A small search, and a game at its start with its teacher."""

from jatlab.tasks import make_env
from jatlab.teachers.search.settings import SearchSettings
from jatlab.teachers.search.teacher import SearchTeacher

TINY = SearchSettings(budget=20, alarm=20, horizon=25)


def begin(name, seed=0, settings=TINY):
    """An environment at its start, its teacher, and the first observation."""
    env, teacher = make_env(name, render_mode=None), SearchTeacher(settings)
    observation, _ = env.reset(seed=seed)
    teacher.reset(env, seed)
    return env, teacher, observation
