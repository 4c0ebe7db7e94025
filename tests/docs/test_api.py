"""The reference of the API lists every public name, and says of it what its file says."""

import ast
import inspect
from importlib import import_module

import pytest

from scripts.docs import api

PAGES = api.pages()


def test_every_public_module_has_a_page():
    assert {"jatlab", "jatlab.model.jat", "jatlab.cli", "jatlab.data.recording.record"} <= set(
        PAGES
    )
    assert not any("lesson0" in name or name.endswith("__main__") for name in PAGES)


@pytest.mark.parametrize("module", ["jatlab.model.config", "jatlab.agents.agent", "jatlab.tasks"])
def test_every_public_class_and_function_is_listed(module):
    found = import_module(module)
    own = [
        name
        for name, value in vars(found).items()
        if (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module
        and not name.startswith("_")
    ]
    for name in own:
        assert f":: {name}" in PAGES[module], name


def test_root_links_the_public_names():
    import jatlab

    for name in jatlab.__all__:
        if name != "__version__":
            assert f":py:obj:`{name} <jatlab." in PAGES["jatlab"]


def test_fields_are_listed_with_their_comments():
    page = PAGES["jatlab.training.recipe"]
    assert ".. py:attribute:: batch_timesteps" in page and ":value: 1024" in page


CODE = '''\
LIMIT = 3  # of `tries`, in **all**
# how long one lasts,
# in steps
LENGTH: int = 5
_HIDDEN = 1


class Thing:
    """A thing.

    Attributes:
        size: how large.
        name (str): what it is
            called.
    """

    size: int
    name: str
    age: int = 0  # in years


def _hidden():
    pass


if LIMIT:

    def shown():
        """Shown."""
'''


def test_a_page_of_a_made_up_module(tmp_path):
    path = tmp_path / "made_up.py"
    path.write_text(CODE)
    page = api.page("made_up", path)
    assert ".. autofunction:: shown" in page and "_hidden" not in page.lower()
    assert ":exclude-members: size, name, age" in page
    assert ".. py:attribute:: age\n      :type: int\n      :value: 0\n\n      In years." in page
    assert ".. py:data:: LIMIT\n   :value: 3\n\n   Of ``tries``, in \\*\\*all\\*\\*." in page
    assert ":type: int\n   :value: 5\n\n   How long one lasts, in steps." in page


def test_described_attributes():
    docstring = inspect.cleandoc(
        ast.literal_eval(CODE[CODE.index('"""') : CODE.rindex("size: int")].strip())
    )
    assert api.described_attributes(docstring) == ["size", "name"]
    assert api.described_attributes("Nothing.\n\nArgs:\n    x: y.") == []


def test_source_places():
    place = api.source_place("jatlab.agents.agent", "Agent.act")
    assert place.startswith("jatlab/agents/agent.py#L")
    lines = (api.ROOT / "jatlab/agents/agent.py").read_text().splitlines()
    first = int(place.partition("#L")[2].partition("-")[0])
    assert "def act(" in lines[first - 1]
    assert api.source_place("jatlab.agents.agent", "Agent.nothing") is None
    assert api.source_place("torch", "Tensor") is None
