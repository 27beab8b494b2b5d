"""Rendered pairs: exact disparity, true occlusion, lamps that cast shadows, files that go on."""

import dataclasses
import os
import signal
import sys

import asset_models
import cv2
import numpy as np
import pytest
import running

from dtp_stereo_ros.cli import main
from dtp_stereo_ros.errors import ConfigError, InputError
from dtp_stereo_ros.training.data.disk_pairs import load_pair
from dtp_stereo_ros.training.data.readers import open_pairs
from dtp_stereo_ros.training.data.sources import Sources
from dtp_stereo_ros.training.synthetic.assets.camera import StereoCamera, draw_baseline, look_at
from dtp_stereo_ros.training.synthetic.assets.library import Library
from dtp_stereo_ros.training.synthetic.assets.mesh import Material
from dtp_stereo_ros.training.synthetic.assets.pack import pack
from dtp_stereo_ros.training.synthetic.assets.packages import read_packages
from dtp_stereo_ros.training.synthetic.assets.packing import PackLimits
from dtp_stereo_ros.training.synthetic.assets.pairs import (
    Assets,
    PairSettings,
    RenderedWorld,
    render_pairs,
)
from dtp_stereo_ros.training.synthetic.assets.thin import draw_thin, tubes
from dtp_stereo_ros.training.synthetic.assets.world import Anchor, Builder, Light, panel
from dtp_stereo_ros.training.synthetic.assets.writer import RenderSettings, render_folder

SIZE = 64, 96
CAMERA = StereoCamera(
    np.zeros(3), look_at(np.zeros(3), np.array([0, 0, 1.0])), 80.0, (47.5, 31.5), 0.25, SIZE
)


@pytest.fixture(scope='module')
def library(tmp_path_factory):
    root = tmp_path_factory.mktemp('packages')
    asset_models.write_furniture(root / 'furniture')
    asset_models.write_track(root / 'stk')
    pack(root, root / 'assets.pack', PackLimits())
    return Library(root / 'assets.pack')


def wall(z, half_x, half_y):
    """An upright rectangle at a depth; repeats its texture every metre."""
    corner = np.array([-half_x, -half_y, z])
    return panel(
        corner, np.array([2 * half_x, 0, 0]), np.array([0, 2 * half_y, 0]), (half_x, half_y)
    )


def rendered(library, things, lights=()):
    """A world of (mesh, material)."""
    photo = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    builder = Builder(library, [photo])
    for mesh, material in things:
        builder.place(mesh, np.eye(3), np.zeros(3), [material])
    builder.anchors.append(Anchor(np.array([0, 0, 4.0]), 1.0))
    photo_name = builder.photo(np.random.default_rng(0))
    assert photo_name == 'photo 0'
    box = np.full(3, -9.0), np.full(3, 9.0)
    sky = np.full((8, 16, 3), 77, np.uint8)
    return RenderedWorld(builder.world(list(lights), np.full(3, 0.5), sky, box))


PHOTO = Material((255, 255, 255), 'photo 0')


def test_disparity_of_a_wall_and_a_box_before_it_is_exact(library):
    scene = rendered(library, [(wall(5, 20, 20), PHOTO), (wall(2, 0.3, 0.3), PHOTO)])

    pair = scene.pair(CAMERA, smooth=False)

    # f B / Z: 80 * 0.25 / 5 and / 2.
    assert set(np.unique(np.round(pair.disparity_left, 4))) == {4.0, 10.0}
    # 0.3 m at 2 m are 12 px: 24 x 24 px in both views, 10 px apart.
    assert (pair.disparity_left > 9).sum() == 24 * 24
    columns = [
        np.flatnonzero((d > 9).any(axis=0))[[0, -1]]
        for d in (
            pair.disparity_left,
            pair.disparity_right,
        )
    ]
    np.testing.assert_array_equal(columns, [[36, 59], [26, 49]])
    # Right of the border the wall is seen by both, but for 6 px left of the box.
    hidden = ~pair.visible_left[32]
    np.testing.assert_array_equal(np.flatnonzero(hidden), [0, 1, 2, 3, *range(30, 36)])


def test_right_view_warped_by_the_disparity_is_the_left_one(library):
    slanted = panel(
        np.array([-9, -9, 4.0]), np.array([18, 0, 3.0]), np.array([0, 18, -1.0]), (3, 3)
    )
    scene = rendered(library, [(slanted, PHOTO)])

    pair = scene.pair(CAMERA, smooth=False)

    x = np.arange(SIZE[1], dtype=np.float32)[None] - pair.disparity_left
    y = np.repeat(np.arange(SIZE[0], dtype=np.float32)[:, None], SIZE[1], axis=1)
    warped = cv2.remap(pair.right, x, y, cv2.INTER_LINEAR)
    error = np.abs(warped.astype(int) - pair.left).mean(axis=2)
    assert np.median(error[pair.visible_left]) < 4
    assert pair.disparity_left.min() < pair.disparity_left.max() - 0.9


