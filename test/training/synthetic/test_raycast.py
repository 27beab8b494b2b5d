"""The ray caster: hits computed by hand, both views of one world, and its slow twin."""

import numpy as np
import pytest
import torch
from raycast_reference import render_reference

from dtp_stereo_ros.training.data.raycast_source import stereo_pairs
from dtp_stereo_ros.training.data.workers import endless_loader
from dtp_stereo_ros.training.synthetic import raycast
from dtp_stereo_ros.training.synthetic.atlas import (
    FENCES,
    LEAVES,
    LEVELS,
    MASK_PX,
    MASKS,
    TILE_PX,
    Atlas,
    DeviceAtlas,
    build_atlas,
    mip_levels,
    mirrored,
)
from dtp_stereo_ros.training.synthetic.flatten import MAX_SURFACES, flatten
from dtp_stereo_ros.training.synthetic.materials import Bank
from dtp_stereo_ros.training.synthetic.photometric_batch import (
    distort_batch,
    draw_distortion,
    draw_tones,
)
from dtp_stereo_ros.training.synthetic.raycast import RayCaster
from dtp_stereo_ros.training.synthetic.sampler import WORLDS, SceneSampler
from dtp_stereo_ros.training.synthetic.scene import (
    BOX,
    CYLINDER,
    ELLIPSOID,
    GRAZING,
    QUAD,
    RELIEF,
    Scenes,
    merge,
    pick,
    primitives,
)
from dtp_stereo_ros.training.synthetic.stream import (
    Drawer,
    DrawnBatches,
    make_batch,
)

pytestmark = pytest.mark.usefixtures('one_thread')

FOCAL, CX, CY, HEIGHT, WIDTH = 100.0, 80.0, 48.0, 96, 160


@pytest.fixture(scope='module')
def atlas():
    return build_atlas(None, seed=3)


def world(kinds, centres, axes, **more):
    """One scene; disparity 1 / Z, so Z = 0.05 is 20 px."""
    shape = (1, len(kinds))
    fields = primitives(
        shape,
        kind=np.array([kinds]),
        centre=np.array([centres], float),
        axes=np.array([axes], float),
        texture=np.eye(2) * 2000,
        **more,
    )
    return Scenes(
        HEIGHT,
        WIDTH,
        focal=np.array([FOCAL]),
        cx=np.array([CX]),
        cy=np.array([CY]),
        lamp=np.array([[0.3, -0.5, -0.2]]),
        ambient=np.array([0.6]),
        surroundings=np.array([0]),
        **fields,
    )


def wall(depth=0.05, size=10.0):
    return QUAD, (0, 0, depth), np.diag([size, size, size])


def scene_of(*parts, **more):
    kinds, centres, axes = zip(*parts, strict=True)
    return world(kinds, centres, axes, **more)


def warp_error(rendered):
    """Mean grey difference between left pixels and what the disparity says matches them."""
    left, right = rendered.left.mean(dim=1), rendered.right.mean(dim=1)
    columns = torch.arange(left.shape[2]) - rendered.disparity_left
    low = columns.floor().long().clamp(0, left.shape[2] - 2)
    share = columns - low
    matched = torch.lerp(right.gather(2, low), right.gather(2, low + 1), share)
    return (matched - left).abs()


def test_a_facing_wall_has_one_disparity_in_both_views(atlas):
    found = RayCaster(atlas).render(scene_of(wall(0.05)))
    assert found.disparity_left.numpy() == pytest.approx(20.0, rel=1e-5)
    assert found.disparity_right.numpy() == pytest.approx(20.0, rel=1e-5)
    # Columns 0..19 of the left view match nothing, nor do the last ones of the right view.
    assert not found.visible_left[0, :, :20].any()
    assert found.visible_left[0, :, 20:].all()
    assert not found.visible_right[0, :, WIDTH - 20 :].any()


