"""The layout's limits find what breaks them, in a small tree made for the purpose."""

import pytest

from scripts.check_layout import (
    CHECKS,
    FEWER_LINES,
    FOLDER_MODULES,
    MODULE_LINES,
    ROOT_ENTRIES,
    folder_modules,
    long_test_names,
    mirrored_tests,
    module_lines,
    root_entries,
)
from tests.support import ROOT


@pytest.fixture
def tree(tmp_path):
    """A repository of one package with one folder, within all limits."""
    for folder in ("jatlab/data", "tests/data", "scripts"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "__init__.py").touch()
    (tmp_path / "jatlab" / "__init__.py").touch()
    (tmp_path / "tests" / "__init__.py").touch()
    return tmp_path


def test_a_small_tree_is_within_its_limits(tree):
    assert [complaint for check in CHECKS for complaint in check(tree)] == []


def test_entries_of_the_root_are_counted(tree):
    for number in range(ROOT_ENTRIES - 2):
        (tree / "jatlab" / f"module{number}.py").touch()
    assert root_entries(tree) == []
    (tree / "jatlab" / "__pycache__").mkdir()
    assert root_entries(tree) == []
    (tree / "jatlab" / "one_more.py").touch()
    assert "17 entries, at most 16" in root_entries(tree)[0]


def test_modules_of_a_folder_are_counted(tree):
    for number in range(FOLDER_MODULES):
        (tree / "jatlab" / "data" / f"module{number}.py").touch()
    assert folder_modules(tree) == []
    (tree / "jatlab" / "data" / "one_more.py").touch()
    assert "jatlab/data/ has 13 modules" in folder_modules(tree)[0]


def test_lines_of_a_module_are_counted(tree):
    path = tree / "scripts" / "long.py"
    path.write_text("x = 1\n" * MODULE_LINES)
    assert module_lines(tree) == []
    path.write_text("x = 1\n" * (MODULE_LINES + 1))
    assert module_lines(tree)[0].startswith("scripts/long.py has 351 lines")


def test_the_model_has_fewer_lines(tree):
    [(name, most)] = FEWER_LINES.items()
    assert most < MODULE_LINES and (ROOT / name).exists()
    (tree / "jatlab" / "model").mkdir()
    (tree / name).write_text("x = 1\n" * (most + 1))
    assert module_lines(tree)[0].startswith(f"{name} has {most + 1} lines, at most {most}")


@pytest.mark.parametrize("indent", ["", "class TestIt:\n    "])
def test_names_of_tests_are_measured(tree, indent):
    path = tree / "tests" / "data" / "test_it.py"
    path.write_text(f"{indent}def test_{'x' * 55}(): ...\n")
    assert long_test_names(tree) == []
    path.write_text(f"{indent}def test_{'x' * 56}(): ...\n")
    assert "61 characters, at most 60" in long_test_names(tree)[0]


def test_folders_of_tests_need_a_counterpart(tree):
    (tree / "tests" / "support").mkdir()
    (tree / "tests" / "support" / "__init__.py").touch()
    assert mirrored_tests(tree) == []
    (tree / "tests" / "models").mkdir()
    (tree / "tests" / "models" / "__init__.py").touch()
    assert mirrored_tests(tree)[0].startswith("tests/models/ has no counterpart jatlab/models/")
