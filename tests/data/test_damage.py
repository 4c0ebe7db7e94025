"""One bit of a Parquet file's end changed: it is read all the same, or refused by its name."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jatlab.data.episodes import read_episodes
from jatlab.data.language.rows import read_columns
from jatlab.data.published.reading import read_files
from jatlab.tasks import get_task
from tests.support.synthetic import write_task

ROOM = "babyai-go-to"
STEP = 5  # bytes between those that are tried


def episodes(path):
    return read_episodes(path, get_task(ROOM))


def published(path):
    return list(read_files([str(path)], ROOM, "a hub"))


def texts(path):
    return list(read_columns(path, ("text",)))


@pytest.mark.slow
@pytest.mark.parametrize("read", [episodes, published, texts])
def test_a_changed_bit_is_named(read, tmp_path):
    path = tmp_path / ROOM / "train" / "00000.parquet"
    write_task(tmp_path, ROOM, [1, 4])
    if read is texts:
        pq.write_table(pa.table({"text": ["go to", "the red ball"]}), path)
    content = path.read_bytes()
    end = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    assert read(path)
    refused = 0
    for place in range(end, len(content), STEP):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            try:
                read(path)
            except ValueError as error:
                assert path.name in str(error), f"bit {bit} of byte {place}: {error}"
                refused += 1
    assert refused > (len(content) - end) // STEP
