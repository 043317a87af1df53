"""How fast is the reference scorer: against the matrix product inside it, the machine, and the other CPU scorers.

    python bench/maxsim.py [--rounds 9] [--documents 8000]

All contestants run in this process on the same data, interleaved: one pass each per round, in turn. A ratio is the
median over rounds of the ratio within a round, so that another program on the machine disturbs both sides alike. It is
taken by the clock on the wall and by processor time, which other programs disturb less. BLAS and torch have one thread;
what uses more says so: there processor time does not count, and the best round of each side is compared, too.
"""

from __future__ import annotations

import os

for _variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[_variable] = "1"  # before NumPy loads its BLAS

import argparse
import importlib
import importlib.metadata
import platform
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lateint.scoring import Corpus, score_corpus, tolerance

DIM = 128
QUERY_ROWS = 32
MANY = 16
BLOCK = 4096
PADDED_BATCH = 128
SIDE = 1024
PRODUCTS = 8

Scores = NDArray[np.floating[Any]]


@dataclass
class Contestant:
    """Something to time.

    Attributes:
        name: what the tables call it.
        run: one pass; returns the scores of the first query, or nothing where it computes none.
        operations: floating-point operations of one pass.
        queries: scored in one pass.
        seconds: on the wall, one per round.
        busy: of processor time, one per round, all threads together.
    """

    name: str
    run: Callable[[], Scores | None]
    operations: float
    queries: int = 1
    seconds: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)

    def time(self) -> None:
        start, start_busy = time.perf_counter(), time.process_time()
        self.run()
        self.seconds.append(time.perf_counter() - start)
        self.busy.append(time.process_time() - start_busy)


@dataclass(frozen=True)
class Data:
    """Random unit rows: ragged documents, and queries."""

    tokens: NDArray[np.float32]
    offsets: NDArray[np.int64]
    queries: list[NDArray[np.float32]]

    @classmethod
    def made(cls, documents: int) -> Data:
        random = np.random.default_rng(0)
        lengths = np.clip(random.normal(120, 40, documents), 16, 300).astype(np.int64)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        queries = [_unit(random.standard_normal((QUERY_ROWS, DIM), dtype=np.float32)) for _ in range(MANY)]
        return cls(_unit(random.standard_normal((int(offsets[-1]), DIM), dtype=np.float32)), offsets, queries)

    @property
    def documents(self) -> list[NDArray[np.float32]]:
        """One view per document."""
        return np.split(self.tokens, self.offsets[1:-1].tolist())

    @property
    def operations(self) -> float:
        """Multiplications and additions of one query against all documents."""
        return 2.0 * QUERY_ROWS * DIM * len(self.tokens)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    for start in range(0, len(rows), 1 << 16):
        rows[start : start + (1 << 16)] /= np.linalg.norm(rows[start : start + (1 << 16)], axis=1, keepdims=True)
    return rows


def limits(data: Data) -> list[Contestant]:
    """What the machine and its BLAS can do at most."""
    query = data.queries[0]
    columns = np.ascontiguousarray(query.T)
    tall = np.empty((BLOCK, QUERY_ROWS), np.float32)
    wide = np.empty((QUERY_ROWS, BLOCK), np.float32)
    square = np.random.default_rng(1).standard_normal((SIDE, SIDE), dtype=np.float32)
    results = [np.empty_like(square) for _ in range(2)]
    pool = ThreadPoolExecutor(2)

    def blocks() -> Iterator[NDArray[np.float32]]:
        return (data.tokens[start : start + BLOCK] for start in range(0, len(data.tokens), BLOCK))

    def tall_product() -> None:
        for block in blocks():
            np.matmul(block, columns, out=tall[: len(block)])

    def wide_product() -> None:
        for block in blocks():
            np.matmul(query, block.T, out=wide[:, : len(block)])

    def peak(result: NDArray[np.float32]) -> None:
        for _ in range(PRODUCTS):
            np.matmul(square, square, out=result)

    def two_peaks() -> None:
        list(pool.map(peak, results))

    products = PRODUCTS * 2.0 * SIDE**3
    return [
        Contestant("limit: sgemm 1024³, one core", lambda: peak(results[0]), products),
        Contestant("limit: sgemm 1024³, two cores", two_peaks, 2 * products),
        Contestant("limit: bare GEMM, tokens × queryᵀ", tall_product, data.operations),
        Contestant("limit: bare GEMM, query × tokensᵀ", wide_product, data.operations),
    ]