def test_what_is_hit_by_nothing_is_sky_at_infinity(library):
    pair = rendered(library, [(wall(2, 0.3, 0.3), PHOTO)]).pair(CAMERA, smooth=False)

    assert (pair.disparity_left[0] == 0).all()
    assert (pair.left[0] == 77).all()
    assert pair.visible_left[0].all()


def test_camera_stands_upright_and_is_not_mirrored(library):
    red = Material((255, 0, 0))
    green = Material((0, 255, 0))
    scene = rendered(
        library,
        [
            (
                panel(np.array([0, 0, 3.0]), np.array([1, 0, 0]), np.array([0, 1.0, 0]), (1, 1)),
                red,
            ),
            (
                panel(np.array([0, -1, 3]), np.array([1, 0, 0]), np.array([0, 1.0, 0]), (1, 1)),
                green,
            ),
        ],
    )

    pair = scene.pair(CAMERA, smooth=False)

    # Looking along +z with y up, +x is on the left in a right-handed world.
    assert pair.left[20, 40].argmax() == 0
    assert pair.left[40, 40].argmax() == 1
    assert (pair.left[20, 60] == 77).all()


def test_rays_pass_through_holes_of_leaves(library):
    (bush,) = [m for m in library.of_kind('part') if m.name.endswith('bush')]
    (leaf,) = bush.materials
    leaf_mesh = panel(np.array([-1, -1, 2.0]), np.array([2, 0, 0]), np.array([0, 2.0, 0]), (1, 1))
    scene = rendered(library, [(wall(5, 20, 20), PHOTO), (leaf_mesh, leaf)])

    pair = scene.pair(CAMERA, smooth=False)

    # The middle half of the texture is a hole: the wall is seen through it.
    assert pair.disparity_left[32, 48] == pytest.approx(4)
    assert pair.disparity_left[32, 20] == pytest.approx(10)
    share = (pair.disparity_left[:, 10:86] < 5).mean()
    assert 0.2 < share < 0.35


def test_a_lamp_casts_a_shadow_with_the_edge_where_it_belongs(library):
    floor = panel(np.array([-9, -1, 0.5]), np.array([18, 0, 0]), np.array([0, 0, 20.0]), (1, 1))
    roof = panel(np.array([-9, 1, 4]), np.array([18, 0, 0]), np.array([0, 0, 9.0]), (1, 1))
    grey = Material((128, 128, 128))
    sun = Light(np.array([0, 1.0, 0]), np.ones(3), endless=True)
    scene = rendered(library, [(floor, grey), (roof, grey)], [sun])

    image = scene.pair(CAMERA, smooth=False).left[:, 48].astype(int).mean(axis=1)

    # The floor 4 m away is 80 * 1 / 4 px below the middle: lit before, dark behind.
    assert image[53] > 1.5 * image[50]
    assert image[60] == pytest.approx(image[53], abs=2)


def test_a_mirror_shows_what_is_behind_the_camera_and_keeps_its_own_disparity(library):
    mirror = Material((255, 255, 255), mirror=1.0)
    red = Material((255, 0, 0))
    scene = rendered(library, [(wall(5, 20, 20), mirror), (wall(-3, 20, 20), red)])

    pair = scene.pair(CAMERA, smooth=False)

    assert (pair.disparity_left == 4).all()
    assert (pair.left[..., 0] > 100).all()
    assert (pair.left[..., 1:] < 5).all()


def test_baseline_gives_the_disparities_that_are_asked_for():
    rng = np.random.default_rng(0)
    depth = np.linspace(1, 9, 500).astype(np.float32)
    wide = StereoCamera(np.zeros(3), np.eye(3), 600.0, (320, 192), 0.0, (384, 640))

    drawn = [draw_baseline(rng, wide, depth, (0.04, 0.4), 190) for _ in range(200)]

    baselines = np.array([c.baseline_m for c in drawn])
    assert baselines.min() >= 0.04
    assert baselines.max() <= 0.4
    near_px = 600 * baselines / np.percentile(depth, 2)
    assert near_px.max() < 190
    medians = 600 * baselines / 5
    assert np.percentile(medians, 10) < 13
    assert np.percentile(medians, 90) > 40


