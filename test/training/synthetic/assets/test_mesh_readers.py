"""Meshes are read as their formats say; what is broken is refused in one line."""

import contextlib
import struct

import asset_models as models
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dtp_stereo_ros.training.synthetic.assets.ac3d import read_ac3d
from dtp_stereo_ros.training.synthetic.assets.catalogue import read_catalogue
from dtp_stereo_ros.training.synthetic.assets.codec import decode_mesh, encode_mesh
from dtp_stereo_ros.training.synthetic.assets.mesh import Material, Mesh, merge, welded
from dtp_stereo_ros.training.synthetic.assets.obj import read_obj
from dtp_stereo_ros.training.synthetic.assets.sgi import read_sgi
from dtp_stereo_ros.training.synthetic.assets.spm import read_spm


def corners(mesh):
    """(F, 3, 3) points of the triangles."""
    return mesh.vertices[mesh.faces]


def area(mesh):
    a, b, c = corners(mesh).transpose(1, 0, 2)
    return np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2


def test_obj_cube_has_twelve_triangles_and_two_materials(tmp_path):
    mesh = read_obj(models.write_cube(tmp_path))

    assert len(mesh.faces) == 12
    assert area(mesh) == pytest.approx(24)
    assert mesh.materials == [
        Material((255, 255, 255), 'paint.png', gloss=0.5),
        Material((127.5, 63.75, 0), opacity=0.8),
    ]
    assert mesh.material.tolist() == [0] * 6 + [1] * 6
    # The fourth face has no texture coordinates, the first has them.
    np.testing.assert_array_equal(mesh.uv[mesh.faces[0]], [[0, 0], [0, 1], [1, 1]])
    np.testing.assert_array_equal(mesh.uv[mesh.faces[6]], np.zeros((3, 2)))


def test_negative_obj_indices_count_from_the_end(tmp_path):
    mesh = read_obj(models.write_cube(tmp_path))

    np.testing.assert_array_equal(corners(mesh)[10], [[2, 0, 0], [2, 2, 0], [2, 2, 2]])


@pytest.mark.parametrize('text', ['', 'v 0 0 0', 'v 0 0 0\nf 1 2 3', 'v a b c\nf 1 1 1'])
def test_broken_obj_is_refused_with_its_name(tmp_path, text):
    (tmp_path / 'bad.obj').write_text(text)

    with pytest.raises(ValueError, match=r'bad\.obj'):
        read_obj(tmp_path / 'bad.obj')


points = hnp.arrays(np.float32, (7, 3), elements=st.floats(-100, 100, width=32))


@settings(max_examples=30, deadline=None)
@given(points, st.lists(st.booleans(), min_size=7, max_size=7) | st.none())
def test_spm_gives_back_what_was_written(tmp_path_factory, vertices, colours):
    file = tmp_path_factory.mktemp('spm') / 'a.spm'
    uv = np.linspace(0, 1, 14).reshape(7, 2)
    file.write_bytes(models.spm(vertices, uv, [[0, 1, 2], [4, 5, 6]], 'Stone.png', colours))

    mesh = read_spm(file)

    np.testing.assert_array_equal(mesh.vertices, vertices)
    np.testing.assert_allclose(mesh.uv, np.stack((uv[:, 0], 1 - uv[:, 1]), 1), atol=1e-3)
    np.testing.assert_array_equal(mesh.faces, [[0, 1, 2], [4, 5, 6]])
    assert mesh.materials == [Material((255, 255, 255), 'Stone.png')]


