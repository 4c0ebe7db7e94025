"""The ablations: questions that the paper leaves open, each with the variants that answer it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

from jatlab.experiments.ablations.new_tasks import NEW_TASKS
from jatlab.experiments.ablations.unseen.variants import BODY_STEPS, few_shown, held_out, limits
from jatlab.experiments.ablations.variants import (
    FRAMES,
    GAME,
    OBJECT,
    REACH,
    RECALL,
    STEPS,
    UNSEEN_BODIES,
    UNSEEN_GAME,
    UNSEEN_ROOMS,
    Variant,
)
from jatlab.experiments.recipes.splits import ML45
from jatlab.model.config import JatConfig
from jatlab.tasks import short_name

SEEDS = (0, 1, 2)
# one of each domain, and of texts, learnt by JAT and by the network that people use there
SPECIALIST_TASKS = (
    "babyai-open-door",
    "metaworld-drawer-open",
    "mujoco-hopper",
    GAME,
    "python-docs",
)
AGAINST = "specialists"
SPECIALIST_MINUTES = (0.5, 1, 2)  # of training, on one thread
# learnt alone and together: two grids, two arms
JOINT_TASKS = (OBJECT, REACH, "babyai-open-door", "metaworld-drawer-open")
BODIES = ("mujoco-hopper", "mujoco-walker")
KAPPAS = (0.005, 0.0, 0.05, 0.2, 0.5)  # weights of the observation loss, the published one first
# images need more than `MODEL`: nano's convolutions, and finer features
IMAGE_MODEL = {"image_channels": [16, 32, 24], "image_pool": None}
FEW_FRAMES = {"frames_predicted": 0.125}
GATO_MODEL = {"attention_types": [[["global"], 4]], "max_position_embeddings": 1024}
LAYERS = {  # attention patterns of four layers
    "dual": [["global", "local"], 2],
    "global": [["global"], 4],
    "local": [["local"], 4],
}


@dataclass(frozen=True)
class Ablation:
    """A question and its variants; the others are compared with the first one."""

    name: str
    question: str
    variants: tuple[Variant, ...]
    seeds: tuple[int, ...] = SEEDS


def with_kappa(kappa: float, tasks: tuple[str, ...] = (OBJECT, REACH), **fields: Any) -> Variant:
    """The recipe with weight ``kappa`` of the observation loss; the action loss gets the rest.

    ``fields`` are other fields of the variant; its ``model`` is extended.
    """
    model = {"observation_loss_coef": kappa, "action_loss_coef": round(1 - kappa, 6)}
    model |= fields.pop("model", {})
    return Variant(f"kappa {kappa:g}", tasks, kappa, model, **fields)


def with_layers(
    kind: str, window: int, tasks: tuple[str, ...] = (OBJECT, REACH), **fields: Any
) -> Variant:
    """The recipe with "dual", "global" or "local" layers.

    Args:
        kind: of the layers.
        window: tokens that a local layer sees.
        tasks: of the variant.
        fields: other fields of the variant; its ``model`` is extended.
    """
    names = {
        "dual": f"dual, window {window}",
        "global": "all global",
        "local": f"all local, window {window}",
    }
    model = {"attention_types": [LAYERS[kind]], "window_size": window} | fields.pop("model", {})
    return Variant(names[kind], tasks, window, model, **fields)


def to_recall(kind: str, window: int, steps: int = 250) -> Variant:
    """The recipe with these layers for the memory test, in a model half as wide as `MODEL`."""
    model = {"hidden_size": 48, "num_heads": 2}
    return with_layers(kind, window, (RECALL,), steps=steps, model=model)


def reach_of(config: JatConfig) -> int:
    """How many timesteps back the token of an observation can receive information from.

    Without past actions each local layer reaches (window - 1) // 2 timesteps further back; a global
    layer reaches all timesteps.
    """
    if "global" in config.attention_layers:
        return config.max_timesteps - 1
    return min(config.num_layers * ((config.window_size - 1) // 2), config.max_timesteps - 1)


# --- the variants of each question ----------------------------------------------------------------


def _kappa_of_bodies() -> tuple[Variant, ...]:
    model = {"continuous_symlog": True}
    short = {"windows": {"mujoco": 8}}  # without these no body of two legs learns to walk
    return tuple(with_kappa(kappa, BODIES, model=model, training=short) for kappa in KAPPAS)


def _kappa_of_games() -> tuple[Variant, ...]:
    return tuple(
        with_kappa(kappa, (GAME,), model=IMAGE_MODEL, training=FEW_FRAMES, steps=2 * STEPS)
        for kappa in (0.005, 0.0, 0.5)
    )


def _beyond_the_window() -> tuple[Variant, ...]:
    sizes = {"recompute": (8, 64, 16, 4, 2), "published": (64, 16, 8, 4, 2)}
    return tuple(
        Variant(f"{policy}, {size}", (REACH,), size, memory=(policy, size))
        for policy in sizes
        for size in sizes[policy]
    )


def _memory() -> tuple[Variant, ...]:
    kinds = (("dual", 8), ("global", 128), ("local", 16), ("local", 8), ("local", 4))
    return tuple(to_recall(kind, window) for kind, window in kinds)


def _windows() -> tuple[Variant, ...]:
    """Batches of equally many timesteps: shorter windows remember less, of more episodes."""
    return tuple(_with_windows(length) for length in (64, 32, 16, 8, 4, 2))


def _with_windows(length: int) -> Variant:
    windows = {"babyai": length, "metaworld": length}
    return Variant(f"{length} timesteps", value=length, training={"windows": windows})


def _time() -> tuple[Variant, ...]:
    names = {1: REACH, 0.5: "reach-by-2", 4: "reach-every-4", 8: "reach-every-8"}
    return tuple(
        Variant(f"{100 / length:g} decisions", (task,), 100 / length, steps=STEPS // 2)
        for length, task in names.items()
    )


def _frame_skip() -> tuple[Variant, ...]:
    original_first = sorted(FRAMES.items(), key=lambda item: item[1] != GAME)
    return tuple(
        Variant(f"{frames} frames", (task,), frames, IMAGE_MODEL, FEW_FRAMES, steps=2 * STEPS)
        for frames, task in original_first
    )


def _tokens() -> tuple[Variant, ...]:
    """Each task on its own, with the steps that one core makes in minutes.

    Agents of scalars have 1,024 positions, as Gato has.
    """
    variants = []
    for task, name, steps in ((OBJECT, "grid", 80), (REACH, "arm", 300)):
        gato = Variant(f"{name}: a scalar", (task,), model=GATO_MODEL, steps=steps, token="scalar")
        variants += [Variant(f"{name}: a timestep", (task,), steps=STEPS // 2), gato]
    return tuple(variants)


def _attention() -> tuple[Variant, ...]:
    kinds = (("dual", 32), ("global", 128), ("local", 32), ("local", 8))
    return tuple(with_layers(kind, window) for kind, window in kinds)


def _new_tasks(steps: int) -> tuple[Variant, ...]:
    """Each task outside the benchmarks, learnt by jatlab-mini and by random weights of its size."""
    starts = {"from nothing": "nothing", "fine-tuned": "jatlab-mini"}
    short = {"windows": {"new": 8}}  # as short as those of arms and bodies
    return tuple(
        Variant(f"{task}: {name}", (task,), training=short, steps=steps, start=start)
        for task in NEW_TASKS
        for name, start in starts.items()
    )


def _joint_training() -> tuple[Variant, ...]:
    """The same steps on each task: alone, with each of three others, and all four together."""
    alone = [
        Variant(f"{short_name(task)} alone", (task,), 1, steps=STEPS // 2) for task in JOINT_TASKS
    ]
    pairs = [
        Variant(f"{short_name(one)} and {short_name(other)}", (one, other), 2)
        for one, other in combinations(JOINT_TASKS, 2)
    ]
    return (*alone, *pairs, Variant("four together", JOINT_TASKS, 4, steps=2 * STEPS))


def _specialists() -> tuple[Variant, ...]:
    """Each task by its domain's network, by mini from nothing, and by the agent that ships."""
    networks = {"specialist": "specialist", "mini": "nothing"}
    variants = []
    for task in SPECIALIST_TASKS:
        short = short_name(task)
        for name, start in networks.items():
            for minutes in SPECIALIST_MINUTES:
                full = f"{short}: {name}, {minutes:g} min"
                variants.append(
                    Variant(full, (task,), minutes, start=start, minutes=minutes, against=AGAINST)
                )
        ships = Variant(f"{short}: jatlab-mini", (task,), start="jatlab-mini", against=AGAINST)
        variants.append(ships)
    return tuple(variants)


