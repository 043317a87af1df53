"""Tiny checkpoints of the three families of page models, with random weights, saved as the published ones are.

Their initial values are drawn from a wide range: with the usual one all rows are nearly equal and a test proves nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    ColModernVBertConfig,
    ColModernVBertForRetrieval,
    ColModernVBertProcessor,
    ColPaliConfig,
    ColPaliForRetrieval,
    ColPaliProcessor,
    ColQwen2Config,
    ColQwen2ForRetrieval,
    ColQwen2Processor,
    GemmaConfig,
    ModernBertConfig,
    ModernVBertConfig,
    PaliGemmaConfig,
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
    SiglipVisionConfig,
)
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

DIM = 16
WIDE = 0.2
"""Standard deviation of the random weights."""

_TEXTS = (
    "Describe the image. Question: Query: what does the invoice say about tax and the total due?",
    "user assistant User: Assistant: page report revenue chart figure table contract date name street",
    "0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ .,:;!?()[]\n",
)

_SIGLIP: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 56,
    "patch_size": 14,
    "initializer_range": WIDE,
}


def build_colpali(folder: Path) -> Path:
    """ColPali: 56 × 56 pixels, patches of 14, so 16 rows for a page beside its prompt; padded on the right."""
    tokenizer = _tokenizer(["<pad>", "<eos>", "<bos>"], spaces=False, pad="<pad>", bos="<bos>", eos="<eos>")
    images: Any = SiglipImageProcessorPil(size={"height": 56, "width": 56})
    images.image_seq_length = 16
    processor = ColPaliProcessor(images, tokenizer)
    vision = SiglipVisionConfig(**_SIGLIP)
    text = GemmaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=1,
        head_dim=8,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=WIDE,
    )
    config = ColPaliConfig(
        vlm_config=PaliGemmaConfig(
            vision_config=vision,
            text_config=text,
            image_token_index=processor.image_token_id,
            projection_dim=32,
        ),
        embedding_dim=DIM,
    )
    return _saved(folder, ColPaliForRetrieval, config, processor)


def build_colqwen2(folder: Path) -> Path:
    """ColQwen2: as many rows for a page as its size asks for, 4 to 64; padded on the left, as its tokenizer says."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"]
    special += ["<|image_pad|>", "<|video_pad|>"]
    tokenizer = _tokenizer(special, spaces=True, side="left", pad="<|endoftext|>", eos="<|im_end|>")
    images = Qwen2VLImageProcessorPil(min_pixels=4 * 28 * 28, max_pixels=64 * 28 * 28)
    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("image_pad", "video_pad")}
    vlm = Qwen2VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 3, 3]},
            "initializer_range": WIDE,
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": 32,
            "num_heads": 4,
            "mlp_ratio": 2,
            "initializer_range": WIDE,
        },
        image_token_id=ids["image_pad"],
        video_token_id=ids["video_pad"],
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    )
    config = ColQwen2Config(vlm_config=vlm, embedding_dim=DIM, initializer_range=WIDE)
    return _saved(folder, ColQwen2ForRetrieval, config, ColQwen2Processor(images, tokenizer))


def build_colmodernvbert(folder: Path) -> Path:
    """ColModernVBert: tiles of 56 × 56 pixels and an overview, 4 rows each; padded on the right."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "<|begin_of_text|>", "<global-img>"]
    special += [f"<row_{row + 1}_col_{column + 1}>" for row in range(6) for column in range(6)]
    special += ["<fake_token_around_image>", "<image>", "<end_of_utterance>"]
    tokenizer = _tokenizer(special, spaces=True, pad="[PAD]", unk="[UNK]", cls="[CLS]", sep="[SEP]")
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    tokenizer._tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", cls), ("[SEP]", sep)]
    )
    images = Idefics3ImageProcessorPil(size={"longest_edge": 112}, max_image_size={"longest_edge": 56})
    processor = ColModernVBertProcessor(images, tokenizer, image_seq_len=4)
    text = ModernBertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        local_attention=16,
        pad_token_id=tokenizer.pad_token_id,
        cls_token_id=cls,
        sep_token_id=sep,
        bos_token_id=cls,
        eos_token_id=sep,
        initializer_range=WIDE,
    )
    vision = SiglipVisionConfig(**_SIGLIP)
    config = ColModernVBertConfig(
        vlm_config=ModernVBertConfig(
            text_config=text,
            vision_config=vision,
            image_token_id=processor.image_token_id,
            pixel_shuffle_factor=2,
            initializer_range=WIDE,
        ),
        embedding_dim=DIM,
        initializer_range=WIDE,
    )
    return _saved(folder, ColModernVBertForRetrieval, config, processor)


BUILDERS = {"colpali": build_colpali, "colqwen2": build_colqwen2, "colmodernvbert": build_colmodernvbert}


def _tokenizer(special: list[str], *, spaces: bool, side: str = "right", **names: str) -> Any:
    """Byte-pair encoding over bytes, or over text with its spaces written as ▁."""
    backend = Tokenizer(models.BPE(unk_token=names.get("unk")))
    pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False) if spaces else pre_tokenizers.Metaspace()
    backend.pre_tokenizer = pre_tokenizer
    backend.decoder = decoders.ByteLevel() if spaces else decoders.Metaspace()
    alphabet = pre_tokenizers.ByteLevel.alphabet() if spaces else []
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(_TEXTS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, padding_side=side, **{f"{name}_token": token for name, token in names.items()}
    )


def _saved(folder: Path, kind, config, processor) -> Path:
    torch.manual_seed(7)
    model = kind(config).eval()
    with torch.no_grad():  # a page's colours have to reach its rows, and biases start at zero
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0.0, WIDE)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
