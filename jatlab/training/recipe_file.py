"""Recipes in YAML files: `jatlab train --config recipe.yaml`, and the one that each run writes.

A file has fields of `TrainConfig`; those that it leaves out keep their defaults:

    data: data
    tasks: [babyai-go-to-*, metaworld-reach]
    preset: mini
    minutes: 30
    lr: 1e-3

It is read as plain data: YAML's tags, which can name Python's functions, are refused.
"""

from __future__ import annotations

import difflib
import types
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import yaml

from jatlab.training.recipe import TrainConfig
from jatlab.utils.checks import checked, require
from jatlab.utils.files import expanded, write_text

HEAD = "# Train so again: jatlab train --config THIS-FILE --output ANOTHER-FOLDER\n"


def read_recipe(path: str | Path) -> dict[str, Any]:
    """The fields that a recipe file sets.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: for YAML that cannot be read, an unknown field, or a value of another type.
    """
    path = expanded(path)
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no recipe that can be read: {error}") from None
    require(
        isinstance(found, dict),
        f"{path}: a recipe has a line for each field, such as 'steps: 1000', not {found!r}",
    )
    hints = get_type_hints(TrainConfig)
    for name in found:
        _check_name(name, path)
    return {name: _checked(value, hints[name], f"{path}: {name}") for name, value in found.items()}


def _check_name(name: Any, path: Path) -> None:
    known = [field.name for field in fields(TrainConfig)]
    near = difflib.get_close_matches(str(name), known, 1)
    hint = f"; did you mean {near[0]}?" if near else f". The fields are {', '.join(known)}"
    require(name in known, f"{path}: a recipe has no field {name!r}{hint}")


def _checked(value: Any, hint: Any, where: str) -> Any:
    """The value as the field's type has it; YAML takes 1e-3, without a dot, for text."""
    union = get_origin(hint) in (Union, types.UnionType)
    kinds = [get_origin(one) or one for one in (get_args(hint) if union else (hint,))]
    if float in kinds and type(value) in (int, str):
        with suppress(ValueError, OverflowError):
            value = float(value)
    if not (list in kinds and isinstance(value, str)):
        return checked(value, hint, where)
    return value


def write_recipe(config: TrainConfig, folder: Path) -> Path:
    """Write ``recipe.yaml``, all fields of a run's recipe, into its folder."""
    recipe = asdict(config) | {"resume": False}
    text = yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True)
    return write_text(folder / "recipe.yaml", HEAD + text)
