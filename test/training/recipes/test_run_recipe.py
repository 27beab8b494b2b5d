"""The whole chain on toys: every step leaves what the next one needs, and is done once."""

import json
import shutil

import layouts
import pytest

from dtp_stereo_ros import models
from dtp_stereo_ros.cli import main
from dtp_stereo_ros.errors import ConfigError, InputError
from dtp_stereo_ros.network import checkpoint
from dtp_stereo_ros.settings_file import read_settings
from dtp_stereo_ros.training.pruning.cost import ConvolutionCost
from dtp_stereo_ros.training.recipes.recipe import Recipe

pytest.importorskip('onnxruntime')
pytest.importorskip('skimage')

STEPS = [
    '01-teacher', '02-distil', '03-prune1', '04-tune1', '05-prune2', '06-tune2', '07-evaluate',
    '08-export',
]  # fmt: skip


@pytest.fixture(scope='module')
def smoke(pytestconfig):
    return pytestconfig.rootpath / 'config' / 'recipes' / 'smoke.yaml'


@pytest.fixture(scope='module')
def chain(smoke, tmp_path_factory):
    out = tmp_path_factory.mktemp('chain')
    assert main(['recipe', str(smoke), '--set', f'out={out}', '--set', 'threads=1']) == 0
    return out


def test_every_step_leaves_its_folder(chain):
    assert sorted(p.name for p in chain.iterdir()) == STEPS
    for name in STEPS:
        metrics = json.loads((chain / name / 'metrics.json').read_text())
        assert metrics['seconds'] >= 0
        assert (chain / name / 'settings.json').exists()


def test_each_round_saves_its_share(chain):
    links = {n: json.loads((chain / n / 'link.json').read_text()) for n in STEPS[:6]}
    cost = ConvolutionCost.of(checkpoint.load(chain / '02-distil' / 'best.pt'))
    for before, after in (
        ('02-distil/best', '03-prune1/pruned'),
        ('04-tune1/best', '05-prune2/pruned'),
    ):
        # Widths count as multiples of 4, what they are rounded to.
        left = cost.multiplications(checkpoint.load(chain / f'{after}.pt'), 4)
        assert left <= 0.9 * cost.multiplications(checkpoint.load(chain / f'{before}.pt'), 4)
        assert links[after.split('/')[0]]['gmac'] < links[before.split('/')[0]]['gmac']
    assert links['04-tune1']['parameters'] == links['03-prune1']['parameters']
    assert links['01-teacher']['parameters'] > links['02-distil']['parameters']
    assert all(0 < link['epe_px'] < 64 for link in links.values())


def test_the_last_round_may_be_taught_longer(chain):
    steps = [
        json.loads((chain / name / 'settings.json').read_text())['steps']
        for name in ('04-tune1', '06-tune2')
    ]
    assert steps == [20, 30]


def test_the_export_is_the_last_link(chain):
    export = chain / '08-export'
    content = checkpoint.read(export / 'dtpnet-smoke.pt')
    tuned = checkpoint.read(chain / '06-tune2' / 'best.pt')
    assert content['widths'] == tuned['widths']
    assert len(content['meta']['pruned']) == 2
    assert content['meta']['teacher'] == 'dtpnet (teacher, l1)'
    assert models.onnx_spec(export / 'dtpnet-smoke.onnx', assume=False).max_disparity_px == 64


def test_the_summary_tells_the_chain(chain):
    text = (chain / '08-export' / 'summary.md').read_text()
    rows = [line for line in text.splitlines() if line.startswith('| ')]
    names = [row.split('|')[1].strip() for row in rows]
    assert names == [
        'step', '---', 'teacher', 'distil', 'prune1', 'tune1', 'prune2', 'tune2', 'sgbm',
    ]  # fmt: skip
    assert 'onnx ms' in rows[0]
    assert 'motorcycle bad-3 %' in rows[0]
    assert 5 < float(rows[-1].split('|')[-2]) < 25  # SGBM on Motorcycle
    assert (chain / '08-export' / 'chain.png').stat().st_size > 10000
    assert '../03-prune1/sensitivity.png' in text
    assert (chain / '03-prune1' / 'sensitivity.png').exists()


