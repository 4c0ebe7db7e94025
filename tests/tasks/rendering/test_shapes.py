"""Shapes: simplified meshes keep their form, and triangles face outwards."""

import mujoco
import numpy as np
import pytest

from jatlab.tasks.rendering import shapes


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def test_large_meshes_are_simplified_without_changing_their_form():
    points, _, faces = shapes.ball()
    dense = np.repeat(points[faces], 4, axis=0)
    noise = np.random.default_rng(0).normal(scale=1e-3, size=dense.shape)
    dense = (dense + noise).astype(np.float32)  # 2,900 separate triangles of the unit sphere
    merged, normals, kept = shapes.merged(dense, unit(dense), 2 / 12)
    assert len(kept) < len(dense) / 3 and len(merged) < dense.shape[0]
    assert np.abs(np.linalg.norm(merged, axis=1) - 1).max() < 0.03
    assert (unit(merged) * normals).sum(axis=1).min() > 0.8
    a, b, c = (merged[kept[:, corner]] for corner in range(3))
    volume = np.einsum("fi,fi->f", a, np.cross(b, c)).sum() / 6
    assert volume == pytest.approx(4 / 3 * np.pi, rel=0.1)


def test_shapes_face_outwards():
    model = mujoco.MjModel.from_xml_string("<mujoco/>")
    for kind in ("SPHERE", "CAPSULE", "CYLINDER", "BOX", "ELLIPSOID"):
        geom = getattr(mujoco.mjtGeom, f"mjGEOM_{kind}")
        points, normals, faces = shapes.shape(model, geom, -1, [0.4, 0.4, 0.7])
        a, b, c = (points[faces[:, corner]] for corner in range(3))
        outward = np.cross(b - a, c - a)
        solid = np.linalg.norm(outward, axis=1) > 1e-9  # triangles at the poles may be empty
        assert ((outward * (a + b + c)).sum(axis=1)[solid] > 0).all()
        assert ((outward * normals[faces[:, 0]]).sum(axis=1)[solid] > 0).all()
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
