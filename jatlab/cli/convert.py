"""`jatlab convert`: recordings in the formats of Minari and LeRobot, and back."""

from __future__ import annotations

from jatlab.cli.needs import DATA, need
from jatlab.cli.options import Commands


def add_convert(commands: Commands) -> None:
    """Add `convert`."""
    parser = commands.add(
        "convert", convert, "write recordings in Minari's or LeRobot's format, or read them back"
    )
    add = parser.add_argument
    add("source", help="folder of recordings, or of data sets of Minari or LeRobot (v3)")
    add("output", help="folder that gets the converted data")
    add("--to", required=True, choices=("jatlab", "minari", "lerobot"), help="the format to write")
    add("--task", help="whose episodes a data set holds that does not say so")


def convert(source: str, output: str, to: str, task: str | None) -> None:
    """Convert a folder; see `jatlab.data.convert.command.convert`."""
    need("jatlab convert", *DATA, *(["pandas"] if to == "lerobot" else []))
    need("jatlab convert --to minari", *(["minari", "h5py"] if to == "minari" else []))
    from jatlab.data.convert.command import convert

    for name, count in convert(source, output, to, task).items():
        print(f"{name}: {count:,} episodes converted to {output}")
