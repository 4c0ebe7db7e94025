"""What an agent computed to decide: probabilities, attention, what it had expected to see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from jatlab.model.memory import Recall


@dataclass
class LastStep:
    """What the agent computed in its last `act`, for n environments.

    Attributes:
        probabilities: (n, actions), of discrete actions; None for vectors.
        recall: what the memory gave.
    """

    probabilities: np.ndarray | None
    recall: Recall
    _expect: Callable[[Tensor], np.ndarray | None]

    @property
    def attentions(self) -> list[np.ndarray]:
        """Per layer (n, N, S): how the observation's token weighs the tokens it remembers.

        Empty unless `agent.record_attention`.
        """
        return [weights.float().cpu().numpy() for weights in self.recall.attentions]

    @property
    def action_attentions(self) -> list[np.ndarray]:
        """Per layer (n, N, S): how the last action's token weighed them.

        From this token the present observation was predicted.
        """
        return [weights.float().cpu().numpy() for weights in self.recall.action_attentions]

    @property
    def key_index(self) -> np.ndarray:
        """(n, S): the token that each weight belongs to.

        2t is the observation and 2t + 1 the action of timestep t in the window, -1 no token.
        """
        return self.recall.key_index.cpu().numpy()

    @cached_property
    def pred_observations(self) -> np.ndarray | None:
        """(n, …): the observations that the agent had expected to see now, after its last actions.

        None where the model does not predict them.
        """
        return self._expect(self.recall.action)