def test_a_chain_goes_on_where_it_stopped(chain, smoke, tmp_path, capsys):
    """Only what is missing is made; the weights that were there are taken."""
    out = tmp_path / 'copy'
    shutil.copytree(chain, out)
    shutil.rmtree(out / '08-export')
    (out / '06-tune2' / 'metrics.json').unlink()
    capsys.readouterr()
    assert main(['recipe', str(smoke), '--set', f'out={out}', '--set', 'threads=1']) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith('[')]
    assert [line.endswith('done before') for line in lines] == [
        True, True, True, True, True, False, True, False,
    ]  # fmt: skip
    assert models.sha256(out / '06-tune2' / 'best.pt') == models.sha256(
        chain / '06-tune2' / 'best.pt'
    )


@pytest.mark.parametrize('change', ['prune.tune.sources=[folder:{pairs}]', 'data.seed=4'])
def test_links_are_judged_anew_where_the_test_pairs_are_others(
    chain, smoke, tmp_path, capsys, change
):
    """Else rows of the summary would be of different pairs."""
    out = tmp_path / 'copy'
    shutil.copytree(chain, out)
    teacher = out / '01-teacher' / 'best.pt'
    student = out / '02-distil' / 'best.pt'
    changes = [
        f'out={out / "new"}', 'threads=1', f'teacher.file={teacher}', f'student.file={student}',
        'distil.steps=0', 'prune.how.ratio=0.999', 'prune.how.largest_cut=0.001',
        'prune.how.by_sensitivity=false',
    ]  # fmt: skip
    arguments = ['recipe', str(smoke), *(a for c in changes for a in ('--set', c))]
    link = out / 'new' / '01-student' / 'link.json'
    # Nothing can be cut: the call ends after the student.
    assert main(arguments) == 2
    before = json.loads(link.read_text())
    assert main(arguments) == 2
    assert json.loads(link.read_text()) == before
    pairs = layouts.pairs(tmp_path / 'data')
    assert main([*arguments, '--set', change.format(pairs=pairs)]) == 2
    after = json.loads(link.read_text())
    assert after['sha256'] == before['sha256']
    assert after['epe_px'] != before['epe_px']
    assert after['real'] == ('folder' in change)


def test_a_step_is_not_mixed_with_other_settings(chain, smoke, capsys):
    arguments = ['recipe', str(smoke), '--set', f'out={chain}', '--set', 'distil.steps=61']
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    assert '02-distil: was begun with another steps (60, now 61); delete the folder' in error


@pytest.mark.parametrize(
    ('change', 'step'),
    [
        ('prune.measure_batches=2', '03-prune1'),
        ('evaluate.runs=6', '07-evaluate'),
        ('name=other', '08-export'),
    ],
)
def test_every_step_knows_what_it_depends_on(chain, smoke, capsys, change, step):
    assert main(['recipe', str(smoke), '--set', f'out={chain}', '--set', change]) == 2
    assert f'{step}: was begun with another' in capsys.readouterr().err


def test_a_camera_without_truth_makes_a_chain(chain, smoke, tmp_path):
    """Real pairs and a finished teacher are enough; the teacher's word judges every link.

    Generated pairs, mixed in, do not judge.
    """
    root = layouts.pairs(tmp_path / 'data')
    (root / 'wall_disp.pfm').unlink()
    teacher = chain / '01-teacher' / 'best.pt'
    changes = [
        f'teacher.file={teacher}', f'out={tmp_path / "out"}', 'threads=1', 'distil.steps=2',
        f'distil.sources=[folder:{root}]', f'prune.tune.sources=[folder:{root},synthetic]',
        'prune.rounds=1', 'prune.last_steps=2', 'evaluate.backends=[onnx]',
    ]  # fmt: skip
    assert main(['recipe', str(smoke), *(a for c in changes for a in ('--set', c))]) == 0
    link = json.loads((tmp_path / 'out' / '01-distil' / 'link.json').read_text())
    assert 0 < link['epe_px'] < 64
    text = (tmp_path / 'out' / '05-export' / 'summary.md').read_text()
    assert 'visible pixels of the last tenth of the pairs, not trained on' in text