def ours(data: Data, corpora: dict[str, Corpus]) -> list[Contestant]:
    """`score_corpus` in its forms."""

    def scorer(dtype: str, queries: int, threads: int = 1) -> Callable[[], Scores]:
        return lambda: score_corpus(data.queries[:queries], corpora[dtype], threads=threads)[0]

    one, many = data.operations, MANY * data.operations
    return [
        Contestant("lateint float32", scorer("float32", 1), one),
        Contestant("lateint float16", scorer("float16", 1), one),
        Contestant("lateint bfloat16", scorer("bfloat16", 1), one),
        Contestant("lateint float32, 2 threads", scorer("float32", 1, 2), one),
        Contestant("lateint float32, 16 queries", scorer("float32", MANY), many, MANY),
        Contestant("lateint float16, 16 queries", scorer("float16", MANY), many, MANY),
        Contestant("lateint float32, 16 queries, 2 threads", scorer("float32", MANY, 2), many, MANY),
    ]


def peers(data: Data) -> tuple[list[Contestant], list[str]]:
    """The other scorers, and the names of those that are not installed."""
    query, documents = data.queries[0], data.documents

    def loop() -> Scores:
        return np.array([(query @ document.T).max(axis=1).sum() for document in documents])

    found = [Contestant("NumPy, loop over documents", loop, data.operations)]
    missing = []
    for name, make in (
        ("torch", _torch),
        ("sentence_transformers.util", _sentence_transformers),
        ("maxsim_cpu", _maxsim_cpu),
    ):
        try:
            module = importlib.import_module(name)
        except ImportError:
            missing.append(name)
        else:
            found += [Contestant(title, run, data.operations) for title, run in make(module, query, documents)]
    return found, missing


Titled = list[tuple[str, Callable[[], Scores]]]


def _torch(torch: Any, query: Scores, documents: list[NDArray[np.float32]]) -> Titled:  # noqa: ANN401
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    rows, tokens = torch.from_numpy(query), [torch.from_numpy(document) for document in documents]

    def padded() -> Scores:
        parts = []
        for start in range(0, len(tokens), PADDED_BATCH):
            batch = torch.nn.utils.rnn.pad_sequence(tokens[start : start + PADDED_BATCH], batch_first=True)
            parts.append(torch.einsum("qd,btd->bqt", rows, batch).amax(2).sum(1))
        return np.asarray(torch.cat(parts))

    return [(f"torch, einsum over padded batches of {PADDED_BATCH}", padded)]


def _sentence_transformers(util: Any, query: Scores, documents: list[NDArray[np.float32]]) -> Titled:  # noqa: ANN401
    torch = importlib.import_module("torch")
    rows, tokens = torch.from_numpy(query), [torch.from_numpy(document) for document in documents]
    padded = torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True)
    mask = torch.arange(padded.shape[1]) < torch.tensor([len(document) for document in documents])[:, None]
    return [
        ("sentence-transformers util.maxsim, list", lambda: np.asarray(util.maxsim([rows], tokens)[0])),
        (
            "sentence-transformers util.maxsim, padded before",
            lambda: np.asarray(util.maxsim(rows[None], padded, b_mask=mask)[0]),
        ),
    ]


def _maxsim_cpu(library: Any, query: Scores, documents: list[NDArray[np.float32]]) -> Titled:  # noqa: ANN401
    return [("maxsim-cpu maxsim_scores_variable", lambda: np.asarray(library.maxsim_scores_variable(query, documents)))]


def error(contestant: Contestant, truth: Scores, allowed: Scores) -> str:
    """How far its scores are from float64, in tolerances of float32 arithmetic; also the first pass, to warm up."""
    scores = contestant.run()
    if scores is None:
        return ""
    return f"{float((np.abs(scores - truth) / allowed).max()):.2f}"


def ratio(upper: Contestant, lower: Contestant, *, busy: bool = False) -> tuple[float, float, float]:
    """Median, least and greatest of speed of `upper` ÷ speed of `lower` within rounds, by operations per second."""
    work = upper.operations / lower.operations
    times = zip(upper.busy, lower.busy, strict=True) if busy else zip(upper.seconds, lower.seconds, strict=True)
    values = [work * below / above for above, below in times]
    return statistics.median(values), min(values), max(values)


def print_setting(arguments: argparse.Namespace, data: Data) -> None:
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    versions = [f"NumPy {np.__version__} ({blas['name']} {blas['version']})"]
    for name in ("torch", "sentence-transformers", "maxsim-cpu"):
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
    print(f"$ python {' '.join(sys.argv)}")
    print(f"{_processor()}, {os.cpu_count()} cores, load {load}; Python {platform.python_version()}")
    print("; ".join(versions))
    mean = len(data.tokens) / arguments.documents
    print(
        f"{arguments.documents} documents, {len(data.tokens)} rows (mean {mean:.0f}), dim {DIM}; "
        f"queries of {QUERY_ROWS} rows; {arguments.rounds} rounds; one thread unless said\n"
    )


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    features = "AVX-512" if any("avx512f" in line for line in lines) else "AVX2" if "avx2" in str(lines) else ""
    return f"{names[0] if names else platform.processor() or platform.machine()} {features}".strip()


