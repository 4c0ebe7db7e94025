"""How long a picture of the player takes, by its parts."""

from __future__ import annotations

from time import perf_counter, process_time

import numpy as np

from jatlab.viz.player.encoding import Encoder
from jatlab.viz.player.session import Session
from jatlab.viz.player.view import views_of

PARTS = ("step", "draw", "encode")


def time_pictures(session: Session, timesteps: int) -> dict[str, float]:
    """Medians over so many timesteps of a session, which begins anew where an episode ends.

    Returns:
        Seconds of each of `PARTS`, of their sum as `picture`, and of the processor.
    """
    taken = [_time_picture(session) for _ in range(timesteps)]
    *parts, processor = (float(np.median(values)) for values in zip(*taken, strict=True))
    medians = dict(zip(PARTS, parts, strict=True))
    return medians | {"picture": sum(parts), "processor": processor}


def _time_picture(session: Session) -> tuple[float, ...]:
    if not session.watch.open:
        session.begin()
    times, used = [perf_counter()], process_time()
    session.take()
    times.append(perf_counter())
    views_of(session, moving=True)
    times.append(perf_counter())
    Encoder().jpeg(session.watch.moments[-1].frame, playing=True)
    times.append(perf_counter())
    return (*np.diff(times).tolist(), process_time() - used)
