"""Roads and wild land, many at once; lengths go by the camera's height over the ground."""

from __future__ import annotations

import numpy as np

from .indoor import blades, objects
from .layout import Array, Layout, scaled, small_turn, tilted, turn_y, turn_z
from .materials import glass, paint, sky
from .scene import BOX, CYLINDER, ELLIPSOID, QUAD, RELIEF, Scenes

# Height of a car's camera, metres, by which the sizes of things on a road are chosen.
CAMERA_HEIGHT_M = 1.6


def roads(world: Layout) -> Scenes:
    """Ground up to the horizon, sky, houses, cars, people, trees, poles, fences and wires."""
    border = world.log_uniform(25, 180, 1)
    height = ground(world, border)
    metre = height / CAMERA_HEIGHT_M
    markings(world, height, metre)
    houses(world, height, metre)
    for _ in range(4):
        car(world, world.chance(0.6), height, metre, border)
    for _ in range(2):
        person(world, world.chance(0.5), height, metre, border)
    for _ in range(3):
        tree(world, world.chance(0.6), height, metre, border)
    poles(world, world.some(0, 4), height, metre, border)
    fences(world, world.some(0, 2), height, metre, border)
    overhead(world, world.some(0, 3) & world.chance(0.6), height, metre)
    objects(world, world.some(0, 6), np.ones_like(border), border, 0.3)
    return world.finish(sun(world), small_turn(world.rng, world.count, 0.012))


def nature(world: Layout) -> Scenes:
    """Ground, bushes of leaves, trunks, branches, stones and grass."""
    border = world.log_uniform(20, 180, 1)
    height = ground(world, border)
    metre = height / CAMERA_HEIGHT_M
    for _ in range(5):
        bush(world, world.chance(0.75), height, metre, border, 4)
    for _ in range(3):
        tree(world, world.chance(0.6), height, metre, border)
    stones(world, world.some(0, 6), height, metre, border)
    blades(world, world.chance(0.4), np.ones_like(border), border)
    branches(world, world.some(0, 8), border)
    fences(world, world.some(0, 2), height, metre, border)
    objects(world, world.some(0, 6), np.ones_like(border), border, 0.5)
    return world.finish(sun(world), small_turn(world.rng, world.count, 0.02))


def sun(world: Layout) -> Array:
    """Far above, at any side, never far behind the scene's back."""
    rng = world.rng
    side, up, ahead = rng.normal(0, 200, world.count), rng.uniform(40, 300, world.count), 100.0
    return np.stack((side, -up, rng.normal(0, ahead, world.count)), axis=1)


def ground(world: Layout, border: Array) -> Array:
    """Sky and ground; the ground has disparity `border` at the picture's lower edge.

    Returns:
        (B, 1) height of the camera over it.
    """
    count = world.count
    distance = 1 / world.uniform(0.02, 0.5, 1)
    facing = np.broadcast_to(np.eye(3), (count, 1, 3, 3)) * (40 * distance)[..., None, None]
    centre = world.at(0.5, 0.5, 1 / distance)
    world.add(QUAD, centre, facing, **sky(world.rng, world.bank, count, world.focal / distance))
    height = (world.height - world.cy) / world.focal / border
    height = np.maximum(height, world.reach() / world.max_disparity_px)
    lay = np.zeros((count, 1, 3, 3))
    lay[..., 0, 0] = lay[..., 1, 2] = lay[..., 2, 1] = 60.0
    zero = np.zeros_like(height)
    world.add(
        np.where(world.chance(0.35), RELIEF, QUAD),
        np.stack((zero, height, zero), -1),
        lay,
        waves=world.waves(1.2 * border, 0.05),
        **world.bank.draw(world.rng, (count, 1), world.density(border / 3), shiny=0.08),
    )
    return height


def markings(world: Layout, height: Array, metre: Array) -> None:
    """Painted lines, a little above the road so that they win."""
    number = 4
    there = world.chance(0.5) & world.some(1, number)
    x = metre * world.uniform(-5, 5, number)
    zero = np.zeros_like(x)
    half = np.stack((metre * world.uniform(0.05, 0.15, number), 40 + zero, 1 + zero), axis=-1)
    along = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, 1.0, 0]])
    tone = world.uniform(150, 255, number)[..., None] * np.ones(3)
    dashed = world.chance(0.5, number)
    metre_texels = 8.0 / metre * np.ones(number)
    world.add(
        QUAD,
        np.stack((x, 0.997 * height + zero, zero), -1),
        along * half[..., None],
        there,
        mask=np.where(dashed, world.bank.fences(world.rng, x.shape), -1),
        repeat=np.where(dashed, 30.0, 1.0),
        offset=tone,
        gain=0.1,
        contrast=0.0,
        texture=np.eye(2) * metre_texels[..., None, None],
        pattern=0,
        shine=0.0,
        mirror=0.0,
    )


