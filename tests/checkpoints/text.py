"""Tiny late-interaction text models with random weights, saved in the formats that real ones come in.

Their initial values are drawn from a wide range: with the usual one all rows are nearly equal and a test proves nothing.
"""

from __future__ import annotations

import json
import shutil
import string
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertModel,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaModel,
)

HIDDEN = 48
WIDE = 0.2
"""Standard deviation of the random weights."""

TEXTS = (
    "Late interaction keeps one vector per token.",
    "MaxSim sums, over the tokens of a query, the best match among those of a document!",
    "What, if anything, is an index? A list - sorted or not - of where things are; nothing more.",
    "The quick brown fox jumps over the lazy dog, and (as ever) nobody asks the dog.",
    "pigeons carry letters; ravens carry news. Swallows: laden or unladen?",
    "vectors vector index indexes token tokens query queries document documents engine engines",
    "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789 " + " ".join(string.punctuation),
)
DOCUMENTS = (
    *TEXTS,
    "token",
    "...",
    "naïve café, 東京 🙂",
    " ".join(TEXTS[:4]),
    "an engine; an index, a document",
)
QUERIES = ("which token matches best?", "?", "index", " ".join(["query"] * 60), "laden swallows and lazy dogs")


def build_bert_colbert(
    folder: Path, *, dim: int = 32, query_length: int = 32, document_length: int = 24, attend: bool = False
) -> Path:
    """Stanford's format over BERT, as colbertv2.0 (dim 128) and answerai-colbert-small (dim 96) have it."""
    tokenizer = _wordpiece(folder)
    _save(BertModel(_bert_config(len(tokenizer)), add_pooling_layer=False), folder)
    metadata = {
        "query_token_id": "[unused0]",
        "doc_token_id": "[unused1]",
        "dim": dim,
        "query_maxlen": query_length,
        "doc_maxlen": document_length,
        "mask_punctuation": True,
        "attend_to_mask_tokens": attend,
        "similarity": "cosine",
    }
    return _stanford(folder, "bert", dim, metadata)


def build_jina_colbert(folder: Path, *, dim: int = 128) -> Path:
    """Stanford's format over an XLM-R tokenizer with Jina-ColBERT v2's markers and its attended expansion to 32."""
    tokenizer = _unigram(folder, [*string.punctuation], added=["[QueryMarker]", "[DocumentMarker]"])
    _save(XLMRobertaModel(_xlmr_config(tokenizer), add_pooling_layer=False), folder)
    metadata = {
        "query_token_id": "[QueryMarker]",
        "doc_token_id": "[DocumentMarker]",
        "dim": dim,
        "query_maxlen": 32,
        "doc_maxlen": 100,
        "mask_punctuation": True,
        "attend_to_mask_tokens": True,
    }
    return _stanford(folder, "roberta", dim, metadata)


def build_bert_pylate(folder: Path, **settings: Any) -> Path:
    """PyLate's format over BERT, with its own markers."""
    tokenizer = _wordpiece(folder, added=["[Q] ", "[D] "])
    _save(BertModel(_bert_config(len(tokenizer)), add_pooling_layer=False), folder)
    return _pylate(folder, [(HIDDEN, 32, False)], {"query_length": 32, "document_length": 24, **settings})


def build_modernbert_pylate(folder: Path, *, residual: bool = False) -> Path:
    """PyLate's format over ModernBERT without expansion, as GTE-ModernColBERT and LateOn have it.

    With `residual` there are two dense layers around shortcuts, as in mxbai-edge-colbert.
    """
    tokenizer = _bytes(folder, added=["[Q] ", "[D] "])
    config = ModernBertConfig(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        local_attention=16,
        max_position_embeddings=512,
        initializer_range=WIDE,
        pad_token_id=tokenizer.pad_token_id,
        cls_token_id=tokenizer.cls_token_id,
        sep_token_id=tokenizer.sep_token_id,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
    )
    _save(ModernBertModel(config), folder)
    layers = [(HIDDEN, 64, True), (64, 32, True)] if residual else [(HIDDEN, 32, False)]
    settings = {"query_length": 24, "document_length": 40, "do_query_expansion": False}
    return _pylate(folder, layers, settings)


