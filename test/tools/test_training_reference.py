"""The reference of the training settings is that of the declarations."""

from __future__ import annotations

from tools.training_reference import TARGET, reference


def test_the_page_is_up_to_date() -> None:
    written = TARGET.read_text(encoding='utf-8')
    assert written == reference(), 'run python -m tools.training_reference'


def test_each_setting_has_its_option_default_and_range() -> None:
    row = next(line for line in reference().splitlines() if line.startswith('| `batch_size`'))
    assert (
        row == '| `batch_size` | `--batch-size` | whole number | `8` | 1 .. 4096 | Pairs a step. |'
    )
