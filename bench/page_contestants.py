"""A page model of the size of ColQwen2-2B with random weights, pages to feed it, and two ways to encode them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from transformers import ColQwen2Config, ColQwen2ForRetrieval, ColQwen2Processor, Qwen2VLConfig
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from lateint.encoders import VisionEncoder, stream
from lateint.encoders.page_models import PAGE_MODELS
from tests.checkpoints.vision import build_colqwen2

DIM, BATCH = 128, 4
LETTER = (1275, 1650)
"""Pixels of a letter page at 150 dpi; the model scales it to 768 patches of 28 × 28 at most, as the published one."""


def build(folder: Path, options: argparse.Namespace) -> VisionEncoder:
    """Qwen2-VL-2B's sizes; `--layers` cuts the language model and the vision tower alike."""
    processor = ColQwen2Processor.from_pretrained(build_colqwen2(folder))
    processor.image_processor = Qwen2VLImageProcessorPil(min_pixels=4 * 28 * 28, max_pixels=768 * 28 * 28)
    tokenizer = processor.tokenizer
    vlm = Qwen2VLConfig(
        text_config={
            "vocab_size": 151_936,
            "hidden_size": 1536,
            "intermediate_size": 8960,
            "num_hidden_layers": options.layers or 28,
            "num_attention_heads": 12,
            "num_key_value_heads": 2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "depth": options.layers or 32,
            "embed_dim": 1280,
            "hidden_size": 1536,
            "num_heads": 16,
            "mlp_ratio": 4,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    )
    torch.manual_seed(0)
    model = ColQwen2ForRetrieval(ColQwen2Config(vlm_config=vlm, embedding_dim=DIM))
    model.to(getattr(torch, options.precision)).save_pretrained(folder)
    processor.save_pretrained(folder)
    return VisionEncoder(folder, device=options.device, precision=options.precision, batch_size=BATCH)


def pages(count: int, folder: Path) -> list[Path]:
    """PNG files with lines of words, as scans are."""
    random = np.random.default_rng(0)
    files = []
    for at in range(count):
        page = Image.new("RGB", LETTER, "white")
        drawing = ImageDraw.Draw(page)
        for line in range(60):
            words = " ".join("x" * int(length) for length in random.integers(2, 12, 18))
            drawing.text((90, 80 + 25 * line), words, fill="black")
        page.save(folder / f"{at}.png")
        files.append(folder / f"{at}.png")
    return files


def contestants(encoder: VisionEncoder, files: list[Path]) -> list[tuple[str, Callable[[], list[Any]]]]:
    """The loop that model cards show, with the positions that it lacks, so that both give the same vectors."""
    model, processor = encoder._model, encoder._processor  # noqa: SLF001 - the same object for both
    kind = PAGE_MODELS["ColQwen2ForRetrieval"]

    def plain() -> list[Any]:
        rows: list[Any] = []
        for start in range(0, len(files), BATCH):
            images = [Image.open(file).convert("RGB") for file in files[start : start + BATCH]]
            inputs = processor.process_images(images)
            inputs = {**inputs, **kind.left_out(model, inputs)}
            inputs = {
                name: value.to(model.device, model.dtype if value.is_floating_point() else value.dtype)
                for name, value in inputs.items()
                if name != "labels"
            }
            with torch.inference_mode():
                found = model(**inputs).embeddings.float().cpu().numpy()
            masks = inputs["attention_mask"].bool().cpu().numpy()
            rows += [one[mask] for one, mask in zip(found, masks, strict=True)]
        return rows

    def streamed() -> list[Any]:
        return [rows for _, rows in stream.encoded(encoder, enumerate(files))]

    return [
        (f"transformers, {BATCH} pages a batch, one after the other", plain),
        ("lateint, encode_documents", lambda: encoder.encode_documents(files)),
        ("lateint, streamed", streamed),
    ]