def build_xlmr_pylate(folder: Path) -> Path:
    """PyLate's format over a vocabulary that lacks most punctuation: what is skipped must not take <unk> along."""
    tokenizer = _unigram(folder, list(",.!?-;:'"), added=["[Q] ", "[D] "])
    _save(XLMRobertaModel(_xlmr_config(tokenizer), add_pooling_layer=False), folder)
    settings = {"query_length": 32, "document_length": 60, "attend_to_expansion_tokens": False}
    return _pylate(folder, [(HIDDEN, 32, False)], settings)


def build_with_code(folder: Path) -> Path:
    """A Jina-like model whose class lies beside the weights, in a file that has to be run to load it."""
    build_jina_colbert(folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "tiny-own",
        "auto_map": {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(
        "from transformers import XLMRobertaConfig, XLMRobertaModel\n\n\n"
        'class OwnConfig(XLMRobertaConfig):\n    model_type = "tiny-own"\n\n\n'
        "class OwnModel(XLMRobertaModel):\n    config_class = OwnConfig\n\n"
        "    def __init__(self, config, add_pooling_layer=False):\n"
        "        super().__init__(config, add_pooling_layer=add_pooling_layer)\n"
    )
    return folder


def build_fastembed(folder: Path) -> Path:
    """A BERT in Stanford's format, and beside it what fastembed reads: a graph from ids and mask to rows of length 1."""
    build_bert_colbert(folder, dim=128, document_length=120)
    weights = load_file(folder / "model.safetensors")
    bert = BertModel(BertConfig.from_pretrained(folder), add_pooling_layer=False).eval()
    bert.load_state_dict({name.removeprefix("bert."): value for name, value in weights.items() if "bert." in name})
    ids = torch.randint(20, 40, (2, 9))
    names = ["input_ids", "attention_mask", "rows"]
    torch.onnx.export(
        _Rows(bert, weights["linear.weight"]).eval(),
        (ids, torch.ones_like(ids)),
        str(folder / "model.onnx"),
        input_names=names[:2],
        output_names=names[2:],
        dynamic_axes={name: {0: "batch", 1: "tokens"} for name in names},
        dynamo=False,
    )
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    tokens = {name: token for name, token in settings.items() if name.endswith("_token")}
    (folder / "special_tokens_map.json").write_text(json.dumps(tokens))
    return folder


class _Rows(torch.nn.Module):
    def __init__(self, bert: BertModel, matrix: torch.Tensor) -> None:
        super().__init__()
        self.bert = bert
        self.matrix = torch.nn.Parameter(matrix)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return torch.nn.functional.normalize(hidden @ self.matrix.T, dim=-1)


def build_single_vector(folder: Path) -> Path:
    """A plain BERT, as all the models that make one vector per text are built on."""
    tokenizer = _wordpiece(folder)
    _save(BertModel(_bert_config(len(tokenizer))), folder)
    return folder


def _save(model: Any, folder: Path) -> None:
    torch.manual_seed(7)
    for weights in model.state_dict().values():
        if weights.is_floating_point() and weights.ndim > 1:
            torch.nn.init.normal_(weights, std=WIDE)
    model.save_pretrained(folder)


def _stanford(folder: Path, prefix: str, dim: int, metadata: dict[str, Any]) -> Path:
    weights = {f"{prefix}.{name}": value for name, value in load_file(folder / "model.safetensors").items()}
    weights["linear.weight"] = _matrix(dim, HIDDEN, seed=1)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["HF_ColBERT"]}))
    (folder / "artifact.metadata").write_text(json.dumps(metadata))
    return folder


