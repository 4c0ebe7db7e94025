"""Proximal policy optimisation learns to balance, and its targets by hand."""

import numpy as np
import torch

from jatlab.teachers.fitting.ppo import Played, Ppo, PpoSettings


def test_policy_optimisation_learns_to_balance():
    settings = PpoSettings(envs=4, steps=64, hidden=(16,), minibatch=64, rate=3e-3)
    search = Ppo("mujoco-pendulum", settings)
    first = search.round()["return"]
    assert first < 30 and any(search.round()["return"] > 3 * first for _ in range(12))


def test_advantages_are_discounted_sums_cut_where_episodes_end():
    """With lambda = 1 a target is the discounted sum of rewards, with the value at the cut."""
    settings = PpoSettings(envs=1, steps=5, hidden=(8,), discount=0.9, trace=1.0)
    search = Ppo("mujoco-pendulum", settings)
    rng, n = np.random.default_rng(0), 4
    played = Played(
        observations=rng.normal(size=(6, 1, n)).astype(np.float32),
        actions=np.zeros((5, 1, 1), np.float32),
        rewards=np.ones((5, 1), np.float32),
        ended=np.array([[0], [1], [0], [1], [0]], np.float32),
        cut=np.array([[0], [0], [0], [1], [0]], np.float32),
        last=rng.normal(size=(5, 1, n)).astype(np.float32),
    )
    rewards = search._scaled(played.rewards, played.ended)[:, 0]
    search.discounted[:] = 0
    search.reward_scale = type(search.reward_scale)(1)
    targets = search._targets(played).values

    def value(observation):
        with torch.no_grad():
            normalised = torch.from_numpy(search.policy().normalise(observation))
            return float(search.networks.value(normalised))

    third = rewards[3] + 0.9 * value(played.last[3, 0])
    wanted = [
        rewards[0] + 0.9 * rewards[1],
        rewards[1],
        rewards[2] + 0.9 * third,
        third,
        rewards[4] + 0.9 * value(played.observations[5, 0]),
    ]
    assert np.allclose(targets.numpy(), wanted, atol=1e-5)
