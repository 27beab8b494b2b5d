"""The columns of tables and result files: key, heading, unit and meaning, each told once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .intervals import Interval


@dataclass(frozen=True)
class Column:
    """One measure.

    Attributes:
        key: in result files, and the attribute of `metrics.Score` where it is one.
        name: without the unit.
        unit: 'px', 'm', '%' or ''; shares are stored as 0..1 and shown in %.
        meaning: half a sentence for the legend.
        more_is_better: of most measures, less is.
    """

    key: str
    name: str
    unit: str
    meaning: str
    more_is_better: bool = False

    @property
    def heading(self) -> str:
        """Name and unit."""
        return f'{self.name} {self.unit}'.rstrip()

    def text(self, value: float) -> str:
        """A value as tables show it; '-' for NaN."""
        return '-' if math.isnan(value) else f'{self.shown(value):.{self._digits}f}'

    def interval_text(self, value: Interval, sign: bool = False) -> str:
        """Mean and interval as tables show them.

        Args:
            value: in stored units.
            sign: write a plus in front of positive means, as differences need it.
        """
        mean = f'{self.shown(value.mean):{"+" if sign else ""}.{self._digits}f}'
        if math.isnan(value.low):
            return mean
        low, high = (f'{self.shown(end):.{self._digits}f}' for end in (value.low, value.high))
        return f'{mean} [{low}, {high}]'

    def shown(self, value: float) -> float:
        """A stored value in the unit."""
        return 100.0 * value if self.unit == '%' else value

    @property
    def _digits(self) -> int:
        return {'': 4, 'm': 3}.get(self.unit, 2)


COLUMNS: dict[str, Column] = {
    column.key: column
    for column in (
        Column('epe_px', 'EPE', 'px', 'mean |d - d*|'),
        Column('bad_0_5', 'bad-0.5', '%', 'pixels with |d - d*| > 0.5 px'),
        Column('bad_1', 'bad-1', '%', 'pixels with |d - d*| > 1 px'),
        Column('bad_2', 'bad-2', '%', 'pixels with |d - d*| > 2 px'),
        Column('bad_3', 'bad-3', '%', 'pixels with |d - d*| > 3 px'),
        Column('d1', 'D1', '%', 'pixels with |d - d*| > 3 px and > 5 % of d*'),
        Column('density', 'density', '%', 'pixels with an estimate', True),
        Column(
            'epe_px_at_density',
            'EPE at SGBM density',
            'px',
            'EPE of the most confident pixels, as many of each image as SGBM has estimates',
        ),
        Column(
            'bad_3_at_density',
            'bad-3 at SGBM density',
            '%',
            'bad-3 of the most confident pixels, as many of each image as SGBM has estimates',
        ),
        Column(
            'ause_px',
            'AUSE',
            'px',
            'area between the sparsification curve of |d - d*| and that of the true order',
        ),
        Column('ause_bad_3', 'AUSE of bad-3', '%', 'the same of bad-3'),
    )
}

# Of recordings with a truth and a calibration; see `depth_score`.
DEPTH: dict[str, Column] = {
    column.key: column
    for column in (
        Column(
            'depth_rmse_m',
            'depth RMSE',
            'm',
            'root mean square of Z - Z*, of pixels up to 80 m, estimates cut at 80 m',
        ),
        Column('depth_abs_rel', 'absRel', '%', 'mean of |Z - Z*| / Z* of the same pixels'),
    )
}

# Measures that need no truth, of recordings; see `truth_free`. In the order in which they tell
# good from bad: docs/reports/truth_free.md.
TRUTH_FREE: dict[str, Column] = {
    column.key: column
    for column in (
        Column(
            'inconsistent',
            'left-right',
            '%',
            'pixels whose disparity differs from that of the right view by more than 1 px',
        ),
        Column(
            'agreement',
            'SGBM agrees',
            '%',
            'pixels with an estimate of SGBM too that differ from it by at most 1 px',
            True,
        ),
        Column(
            'photometric',
            'photometric',
            '',
            'left image less the right one warped by the disparity, by SSIM and L1, where both '
            'cameras see the point, 0 to 0.5',
        ),
        Column(
            'census',
            'census',
            '%',
            'census bits that differ between the left image and the warped right one',
        ),
        Column(
            'flicker_px',
            'flicker',
            'px',
            'mean change of the disparity since the pair before, where the images did not change',
        ),
        Column(
            'followed_flicker_px',
            'flicker in motion',
            'px',
            'mean change of the disparity since the pair before along the optical flow, less its '
            'mean in a window of 60 px',
        ),
        Column(
            'plane_noise_px',
            'noise on planes',
            'px',
            'median rms deviation from a plane, of the flattest quarter of patches of 16 px; the '
            'noise of the depth at Z is Z^2 / (f B) times it',
        ),
        Column('coverage', 'coverage', '%', 'pixels of the image with an estimate', True),
    )
}

# Of the pair and not of a method.
PAIR_COLUMNS: dict[str, Column] = {
    column.key: column
    for column in (
        Column('rows_px', 'row offset', 'px', 'mean row of points in right less that in left'),
        Column('rows_rms_px', 'row offset rms', 'px', 'root mean square of the row offset'),
    )
}

ALL_COLUMNS: dict[str, Column] = {**COLUMNS, **DEPTH, **TRUTH_FREE, **PAIR_COLUMNS}
# Keys of the measures that need a truth.
NEED_TRUTH = COLUMNS.keys() | DEPTH.keys()

# Of the table of all treatments, and of the table of accuracy.
SCORE_KEYS = ('epe_px', 'bad_0_5', 'bad_1', 'bad_2', 'bad_3', 'd1', 'density')
ACCURACY_KEYS = ('epe_px', 'bad_1', 'bad_2', 'bad_3', 'd1', 'bad_3_at_density', 'ause_px')
# Of the table of a recording, as far as they are known.
RECORDING_KEYS = (
    'epe_px', 'bad_1', 'bad_3', 'd1', 'bad_3_at_density', 'ause_px', *DEPTH, *TRUTH_FREE,
)  # fmt: skip
# Of a pair and the one that was judged before it.
BETWEEN_FRAMES = ('flicker_px', 'followed_flicker_px')
# What only a confidence gives.
CONFIDENCE_KEYS = ('epe_px_at_density', 'bad_3_at_density', 'ause_px', 'ause_bad_3')


def meanings(keys: tuple[str, ...]) -> str:
    """The legend of some columns, one sentence."""
    return '; '.join(f'{ALL_COLUMNS[key].name}: {ALL_COLUMNS[key].meaning}' for key in keys) + '.'
