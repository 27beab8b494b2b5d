"""The page of the result files, from the measures and the writer of an evaluation."""

from __future__ import annotations

import dataclasses

from dtp_stereo_ros.evaluation.anatomy import CLASSES
from dtp_stereo_ros.evaluation.columns import COLUMNS, DEPTH, PAIR_COLUMNS, TRUTH_FREE, Column
from dtp_stereo_ros.evaluation.comparison import Accuracy
from dtp_stereo_ros.evaluation.intervals import CONFIDENCE_LEVEL, RESAMPLES
from dtp_stereo_ros.evaluation.replay_figures import LOCKSTEP, REAL_TIME, ReplayFigures
from dtp_stereo_ros.evaluation.result_file import FORMAT, VERSION, as_document
from dtp_stereo_ros.evaluation.runner import TREATMENTS, Row
from dtp_stereo_ros.markdown import table

from .markdown import code, described

# Key of the document -> meaning.
_KEYS = {
    'format': f'always `{FORMAT}`',
    'version': f'{VERSION}; a reader refuses any other',
    'command': 'the command line that wrote the file',
    'baseline': 'the method to which the others are compared',
    'columns': 'the measures below: key, heading and meaning of each',
    'intervals': f'level ({CONFIDENCE_LEVEL:g}), number of resamples ({RESAMPLES}) and seed of '
    'the bootstrap',
    'settings': 'method to the settings that decide its errors: hash of its model file, '
    'input_scale, left_right_check; empty for bags',
    'jobs': 'number of scenes or bags that were judged at the same time; above 1 latencies are '
    'comparable with no others',
    'rows': 'one entry for each data set, method, region and treatment of holes',
    'accuracy': 'one entry for each data set, method and region: means and differences to the '
    'baseline, each with its interval',
    'sparsification': 'one entry for each data set and method: error of the most confident '
    'pixels, by their share',
    'calibration': 'one entry for each data set and method: predicted and real error by bins of '
    'the predicted error',
    'anatomy': 'one entry for each image and method: pixels and wrong pixels by class',
    'by_disparity': 'EPE and bad-3 by range of the true disparity, one entry for each data set, '
    'method and range: pixels of all images together, holes filled; the last range has no end',
    'by_range': 'the same by range of depth, of pairs with a calibration',
    'by_region': 'the same by region of the image, 3 rows of 4',
    'times': 'latency of the methods as multiples of that of the baseline; null where they were '
    'not timed together',
    'scenes': 'one entry for each image and method: latency, density and all scores',
    'recordings': 'one entry for each stereo camera of a bag: topics, findings, pairs and the '
    'measures of each method, with truth and without; `by_disparity`, `by_range` and `by_region` '
    'are errors of all frames together; `replay` is null without a node',
    'left_out': 'scenes and bags that could not be judged; they are in no mean',
}

# Key of `replay` of a recording -> meaning.
_REPLAY = {
    'mode': f'`{LOCKSTEP}` or `{REAL_TIME}`',
    'rate': 'of the time of the bag; null in lockstep',
    'loops': 'how often the bag was to be played; the first time is judged',
    'ended': 'why it ended early, or empty',
    'duration_s': 'of the play, wall time',
    'sent': 'pairs that were sent',
    'answered': 'pairs that brought a disparity',
    'lost': 'pairs that did not',
    'dropped': 'cause to number of the lost pairs: those of `/diagnostics`; `images lost` by the '
    'middleware before they were a pair in the node; `no result` for no cause that is known',
    'images': 'counts of the synchroniser of the node',
    'sha256': 'of all disparities of the first loop, little-endian float32 as published, in the '
    'order of their stamps; null in real time, and where it ended early',
    'sha256_of_loops': 'the same of each loop',
    'rate_in_hz': 'pairs sent, by wall time; null in lockstep',
    'rate_out_hz': 'results, by wall time; null in lockstep',
    'arrival_to_result_ms': 'wall time from sending the last image of a pair to its disparity',
    'stamp_to_result_ms': 'from the stamp to the disparity, in the time of the bag; null in '
    'lockstep, and where the stamps are of another clock',
    'age_ms': 'of the newest result when it was published, as the node tells; null in lockstep',
    'cpu_percent': 'of the process of the node; 100 is one core',
    'memory_mib': 'resident memory of the node',
    'sent_late_ms': 'how late the player sent the messages',
    'answers': 'time since the start and latencies of each result, as columns',
    'loads': 'time since the start, CPU, memory and age at each diagnostics, as columns',
}


def sections() -> dict[str, str]:
    """The tables of the page.

    Raises:
        LookupError: a key of the document has no meaning above.
    """
    document = as_document([])
    entries = (
        f'An entry of `rows` has {_fields(Row)}.',
        f'An entry of `accuracy` has {_fields(Accuracy)}. Each value of the last two is the mean '
        'with the ends of its interval.',
        f'Treatments of holes are {", ".join(map(code, TREATMENTS))}.',
    )
    return {
        'keys': table(
            ['key', 'meaning'],
            [[code(key), described(key, _KEYS, 'tools/reference/results.py')] for key in document],
        ),
        'measures': _measures(COLUMNS),
        'replay': table(
            ['key', 'meaning'],
            [
                [code(key), described(key, _REPLAY, 'tools/reference/results.py')]
                for key in ReplayFigures(LOCKSTEP).as_values()
            ],
        ),
        'depth': _measures(DEPTH),
        'without truth': _measures(TRUTH_FREE),
        'pair': _measures(PAIR_COLUMNS),
        'rows': '\n\n'.join(entries),
        'classes': table(
            ['class', 'meaning'], [[code(key), text] for key, text in CLASSES.items()]
        ),
    }


def _measures(columns: dict[str, Column]) -> str:
    rows = [[code(c.key), c.name, c.unit, c.meaning] for c in columns.values()]
    return table(['key', 'name', 'unit', 'meaning'], rows)


def _fields(cls: type) -> str:
    return ', '.join(code(field.name) for field in dataclasses.fields(cls))
