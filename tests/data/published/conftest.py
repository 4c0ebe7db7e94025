"""A data set of every kind of task in the published layout."""

import pytest

from tests.support.hub import NAMES, PICTURES, TEXT, make_shards, write_card


@pytest.fixture(scope="session")
def repository(tmp_path_factory):
    """The folder, with train and test in shards; and its rows in plain Python, by (name, split)."""
    folder, rows = tmp_path_factory.mktemp("repository"), {}
    names = [*NAMES.values(), TEXT, PICTURES]
    for name in names:
        rows[name, "train"] = make_shards(folder, name, [[5, 9, 2], [7, 1]])
        rows[name, "test"] = make_shards(folder, name, [[3]], "test", seed=1)
    write_card(folder, names)
    return folder, rows