@pytest.mark.parametrize('colours', [None, [True, False, True]])
def test_an_spm_that_tells_a_large_number_is_one_line(tmp_path, colours):
    """Wherever it stands: nothing of that size is allocated."""
    whole = models.spm(np.eye(3), np.zeros((3, 2)), [[0, 1, 2]], 'a.png', colours)
    for at in range(len(whole) - 4):
        broken = whole[:at] + b'\xf0\xff\xff\xff' + whole[at + 4 :]
        (tmp_path / 'a.spm').write_bytes(broken)
        with contextlib.suppress(ValueError):
            read_spm(tmp_path / 'a.spm')


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_cut_or_changed_spm_never_fails_otherwise(tmp_path_factory, data):
    whole = models.spm(np.eye(3), np.zeros((3, 2)), [[0, 1, 2]], 'a.png', [True, False, True])
    cut = data.draw(st.integers(0, len(whole)))
    broken = bytearray(whole[:cut])
    if broken:
        broken[data.draw(st.integers(0, cut - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.mktemp('spm') / 'a.spm'
    file.write_bytes(broken)

    try:
        read_spm(file)
    except ValueError as error:
        assert 'a.spm' in str(error)


def test_ac3d_polygon_and_strip_are_the_same_plate(tmp_path):
    (tmp_path / 'a.ac').write_text(models.AC3D)

    mesh = read_ac3d(tmp_path / 'a.ac')

    assert len(mesh.faces) == 4
    assert area(mesh) == pytest.approx(8)
    assert mesh.vertices[:, 1].tolist() == [1] * 8
    assert mesh.materials == [Material((255, 0, 0), 'plate.rgb', gloss=0.5)]
    normals = np.cross(
        corners(mesh)[:, 1] - corners(mesh)[:, 0], corners(mesh)[:, 2] - corners(mesh)[:, 0]
    )
    assert (normals[:, 1] < 0).all()


@pytest.mark.parametrize('lines', [0, 1, 3, 8, 12, 17])
def test_cut_ac3d_is_refused(tmp_path, lines):
    (tmp_path / 'a.ac').write_text('\n'.join(models.AC3D.splitlines()[:lines]))

    with pytest.raises(ValueError, match=r'a\.ac'):
        read_ac3d(tmp_path / 'a.ac')


@pytest.mark.parametrize('coded', [False, True])
def test_sgi_image_comes_upright(tmp_path, coded):
    image = np.random.default_rng(1).integers(0, 3, (5, 9, 4), dtype=np.uint8)
    planes = image[::-1].transpose(2, 0, 1)
    head = struct.pack('>HBBHHHH', 474, int(coded), 1, 3, 9, 5, 4).ljust(512, b'\0')
    if coded:
        rows = [
            bytes([0x80 | 4, *row[:4], 0x80 | 5, *row[4:], 0]) for row in planes.reshape(-1, 9)
        ]
        # The last row as a run.
        rows[-1] = bytes([9, planes[-1, -1, 0], 0])
        image[0, :, 3] = planes[-1, -1, 0]
        starts = 512 + 8 * len(rows) + np.cumsum([0, *map(len, rows)])[:-1]
        lengths = [len(r) for r in rows]
        body = struct.pack(f'>{len(rows)}I', *starts) + struct.pack(f'>{len(rows)}I', *lengths)
        body += b''.join(rows)
    else:
        body = planes.tobytes()
    (tmp_path / 'a.rgb').write_bytes(head + body)

    np.testing.assert_array_equal(read_sgi(tmp_path / 'a.rgb'), image)


def test_no_sgi_image_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((4, 4), np.uint8))

    with pytest.raises(ValueError, match=r'a\.png'):
        read_sgi(tmp_path / 'a.png')


def test_catalogue_is_in_metres_and_tells_what_stands_where(tmp_path):
    pieces = read_catalogue(models.write_furniture(tmp_path))

    assert [p.name for p in pieces] == ['Table', 'Chair', 'Cup', 'Lamp', 'Car', 'Ficus']
    assert pieces[0].size_m == (1.5, 0.75, 0.8)
    assert pieces[0].top_m == 0.75
    assert pieces[0].elevation_m == 0
    assert not pieces[0].opening


def triangle_set(mesh, digits):
    """Triangles as a set of sorted corner lists, whatever their order."""
    rounded = np.round(corners(mesh).astype(float), digits) + 0.0
    return {tuple(sorted(map(tuple, t))) for t in rounded.tolist()}


def test_welding_keeps_the_cube_and_its_edges(tmp_path):
    mesh = welded(read_obj(models.write_cube(tmp_path)))

    assert triangle_set(mesh, 3) == triangle_set(read_obj(models.write_cube(tmp_path)), 3)
    # Each of the 6 sides has a normal of its own at its corners.
    sides = np.abs(mesh.normals[mesh.faces]).max(axis=2)
    np.testing.assert_allclose(sides, 1, atol=1e-6)
    # First used, first numbered.
    assert np.diff(np.maximum.accumulate(mesh.faces.ravel())).max() == 1


@settings(max_examples=30, deadline=None)
@given(
    hnp.arrays(np.float32, (12, 3), elements=st.floats(-5, 5, width=16)),
    hnp.arrays(np.int32, (20, 3), elements=st.integers(0, 11)),
    hnp.arrays(np.int32, (20,), elements=st.integers(0, 2)),
)
def test_packed_mesh_is_the_same_within_its_quantum(vertices, faces, material):
    looks = [Material(gloss=g) for g in (0.1, 0.2, 0.3)]
    mesh = Mesh(vertices, vertices[:, :2], faces, material, looks)
    kept = welded(mesh)
    if not len(kept.faces):
        return

    read = decode_mesh(encode_mesh(mesh), looks)

    np.testing.assert_array_equal(read.faces, kept.faces)
    np.testing.assert_array_equal(read.material, kept.material)
    quantum = np.ptp(kept.vertices, axis=0) / 65535 + 1e-6
    assert (np.abs(read.vertices - kept.vertices) <= quantum).all()
    assert np.abs(read.uv - kept.uv).max() < 1e-3


def test_merged_meshes_share_materials_and_drop_unused_ones(tmp_path):
    cube = read_obj(models.write_cube(tmp_path))
    part = Mesh(cube.vertices, cube.uv, cube.faces[:6], cube.material[:6], cube.materials)

    mesh = merge([part, part])

    assert len(mesh.materials) == 1
    assert len(mesh.faces) == 12
    assert area(mesh) == pytest.approx(24)
