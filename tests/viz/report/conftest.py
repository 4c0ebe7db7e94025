import json

import pytest

from jatlab.tasks import scores
from tests.viz.report.samples import TASKS


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Measured scores of our own choosing."""
    folder = tmp_path_factory.mktemp("scores")
    published = (scores.FOLDER / "published_scores.json").read_bytes()
    (folder / "published_scores.json").write_bytes(published)
    entry = {"random": {"mean": 0.1}, "teacher": {"mean": 0.9, "episodes": 50}}
    (folder / "measured_scores.json").write_text(json.dumps(dict.fromkeys(TASKS[:3], entry)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores, "FOLDER", folder)
        yield