def houses(world: Layout, height: Array, metre: Array) -> None:
    """Rows of large boxes at both sides of the road."""
    number = 4
    clear = 1.2 * world.reach() / world.max_disparity_px
    for sign in (-1, 1):
        there = world.chance(0.65) & world.some(1, number)
        half = metre[..., None] * np.exp(
            world.rng.uniform(np.log(2), np.log(9), (world.count, number, 3))
        )
        away = (
            np.maximum(metre * world.uniform(2.5, 12, 1), clear)
            + world.uniform(0, 2, number) * metre
        )
        z = metre * world.log_uniform(4, 70, number) + half[..., 2]
        centre = np.stack((sign * (away + half[..., 0]), height - half[..., 1], z), -1)
        turn = turn_y(np.zeros((world.count, number)))
        shown = world.density(1 / z)
        world.add(BOX, centre, scaled(turn, half), there, **_material(world, shown))


def _material(world: Layout, density: Array, shiny: float = 0.12) -> dict[str, Array]:
    return world.bank.draw(world.rng, density.shape, density, shiny=shiny, upright=0.85)


def spots(world: Layout, number: int, radius: Array, border: Array) -> tuple[Array, Array]:
    """Places (x, z), (B, number) each, in sight and with the nearest point within `radius`."""
    nearest = world.nearness(0.04 * border, 0.95 * border, number)
    z = 1 / nearest + radius
    x = (world.uniform(-0.1, 1.1, number) * world.width - world.cx) / world.focal * z
    return x, z


def car(world: Layout, there: Array, height: Array, metre: Array, border: Array) -> None:
    """Body, cabin and four wheels; varnished, with windows that mirror or let through."""
    x, z = spots(world, 1, 2.2 * metre, border)
    heading = world.rng.choice((0.0, np.pi / 2, np.pi / 2, 0.4), (world.count, 1))
    heading = heading + world.rng.normal(0, 0.15, (world.count, 1))
    turn = turn_y(heading)
    grow = metre * world.uniform(0.85, 1.25, 1)
    body = np.array([0.85, 0.36, 2.0]) * grow[..., None]
    tall = grow * world.uniform(0.2, 0.6, 1)
    cabin = np.concatenate((0.75 * grow, tall, grow * world.uniform(0.8, 1.7, 1)), 1)[:, None]
    base = np.stack((x, height - 0.66 * grow, z), -1)
    shown = world.density(1 / z)
    varnish = paint(world.rng, world.bank, z.shape, shown)
    world.add(BOX, base, scaled(turn, body), there, **varnish)
    top = base - np.stack((0 * x, 0.36 * grow + tall, 0 * x), -1)
    # Vans are boxes, other cars rounded, their bonnets too.
    van = world.chance(0.4)
    world.add(BOX, top, scaled(turn, cabin), there & van, **varnish)
    world.add(ELLIPSOID, base, scaled(turn, body * [1.04, 1.5, 1.1]), there & ~van, **varnish)
    dome = cabin * [1.05, 1.7, 1.15]
    low = top + np.stack((0 * x, 0.7 * tall, 0 * x), -1)
    world.add(ELLIPSOID, low, scaled(turn, dome), there & ~van, **varnish)
    panes(world, there, van, turn, (top, cabin), (low, dome))
    corners = np.array(
        [(-0.8, 0.33, -1.3), (0.8, 0.33, -1.3), (-0.8, 0.33, 1.3), (0.8, 0.33, 1.3)]
    )
    turns = np.repeat(turn, 4, 1)
    wheels = base + np.einsum('bnij,nj->bni', turns, corners) * grow[..., None]
    # A cylinder's axis is its second: laid across the car.
    across = turns[..., [1, 0, 2]]
    size = np.array([0.33, 0.11, 0.33]) * grow[..., None] * np.ones((4, 1))
    world.add(CYLINDER, wheels, scaled(across, size), there, offset=25.0, gain=0.1, contrast=0.0)


