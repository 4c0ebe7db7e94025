"""Train several recipes one after the other, in each of the processes that torchrun started; log
which windows each process saw.
"""

import json
import os
import sys

from jatlab.training.fsdp import local
from jatlab.training.trainer import TrainConfig, Trainer


class Watched(Trainer):
    """Writes down, by process, the windows of every update and how many numbers of the optimizer's
    state are here.
    """

    def update(self, plans, batches, lr):
        super().update(plans, batches, lr)
        seen = [[plan.task, *window] for plan in plans for window in plan.windows.tolist()]
        held = sum(local(state["exp_avg"]).numel() for state in self.optimizer.state.values())
        with open(f"{self.output}.seen.{self.accelerator.process_index}", "a") as file:
            file.write(json.dumps({"windows": seen, "held": held}) + "\n")


for run in json.loads(sys.argv[1]):
    os.environ.update(run["environment"])
    recipe = (
        TrainConfig.of_run(run["output"], **run["recipe"])
        if run.get("resume")
        else TrainConfig(**run["recipe"])
    )
    Watched(recipe).fit()
