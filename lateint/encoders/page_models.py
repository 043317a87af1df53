"""How the page models of transformers differ: where their rows lie on a page, and what else they must be given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any

from lateint.encoders.base import Patch


@dataclass(frozen=True, slots=True)
class PageModel:
    """A class of models that `transformers` has itself.

    Attributes:
        processor: the class in `transformers` that prepares its inputs.
        patches: from the processor, the inputs of one page and its width and height in pixels to what its image tokens
            stand for, in their order, the finest grid first.
        opening: what the processor writes before a query.
        left_out: inputs that the processor leaves out and the model needs, from the model and the inputs of a batch.
    """

    processor: str
    patches: Callable[[Any, Mapping[str, Any], tuple[int, int]], list[Patch]]
    opening: Callable[[Any], str]
    left_out: Callable[[Any, Mapping[str, Any]], dict[str, Any]] = lambda _, __: {}


def _grid(rows: int, columns: int) -> list[Patch]:
    return [Patch(row, column, (rows, columns)) for row in range(rows) for column in range(columns)]


def _square(processor: Any, _: Mapping[str, Any], __: tuple[int, int]) -> list[Patch]:  # noqa: ANN401
    side = isqrt(processor.image_seq_length)
    return _grid(side, side)


def _merged(processor: Any, inputs: Mapping[str, Any], _: tuple[int, int]) -> list[Patch]:  # noqa: ANN401
    _, rows, columns = inputs["image_grid_thw"][0].tolist()
    merge = processor.image_processor.merge_size
    return _grid(rows // merge, columns // merge)


def _tiled(processor: Any, _: Mapping[str, Any], size: tuple[int, int]) -> list[Patch]:  # noqa: ANN401
    """Tile after tile, each from its top left corner on; then an overview of the whole page."""
    width, height = size
    _, rows, columns = processor.image_processor.get_number_of_image_patches(height, width, {})
    side = isqrt(processor.image_seq_len)
    grid = (rows * side, columns * side)
    tiles = [
        Patch(top * side + patch.row, left * side + patch.column, grid)
        for top in range(rows)
        for left in range(columns)
        for patch in _grid(side, side)
    ]
    return tiles + _grid(side, side)


def _rotary_positions(model: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    """Position ids in three dimensions: temporal, row, column.

    ColQwen2 hands embeddings instead of ids to its language model, which cannot know then which of them are of an
    image, and counts them as if they were words (transformers 5.3 to 5.23).
    """
    ids = inputs["input_ids"]
    of_image = (ids == model.config.vlm_config.image_token_id).int()
    grids, mask = inputs.get("image_grid_thw"), inputs["attention_mask"]
    positions, _ = model.vlm.get_rope_index(ids, mm_token_type_ids=of_image, image_grid_thw=grids, attention_mask=mask)
    return {"position_ids": positions}


PAGE_MODELS: Mapping[str, PageModel] = {
    "ColPaliForRetrieval": PageModel(
        processor="ColPaliProcessor",
        patches=_square,
        opening=lambda processor: f"{processor.tokenizer.bos_token}{processor.query_prefix}",
    ),
    "ColQwen2ForRetrieval": PageModel(
        processor="ColQwen2Processor",
        patches=_merged,
        opening=lambda processor: str(processor.query_prefix),
        left_out=_rotary_positions,
    ),
    "ColModernVBertForRetrieval": PageModel(
        processor="ColModernVBertProcessor", patches=_tiled, opening=lambda processor: str(processor.query_prefix)
    ),
}
"""By the class that a checkpoint was saved from."""