def test_a_slanted_plane_by_hand(atlas):
    # z = 0.05 + x / 2: with x = z X, 1 / z = (1 - X / 2) / 0.05.
    along = np.array([1, 0, 0.5]) / np.sqrt(1.25)
    axes = 10 * np.stack((along, [0, 1, 0], np.cross(along, [0, 1, 0])))
    found = RayCaster(atlas).render(scene_of((QUAD, (0, 0, 0.05), axes)))
    x = (np.arange(WIDTH) - CX) / FOCAL
    expected = (1 - x / 2) / 0.05
    assert found.disparity_left[0, 40].numpy() == pytest.approx(expected, rel=1e-5)


def test_a_floor_grows_from_the_horizon(atlas):
    axes = [[50, 0, 0], [0, 0, 50], [0, 50, 0]]
    found = RayCaster(atlas).render(scene_of((QUAD, (0, 0.02, 0), axes)))
    rows = np.arange(HEIGHT)
    expected = np.maximum(rows - CY, 0) / FOCAL / 0.02
    assert found.disparity_left[0, :, 100].numpy() == pytest.approx(expected, abs=1e-3)


def test_a_sphere_by_hand(atlas):
    radius, depth = 0.02, 0.08
    part = (ELLIPSOID, (0, 0, depth), np.eye(3) * radius)
    found = RayCaster(atlas).render(scene_of(wall(0.5), part))
    assert found.disparity_left[0, int(CY), int(CX)] == pytest.approx(1 / 0.06, rel=1e-5)
    # Along the row: z from |z (X, 0, 1) - c| = r.
    x = (np.arange(WIDTH) - CX) / FOCAL
    inside = depth**2 - (1 + x**2) * (depth**2 - radius**2)
    depths = (depth - np.sqrt(np.maximum(inside, 0))) / (1 + x**2)
    expected = np.where(inside > 0, 1 / depths, 2.0)
    assert found.disparity_left[0, int(CY)].numpy() == pytest.approx(expected, rel=1e-3)
    # Tangent at X = r / sqrt(Z^2 - r^2): 25.8 px to either side.
    assert (found.disparity_left[0, int(CY)] > 3).sum() == 2 * 25 + 1


def test_a_cylinder_shows_its_side_and_its_cap(atlas):
    radius, depth, half = 0.02, 0.08, 0.015
    axes = np.diag([radius, half, radius])
    # Raised above the camera: its lower cap at y = -0.015 is seen from below.
    found = RayCaster(atlas).render(scene_of(wall(0.5), (CYLINDER, (0, -0.03, depth), axes)))
    column = found.disparity_left[0, :, int(CX)].numpy()
    y = (np.arange(HEIGHT) - CY) / FOCAL
    side = depth - radius
    at_side = y * side
    on_side = (at_side > -0.045) & (at_side < -0.015)
    with np.errstate(divide='ignore'):
        cap = -0.015 / y
    on_cap = (cap > side) & (cap < depth + radius) & ~on_side
    expected = np.where(on_side, 1 / side, np.where(on_cap, 1 / cap, 2.0))
    assert on_side.sum() > 10
    assert on_cap.sum() > 5
    # Rows where a ray just meets an edge are left to rounding.
    clear = np.min([np.abs(at_side + 0.045), np.abs(at_side + 0.015), np.abs(cap - 0.1)], 0) > 1e-6
    assert column[clear] == pytest.approx(expected[clear], rel=1e-4)


def test_a_turned_box_by_hand(atlas):
    # A cube turned by 45 degrees: its front edge is at depth 0.1 - a sqrt(2).
    a, turn = 0.02, np.sqrt(0.5)
    axes = a * np.array([[turn, 0, turn], [0, 1, 0], [-turn, 0, turn]])
    found = RayCaster(atlas).render(scene_of(wall(0.5), (BOX, (0, 0, 0.1), axes)))
    row = found.disparity_left[0, int(CY)].numpy()
    x = (np.arange(WIDTH) - CX) / FOCAL
    front = 0.1 - a * np.sqrt(2)
    # Faces z = front + |x|, so 1 / z = (1 - |X|) / front, until |x| = a sqrt(2).
    expected = (1 - np.abs(x)) / front
    edge = a * np.sqrt(2) / 0.1
    expected = np.where(np.abs(x) < edge, expected, 2.0)
    clear = np.abs(np.abs(x) - edge) > 0.01
    assert row[clear] == pytest.approx(expected[clear], rel=1e-4)