def panes(
    world: Layout,
    there: Array,
    van: Array,
    turn: Array,
    box: tuple[Array, Array],
    dome: tuple[Array, Array],
) -> None:
    """Windows on all sides of a boxy cabin, or around a rounded one under its roof.

    Args:
        world: scenes.
        there, van: (B, 1) whether there is a car, and whether its cabin is the box.
        turn: (B, 1, 3, 3).
        box, dome: centre and half sizes (B, 1, 3) of both cabins.
    """
    centre, half = box
    shown = world.density(1 / centre[..., 2])
    pane = glass(world.rng, world.bank, there.shape, shown)
    tall = world.uniform(0.4, 0.85, 1)[..., None]
    middle, sizes = dome
    world.add(
        ELLIPSOID,
        middle,
        scaled(turn, sizes * np.concatenate((1.02 + 0 * tall, tall, 1.02 + 0 * tall), -1)),
        there & ~van & world.chance(0.9),
        **pane,
    )
    # Two in a row at either side, one ahead and one behind: outward axis and place along it.
    places = ((0, -1, 0.5), (0, -1, -0.5), (0, 1, 0.5), (0, 1, -0.5), (2, -1, 0.0), (2, 1, 0.0))
    there = there & van & world.chance(0.9)
    for axis, sign, along in places:
        other = 2 - axis
        spot, size = np.zeros_like(half), np.zeros_like(half)
        spot[..., axis] = 1.01 * sign * half[..., axis]
        spot[..., other] = along * half[..., other]
        size[..., 0] = (0.44 if along else 0.9) * half[..., other]
        size[..., 1] = tall[..., 0] * half[..., 1]
        size[..., 2] = half[..., 1]
        # A quad faces its third axis.
        facing = turn if axis == 2 else turn[..., [2, 1, 0]]
        at = centre + np.einsum('bnij,bnj->bni', turn, spot)
        world.add(QUAD, at, scaled(facing, size), there, **pane)


def person(world: Layout, there: Array, height: Array, metre: Array, border: Array) -> None:
    """Trunk and head."""
    x, z = spots(world, 1, 0.4 * metre, border)
    grow = metre * world.uniform(0.8, 1.1, 1)
    turn = turn_y(world.uniform(-3, 3, 1))
    body = np.array([0.24, 0.72, 0.16]) * grow[..., None]
    kind = np.where(world.chance(0.5), CYLINDER, ELLIPSOID)
    world.add(kind, np.stack((x, height - 0.72 * grow, z), -1), scaled(turn, body), there)
    head = np.array([0.11, 0.14, 0.12]) * grow[..., None]
    world.add(ELLIPSOID, np.stack((x, height - 1.58 * grow, z), -1), scaled(turn, head), there)


def tree(world: Layout, there: Array, height: Array, metre: Array, border: Array) -> None:
    """A trunk, and a crown of leaf patches before an ellipsoid."""
    radius = metre * world.uniform(0.8, 2.5, 1)
    x, z = spots(world, 1, 1.5 * radius, border)
    trunk = metre * world.uniform(1.2, 3.0, 1)
    thick = metre * world.uniform(0.08, 0.3, 1)
    lean = tilted_upright(world, 1, 0.06)
    sizes = np.stack((thick, 0.6 * trunk, thick), -1)
    world.add(CYLINDER, np.stack((x, height - 0.55 * trunk, z), -1), scaled(lean, sizes), there)
    centre = np.stack((x, height - trunk - 0.7 * radius, z), -1)
    core = (world.chance(0.5)) & there
    ball = 0.75 * radius[..., None] * np.exp(world.rng.normal(0, 0.15, (world.count, 1, 3)))
    world.add(ELLIPSOID, centre, scaled(turn_y(0 * x), ball), core)
    leaves(world, there, centre, radius, 4)


def bush(
    world: Layout, there: Array, height: Array, metre: Array, border: Array, number: int
) -> None:
    """Leaf patches near the ground."""
    radius = metre * world.log_uniform(0.2, 1.6, 1)
    x, z = spots(world, 1, 1.5 * radius, border)
    leaves(world, there, np.stack((x, height - 0.6 * radius, z), -1), radius, number)


def leaves(world: Layout, there: Array, centre: Array, radius: Array, number: int) -> None:
    """Patches of foliage of all tilts around a point."""
    shape = (world.count, number)
    offset = np.clip(world.rng.normal(0, 0.45, (*shape, 3)), -0.9, 0.9) * radius[..., None]
    sizes = 0.7 * radius[..., None] * np.exp(world.rng.normal(0, 0.25, (*shape, 3)))
    spot = centre + offset
    material = _material(world, world.density(1 / np.maximum(spot[..., 2], 1e-3)), 0.02)
    # Mostly greenish, as the texture leaves it otherwise.
    green = world.chance(0.6)[..., None] * np.array([-0.2, 0.1, -0.35])
    material['gain'] = material['gain'] * (1 + green)
    world.add(
        QUAD,
        spot,
        scaled(tilted(world.rng, shape, 0.6), sizes),
        there,
        mask=world.bank.leaves(world.rng, shape),
        repeat=np.where(world.chance(0.3), 2.0, 1.0),
        **material,
    )


