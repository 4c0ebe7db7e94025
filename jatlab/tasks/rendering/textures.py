"""Colours of floors and skies, told from a model's textures."""

import mujoco
import numpy as np

# (3, 3): down, horizon, up; for models without a sky
STANDARD_SKY = np.array([[0.78, 0.79, 0.80], [0.95, 0.96, 0.97], [0.60, 0.70, 0.82]])


def texels(model: mujoco.MjModel, number: int) -> np.ndarray:
    """A texture's pixels (h, w, 3) uint8."""
    shape = model.tex_height[number], model.tex_width[number], model.tex_nchannel[number]
    return model.tex_data[model.tex_adr[number] :][: np.prod(shape)].reshape(shape)[..., :3]


def texture_cells(model: mujoco.MjModel, number: int) -> np.ndarray:
    """Mean colours (2, 2, 3), 0 to 1, of a texture's quarters: enough for a checkerboard."""
    rows = [half.mean(axis=0) for half in np.array_split(texels(model, number), 2)]
    return np.array([[half.mean(axis=0) for half in np.array_split(row, 2)] for row in rows]) / 255


def sky_colours(model: mujoco.MjModel) -> np.ndarray:
    """Colours (n, 3), 0 to 1, of the model's sky from straight down to straight up."""
    boxes = np.flatnonzero(model.tex_type == mujoco.mjtTexture.mjTEXTURE_SKYBOX)
    if not len(boxes):
        return STANDARD_SKY
    # right, left, up, down, front and back one below the other, or one square for all
    sides = texels(model, boxes[0])
    front = sides if sides.shape[0] == sides.shape[1] else np.array_split(sides, 6)[4]
    return front.mean(axis=1)[::-1] / 255


def fine_ramp(colours: np.ndarray) -> np.ndarray:
    """Colours (n, 3), 0 to 1, as 256 steps (256, 3) uint8."""
    knots, steps = np.linspace(0, 1, len(colours)), np.linspace(0, 1, 256)
    ramp = np.stack([np.interp(steps, knots, channel) for channel in colours.T], axis=1)
    return (ramp * 255).clip(0, 255).astype(np.uint8)