def test_a_relief_by_hand(atlas):
    waves = np.zeros((1, 1, 2, 4))
    waves[0, 0, 0] = (0.1, 0.05, 0.02, 0.3)
    _, centre, axes = wall(0.05)
    found = RayCaster(atlas).render(scene_of((RELIEF, centre, axes), waves=waves))
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    expected = 20 * (1 + 0.1 * np.sin(0.05 * x + 0.02 * y + 0.3))
    assert found.disparity_left[0].numpy() == pytest.approx(expected, rel=1e-4)
    # In the right view every disparity lies where the left one says.
    right = found.disparity_right[0].numpy()
    for row, column in ((10, 60), (50, 120), (90, 90)):
        place = column - expected[row, column]
        low = int(place)
        between = right[row, low] + (place - low) * (right[row, low + 1] - right[row, low])
        assert between == pytest.approx(expected[row, column], abs=5e-3)


def test_occlusion_beside_a_box_is_as_wide_as_the_step(atlas):
    # A plate of disparity 50 over columns 60..99 before a wall of 20.
    depth = 1 / 50
    plate = (QUAD, (0, 0, depth), np.diag([19.9, 200, 1]) * depth / FOCAL)
    found = RayCaster(atlas).render(scene_of(wall(0.05), plate))
    near = np.flatnonzero(found.disparity_left[0, 40].numpy() > 30)
    assert (near.min(), near.max()) == (61, 99)
    hidden = np.flatnonzero(~found.visible_left[0, 40].numpy())
    hidden = hidden[hidden >= 20]
    # The wall is hidden where the plate, moved by the difference of 30, covers it.
    assert hidden.tolist() == list(range(61 - 30, 61))
    right = np.flatnonzero(found.disparity_right[0, 40].numpy() > 30)
    assert (right.min(), right.max()) == (61 - 50, 99 - 50)
    hidden_right = np.flatnonzero(~found.visible_right[0, 40].numpy())
    assert set(range(50, 80)) <= set(hidden_right.tolist())


def test_nearest_wins_whatever_the_order(atlas):
    parts = [wall(0.05), wall(0.02, 0.004), (ELLIPSOID, (0.01, 0, 0.03), np.eye(3) * 0.005)]
    caster = RayCaster(atlas)
    first, second = caster.render(scene_of(*parts)), caster.render(scene_of(*parts[::-1]))
    assert torch.equal(first.disparity_left, second.disparity_left)
    assert len(first.disparity_left.round().unique()) > 3


def test_what_is_too_near_is_cut_away(atlas):
    found = RayCaster(atlas, max_disparity_px=30).render(scene_of(wall(0.05), wall(0.02, 0.004)))
    assert found.disparity_left.max() == pytest.approx(20)


def test_nothing_ahead_is_disparity_zero_and_black(atlas):
    found = RayCaster(atlas).render(scene_of(wall(0.05, 0.01)))
    assert found.disparity_left[0, 0, 0] == 0
    assert found.left[0, :, 0, 0].tolist() == [0, 0, 0]
    assert found.left[0, :, int(CY), int(CX)].max() > 0


