"""What packages hold is packed once, and found again."""

import json
import zipfile

import asset_models
import numpy as np
import pytest
import torch

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.network import checkpoint
from dtp_stereo_ros.network.paper import DTPNetPaper
from dtp_stereo_ros.training.learning.run_card import describe_run
from dtp_stereo_ros.training.settings import TrainConfig
from dtp_stereo_ros.training.synthetic.assets.library import Library
from dtp_stereo_ros.training.synthetic.assets.pack import pack
from dtp_stereo_ros.training.synthetic.assets.packages import read_packages, write_packages
from dtp_stereo_ros.training.synthetic.assets.packing import PackLimits
from dtp_stereo_ros.training.synthetic.assets.tracks import read_track


@pytest.fixture(scope='module')
def library(tmp_path_factory):
    root = tmp_path_factory.mktemp('packages')
    asset_models.write_furniture(root / 'furniture')
    asset_models.write_track(root / 'stk')
    count = pack(root, root / 'assets.pack', PackLimits())
    assert count == 6 + 3 + 1
    return Library(root / 'assets.pack')


def test_furniture_has_its_kind_and_its_true_size(library):
    kinds = {m.name.split('/')[-1]: m.kind for m in library.models if m.kind != 'part'}

    assert kinds == {
        'table': 'furniture',
        'chair': 'furniture',
        'cup': 'small',
        'lamp': 'lamp',
        'car': 'vehicle',
        'ficus': 'plant',
        'lighthouse': 'track',
    }
    (cup,) = library.of_kind('small')
    low, high = library.mesh(cup).bounds
    np.testing.assert_allclose(low, [-0.06, 0, -0.06], atol=1e-5)
    np.testing.assert_allclose(high, [0.06, 0.15, 0.06], atol=1e-5)


def test_packages_are_named_with_their_licences(library):
    expected = {
        'supertuxkart-data': 'CC-BY-SA, CC0, GPL',
        'sweethome3d-furniture': 'CC-BY, CC0',
    }
    assert library.packages == expected
    with zipfile.ZipFile(library.path) as packed:
        assert json.loads(packed.read('index.json'))['packages'] == expected


def test_the_card_of_a_run_names_the_packages_of_its_pairs(library, tmp_path):
    rendered, earlier = tmp_path / 'rendered', tmp_path / 'earlier'
    rendered.mkdir()
    earlier.mkdir()
    write_packages(rendered, {'torcs-data': 'GPL, Free Art Licence'})
    sources = (f'assets:{library.path}', f'rendered:{rendered}', f'rendered:{earlier}')
    used = [
        'supertuxkart-data (CC-BY-SA, CC0, GPL)',
        'sweethome3d-furniture (CC-BY, CC0)',
        'torcs-data (GPL, Free Art Licence)',
        'earlier: packages were not written down',
    ]
    meta = describe_run(TrainConfig(out=tmp_path, sources=sources), None)
    assert meta['assets'] == used
    # What goes on from it names them too.
    torch.manual_seed(0)
    checkpoint.save(tmp_path / 'best.pt', DTPNetPaper(), meta)
    next_run = TrainConfig(
        out=tmp_path, sources=(sources[1], 'raycast'), init=tmp_path / 'best.pt'
    )
    assert describe_run(next_run, None)['assets'] == used
    assert 'assets' not in describe_run(TrainConfig(out=tmp_path), None)


def test_a_broken_list_of_packages_is_one_line(tmp_path):
    (tmp_path / 'packages.json').write_text('[')
    with pytest.raises(InputError, match=r'packages\.json: no list of packages'):
        read_packages(tmp_path)


def test_textures_are_kept_once_under_their_path(library):
    (cup,) = library.of_kind('small')
    name = cup.materials[0].texture

    assert name.endswith('models/paint.png')
    assert library.texture(name).shape == (32, 32, 4)
    assert cup.materials[0].colour == (255, 255, 255)
    assert not cup.materials[0].cut_out
    assert library.texture(name) is library.texture(name)


def test_track_knows_its_parts_and_its_road(library):
    (track,) = library.of_kind('track')
    parts = {name.split('/')[-1]: np.array(m).reshape(3, 4) for name, m in track.parts}

    # The finer post; no invisible wall.
    assert parts.keys() == {'ground', 'post_fine', 'bush'}
    np.testing.assert_allclose(track.road[1], [0, 0, 1.5])
    assert len(track.road) == 24
    # Turned by 90 degrees about y, twice as tall.
    np.testing.assert_allclose(
        parts['post_fine'], [[0, 0, 1, 3], [0, 2, 0, 0], [-1, 0, 0, 5]], atol=1e-6
    )
    # The object's own place is scaled with its library object.
    np.testing.assert_allclose(
        parts['bush'], [[2, 0, 0, -4], [0, 2, 0, 2], [0, 0, 2, 6]], atol=1e-6
    )


def test_only_leaves_have_holes(library):
    holes = {m.name.split('/')[-1]: m.materials[0].cut_out for m in library.of_kind('part')}

    assert holes == {'ground': False, 'post_fine': False, 'bush': True}


def test_two_processes_pack_the_same_file(tmp_path):
    asset_models.write_furniture(tmp_path)

    for workers in (1, 2):
        assert pack(tmp_path, tmp_path / f'{workers}.pack', PackLimits(), workers) == 6

    one, two = (zipfile.ZipFile(tmp_path / f'{workers}.pack') for workers in (1, 2))
    assert one.namelist() == two.namelist()
    assert all(one.read(name) == two.read(name) for name in one.namelist())


def test_models_beyond_the_limits_are_left_out(tmp_path):
    asset_models.write_furniture(tmp_path)

    assert pack(tmp_path, tmp_path / 'a.pack', PackLimits(triangles=11)) == 0


def test_folder_without_packages_says_what_to_do(tmp_path):
    with pytest.raises(InputError, match='sweethome3d-furniture'):
        pack(tmp_path, tmp_path / 'a.pack', PackLimits())


def test_another_file_is_no_library(tmp_path):
    (tmp_path / 'a.pack').write_bytes(b'no zip')

    with pytest.raises(InputError, match=r'a\.pack'):
        Library(tmp_path / 'a.pack')


def test_broken_track_is_named(tmp_path):
    (tmp_path / 'scene.xml').write_text('<scene>')

    with pytest.raises(ValueError, match=str(tmp_path)):
        read_track(tmp_path, tmp_path)