def tilted_upright(world: Layout, number: int, spread: float) -> Array:
    """Rotations (B, number, 3, 3) that leave the second axis nearly upright."""
    lean = turn_z(world.rng.normal(0, spread, (world.count, number)))
    return turn_y(world.uniform(0, 6.3, number)) @ lean


def poles(world: Layout, there: Array, height: Array, metre: Array, border: Array) -> None:
    """Upright posts, some with a sign."""
    number = there.shape[1]
    x, z = spots(world, number, 0.3 * metre, border)
    tall = metre * world.uniform(1, 4, number)
    thick = metre * world.log_uniform(0.02, 0.15, number)
    lean = tilted_upright(world, number, 0.02)
    post = np.stack((thick, tall, thick), -1)
    world.add(CYLINDER, np.stack((x, height - tall, z), -1), scaled(lean, post), there)
    side = metre * world.uniform(0.15, 0.6, number)
    sign = np.stack((side, side * world.uniform(0.5, 1.4, number), side), -1)
    spot = np.stack((x, height - 2 * tall + side, z - 1.1 * thick), -1)
    turn = turn_y(world.rng.normal(0, 0.3, x.shape))
    mask = np.where(world.chance(0.5, number), -1, world.bank.outlines(world.rng, x.shape))
    world.add(
        QUAD, spot, scaled(turn, sign), there & world.chance(0.6, number), mask=mask, repeat=1.0
    )


def fences(world: Layout, there: Array, height: Array, metre: Array, border: Array) -> None:
    """Upright lattices along the road or across it."""
    number = there.shape[1]
    x, z = spots(world, number, 0.5 * metre, border)
    long, tall = metre * world.uniform(1.5, 6, number), metre * world.uniform(0.4, 1.0, number)
    turn = turn_y(world.rng.choice((0.0, 1.2, 1.45, -1.2), x.shape))
    z = z + long
    half = np.stack((long, tall, tall), -1)
    mask = world.bank.fences(world.rng, x.shape)
    repeat = world.uniform(0.5, 3, number)
    spot = np.stack((x, height - tall, z), -1)
    world.add(QUAD, spot, scaled(turn, half), there, mask=mask, repeat=repeat)


def overhead(world: Layout, there: Array, height: Array, metre: Array) -> None:
    """Wires above the road, along it or across."""
    number = there.shape[1]
    x, y = metre * world.uniform(-6, 6, number), height - metre * world.uniform(3.5, 8, number)
    z = metre * world.uniform(5, 40, number)
    thick = metre * world.uniform(0.01, 0.04, number)
    half = np.stack((thick, metre * world.uniform(10, 60, number), thick), -1)
    along = world.chance(0.5, number)[..., None, None]
    ahead = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])
    across = np.array([[0, 1.0, 0], [1.0, 0, 0], [0, 0, 1.0]])
    sag = tilted_upright(world, number, 0.03)
    axes = scaled(np.where(along, ahead, across) @ sag, half)
    world.add(CYLINDER, np.stack((x, y, z + half[..., 1] * along[..., 0, 0]), -1), axes, there)


def stones(world: Layout, there: Array, height: Array, metre: Array, border: Array) -> None:
    """Ellipsoids half in the ground."""
    number = there.shape[1]
    size = metre * world.log_uniform(0.1, 1.0, number)
    x, z = spots(world, number, 1.5 * size, border)
    half = size[..., None] * np.exp(world.rng.normal(0, 0.3, (*size.shape, 3)))
    turn = turn_y(world.uniform(0, 6, number))
    spot = np.stack((x, height - 0.4 * half[..., 1], z), -1)
    world.add(ELLIPSOID, spot, scaled(turn, half), there)


def branches(world: Layout, there: Array, border: Array) -> None:
    """Thin cylinders of any direction."""
    number = there.shape[1]
    disparity = world.log_uniform(0.1 * border, 0.9 * border, number)
    pixel = world.pixel(disparity)
    thick = pixel * world.log_uniform(0.6, 6, number)
    half = np.stack((thick, pixel * world.log_uniform(20, 150, number), thick), -1)
    x, y = world.uniform(0, 1, number), world.uniform(-0.1, 1, number)
    spot = world.at(x, y, 0.85 * disparity)
    world.add(CYLINDER, spot, scaled(tilted(world.rng, x.shape, 0.5), half), there)