def test_a_mask_cuts_its_outline():
    masks = np.zeros((1, MASK_PX, MASK_PX), np.uint8)
    masks[0, :, : MASK_PX // 2] = 255
    tiles = np.full((1, TILE_PX, TILE_PX, 3), 200, np.uint8)
    caster = RayCaster(Atlas(tiles, masks, 0))
    plate = (QUAD, (0, 0, 0.02), np.diag([30, 30, 1]) * 0.02 / FOCAL)
    mask = np.array([[-1, 0]])
    found = caster.render(scene_of(wall(0.05), plate, mask=mask))
    near = np.flatnonzero(found.disparity_left[0, int(CY)].numpy() > 30)
    assert abs(near.min() - 50) <= 1
    assert abs(near.max() - 80) <= 1


@pytest.mark.parametrize('name', list(WORLDS))
def test_the_slow_twin_agrees(atlas, name):
    scenes = SceneSampler(Bank.of(atlas)).draw(np.random.default_rng(5), 2, (64, 128), name)
    found = RayCaster(atlas).render(scenes)
    for i in range(2):
        views = render_reference(atlas, scenes, i)
        for (colour, disparity), image, map_px in zip(
            views,
            (found.left, found.right),
            (found.disparity_left, found.disparity_right),
            strict=True,
        ):
            off = np.abs(map_px[i].numpy() - disparity) > 1e-3 * np.maximum(disparity, 0.05)
            # Outlines: rounding decides which of two surfaces a ray just meets.
            assert off.mean() < 2e-3
            error = np.abs(image[i].permute(1, 2, 0).numpy() - colour).max(axis=2)[~off]
            assert error.mean() < 0.1
            assert np.percentile(error, 99) < 1.0


@pytest.mark.parametrize('name', list(WORLDS))
def test_worlds_are_consistent_between_views_and_in_range(atlas, name):
    scenes = SceneSampler(Bank.of(atlas)).draw(np.random.default_rng(1), 12, (96, 192), name)
    # Mirrors and highlights move with the camera; here they are switched off.
    scenes.mirror[:], scenes.shine[:] = 0, 0
    found = RayCaster(atlas).render(scenes)
    seen = found.visible_left
    error = warp_error(found)
    assert error[seen].median() < 2
    assert error[~seen].mean() > 3 * error[seen].mean()
    assert found.disparity_left.max() <= 190
    assert (found.disparity_left == 0).float().mean() < 0.01
    assert 0.55 < seen.float().mean() < 0.99
    spread = found.disparity_left.flatten(1)
    assert (spread.max(dim=1).values / spread.clamp(min=0.02).min(dim=1).values).median() > 3


def test_all_disparities_occur(atlas):
    # In wide pictures, as those of real cameras.
    scenes = SceneSampler(Bank.of(atlas)).draw(np.random.default_rng(2), 60, (64, 384))
    disparity = RayCaster(atlas).render(scenes).disparity_left
    counts = torch.histc(disparity, bins=18, min=0, max=180)
    assert (counts > 0).all()
    assert counts[0] < 0.7 * counts.sum()


def test_mirrors_differ_between_the_views_but_not_in_truth(atlas):
    plain = scene_of(wall(0.05))
    shiny = scene_of(wall(0.05), mirror=0.8, shine=0.5)
    caster = RayCaster(atlas)
    without, with_mirror = caster.render(plain), caster.render(shiny)
    assert torch.equal(without.disparity_left, with_mirror.disparity_left)
    seen = without.visible_left
    assert warp_error(with_mirror)[seen].mean() > 2 * warp_error(without)[seen].mean()


@pytest.mark.parametrize('share', [0.0, 0.4, 0.9])
def test_what_a_pane_shows_has_a_disparity_of_its_own(atlas, share):
    pane = scene_of(wall(0.05), mirror=1.0, image=np.array([1.0, share, 2.0]))
    found = RayCaster(atlas).render(pane)
    assert found.disparity_left.numpy() == pytest.approx(20.0, rel=1e-5)
    left, right = (image.mean(dim=(0, 1)) for image in (found.left, found.right))
    shift = round(20 * share)
    there = (left[:, shift:] - right[:, : WIDTH - shift]).abs().mean()
    at_the_pane = (left[:, 20:] - right[:, : WIDTH - 20]).abs().mean()
    assert at_the_pane > 10 * there


def test_mirrors_are_stronger_at_grazing_sight(atlas):
    """A black floor shows nothing but its mirror image: more of it towards the horizon."""
    floor = (QUAD, (0, 0.05, 0.0), np.array([[9.0, 0, 0], [0, 0, 9.0], [0, 1.0, 0]]))
    dark = {'gain': 0.0, 'shine': 0.0, 'mirror': 0.2}
    tiles = np.full((1, TILE_PX, TILE_PX, 3), 200, np.uint8)
    caster = RayCaster(Atlas(tiles, np.zeros((1, MASK_PX, MASK_PX), np.uint8), 0))
    shown = caster.render(scene_of(floor, **dark)).left[0, 0, :, int(CX)]
    for row in (60, 90):
        tangent = (row - CY) / FOCAL
        cosine = max(0.05, tangent / np.hypot(1, tangent))
        expected = 200 * 0.2 * (1 + GRAZING * (1 - cosine) ** 3)
        assert shown[row].item() == pytest.approx(expected, rel=1e-3)


def test_more_samples_soften_edges_and_leave_the_truth(atlas):
    axes = np.diag([20, 20, 1]) * 0.02 / FOCAL
    turn = np.array([[0.8, 0.6, 0], [-0.6, 0.8, 0], [0, 0, 1]])
    part = (QUAD, (0, 0, 0.02), axes @ turn)
    scene = scene_of(
        wall(0.05), part, offset=np.array([[[0.0] * 3, [250.0] * 3]]), gain=0.0, lit=0.0
    )
    hard, soft = RayCaster(atlas).render(scene), RayCaster(atlas, samples=4).render(scene)
    assert torch.equal(hard.disparity_left, soft.disparity_left)
    assert set(hard.left.unique().tolist()) == {0.0, 250.0}
    assert set(soft.left.unique().tolist()) == {0.0, 62.5, 125.0, 187.5, 250.0}


def test_scenes_in_parts_are_the_same_scenes(atlas):
    sampler = SceneSampler(Bank.of(atlas))
    scenes = sampler.draw(np.random.default_rng(4), 5, (64, 96))
    caster = RayCaster(atlas)
    together = caster.render(scenes)
    for i in range(5):
        alone = caster.render(pick(scenes, slice(i, i + 1)))
        assert torch.equal(alone.disparity_left[0], together.disparity_left[i])
        assert (alone.left[0] - together.left[i]).abs().max() < 1e-3


def test_pairs_one_by_one_are_the_batch(atlas):
    scenes = SceneSampler(Bank.of(atlas)).draw(np.random.default_rng(3), 3, (64, 96))
    rendered = RayCaster(atlas).render(scenes)
    pairs = stereo_pairs(rendered)
    assert len(pairs) == 3
    for number, pair in enumerate(pairs):
        assert pair.left.shape == (64, 96, 3)
        assert pair.left.dtype == np.uint8
        for shown, whole in ((pair.left, rendered.left), (pair.right, rendered.right)):
            difference = shown.transpose(2, 0, 1).astype(float) - whole[number].numpy()
            assert np.abs(difference).max() <= 0.5 + 1e-3
        for name in ('disparity_left', 'disparity_right', 'visible_left', 'visible_right'):
            assert np.array_equal(getattr(pair, name), getattr(rendered, name)[number].numpy())


def test_computing_all_kinds_everywhere_changes_nothing(atlas):
    scenes = SceneSampler(Bank.of(atlas)).draw(np.random.default_rng(6), 6, (64, 96))
    picking, everywhere = RayCaster(atlas), RayCaster(atlas)
    everywhere.sparse = False
    first, second = picking.render(scenes), everywhere.render(scenes)
    assert torch.equal(first.disparity_right, second.disparity_right)
    assert (first.right - second.right).abs().max() < 1e-3


def test_batches_are_cut_into_equal_parts(monkeypatch, atlas):
    monkeypatch.setitem(raycast.PIXELS_AT_ONCE, 'cpu', 4 * 32 * 64)
    scenes = SceneSampler(Bank.of(atlas)).draw(np.random.default_rng(6), 9, (32, 64))
    assert [len(part) for part, _ in raycast.prepare(scenes, 'cpu')] == [3, 3, 3]


def test_merging_pads_with_nothing():
    one, two = scene_of(wall()), scene_of(wall(), wall(0.1))
    both = merge([one, two])
    assert both.kind.tolist() == [[QUAD, 0], [QUAD, QUAD]]
    assert len(both) == 2
    surfaces = flatten(both)
    assert surfaces.scene.tolist() == [0, 0, 1, 1, 1]
    assert surfaces.index.tolist() == [0, 1, 0, 1, 2]


def test_too_many_surfaces_are_refused():
    crowd = scene_of(*[wall() for _ in range(MAX_SURFACES + 1)])
    with pytest.raises(ValueError, match=str(MAX_SURFACES + 1)):
        flatten(crowd)


def test_an_unknown_field_of_a_primitive_is_named():
    with pytest.raises(KeyError, match='colour'):
        primitives((1, 1), colour=3)


def test_worlds_stay_within_the_index(atlas):
    bank = Bank.of(atlas)
    for name in WORLDS:
        scenes = SceneSampler(bank).draw(np.random.default_rng(0), 64, (160, 512), name)
        assert flatten(scenes).index.max() < MAX_SURFACES / 2


def test_tiles_repeat_mirrored_and_levels_are_means(atlas):
    assert mirrored(torch.tensor([-1.0, 1.0, 255.0, 257.0, 511.0, 513.0]), 256).tolist() == [
        1.0, 1.0, 255.0, 255.0, 1.0, 1.0,
    ]  # fmt: skip
    levels = mip_levels(atlas.tiles)
    assert len(levels) == LEVELS
    device = DeviceAtlas(atlas)
    tile = torch.tensor([5.0, 5.0, 5.0])
    # The middle of a texel is that texel, at any level.
    u, v = torch.tensor([10.5, 10.5 + 512, -10.5]), torch.tensor([30.5, 30.5, 30.5])
    found = device.fetch(tile, u, v, torch.zeros(3)).T.numpy()
    assert found == pytest.approx(np.tile(atlas.tiles[5, 30, 10], (3, 1)), abs=0.05)
    found = device.fetch(
        tile, u.new_full((3,), 20.0), v.new_full((3,), 36.0), torch.full((3,), 3.0)
    )
    assert found.T.numpy()[0] == pytest.approx(levels[3][5, 4, 2], abs=0.05)


def test_the_last_masks_are_leaves_and_fences(atlas):
    assert len(atlas.masks) == MASKS + LEAVES + FENCES
    fences = atlas.masks[MASKS + LEAVES :]
    # Bars run from top to bottom somewhere in each.
    assert ((fences > 127).all(axis=1).any(axis=1)).all()
    bank = Bank.of(atlas)
    drawn = bank.fences(np.random.default_rng(0), (10, 10))
    assert drawn.min() >= MASKS + LEAVES
    assert drawn.max() < len(atlas.masks)


def drawer_of(atlas, **changes):
    values = {'sizes': ((64, 96), (32, 128)), 'batch_size': 2, 'seed': 7}
    return Drawer(Bank.of(atlas), **{**values, **changes})


def test_the_same_seed_and_number_make_the_same_batch(atlas):
    caster, drawer = RayCaster(atlas), drawer_of(atlas)
    first, again = (make_batch(caster, drawer.draw(3)) for _ in range(2))
    for name in first:
        assert torch.equal(first[name], again[name])
    other = make_batch(caster, drawer.draw(5))
    assert not torch.equal(first['left'], other['left'])
    assert first['left'].shape == (2, 3, 32, 128)
    assert make_batch(caster, drawer.draw(2))['left'].shape == (2, 3, 64, 96)
    assert first['left'].dtype == torch.uint8
    assert first['visible'].dtype == torch.bool


def test_nothing_is_asked_of_the_device(atlas):
    # Tensors without values: a decision by one, or a mix of devices, would raise.
    drawn = drawer_of(atlas, device='meta').draw(0)
    rendered = RayCaster(atlas, 'meta', samples=2).render(drawn.scenes)
    left, right = distort_batch(drawn.change, rendered.left, rendered.right)
    assert left.shape == right.shape == (2, 3, 64, 96)
    assert left.device.type == rendered.visible_left.device.type == 'meta'


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
def test_a_gpu_renders_the_same(atlas):
    drawer = drawer_of(atlas, batch_size=8)
    drawn = drawer.draw(0)
    here, there = (RayCaster(atlas, device).render(drawn.scenes) for device in ('cpu', 'cuda'))
    off = (here.disparity_left - there.disparity_left.cpu()).abs() > 1e-3 * here.disparity_left
    assert off.float().mean() < 2e-3
    assert (here.left - there.left.cpu()).abs().mean() < 0.1
    assert make_batch(RayCaster(atlas, 'cuda'), drawn)['left'].is_cuda


def test_streams_number_their_batches(atlas):
    drawer, caster = drawer_of(atlas), RayCaster(atlas)
    drawn = iter(DrawnBatches(drawer, 2))
    for number in (2, 3):
        expected = make_batch(caster, drawer.draw(number))
        assert torch.equal(make_batch(caster, next(drawn))['right'], expected['right'])


def test_workers_share_the_stream(atlas):
    loader = endless_loader(DrawnBatches(drawer_of(atlas)), 2, torch.device('cpu'), ahead=2)
    seeds = [item.seed for _, item in zip(range(4), loader, strict=False)]
    assert seeds == [drawer_of(atlas).draw(i).seed for i in range(4)]


def test_cameras_differ_mildly_and_by_their_own_chance():
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.uniform(0, 255, (60, 3, 12, 18))).float()
    image = torch.nn.functional.interpolate(image, size=(96, 144), mode='bicubic').clamp(0, 255)
    change = draw_distortion(np.random.default_rng(1), 60, (96, 144))
    left, right = distort_batch(change, image, image, torch.Generator().manual_seed(0))
    assert left.shape == right.shape == image.shape
    assert left.dtype == torch.uint8
    apart = (left.float() - right.float()).abs().mean(dim=(1, 2, 3))
    assert 1 < apart.median() < 30
    # Both views of a grey camera are grey, whatever their tone and noise.
    grey = torch.from_numpy(change.grey) == 1
    colourful = torch.cat((left, right)).float().std(dim=1).amax(dim=(1, 2))
    assert 4 <= int(grey.sum()) <= 50
    assert (colourful[grey] == 0).all()
    assert (colourful[~grey] > 5).all()
    assert (grey[:60] == grey[60:]).all()
    hidden = (change.hidden[..., 2] > change.hidden[..., 0]).any(axis=1)
    assert 1 <= hidden.sum() <= 25


