"""The generator's promise: disparity and visibility are exact, in both views."""

import cv2
import numpy as np
import pytest

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.training.synthetic.planar.photometric import distort_pair
from dtp_stereo_ros.training.synthetic.planar.render import render
from dtp_stereo_ros.training.synthetic.planar.scenes import SceneMaker
from dtp_stereo_ros.training.synthetic.planar.shapes import draw_mask
from dtp_stereo_ros.training.synthetic.planar.surface import (
    Bump,
    Camera,
    patch,
    plane_of,
    tilted_axes,
)
from dtp_stereo_ros.training.synthetic.planar.textures import TextureBank, load_photos

CAMERA = Camera(300.0, 120.0, 60.0, 240, 120)


def smooth_texture(seed=0, side=256):
    noise = np.random.default_rng(seed).uniform(0, 255, (side // 8, side // 8, 3))
    return (
        cv2.resize(noise.astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
        .clip(0, 255)
        .astype(np.uint8)
    )


def warp_error(pair):
    """Mean grey difference between left pixels and what the disparity says matches them."""
    height, width = pair.disparity_left.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    matched = cv2.remap(pair.right, x - pair.disparity_left, y, cv2.INTER_LINEAR)
    return np.abs(matched.astype(float) - pair.left).mean(axis=2)


def wall(disparity, slope_x=0.0, slope_y=0.0, **kwargs):
    axes = tilted_axes(CAMERA, disparity, slope_x, slope_y, 0.3)
    return patch(
        CAMERA, CAMERA.point(120, 60, disparity), *axes, smooth_texture(), endless=True, **kwargs
    )


def test_a_point_projects_where_it_was_seen_and_shifts_by_its_disparity():
    point = CAMERA.point(150, 40, 25)
    x, y, w = CAMERA.matrix @ point
    assert (x / w, y / w) == pytest.approx((150, 40))
    assert 1 / point[2] == pytest.approx(25)


def test_plane_of_a_facing_wall_is_constant_and_of_a_floor_grows_from_the_horizon():
    axes = tilted_axes(CAMERA, 20, 0, 0, 1.0)
    assert plane_of(CAMERA, CAMERA.point(5, 5, 20), *axes) == pytest.approx([0, 0, 20])
    floor = plane_of(
        CAMERA, CAMERA.point(120, 120, 30), np.array([1.0, 0, 0]), np.array([0, 0, 1.0])
    )
    a, b, c = floor
    assert a == pytest.approx(0)
    assert b * 60 + c == pytest.approx(0)
    assert b * 120 + c == pytest.approx(30)


@pytest.mark.parametrize(
    ('slopes', 'bump'),
    [((0, 0), None), ((0.8, -0.5), None), ((0.3, 0.2), Bump(8.0, 120, 60, 140, 90))],
    ids=['facing', 'slanted', 'bulging'],
)
def test_the_right_view_matches_the_left_at_the_disparity(slopes, bump):
    pair = render(CAMERA, [wall(20, *slopes, bump=bump)], 190)
    assert pair.disparity_left.std() > (0 if slopes == (0, 0) else 1) or slopes == (0, 0)
    error = warp_error(pair)
    assert np.median(error[pair.visible_left]) < 1.0
    assert np.percentile(error[pair.visible_left], 99) < 6.0


def test_occlusion_of_a_box_before_a_wall_is_as_wide_as_the_step():
    axes = tilted_axes(CAMERA, 50, 0, 0, 0)
    box = patch(CAMERA, CAMERA.point(120, 60, 50), *axes, smooth_texture(1, 40))
    pair = render(CAMERA, [wall(20), box], 190)
    row = pair.disparity_left[60]
    assert set(np.unique(row.round(3))) == {20.0, 50.0}
    near = np.flatnonzero(row > 30)
    # Left of the box, as many columns of the wall are hidden as the disparities differ by.
    hidden = np.flatnonzero(~pair.visible_left[60])
    hidden = hidden[hidden >= 20]
    assert abs(len(hidden) - 30) <= 1
    assert hidden.max() == near.min() - 1
    # Columns whose match would be left of the right view.
    assert not pair.visible_left[60, :20].any()
    # In the right view the box hides the wall on its other side.
    right_near = np.flatnonzero(pair.disparity_right[60] > 30)
    assert right_near.min() == near.min() - 50
    hidden_right = np.flatnonzero(~pair.visible_right[60])
    assert right_near.max() + 1 in hidden_right


def test_order_of_surfaces_does_not_matter():
    axes = tilted_axes(CAMERA, 50, 0.2, 0, 0.5)
    box = patch(CAMERA, CAMERA.point(100, 50, 50), *axes, smooth_texture(1, 40))
    first, second = (render(CAMERA, s, 190) for s in ([wall(20), box], [box, wall(20)]))
    np.testing.assert_array_equal(first.disparity_left, second.disparity_left)
    np.testing.assert_array_equal(first.disparity_right, second.disparity_right)


def test_nothing_is_nearer_than_the_limit():
    pair = render(CAMERA, [wall(20, 1.5, 1.0)], 30)
    assert pair.disparity_left.max() <= 30
    assert pair.disparity_left.max() > 25


@pytest.mark.parametrize('kind', ['clutter', 'room', 'road'])
def test_scenes_are_consistent_between_views(kind):
    maker = SceneMaker(TextureBank([smooth_texture(i) for i in range(4)]))
    errors, hidden, seen = [], [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        camera = Camera(300, 120, 60, 256, 128)
        pair = render(camera, getattr(maker, kind)(rng, camera), 190)
        assert pair.disparity_left.min() >= 0
        assert pair.disparity_left.max() <= 190
        error = warp_error(pair)
        errors.append(np.median(error[pair.visible_left]))
        hidden.append(error[~pair.visible_left].mean())
        seen.append(pair.visible_left.mean())
    assert np.median(errors) < 2
    assert np.median(hidden) > 20
    assert 0.5 < np.mean(seen) < 0.999


def test_the_same_seed_makes_the_same_scene():
    maker = SceneMaker(TextureBank([]))
    pairs = []
    for seed in (3, 3, 4):
        rng = np.random.default_rng(seed)
        pairs.append(render(*maker.draw(rng, 64, 128), 190))
    np.testing.assert_array_equal(pairs[0].left, pairs[1].left)
    assert (pairs[0].left != pairs[2].left).any()


def test_all_shapes_cover_something_but_not_everything():
    rng = np.random.default_rng(0)
    covers = []
    for _ in range(200):
        mask, _ = draw_mask(rng, 40, 60)
        assert mask.dtype == np.uint8
        covers.append(mask.mean() / 255)
    assert min(covers) > 0.02
    assert sum(c == 1 for c in covers) < 120
    assert sum(c < 0.6 for c in covers) > 40


@pytest.mark.parametrize('size', [(32, 1100), (1030, 40)])
def test_pictures_larger_than_the_noise_field(size):
    image = np.full((*size, 3), 128, np.uint8)
    for seed in range(4):
        left, right = distort_pair(np.random.default_rng(seed), image, image)
        assert left.shape == right.shape == image.shape


def test_distortion_is_mild_independent_and_keeps_shapes():
    image = smooth_texture(side=128)
    changes = []
    for seed in range(40):
        left, right = distort_pair(np.random.default_rng(seed), image, image)
        assert left.shape == right.shape == image.shape
        assert left.dtype == right.dtype == np.uint8
        changes.append(np.abs(left.astype(float) - right).mean())
    assert np.median(changes) > 1
    assert np.median(changes) < 30


def test_photos_are_found_below_a_folder_and_shrunk(tmp_path):
    (tmp_path / 'deep').mkdir()
    big = np.zeros((300, 1000, 3), np.uint8)
    big[..., 2] = 200  # red in OpenCV's order
    cv2.imwrite(str(tmp_path / 'deep' / 'a.png'), big)
    (tmp_path / 'note.txt').write_text('no image')
    (photo,) = load_photos(tmp_path)
    assert photo.shape == (154, 512, 3)
    assert tuple(photo[0, 0]) == (200, 0, 0)


def test_a_folder_without_photos_is_named(tmp_path):
    with pytest.raises(InputError, match=tmp_path.name):
        load_photos(tmp_path)
