"""The report of an evaluation: a page, a model card, and the results as JSON.

Everything here reads: results (the dict that `report.json` holds), the videos in a folder, and the
log of a training run. Only `run.evaluate_and_report` also plays: it calls `jatlab.evaluation`
first, then `write.write_report`.

The rooms, in the order in which data walks: `words` (formats and sentences), `tables`, `charts` and
`videos`; then `page` and `model_card`, which put them together; then `write`; then `run`.
"""