def test_harsh_light_burns_and_blocks():
    """Both ends of the scale are lost far more often than in mild light."""
    lost = []
    for harsh in (0.0, 1.0):
        tones = draw_tones(np.random.default_rng(2), np.full(400, 0.15), harsh)
        gain, offset, gamma = tones[0][:, :1], tones[1][:, :1], tones[2][:, None]
        ramp = np.linspace(0, 1, 256) ** gamma * 255 * gain + offset
        lost.append([(ramp >= 255).mean(), (ramp <= 0).mean()])
    assert lost[1][0] > 2 * lost[0][0] > 0
    assert lost[1][1] > 2 * lost[0][1] > 0


def test_blur_kernels_are_normal_and_motion_lengthens_them():
    change = draw_distortion(np.random.default_rng(3), 400, (64, 64))
    assert change.kernels.sum(axis=(1, 2)) == pytest.approx(1)
    y, x = np.mgrid[0:9, 0:9] - 4
    second = np.stack(
        [(change.kernels * m).sum(axis=(1, 2)) for m in (x * x, x * y, y * y)], axis=-1
    )
    wide = np.linalg.eigvalsh(second[:, [0, 1, 1, 2]].reshape(-1, 2, 2))
    assert (wide[:, 1] > 2 * wide[:, 0]).sum() > 20
    assert np.median(wide[:, 1]) < 2


