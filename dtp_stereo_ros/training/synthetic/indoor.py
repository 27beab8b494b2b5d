"""Flying clutter and rooms, many at once."""

from __future__ import annotations

import numpy as np

from .layout import Array, Layout, random_turns, scaled, small_turn, tilted, turn_x, turn_y
from .materials import calm
from .scene import BOX, CYLINDER, ELLIPSOID, NONE, QUAD, RELIEF, Scenes

UP = np.array([0.0, -1.0, 0.0])


def clutter(room: Layout) -> Scenes:
    """Objects of every kind, size and tilt floating before a slanted or curved background."""
    far = room.log_uniform(1.5, 80, 1)
    backdrop(room, far, spread=room.rng.choice((0.05, 0.4, 0.9), (room.count, 1)))
    near = np.minimum(room.max_disparity_px, far + room.log_uniform(20, 260, 1))
    objects(room, room.some(10, 36), far, near)
    wires(room, room.some(0, 2), far, near)
    slats(room, room.chance(0.3), far, near)
    blades(room, room.chance(0.3), far, near)
    return room.finish(lamp=room.at(room.uniform(-1, 2, 1), room.uniform(-2, 1, 1), far * 3)[:, 0])


def backdrop(room: Layout, far: Array, spread: Array) -> None:
    """A plane or relief through the picture's middle, nowhere beyond the horizon."""
    slope = room.rng.normal(0, 1, (room.count, 2)) * spread
    steep = np.abs(slope).sum(axis=1, keepdims=True) * room.reach()
    slope *= np.minimum(1, 0.85 / np.maximum(steep, 1e-6))
    one, zero = np.ones(room.count), np.zeros(room.count)
    normal = np.stack((-slope[:, 0], -slope[:, 1], one), axis=1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    along = np.stack((one, zero, slope[:, 0]), axis=1)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    down = np.cross(normal, along)
    axes = np.stack((along, down, normal), axis=1)[:, None] * (40 / far)[..., None, None]
    centre = room.keep_away(room.at(0.5, 0.5, far), normal[:, None])
    kind = np.where(room.chance(0.5), RELIEF, QUAD)
    room.add(kind, centre, axes, waves=room.waves(2 * far, 0.2))


def objects(
    room: Layout,
    there: Array,
    far: Array,
    near: Array,
    spread: float = 0.6,
    shares: tuple[float, ...] = (0.5, 0.12, 0.14, 0.12, 0.12),
) -> None:
    """Things without support: patches, reliefs, boxes, ellipsoids, cylinders."""
    rng, shape = room.rng, there.shape
    nearest = room.nearness(1.05 * far, near, shape[1])
    side = room.log_uniform(6, 150, shape[1]) * (0.6 + nearest / 80)
    aspect = np.exp(rng.normal(0, 0.5, shape))
    half = 0.5 * room.pixel(nearest) * side
    kind = rng.choice((QUAD, RELIEF, BOX, ELLIPSOID, CYLINDER), shape, p=shares)
    flat = (kind == QUAD) | (kind == RELIEF)
    sizes = np.stack((half * aspect, half / aspect, half * np.exp(rng.normal(0, 0.4, shape))), -1)
    # A share of thin bars and planks.
    thin = room.chance(0.15, shape[1])[..., None] * np.array([1.0, 0.0, 0.0])
    sizes = sizes * (1 - 0.85 * thin) * (1 + 0.6 * thin[..., [1, 0, 2]])
    turn = np.where(flat[..., None, None], tilted(rng, shape, spread), random_turns(rng, shape))
    # The nearest point shall have the drawn disparity, so the middle lies behind it.
    depth = 1 / nearest + np.where(flat, 0.8, 1.2) * sizes.max(axis=-1)
    x, y = room.uniform(-0.05, 1.15, shape[1]), room.uniform(-0.1, 1.1, shape[1])
    room.add(
        kind,
        room.at(x, y, 1 / depth),
        scaled(turn, sizes),
        there,
        mask=np.where(flat, room.bank.outlines(rng, shape), -1),
        repeat=np.where(room.chance(0.15, shape[1]), room.uniform(1.5, 5, shape[1]), 1),
        waves=room.waves(2 * nearest, 0.08),
    )


def wires(room: Layout, there: Array, far: Array, near: Array) -> None:
    """Thin straight cylinders across the picture."""
    rng, shape = room.rng, there.shape
    disparity = room.nearness(1.05 * far, near, shape[1])
    radius = room.pixel(disparity) * room.log_uniform(0.5, 4, shape[1])
    length = room.pixel(disparity) * room.width * room.uniform(0.2, 1.0, shape[1])
    turn = tilted(rng, shape, 0.3)
    centre = room.at(room.uniform(0, 1, shape[1]), room.uniform(0, 1, shape[1]), disparity)
    room.add(CYLINDER, centre, scaled(turn, np.stack((radius, length, radius), -1)), there)


def rooms(room: Layout) -> Scenes:
    """Floor, walls and ceiling, furniture, shelves, pictures, plants and small things."""
    rng = room.rng
    back = room.log_uniform(4, 90, 1)
    yaw = np.clip(rng.normal(0, 0.35, (room.count, 1)), -0.9, 0.9)
    frame = turn_y(yaw)
    across, ahead = frame[..., 0], frame[..., 2]
    middle = room.at(room.uniform(0.2, 0.8, 1), room.uniform(0.3, 0.7, 1), back)
    large = 30 / back
    shell(room, frame, middle, back, large, yaw)
    row = np.maximum(room.uniform(0.55, 1.15, 1), room.cy / room.height + 0.08)
    floor = room.keep_away(room.at(0.5, row, back), -UP)
    lay = np.stack((across, ahead, np.broadcast_to(UP, across.shape)), axis=2)
    kind = np.where(room.chance(0.15), RELIEF, QUAD)
    there = room.chance(0.92)
    room.add(kind, _below(floor), lay * large[..., None, None], there, waves=room.waves(3 * back))
    level = floor[..., 1]
    row = np.minimum(room.uniform(-0.3, 0.3, 1), room.cy / room.height - 0.05)
    ceiling = room.keep_away(room.at(0.5, row, back), UP)
    room.add(QUAD, _below(ceiling), lay * large[..., None, None], room.chance(0.45))
    near = np.minimum(0.97 * room.max_disparity_px, back * np.exp(room.uniform(0.7, 3.2, 1)))
    pictures(room, frame, middle, back)
    furniture(room, room.some(1, 10), yaw, level, back, near)
    for _ in range(2):
        table(room, room.chance(0.5), yaw, level, back, near)
    shelf(room, room.chance(0.35), yaw, back, near)
    plant(room, room.chance(0.4), back, near, 6)
    slats(room, room.chance(0.5), back, near)
    blades(room, room.chance(0.4), back, near)
    objects(room, room.some(3, 18), back, near, 0.4)
    wires(room, room.some(0, 2), back, near)
    lamp = room.at(room.uniform(-0.3, 1.3, 1), room.uniform(-1.5, 0.4, 1), 1.5 * back)
    return room.finish(lamp[:, 0], small_turn(rng, room.count, 0.03))


def _below(centre: Array) -> Array:
    """Centre of a level plane: under the camera, where local coordinates need their digits."""
    return centre * np.array([0.0, 1.0, 0.0])


def shell(
    room: Layout, frame: Array, middle: Array, back: Array, large: Array, yaw: Array
) -> None:
    """Background behind gaps, the back wall, and the walls at both sides."""
    across, ahead = frame[..., 0], frame[..., 2]
    facing = np.broadcast_to(np.eye(3), frame.shape) * (4 * large)[..., None, None]
    room.add(QUAD, room.at(0.5, 0.5, back * room.uniform(0.2, 0.6, 1)), facing)
    upright = np.broadcast_to(-UP, across.shape)
    wall = np.stack((across, upright, ahead), axis=2) * large[..., None, None]
    room.add(QUAD, room.keep_away(middle, ahead), wall)
    for sign in (-1, 1):
        offset = sign * room.uniform(0.2, 0.9, 1) * room.width * room.pixel(back)
        centre = room.keep_away(middle + offset[..., None] * across, sign * across)
        # As near to the camera as the plane allows, for the digits again.
        centre = centre - (centre * ahead).sum(axis=-1, keepdims=True) * ahead
        side = np.stack((ahead, upright, across), axis=2) * large[..., None, None]
        # A turned back wall recedes on one side: there the room must be closed.
        there = room.chance(0.55) | (sign * yaw < -0.15)
        room.add(
            QUAD,
            centre,
            side,
            there,
            **room.bank.draw(room.rng, (room.count, 1), room.density(back)),
        )


def pictures(room: Layout, frame: Array, middle: Array, back: Array) -> None:
    """Posters, doors and windows on the back wall."""
    there = room.some(0, 4)
    shape = there.shape
    pixel = room.pixel(back)
    sizes = room.log_uniform(12, 90, shape[1]) * pixel
    aspect = np.exp(room.rng.normal(0, 0.4, shape))
    x = room.uniform(-0.6, 0.6, shape[1]) * room.width * pixel
    y = room.uniform(-0.6, 0.6, shape[1]) * room.height * pixel
    in_front = -room.uniform(0.002, 0.02, shape[1]) / back
    offset = np.einsum(
        'bnij,bnj->bni', np.repeat(frame, shape[1], 1), np.stack((x, y, in_front), -1)
    )
    half = np.stack((sizes * aspect, sizes / aspect, sizes), axis=-1)
    room.add(QUAD, middle + offset, scaled(np.repeat(frame, shape[1], 1), half), there)


def furniture(
    room: Layout, there: Array, yaw: Array, level: Array, back: Array, near: Array
) -> None:
    """Boxes and upright cylinders that stand on the floor."""
    rng, shape = room.rng, there.shape
    nearest = room.nearness(1.1 * back, near, shape[1])
    half = room.pixel(nearest)[..., None] * np.exp(
        rng.uniform(np.log(8), np.log(100), (*shape, 3))
    )
    kind = np.where(room.chance(0.8, shape[1]), BOX, CYLINDER)
    half[..., 2] = np.where(kind == CYLINDER, half[..., 0], half[..., 2])
    turn = turn_y(yaw + np.where(room.chance(0.6, shape[1]), 0, rng.normal(0, 0.6, shape)))
    depth = 1 / nearest + 1.3 * half[..., [0, 2]].max(axis=-1)
    centre = room.at(room.uniform(-0.1, 1.1, shape[1]), 0.5, 1 / depth)
    centre[..., 1] = level - half[..., 1]
    room.add(kind, centre, scaled(turn, half), there, **_dense(room, nearest))


def slats(room: Layout, there: Array, far: Array, near: Array) -> None:
    """Planks side by side and, at their ends, as many at an angle: a bench or a garden chair."""
    rng, number = room.rng, 6
    nearest = room.nearness(1.1 * far, near, 1)
    long = room.pixel(nearest) * room.log_uniform(25, 120, 1)
    pitch = long * room.uniform(0.1, 0.4, 1)
    wide = 0.5 * pitch * room.uniform(0.35, 0.97, 1)
    turn = tilted(rng, (room.count, 1), 0.6)
    centre = room.at(room.uniform(0, 1, 1), room.uniform(0, 1, 1), 1 / (1 / nearest + 1.5 * long))
    material = _dense(room, nearest)
    plain = room.chance(0.6)[..., None]
    calm(material, np.where(plain, 0.15 * rng.random((room.count, 1, 1)), 1.0))
    step = np.arange(number) - (number - 1) / 2
    sizes = np.stack((wide, long, 0.2 * wide), -1) * np.ones((number, 1))
    turns = np.repeat(turn, number, 1)
    back = np.stack((step * pitch, 0 * step * pitch, 0 * step * pitch), -1)
    some = there & room.some(2, number)
    world = centre + np.einsum('bnij,bnj->bni', turns, back)
    room.add(BOX, world, scaled(turns, sizes), some, **material)
    # The seat: from the lower end towards the camera, its planks along or across.
    seat = np.repeat(turn @ turn_x(room.uniform(1.2, 1.9, 1)), number, 1)
    reach = np.stack((step * pitch, -long * np.ones(number), 0 * step * pitch), -1)
    hinge = turn[..., 1] * long[..., None]
    world = centre + hinge + np.einsum('bnij,bnj->bni', seat, reach)
    room.add(BOX, world, scaled(seat, sizes), some & room.chance(0.6), **material)


def blades(room: Layout, there: Array, far: Array, near: Array) -> None:
    """Long pointed leaves from one root, or a sheaf of spindles: thin, smooth and alike."""
    rng, number = room.rng, 8
    shape = (room.count, number)
    nearest = room.nearness(1.1 * far, near, 1)
    long = room.pixel(nearest) * room.log_uniform(25, 160, 1)
    root = room.at(
        room.uniform(0, 1, 1), room.uniform(0.1, 1.1, 1), 1 / (1 / nearest + 1.6 * long)
    )
    half = long * np.exp(rng.normal(-0.2, 0.3, shape))
    half = np.minimum(half, 1.3 * long)
    thick = half * room.log_uniform(0.03, 0.2, 1)
    sizes = np.stack((thick, half, thick * rng.uniform(0.15, 1, shape)), -1)
    turn = random_turns(rng, shape)
    # Its second axis, the long one, points away from the root and seldom down.
    along = turn[..., 1]
    down = along[..., 1] * np.where(room.chance(0.7), 1.0, -1.0) > 0.2
    turn = np.where(down[..., None, None], turn * np.array([1.0, -1.0, 1.0]), turn)
    centre = root + turn[..., 1] * (0.95 * half)[..., None]
    material = _dense(room, np.repeat(nearest, number, 1))
    one = room.bank.draw(rng, (room.count, 1), room.density(nearest), shiny=0.2)
    alike = room.chance(0.7)
    for name, value in one.items():
        kept = np.asarray(material[name])
        mixed = alike.reshape(room.count, 1, *[1] * (kept.ndim - 2))
        material[name] = np.where(mixed, value, kept)
    calm(material, np.where(room.chance(0.6)[..., None], 0.2, 1.0))
    room.add(ELLIPSOID, centre, scaled(turn, sizes), there & room.some(3, number), **material)


def _dense(room: Layout, disparity: Array) -> dict[str, Array]:
    return room.bank.draw(room.rng, disparity.shape, room.density(disparity))


def table(room: Layout, there: Array, yaw: Array, level: Array, back: Array, near: Array) -> None:
    """A board on four legs."""
    nearest = room.nearness(1.1 * back, near, 1)
    long = room.pixel(nearest) * room.log_uniform(30, 140, 1)
    wide, height = long * room.uniform(0.4, 1, 1), long * room.uniform(0.4, 1, 1)
    depth = 1 / nearest + 1.5 * long
    centre = room.at(room.uniform(0, 1, 1), 0.5, 1 / depth)
    centre[..., 1] = level - height
    turn = turn_y(yaw + np.where(room.chance(0.5), 0, room.uniform(-0.8, 0.8, 1)))
    board = np.stack((long, 0.04 * long, wide), -1)
    room.add(BOX, centre, scaled(turn, board), there)
    corners = np.array([(-1, -1), (-1, 1), (1, -1), (1, 1)]) * 0.92
    foot = np.stack(
        (
            corners[:, 0] * long,
            np.repeat(0.5 * height, 4, 1),
            corners[:, 1] * wide,
        ),
        -1,
    )
    turns = np.repeat(turn, 4, 1)
    legs = np.einsum('bnij,bnj->bni', turns, foot) + centre
    thick = 0.04 * long * np.ones(4)
    shape = np.stack((thick, np.repeat(0.5 * height, 4, 1), thick), -1)
    round_legs = np.where(room.chance(0.5), CYLINDER, BOX) * np.ones(4, int)
    material = room.bank.draw(room.rng, (room.count, 1), room.density(nearest))
    room.add(round_legs, legs, scaled(turns, shape), there, **material)


def shelf(room: Layout, there: Array, yaw: Array, back: Array, near: Array) -> None:
    """Boards one above the other between two sides: a repeated structure."""
    boards = 6
    nearest = room.nearness(1.1 * back, 0.7 * near, 1)
    wide = room.pixel(nearest) * room.log_uniform(25, 120, 1)
    tall, deep = wide * room.uniform(0.6, 2, 1), wide * room.uniform(0.15, 0.6, 1)
    centre = room.at(room.uniform(0, 1, 1), room.uniform(0.2, 0.9, 1), nearest / 1.3)
    turn = turn_y(yaw)
    thick = 0.04 * wide
    places = np.zeros((room.count, boards + 2, 3))
    places[:, :boards, 1] = np.linspace(-1, 1, boards) * tall
    places[:, boards:, 0] = np.array([-1, 1]) * wide
    sizes = np.empty_like(places)
    sizes[:, :boards] = np.concatenate((wide, thick, deep), 1)[:, None]
    sizes[:, boards:] = np.concatenate((thick, tall, deep), 1)[:, None]
    turns = np.repeat(turn, boards + 2, 1)
    spots = centre + np.einsum('bnij,bnj->bni', turns, places)
    material = room.bank.draw(room.rng, (room.count, 1), room.density(nearest))
    room.add(BOX, spots, scaled(turns, sizes), there, **material)


def plant(room: Layout, there: Array, far: Array, near: Array, leaves: int) -> None:
    """Patches of leaves of all directions around one point."""
    shape = (room.count, leaves)
    nearest = room.nearness(1.1 * far, 0.8 * near, 1)
    half = room.pixel(nearest) * room.log_uniform(12, 90, 1)
    centre = room.at(room.uniform(0, 1, 1), room.uniform(0.1, 1, 1), 1 / (1 / nearest + 2 * half))
    offset = room.rng.normal(0, 0.5, (*shape, 3)) * half[..., None]
    sizes = half[..., None] * np.exp(room.rng.normal(0, 0.25, (*shape, 3)))
    turns = tilted(room.rng, shape, 0.6)
    room.add(
        np.where(there, QUAD, NONE),
        centre + np.clip(offset, -half[..., None], half[..., None]),
        scaled(turns, sizes),
        mask=room.bank.leaves(room.rng, shape),
        repeat=1.0,
        **_dense(room, np.repeat(nearest, leaves, 1)),
    )
