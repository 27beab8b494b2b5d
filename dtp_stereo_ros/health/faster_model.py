"""Hint at a form of the model that is faster on a processor."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from .finding import Finding

# Flags of dot products of 8 bits, and of products in bf16, which are faster still.
_VNNI = {'avx512_vnni', 'avx_vnni'}
_BF16 = {'avx512_bf16', 'amx_bf16'}


def faster_model(
    told: Mapping[str, str], flags: Collection[str], names: Collection[str], node_name: str
) -> list[Finding]:
    """Hint at the int8 form of a model that runs in fp32 (docs/reports/performance.md, In int8).

    Args:
        told: 'backend', 'model' and 'precision' of a node, as its diagnostics tell them.
        flags: of the processor that it runs on.
        names: of all models.
        node_name: full name of the node.
    """
    form = f'{told.get("model", "")}-int8'
    in_fp32 = told.get('precision') == 'fp32' and 'openvino' in told.get('backend', '')
    if not in_fp32 or form not in names or not _VNNI & set(flags) or _BF16 & set(flags):
        return []
    text = (
        f'{told["model"]} runs in fp32, and this processor has VNNI: {form} takes about three '
        f'quarters of the time; try ros2 param set {node_name} model {form}'
    )
    return [Finding('ok', 'model', text)]