def world_of(kind, library):
    shares = {'rooms': 0.0, 'streets': 0.0, 'tracks': 0.0, kind: 1.0}
    return Assets(library, [], PairSettings(views=1, **shares))


@pytest.mark.parametrize('kind', ['rooms', 'streets', 'tracks'])
def test_same_seed_same_pair(library, kind):
    first, second = (
        next(render_pairs(np.random.default_rng(5), world_of(kind, library), SIZE))
        for _ in range(2)
    )

    for name in ('left', 'right', 'disparity_left', 'disparity_right', 'visible_left'):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert first.left.shape == (*SIZE, 3)
    assert first.visible_left.mean() > 0.3


def test_occlusion_agrees_with_rays_from_the_other_lens(library):
    scene = rendered(
        library, [(wall(5, 20, 20), PHOTO), (draw_thin(np.random.default_rng(3), 2), PHOTO)]
    )
    rng = np.random.default_rng(1)
    camera = scene.draw_camera(rng, SIZE, PairSettings())

    pair = scene.pair(camera, smooth=False)

    y, x = (a.ravel().astype(np.float32) for a in np.mgrid[: SIZE[0], : SIZE[1]])
    directions = camera.rays(x, y)
    starts = np.repeat(camera.origin(False)[None], len(x), axis=0)
    points = starts + directions * scene.caster.hits(starts, directions).depth[:, None]
    lens = np.repeat(camera.origin(True)[None], len(x), axis=0)
    short = np.full(len(x), 0.995, np.float32)
    blocked = scene.caster.shadowed(lens, points - lens, short)
    column = x - pair.disparity_left.ravel()
    seen = ~blocked & (column >= 0) & (column <= SIZE[1] - 1)
    assert (seen == pair.visible_left.ravel()).mean() > 0.98


def test_four_samples_change_edges_only(library):
    scene = rendered(library, [(wall(5, 20, 20), Material()), (wall(2, 0.311, 0.307), Material())])

    plain, smooth = (scene.pair(CAMERA, smooth=s) for s in (False, True))

    np.testing.assert_array_equal(plain.disparity_left, smooth.disparity_left)
    changed = (plain.left != smooth.left).any(axis=2)
    assert not changed[:5].any()
    assert not changed[25:38, 40:56].any()


def test_tube_has_its_radius_everywhere():
    mesh = tubes([(np.zeros(3), np.array([0, 2.0, 0]), 0.1, 0.05)])

    around = np.linalg.norm(mesh.vertices[:, [0, 2]], axis=1)
    np.testing.assert_allclose(around[mesh.vertices[:, 1] < 1], 0.1, atol=1e-6)
    np.testing.assert_allclose(around[mesh.vertices[:, 1] > 1], 0.05, atol=1e-6)


@pytest.mark.parametrize('seed', range(12))
def test_thin_things_are_thin_and_of_the_height_asked_for(seed):
    mesh = draw_thin(np.random.default_rng(seed), 1.0)

    _, high = mesh.bounds
    assert 0.5 < high[1] < 2.5
    assert np.isfinite(mesh.vertices).all()
    a, b, c = mesh.vertices[mesh.faces].transpose(1, 0, 2)
    shortest = np.min([np.linalg.norm(p - q, axis=1) for p, q in ((a, b), (b, c), (c, a))], axis=0)
    assert np.median(shortest) < 0.08


@pytest.fixture(scope='module')
def folder(library, tmp_path_factory):
    out = tmp_path_factory.mktemp('pairs')
    settings = RenderSettings(library.path, size=SIZE, pairs=PairSettings(views=2))
    assert render_folder(settings, 3, out, 1) == 3
    assert read_packages(out) == Library(settings.assets).packages
    return settings, out


def test_folder_goes_on_where_it_was_stopped(folder):
    settings, out = folder

    assert render_folder(settings, 3, out, 1) == 0
    for file in out.glob('000000_1*'):
        file.unlink()
    before = (out / '000001_0_left.png').stat().st_mtime_ns
    assert render_folder(settings, 3, out, 1) == 2
    assert (out / '000001_0_left.png').stat().st_mtime_ns == before


def test_two_processes_render_the_same_pairs(folder, tmp_path):
    settings, out = folder

    assert render_folder(settings, 3, tmp_path, 2) == 3
    for file in out.glob('*_left.png'):
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()