def test_a_teacher_that_the_chain_trains_judges_a_camera_without_truth(smoke, tmp_path):
    root = layouts.pairs(tmp_path / 'data')
    (root / 'wall_disp.pfm').unlink()
    changes = [
        f'out={tmp_path / "out"}', 'threads=1', 'teacher.steps=2', 'distil.steps=2',
        f'distil.sources=[folder:{root}]', 'prune.rounds=0', 'evaluate.backends=[onnx]',
    ]  # fmt: skip
    assert main(['recipe', str(smoke), *(a for c in changes for a in ('--set', c))]) == 0
    teacher, student = (
        json.loads((tmp_path / 'out' / name / 'link.json').read_text())
        for name in ('01-teacher', '02-distil')
    )
    assert teacher['real']
    assert student['real']
    assert teacher['epe_px'] < 0.01 < student['epe_px']


def test_a_finished_student_is_pruned_without_being_taught_first(chain, smoke, tmp_path):
    """As `small.yaml` does; the student is judged beside what comes of it, and stays as it was."""
    student = chain / '02-distil' / 'best.pt'
    before = sorted(student.parent.iterdir()), models.sha256(student)
    changes = [
        f'teacher.file={student}', f'student.file={student}', 'distil.steps=0', f'out={tmp_path}',
        'prune.rounds=1', 'prune.last_steps=2', 'threads=1',
    ]  # fmt: skip
    assert main(['recipe', str(smoke), *(a for c in changes for a in ('--set', c))]) == 0
    names = ['01-student', '02-prune1', '03-tune1', '04-evaluate', '05-export']
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    links = [json.loads((tmp_path / n / 'link.json').read_text()) for n in names[:3]]
    assert links[0]['epe_px'] == json.loads((student.parent / 'link.json').read_text())['epe_px']
    assert links[1]['gmac'] <= 0.9 * links[0]['gmac']
    assert (sorted(student.parent.iterdir()), models.sha256(student)) == before


def test_a_chain_without_a_student_is_one_line(chain, smoke, tmp_path, capsys):
    teacher = chain / '01-teacher' / 'best.pt'
    changes = [f'teacher.file={teacher}', f'out={tmp_path}', 'distil.steps=0']
    assert main(['recipe', str(smoke), *(a for c in changes for a in ('--set', c))]) == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    assert 'there is no student; give distil.steps, student.steps or a file' in error


@pytest.mark.parametrize(
    ('change', 'error'),
    [
        ('distil.sources=[folder:absent]', 'absent: no such folder'),
        ('prune.tune.sources=[synthetic,folder:absent]', 'absent: no such folder'),
        ('prune.tune.sources=[folders:x]', "data 'folders:x': write"),
        ('teacher.file=absent.pt', 'absent.pt: no such'),
        ('student.file=dtpnett', "no model 'dtpnett'"),
        ('student.init=absent.pt', 'absent.pt does not exist'),
        ('evaluate.data=[kitti2015:absent]', 'absent: no such folder'),
        ('name=my/cam', "name 'my/cam' must be a plain name"),
        ('student.network=lihgt', "network 'lihgt' is unknown"),
        ('distil.sources=[assets:absent.pack]', 'absent.pack: no packed assets'),
        ('distil.how={features: 1, cache: true}', 'features are not kept in a cache'),
        ('distil.how={cache: true}', 'all of these are generated; leave the cache out'),
        ('teacher.sources=[folder:{unlabelled}]', '2 of 2 pairs have no truth'),
        ('data.sizes=[[64, 100]]', '64x100 is no multiple of the 32 px'),
        ('student.network={member: light, volume: "48"}', "volume is '48', it takes whole"),
        ('student.network={member: light, magnification: 2}', 'is trained without a teacher'),
        ('student.network={member: psmnet}', 'network psmnet is a teacher and is not pruned'),
    ],
)
def test_what_a_later_step_lacks_is_told_before_the_first(smoke, tmp_path, capsys, change, error):
    out = tmp_path / 'out'
    unlabelled = layouts.pairs(tmp_path / 'data')
    (unlabelled / 'wall_disp.pfm').unlink()
    change = change.replace('{unlabelled}', str(unlabelled))
    assert main(['recipe', str(smoke), '--set', f'out={out}', '--set', change]) == 2
    told = capsys.readouterr().err
    assert told.count('\n') == 1
    assert error in told
    assert not out.exists()


