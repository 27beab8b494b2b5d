"""Distillation: a student's distribution over disparity learns a teacher's (paper, Eq. 4)."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dtp_stereo_ros.errors import ConfigError
from dtp_stereo_ros.network.family import Network, magnification_of
from dtp_stereo_ros.network.outputs import Outputs

from ..data.batches import Batch
from ..data.teacher_cache import from_batch
from ..settings import DistilConfig, LossWeights
from ..teachers import BinGrid, Taught, Teacher, two_hot_logits
from .losses import error_likelihood, full_error, mean, robust_error
from .supervised import Parts, supervised


def distribution_distance(
    student: Tensor, teacher: Tensor, temperature: float, kind: Literal['l1', 'kl']
) -> Tensor:
    """Distance of two distributions over bins at each pixel.

    Args:
        student, teacher: logits (B, bins, h, w).
        temperature: divides both.
        kind: 'l1', sum of |p - q| (0..2), or 'kl', KL(teacher || student).

    Returns:
        (B, h, w).
    """
    log_q = F.log_softmax(teacher / temperature, dim=1)
    log_p = F.log_softmax(student / temperature, dim=1)
    if kind == 'l1':
        return (log_p.exp() - log_q.exp()).abs().sum(dim=1)
    return (log_q.exp() * (log_q - log_p)).sum(dim=1)


def _inside(batch: Batch) -> Tensor:
    """(B, H, W) bool, where the pairs are padded by nothing; see `padding.pad`."""
    return batch['inside'] if 'inside' in batch else torch.ones_like(batch['known'])


class Distillation:
    """A teacher, alone or with the truth.

    Args:
        network: the student.
        teacher: see `Teacher`.
        config: see `DistilConfig`.
        weights: of the truth's loss, for supervision 'both', and of the expected error.

    Raises:
        ConfigError: features are asked for from a teacher or student that has none, or the student
            enlarges its pairs.
    """

    def __init__(
        self, network: Network, teacher: Teacher, config: DistilConfig, weights: LossWeights
    ) -> None:
        if magnification_of(network) != 1.0:
            raise ConfigError('a network with a magnification is trained without a teacher')
        self.teacher = teacher
        self.config = config
        self.weights = weights
        self.grid = BinGrid.of(network)
        self.supervised = supervised(network, weights)
        self.learned: nn.Module = nn.Identity()
        self._features: list[Tensor] = []
        if config.features:
            self.learned = self._adapter(network)

    def __call__(
        self, outputs: Outputs, batch: Batch, phase: tuple[int, int], progress: float
    ) -> tuple[Tensor, Parts]:
        """See `Objective`."""
        config = self.config
        taught = self.ask(batch)
        student = outputs.logits
        features = self._features.pop() if self._features else None
        row, column = phase
        valid = self._heard(taught, batch).float()
        valid4 = valid[:, row::4, column::4]
        disparity4 = taught.disparity_px[:, row::4, column::4]
        logits = taught.logits
        if logits is None:
            logits = two_hot_logits(disparity4, self.grid)
        start, end = config.temperature
        temperature = start + (end - start) * min(1.0, progress)
        distance = distribution_distance(student, logits, temperature, config.loss)
        parts = {
            'distil': mean(distance, valid4),
            'distil_full': mean(full_error(outputs, taught.disparity_px), valid),
        }
        total = config.distribution * parts['distil'] + config.disparity * parts['distil_full']
        if outputs.quarter_px is not None:
            parts['distil_quarter'] = mean(
                robust_error(outputs.quarter_px[:, 0], disparity4), valid4
            )
            total = total + 0.1 * config.disparity * parts['distil_quarter']
        if features is not None and taught.features is not None and config.features:
            adapted = self.learned(features.float())
            distance = 1 - F.cosine_similarity(adapted, taught.features, dim=1)
            parts['features'] = mean(distance, _inside(batch)[:, ::4, ::4].float())
            total = total + config.features * parts['features']
        if outputs.log_error is not None:
            # What nothing teaches would no longer fit the network that it is part of.
            likelihood = error_likelihood(
                outputs.disparity_px[:, 0], outputs.log_error[:, 0], taught.disparity_px
            )
            alone = valid * ~batch['known'] if config.supervision == 'both' else valid
            parts['distil_error'] = mean(likelihood, alone)
            total = total + self.weights.error * parts['distil_error']
        if config.supervision == 'both':
            supervised, more = self.supervised(outputs, batch, phase, progress)
            total, parts = total + supervised, parts | more
        return total, {name: part.detach() for name, part in parts.items()}

    def ask(self, batch: Batch) -> Taught:
        """The teacher's view of the clean pair, from the cache where it is there."""
        cached = from_batch(batch)
        if cached is not None:
            return cached
        return self.teacher(batch['clean_left'].float(), batch['clean_right'].float(), self.grid)

    def _heard(self, taught: Taught, batch: Batch) -> Tensor:
        """(B, H, W) bool, where the teacher is sure and not known to be wrong."""
        valid, trust = taught.valid & _inside(batch), self.config.trust_px
        if not trust:
            return valid
        wrong = (taught.disparity_px - batch['disparity']).abs() > trust
        return valid & ~(wrong & batch['known'])

    def _adapter(self, network: Network) -> nn.Module:
        """Student's aggregated features to the teacher's; the widths are found by a trial."""
        aggregation = getattr(network, 'aggregation', None)
        if not isinstance(aggregation, nn.Module):
            raise ConfigError(f'network {network.name} has no aggregation to distil features into')
        aggregation.register_forward_hook(self._keep)
        trial = torch.zeros(1, 3, 64, 128)
        was_training = network.training
        with torch.no_grad():
            network.eval().predict(trial, trial)
            wanted = self.teacher(trial, trial, self.grid).features
        network.train(was_training)
        if wanted is None:
            raise ConfigError(
                f'teacher {self.teacher.name} shows no features; set features to 0 or teach by a '
                'checkpoint of the family'
            )
        return nn.Conv2d(self._features.pop().shape[1], wanted.shape[1], 1)

    def _keep(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        self._features[:] = [output]