def test_pairs_of_a_killed_process_are_rendered_again(folder, tmp_path):
    settings, _ = folder
    out = tmp_path / 'out'
    call = ['render', '--assets', str(settings.assets), '--out', str(out)]
    process = running.command([*call, '--count', '12', '--size', '64x96', '--workers', '2'])
    running.wait_for(lambda: any(out.glob('*_left.png')))

    os.kill(running.workers(process.pid)[0], signal.SIGKILL)

    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert 'a process ended by signal SIGKILL; its part is done again' in errors
    assert output.splitlines()[-1] == f'{out}: 12 pairs, 12 of them new'
    assert len(list(out.glob('*_left.png'))) == 12


def test_folder_of_other_settings_is_refused(folder):
    settings, out = folder
    other = RenderSettings(settings.assets, size=SIZE, seed=1, pairs=settings.pairs)

    with pytest.raises(ConfigError, match='seed 0, not 1'):
        render_folder(other, 3, out, 1)


def test_pairs_are_read_as_they_were_rendered(folder, tmp_path):
    settings, out = folder
    scenes = open_pairs(f'rendered:{out}', tmp_path)
    assert [s.name for s in scenes] == ['000000_0', '000000_1', '000001_0']
    sources = Sources.open([f'rendered:{out}'], tmp_path)
    assert [s.name for s in sources.held_out] == ['000001_0']
    assert [s.name for s in sources.all_scenes] == ['000000_0', '000000_1']

    pair = load_pair(scenes[0])

    assets = Assets(Library(settings.assets), [], settings.pairs)
    truth = next(render_pairs(np.random.default_rng((0, 0)), assets, SIZE))
    np.testing.assert_array_equal(pair.left, truth.left)
    np.testing.assert_array_equal(pair.right, truth.right)
    np.testing.assert_allclose(pair.disparity, truth.disparity_left, rtol=1e-3)
    np.testing.assert_allclose(pair.right_px, truth.disparity_right, rtol=1e-3)
    np.testing.assert_array_equal(pair.visible, truth.visible_left)
    assert pair.mirrors


def test_command_packs_a_folder_once_and_renders(tmp_path, capsys):
    asset_models.write_furniture(tmp_path / 'assets')
    call = ['render', '--assets', str(tmp_path / 'assets'), '--out', str(tmp_path / 'out')]

    for count in ('1', '2'):
        assert main([*call, '--count', count, '--size', '64x96']) == 0

    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith(f'{tmp_path / "assets" / "assets.pack"}: 6 models')
    assert second == f'{tmp_path / "out"}: 1 pairs, 1 of them new'
    # World 0 is rendered again, as one of its pairs is missing.
    assert third == f'{tmp_path / "out"}: 2 pairs, 2 of them new'
    assert len(list((tmp_path / 'out').glob('*_left.png'))) == 2


@pytest.mark.parametrize('settings', ['{', '[1]', '3'])
def test_a_folder_whose_settings_are_damaged_is_refused(folder, tmp_path, settings):
    (tmp_path / 'settings.json').write_text(settings)
    with pytest.raises(InputError, match=r'settings\.json: is damaged'):
        render_folder(folder[0], 1, tmp_path, 1)


def test_a_missing_folder_of_photographs_is_told_before_processes_start(folder, tmp_path):
    settings = dataclasses.replace(folder[0], textures=tmp_path / 'none')
    with pytest.raises(InputError, match='none'):
        render_folder(settings, 1, tmp_path / 'out', 1)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    'more',
    [
        ['--count', '-1'],
        ['--count', '1'],
        ['--count', '1', '--out', 'x', '--seed', '-1'],
        ['--count', '1', '--out', 'x', '--size', '1x1'],
    ],
)
def test_wrong_calls_are_told_in_one_line(tmp_path, capsys, monkeypatch, more):
    monkeypatch.chdir(tmp_path)
    assert main(['render', '--assets', str(tmp_path), *more]) == 2
    assert capsys.readouterr().err.count('\n') == 1


@pytest.mark.parametrize('exists', [True, False])
def test_what_is_no_pack_is_told_even_where_nothing_is_rendered(tmp_path, capsys, exists):
    file = tmp_path / 'calib.txt'
    if exists:
        file.write_text('no pack')
    assert main(['render', '--assets', str(file)]) == 2
    assert f'{file}: no packed assets' in capsys.readouterr().err


def test_without_embreex_the_command_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, 'embreex', None)

    code = main(['render', '--assets', str(tmp_path), '--count', '1', '--out', str(tmp_path)])

    assert code == 2
    assert "this needs embreex; install it: pip install 'dtp_stereo[train]'" in (
        capsys.readouterr().err
    )
