"""The report of an evaluation: a page, a model card, and the results as JSON.

A report reads results (the dict that `report.json` holds), videos in a folder, and the log of a
training run. It never touches the agent. Only `run.evaluate_and_report` also plays: it calls
`jatlab.evaluation` first, then `write.write_report`.

`words` has the formats and sentences, `tables`, `charts` and `videos` have the parts, `page` and
`model_card` put the parts together, and `write` writes the files.
"""
