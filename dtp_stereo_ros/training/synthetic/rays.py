"""Intersections of rays with curved surfaces; all functions broadcast over tensors of any shape.

A ray of pixel (x, y) is ``origin + Z * direction`` with depth Z. In a quadric's local coordinates
it is ``Z * q - m``: q is affine in the pixel, m the quadric's centre seen from the camera.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# The right view solves for the left column by Newton's method; slopes stay well below 1.
NEWTON_STEPS = 4


def hit_round(q: Sequence[Tensor], m: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Depth of the unit sphere ``s^2 + t^2 + w^2 = 1`` and whether the ray meets it."""
    return _quadratic(
        q[0] * q[0] + q[1] * q[1] + q[2] * q[2],
        q[0] * m[0] + q[1] * m[1] + q[2] * m[2],
        m[0] * m[0] + m[1] * m[1] + m[2] * m[2] - 1,
    )


def hit_pillar(q: Sequence[Tensor], m: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Depth of the cylinder ``s^2 + w^2 = 1, -1 <= t <= 1`` with caps, and whether it is met."""
    body, met = _quadratic(
        q[0] * q[0] + q[2] * q[2],
        q[0] * m[0] + q[2] * m[2],
        m[0] * m[0] + m[2] * m[2] - 1,
    )
    on_body = met & ((body * q[1] - m[1]).abs() <= 1)
    along = torch.where(q[1].abs() < 1e-12, 1e-12, q[1])
    # The cap that faces the ray is the one it moves towards from outside.
    cap = (m[1] - along.sign()) / along
    s, w = cap * q[0] - m[0], cap * q[2] - m[2]
    on_cap = (s * s + w * w <= 1) & (cap > 0)
    depth = torch.where(on_body, body, torch.where(on_cap, cap, 1.0))
    return depth, on_body | on_cap


def _quadratic(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Smaller root of ``a z^2 - 2 b z + c = 0`` and whether it is real and ahead."""
    inside = b * b - a * c
    # c / (b + root) is (b - root) / a without its cancellation.
    depth = c / (b + inside.clamp(min=0).sqrt()).clamp(min=1e-12)
    met = (inside > 0) & (b > 0) & (depth > 0)
    return torch.where(met, depth, 1.0), met


def curtain_disparity(
    forms: Sequence[Tensor],
    waves: Sequence[Tensor],
    x: Tensor,
    y: Tensor,
    view: int,
    guess: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Disparity of a relief.

    Args:
        forms: the first three are the coefficients of its plane's disparity in the left view.
        waves: eight values, (a, kx, ky, p) of each wave.
        x, y: pixel of the view.
        view: 0 left, 1 right.
        guess: the disparity to some digits, which saves most of the steps; or None.

    Returns:
        disparity of the plane and of the relief, px, and the left-view column of the point.
    """
    a, row = forms[0], forms[1] * y + forms[2]
    column = x
    plane = a * column + row
    if view == 1:
        # Solves column - x = d(column, y).
        column = x + (plane if guess is None else guess)
        for _ in range(NEWTON_STEPS if guess is None else 1):
            plane = a * column + row
            swell, slope = _swell(waves, column, y)
            step = column - x - plane * swell
            column = column - step / (1 - a * swell - plane * slope).clamp(min=0.2)
        plane = a * column + row
    return plane, plane * _swell(waves, column, y)[0], column


def curtain_normal(
    forms: Sequence[Tensor],
    waves: Sequence[Tensor],
    x: Tensor,
    y: Tensor,
    camera: Sequence[Tensor],
) -> list[Tensor]:
    """Normal, of any length, of a relief at pixel (x, y) of the left view.

    A disparity that is locally ``a x + b y + c`` is the plane ``n . P = 1`` with this n.
    """
    focal, cx, cy = camera
    plane = forms[0] * x + forms[1] * y + forms[2]
    swell, slope_x = _swell(waves, x, y)
    slope_y = _slope_y(waves, x, y)
    along_x = forms[0] * swell + plane * slope_x
    along_y = forms[1] * swell + plane * slope_y
    return [
        focal * along_x,
        focal * along_y,
        plane * swell - along_x * (x - cx) - along_y * (y - cy),
    ]


def _swell(waves: Sequence[Tensor], x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Factor on the plane's disparity, and its derivative along x."""
    first = waves[1] * x + (waves[2] * y + waves[3])
    second = waves[5] * x + (waves[6] * y + waves[7])
    factor = 1 + waves[0] * first.sin() + waves[4] * second.sin()
    slope = waves[0] * waves[1] * first.cos() + waves[4] * waves[5] * second.cos()
    return factor, slope


def _slope_y(waves: Sequence[Tensor], x: Tensor, y: Tensor) -> Tensor:
    first = waves[1] * x + (waves[2] * y + waves[3])
    second = waves[5] * x + (waves[6] * y + waves[7])
    return waves[0] * waves[2] * first.cos() + waves[4] * waves[6] * second.cos()