def test_features_that_nobody_shows_are_told_before_the_first(smoke, tmp_path, capsys):
    out = tmp_path / 'out'
    changes = [f'out={out}', 'distil.how={features: 1}', 'teacher.file=sgbm']
    options = [word for change in changes for word in ('--set', change)]
    assert main(['recipe', str(smoke), *options]) == 2
    told = capsys.readouterr().err
    assert told.count('\n') == 1
    assert 'teacher sgbm shows no features; set features to 0' in told
    assert not out.exists()


def test_a_recipe_without_a_lesson_judges_and_exports(chain, smoke, tmp_path):
    """Sets of one name stay apart in the summary, and any size of a pair is timed."""
    one, other = (layouts.pairs(tmp_path / name) for name in ('one', 'other'))
    student = chain / '02-distil' / 'best.pt'
    changes = [
        f'teacher.file={student}', f'student.file={student}', 'distil.steps=0', 'prune.rounds=0',
        f'out={tmp_path / "out"}', 'threads=1', f'evaluate.data=[pairs:{one},pairs:{other}]',
        'evaluate.latency_size=[100,161]', 'evaluate.backends=[onnx]',
    ]  # fmt: skip
    assert main(['recipe', str(smoke), *(a for c in changes for a in ('--set', c))]) == 0
    text = (tmp_path / 'out' / '03-export' / 'summary.md').read_text()
    assert 'pairs-one bad-3 %' in text
    assert 'pairs-other bad-3 %' in text


@pytest.mark.parametrize('name', ['smoke', 'small', 'default'])
def test_shipped_recipes_parse(smoke, name):
    recipe = read_settings(Recipe, smoke.with_name(f'{name}.yaml'), {'prune.rounds': 4})
    assert recipe.prune.rounds == 4
    assert recipe.name.startswith('dtpnet')


def test_wrong_recipes_are_one_line(tmp_path, smoke):
    with pytest.raises(ConfigError, match=r'smoke\.yaml: distil\.stepps: unknown setting'):
        read_settings(Recipe, smoke, {'distil.stepps': 3})
    with pytest.raises(ConfigError, match=r'smoke\.yaml: prune\.how\.ratio is 2\.0, it must'):
        read_settings(Recipe, smoke, {'prune.how.ratio': 2})
    for step in ('distil', 'prune.tune'):
        with pytest.raises(ConfigError, match=rf"{step}\.how\.teacher is 'sgbm', but all steps"):
            read_settings(Recipe, smoke, {f'{step}.how.teacher': 'sgbm'})
    path = tmp_path / 'bad.yaml'
    path.write_text('a: [')
    with pytest.raises(InputError, match=r'bad\.yaml: is no YAML'):
        read_settings(Recipe, path, {})
    path.write_bytes(b'a: \xe9t\xe9')
    with pytest.raises(InputError, match=r'bad\.yaml: is no text in UTF-8'):
        read_settings(Recipe, path, {})
    path.write_text('hello')
    with pytest.raises(InputError, match='holds no settings'):
        read_settings(Recipe, path, {})
    with pytest.raises(InputError, match=r'none\.yaml: cannot be read'):
        read_settings(Recipe, tmp_path / 'none.yaml', {})


def test_wrong_changes_are_one_line(smoke, capsys):
    assert main(['recipe', str(smoke), '--set', 'steps']) == 2
    assert "--set 'steps': write NAME=VALUE" in capsys.readouterr().err