ALL = (
    Ablation(
        "observation-loss",
        "Does it help to predict the next observation, and how much should that count (kappa)?",
        tuple(map(with_kappa, KAPPAS)),
    ),
    Ablation(
        "observation-loss-bodies",
        "Does predicting the next observation help a body that hops or walks?",
        _kappa_of_bodies(),
    ),
    Ablation(
        "observation-loss-games",
        "Does predicting the next picture help in an Atari game?",
        _kappa_of_games(),
    ),
    Ablation(
        "beyond-the-window",
        "What happens when an episode outlasts what the agent remembers?",
        _beyond_the_window(),
        seeds=(0,),
    ),
    Ablation(
        "memory",
        "How far back does each attention pattern reach, where the task is to remember?",
        _memory(),
    ),
    Ablation("windows", "Few long windows in a batch, or many short ones?", _windows()),
    Ablation("time", "Do finer or coarser time steps matter?", _time()),
    Ablation(
        "frame-skip",
        "How many frames of an Atari game should a decision last?",
        _frame_skip(),
    ),
    Ablation("tokens", "A token for each timestep, or for each number of it?", _tokens()),
    Ablation("attention", "Global, local or both, and how wide a window?", _attention()),
    Ablation(
        "new-tasks",
        "Does what the shipped agent knows help on tasks outside JAT's benchmarks?",
        _new_tasks(400),
    ),
    Ablation(
        "first-steps",
        "Does what the shipped agent knows help in the first hundred steps on such a task?",
        _new_tasks(100),
    ),
    Ablation(
        "generalists",
        "With equal training on each task, does joint training help or hurt?",
        _joint_training(),
    ),
    Ablation(
        "unseen",
        "What is made of a few demonstrations of a task that the agent was never shown?",
        held_out(ML45),
    ),
    Ablation(
        "unseen-bodies",
        "What is made of a few demonstrations of two bodies, where the other nine are known?",
        held_out(UNSEEN_BODIES, BODY_STEPS),
    ),
    Ablation(
        "unseen-rooms",
        "What is made of a few demonstrations of a new level, or of words new together?",
        held_out(UNSEEN_ROOMS),
    ),
    Ablation(
        "unseen-game",
        "What is made of a few demonstrations of Pong, where seven other games are known?",
        held_out(UNSEEN_GAME),
    ),
    Ablation(
        "few-shown",
        "How many demonstrations does the shipped agent save on a task outside the benchmarks?",
        few_shown(),
    ),
    Ablation(
        "retrieval-limits",
        "How far does the nearest demonstrated timestep get where a mission or few pixels decide?",
        limits(),
    ),
    Ablation(
        "specialists",
        "What does one network for everything cost, against a network made for one domain?",
        _specialists(),
    ),
)
ABLATIONS = {ablation.name: ablation for ablation in ALL}