def only(change, *kept, **given):
    """A distortion of which nothing is left but what is named, or given."""
    still = {
        'grey': 0 * change.grey, 'offset': 0 * change.offset, 'vignette': 0 * change.vignette,
        'noise': 0 * change.noise, 'shot': 0 * change.shot, 'hidden': 0 * change.hidden,
        'gain': 0 * change.gain + 1, 'gamma': 0 * change.gamma + 1,
        'blurred': change.blurred[:0], 'kernels': change.kernels[:0],
        'moved': change.moved[:0], 'motion': change.motion[:0],
        'coded': change.coded[:0], 'coarse': change.coarse[:0],
    }  # fmt: skip
    return type(change)(**{**vars(change), **still, **{n: vars(change)[n] for n in kept}, **given})


def test_each_distortion_by_hand():
    """Of a grey ramp across the picture, the same in both views."""
    image = torch.arange(96.0).expand(1, 3, 64, 96) + 100
    change = draw_distortion(np.random.default_rng(0), 1, (64, 96))

    def shown(**given):
        generator = torch.Generator().manual_seed(0)
        pair = distort_batch(only(change, **given), image, image, generator)
        return [view[0].float() for view in pair]

    left, right = shown()
    assert torch.equal(left, image[0])
    assert torch.equal(right, image[0])
    left, right = shown(vignette=np.array([0.4, 0.0]))
    assert left[0, 0, 0] == 60  # the corners lose 0.4 of 100
    assert torch.equal(right, image[0])
    left, right = shown(noise=np.array([0.0, 5.0]))
    assert torch.equal(left, image[0])
    assert (right - image[0]).std().item() == pytest.approx(5, rel=0.05)
    left, _ = shown(shot=np.array([4.0, 4.0]))
    dark, light = (left[..., :16] - image[0, ..., :16]), (left[..., -16:] - image[0, ..., -16:])
    # By the root of the light, 107 and 187 of 255.
    assert (light.std() / dark.std()).item() == pytest.approx(np.sqrt(187 / 107), rel=0.1)
    left, right = shown(gain=np.array([[0.5] * 3, [1.0, 1.0, 0.0]]), offset=np.full((2, 3), 3.0))
    assert torch.equal(left[0], torch.floor(image[0, 0] / 2 + 3.5))
    assert (right[2] == 3).all()
    left, right = shown(hidden=np.array([[[10, 20, 30, 40], [0, 0, 0, 0]]]))
    assert torch.equal(left, image[0])
    box = right[:, 20:40, 10:30]
    assert (box == box[0, 0, 0]).all()
    assert box[0, 0, 0].item() == pytest.approx(image.mean().item(), abs=5)
    assert int((right != image[0]).any(dim=0).sum()) >= 380
    left, _ = shown(coded=np.array([0, 1]), coarse=np.array([40.0, 40.0]))
    blocks = left[0].reshape(8, 8, 12, 8).transpose(1, 2)
    # So coarse that of a block's ramp nothing but its mean is left.
    assert (blocks.amax(dim=(2, 3)) == blocks.amin(dim=(2, 3))).all()
    assert (left - image[0]).abs().max() < 45


def test_misalignment_moves_the_right_view_up_or_down():
    rows = torch.arange(64.0)[:, None].expand(64, 96) * 2
    image = rows.expand(200, 3, 64, 96).contiguous()
    change = draw_distortion(np.random.default_rng(5), 200, (64, 96))
    clean = only(change, 'moved', 'motion')
    left, right = distort_batch(clean, image, image)
    assert (left.float() - image).abs().max() <= 0.51
    shift = (right.float() - image)[:, 0, 20:40, 40:56].mean(dim=(1, 2)).numpy() / 2
    moved = change.moved - 200
    assert 60 < len(moved) < 140
    unmoved = np.setdiff1d(np.arange(200), moved)
    assert np.abs(shift[unmoved]).max() < 0.26
    assert 0.2 < np.std(shift[moved]) < 0.6