def _pylate(folder: Path, layers: list[tuple[int, int, bool]], settings: dict[str, Any]) -> Path:
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    for at, (inside, outside, residual) in enumerate(layers, start=1):
        part = folder / f"{at}_Dense"
        part.mkdir()
        config = {
            "in_features": inside,
            "out_features": outside,
            "bias": False,
            "activation_function": "torch.nn.modules.linear.Identity",
            "use_residual": residual,
        }
        (part / "config.json").write_text(json.dumps(config))
        weights = {"linear.weight": _matrix(outside, inside, seed=at)}
        if residual:
            weights["residual.weight"] = _matrix(outside, inside, seed=10 + at)
        save_file(weights, part / "model.safetensors")
        modules.append({"idx": at, "name": str(at), "path": part.name, "type": "pylate.models.Dense.Dense"})
    (folder / "modules.json").write_text(json.dumps(modules))
    saved = {
        "model_type": "ColBERT",
        "prompts": {},
        "query_prefix": "[Q] ",
        "document_prefix": "[D] ",
        "skiplist_words": list(string.punctuation),
        "similarity_fn_name": "MaxSim",
        **settings,
    }
    (folder / "config_sentence_transformers.json").write_text(json.dumps(saved))
    return folder


def _matrix(rows: int, columns: int, *, seed: int) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * WIDE


def _words() -> set[str]:
    return {word.strip(string.punctuation).lower() for text in TEXTS for word in text.split()} - {""}


def _wordpiece(folder: Path, added: list[str] | None = None) -> PreTrainedTokenizerFast:
    specials = ["[PAD]", *(f"[unused{at}]" for at in range(8)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [*string.ascii_lowercase, *string.digits]
    marks = [*string.punctuation, "…"]
    words = sorted(word for word in _words() if len(word) < 7)  # longer ones fall into pieces
    pieces = [f"##{word[3:]}" for word in sorted(_words()) if len(word) >= 7]
    entries = dict.fromkeys([*specials, *letters, *(f"##{letter}" for letter in letters), *marks, *words, *pieces])
    # The unused entries are words of the vocabulary and nothing more, until a loader makes markers of them.
    plain = Tokenizer(models.WordPiece({entry: at for at, entry in enumerate(entries)}, unk_token="[UNK]"))
    plain.normalizer = normalizers.BertNormalizer(lowercase=True)
    plain.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    plain.decoder = decoders.WordPiece()
    plain.post_processor = _template(plain, "[CLS]", "[SEP]")
    names = {
        "unk_token": "[UNK]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
    }
    return _saved(plain, folder, names, added, types=True)


def _bytes(folder: Path, added: list[str]) -> PreTrainedTokenizerFast:
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=480,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = _template(tokenizer, "[CLS]", "[SEP]")
    names = {
        "unk_token": "[UNK]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
    }
    return _saved(tokenizer, folder, names, added)


def _unigram(folder: Path, punctuation: list[str], *, added: list[str]) -> PreTrainedTokenizerFast:
    pieces = (
        [f"▁{word}" for word in sorted(_words())] + list(string.ascii_letters + string.digits) + ["▁", *punctuation]
    )
    vocabulary = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    vocabulary += [(piece, -float(at % 7 + 4) if len(piece) < 3 else -3.0) for at, piece in enumerate(pieces)]
    tokenizer = Tokenizer(models.Unigram([*vocabulary, ("<mask>", 0.0)], unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = _template(tokenizer, "<s>", "</s>")
    names = {
        "unk_token": "<unk>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "cls_token": "<s>",
        "mask_token": "<mask>",
        "bos_token": "<s>",
        "eos_token": "</s>",
    }
    return _saved(tokenizer, folder, names, added)


def _template(tokenizer: Tokenizer, begin: str, end: str) -> Any:
    ids = [(name, tokenizer.token_to_id(name)) for name in (begin, end)]
    return processors.TemplateProcessing(
        single=f"{begin} $A {end}", pair=f"{begin} $A {end} $B {end}", special_tokens=ids
    )


def _saved(
    tokenizer: Tokenizer, folder: Path, names: dict[str, str], added: list[str] | None, *, types: bool = False
) -> PreTrainedTokenizerFast:
    if folder.exists():
        shutil.rmtree(folder)
    inputs = ["input_ids", *(["token_type_ids"] if types else []), "attention_mask"]
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=128, model_input_names=inputs, **names)
    if added:
        fast.add_tokens(added)
    fast.save_pretrained(folder)
    return fast


def _bert_config(vocabulary: int) -> BertConfig:
    return BertConfig(
        vocab_size=vocabulary,
        hidden_size=HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
    )


def _xlmr_config(tokenizer: PreTrainedTokenizerFast) -> XLMRobertaConfig:
    return XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=140,
        type_vocab_size=1,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
