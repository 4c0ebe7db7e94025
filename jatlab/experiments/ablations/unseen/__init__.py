"""Runs of `jatlab ablate unseen`: a few demonstrations of a task that the agent was never shown.

Small agents learn the tasks of a domain that are not held out: an ordinary one, and an in-context
one of the same size. Each variant then gets some demonstrations of each task that is held out,
makes an agent of them, and plays: nothing is done (zero-shot), the nearest demonstrated timestep is
repeated (retrieve), a model is trained on them, from random weights (clone) or from the ordinary
agent's (fine-tune, lora), or the in-context agent acts from them, as it is (in-context) or trained
on (in-context-tuned).

`unseen` is of Meta-World's tasks, `unseen-bodies` of MuJoCo's, `unseen-rooms` of BabyAI's and
`unseen-game` of Atari's. `few-shown` asks the same of tasks outside the benchmarks, which
jatlab-mini was not shown: a variant that starts from jatlab-mini has it in place of the ordinary
agent.

- `variants`: what is compared
- `known`: what the small agents learn, and how
- `methods`: what is made of the demonstrations
- `tuning`, `lora`: training on them
- `runs`: a run
"""

from jatlab.experiments.ablations.unseen.runs import ingredients, run_unseen

__all__ = ["ingredients", "run_unseen"]