def print_table(contestants: list[Contestant], errors: dict[str, str], base: Contestant, documents: int) -> None:
    print(f"{'':48} {'ms':>6} {'spread':>11} {'busy':>6} {'GF/s':>6} {'docs/s':>7} {'speed':>6} {'error':>6}")
    for each in contestants:
        median, busy = statistics.median(each.seconds), statistics.median(each.busy)
        spread = f"{min(each.seconds) * 1e3:.0f}-{max(each.seconds) * 1e3:.0f}"
        rate = "" if each.name.startswith("limit") else f"{documents * each.queries / median:.0f}"
        print(
            f"{each.name:48} {median * 1e3:6.0f} {spread:>11} {busy * 1e3:6.0f} {each.operations / median / 1e9:6.1f} "
            f"{rate:>7} {ratio(each, base)[0]:6.2f} {errors[each.name]:>6}"
        )
    print("busy: processor time in ms; speed: operations per second ÷ those of 'lateint float32';")
    print("error: the largest, in tolerances of float32\n")


def print_verdicts(contestants: dict[str, Contestant]) -> None:
    """The four aims, met or short."""
    single = contestants["lateint float32"]
    products = [each for name, each in contestants.items() if name.startswith("limit: bare GEMM")]
    fastest = min(products, key=lambda each: statistics.median(each.seconds))
    aims = [(f"float32 ÷ {fastest.name.removeprefix('limit: ')}", single, fastest, 0.88)]
    aims += [
        (f"float32 ÷ {each.name.removeprefix('limit: ')}", single, each, 0.0)
        for each in products
        if each is not fastest
    ]
    aims.append(("float16 ÷ float32", contestants["lateint float16"], single, 0.85))
    for name, each in contestants.items():
        if name.startswith("sentence-transformers"):
            aims.append((f"float32 ÷ {name}", single, each, 5.0))
    two = contestants["lateint float32, 16 queries, 2 threads"]
    aims.append(("16 queries, 2 threads ÷ two-core sgemm", two, contestants["limit: sgemm 1024³, two cores"], 0.75))
    print(f"{'':66} {'wall':>5} {'spread':>13} {'best':>5} {'busy':>5}")
    for title, upper, lower, aim in aims:
        (median, least, greatest), busy = ratio(upper, lower), ratio(upper, lower, busy=True)[0]
        best = upper.operations / lower.operations * min(lower.seconds) / min(upper.seconds)
        judged = best if upper is two else busy
        verdict = "for comparison" if not aim else f"aim {aim:.2f}: {'pass' if judged >= aim else 'short'}"
        print(f"{title:66} {median:5.2f} {f'{least:.2f}-{greatest:.2f}':>13} {best:5.2f} {busy:5.2f}  {verdict}")
    print("judged by processor time where both sides have one thread; else by the best round of each\n")


def print_memory(data: Data, corpora: dict[str, Corpus]) -> None:
    for title, queries, dtype, threads in (
        ("1 query, float32", 1, "float32", 1),
        ("1 query, float16", 1, "float16", 1),
        ("16 queries, float16, 2 threads", MANY, "float16", 2),
    ):
        tracemalloc.start()
        scores = score_corpus(data.queries[:queries], corpora[dtype], threads=threads)
        peak = tracemalloc.get_traced_memory()[1] - scores.nbytes
        tracemalloc.stop()
        size = corpora[dtype].tokens.nbytes
        print(f"temporary memory, {title}: {peak / 2**20:.1f} MiB beside {size / 2**20:.0f} MiB of rows")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--documents", type=int, default=8000)
    arguments = parser.parse_args()
    data = Data.made(arguments.documents)
    corpora = {
        dtype: Corpus.from_multivectors(data.documents, dtype=dtype) for dtype in ("float32", "float16", "bfloat16")
    }
    truth = {dtype: score_corpus(data.queries[:1], corpus, precision="float64")[0] for dtype, corpus in corpora.items()}
    others, missing = peers(data)
    contestants = [*limits(data), *ours(data, corpora), *others]
    print_setting(arguments, data)
    errors = {}
    for each in contestants:
        exact = truth[next((dtype for dtype in ("bfloat16", "float16") if dtype in each.name), "float32")]
        errors[each.name] = error(each, exact, tolerance(rows=QUERY_ROWS, dim=DIM, score=exact))
    for _ in range(arguments.rounds):
        for each in contestants:
            each.time()
    by_name = {each.name: each for each in contestants}
    print_table(contestants, errors, by_name["lateint float32"], arguments.documents)
    for name in missing:
        print(f"not run, not installed: {name}")
    print_verdicts(by_name)
    print_memory(data, corpora)


if __name__ == "__main__":
    main()
