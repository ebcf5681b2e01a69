"""Whatever a file holds or a user writes: does everything that reads it answer, or refuse in one line?

    python benchmarks/inputs.py --inputs 100000 --seed 0

`READERS` is everything in nas, theory and simulate that reads a file or parses a word, each with something that it
reads well. An input is that, damaged, or noise; a fault is any other end than an answer or one line, more than ten
seconds, or more than a GiB of memory. All follows from seed and number. tests/fuzz does the same with Hypothesis, and
holds the list complete; `benchmarks/torture.py` runs this beside its kills.
"""

import argparse
import contextlib
import gzip
import io
import json
import random
import resource
import signal
import sys
import tarfile
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

from nas import derive, methods, tasks
from nas.data import cifar, cifar10, cifar100, images, nasbench201, ptb
from nas.data.stored import Stored
from nas.judging import figures, report, table
from nas.running import config, plugins, runs
from nas.settings import SearchSettings
from nas.spaces import nasbench201 as cells
from nas.spaces import recurrent
from nas.tasks import experiments
from simulate import prices, study
from simulate.run import Machine, Setting, problem_of
from theory import card, ledger

LONGEST = 5000  # characters of a refusal, beside what it quotes: a program cuts that (`nas.running.program.shortened`)
PATIENCE = 10.0  # seconds
MOST = 1 << 30  # bytes of memory
Read = Callable[[Path], Any]


@dataclass(frozen=True)
class Reader:
    """read(folder) of what the folder's `file` holds; example() is a content that it reads well.

    modules: the files of the code that it stands for, whose reading it reaches.
    """

    file: str
    read: Read
    example: Callable[[], bytes]
    modules: tuple[str, ...]


def answers(read: Callable[[], Any], quoted: int = 0) -> None:
    """It returns, or refuses in one line. Raises: AssertionError, or what was no refusal.

    quoted: bytes of the input, which a refusal may show twice and escaped.
    """
    try:
        read()
    except ValueError as error:
        said = str(error)
    else:
        return
    if said.count("\n") or not 0 < len(said) < LONGEST + 12 * quoted:
        raise AssertionError(f"a refusal of {len(said)} characters on {said.count(chr(10)) + 1} lines: {said[:200]!r}")


# ------------------------------------------------------------------ what reads well


def a_toml() -> bytes:
    return config.dump(SearchSettings(rate=0.1, warmup_epochs=3)).encode()


def a_run() -> bytes:
    return config.dump(experiments.load("digits", None, None, ["network.channels=2"])).encode()


def a_checkpoint() -> bytes:
    with tempfile.TemporaryDirectory() as place, runs.open_run(Path(place), SearchSettings()) as run:
        run.checkpoint({"x": torch.arange(4.0), "n": torch.tensor([True])}, {"step": 2})
        return (Path(place) / runs.CHECKPOINT).read_bytes()


def some_facts() -> bytes:
    return json.dumps({"step": 2, "metrics_bytes": 0, "standing": {"epochs": 1}}).encode()


def a_study() -> bytes:
    return (
        b'name = "s"\n[base]\nsteps = 2\nevery = 1\nreplicates = 2\n[grid]\nmethod = ["advantage"]\nrate = [0.1, 1]\n'
    )


def a_cell() -> bytes:
    return study.run_cell(Setting(edges=2, candidates=2, steps=2, every=1, replicates=2), Machine("numpy"))


def some_seconds() -> bytes:
    price = prices.Price("advantage", 2, 2, 1, 0.1, 0.1, 0.2, 15, "a CPU")
    return json.dumps({"steps": [asdict(price)]}).encode()


def a_text() -> bytes:
    return b"one two three two one four\n" * 40


def a_policy() -> bytes:
    return b'{"probabilities": [["1/2", 0.5], [0.25, "3/4"]]}'


def a_table() -> bytes:
    rows = [f"{n},{cells.write([n % 5] * 6)},90.5,91.5" for n in range(3)]
    return "\n".join([",".join(nasbench201.NEEDED), *rows]).encode()


def a_packed_table() -> bytes:
    return gzip.compress(a_table(), mtime=0)


def an_archive() -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        member = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
        member.size = 3073
        archive.addfile(member, io.BytesIO(bytes(3073)))
    return held.getvalue()


def a_pickle() -> bytes:
    import pickle

    return pickle.dumps({b"labels": [1, 2], b"data": np.zeros((2, 3072), np.uint8)}, protocol=2)


def a_pickle_of_100() -> bytes:
    import pickle

    return pickle.dumps({b"fine_labels": [1, 2], b"data": np.zeros((2, 3072), np.uint8)}, protocol=2)


def a_binary() -> bytes:
    return bytes(2 * 3073)


def a_binary_of_100() -> bytes:
    return bytes(2 * 3074)


def some_records() -> bytes:
    losses = {"weight_loss": 0.5, "architecture_loss": 0.0, "entropy": 1.0, "seconds": 1.0}
    rows = {"architecture": CELL, "probabilities": [[0.25] * 4] * 6}
    records = [{"step": step, "epoch": step / 2, **losses, **rows} for step in (1, 2)]
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def some_sessions() -> bytes:
    return json.dumps([{"command": "python -m nas", "commit": None, "processes": 1, "torch": "2"}]).encode()


def a_result() -> bytes:
    return json.dumps({"architecture": "a", "seed": 0, "steps": 3, "figures": {"loss": 0.5}}).encode()


def an_evaluation() -> bytes:
    row = {"model": "found", "architecture": "a", "parameters": 5, "validation": 1.0, "test": 2.0, "seed": 0}
    return json.dumps({"rows": [row, {**row, "model": "random"}]}).encode()


def an_audit() -> bytes:
    part = {"spearman": 0.5, "n": 3}
    return json.dumps(
        {"samples": 4, "all": part, "operations": {"a": part}, "edges": [{"edge": [0, 1], **part}]}
    ).encode()


def some_proofs() -> bytes:
    return json.dumps({"files": {"README.md": "0"}, "claims": {"T1": {"proved": True}}}).encode()


def a_mapped_array() -> bytes:
    """Rows of numbers, as numpy.save writes them."""
    content = io.BytesIO()
    np.save(content, np.arange(12.0).reshape(4, 3))
    return content.getvalue()


def an_image(kind: str) -> bytes:
    """A small image, or an archive of some."""
    content = io.BytesIO()
    pixels = np.arange(6 * 8 * 8, dtype=np.uint8).reshape(6, 8, 8)
    if kind == "NPZ":
        np.savez(content, x=pixels, y=np.arange(6) % 2)
    else:
        Image.fromarray(pixels[0]).save(content, kind)
    return content.getvalue()


# ------------------------------------------------------------------ what reads


def content_of(folder: Path) -> bytes:
    return (folder / "x").read_bytes()


def words_of(folder: Path) -> str:
    return content_of(folder).decode("utf-8", "surrogateescape")


def read_facts(folder: Path) -> Any:
    """JSON facts in a checkpoint that is whole but for them; safetensors holds text alone."""
    about = content_of(folder).decode("utf-8", "replace")
    (folder / "checkpoint").write_bytes(save({"x": torch.zeros(2)}, {"about": about}))
    return runs.read_checkpoint(folder / "checkpoint")


def read_cell(folder: Path) -> Any:
    (folder / "cells").mkdir(exist_ok=True)
    (folder / "x").replace(folder / "cells" / "a.parquet")
    return study.read(folder)


def read_proofs(folder: Path) -> Any:
    return ledger._recorded_proofs(folder / "x")


def read_search(folder: Path) -> Any:
    return figures.recorded(folder, cells.cell_space(False), report.Recorded)


def read_evaluation(folder: Path) -> Any:
    rows = report._read(folder / "x", report.Judged)["rows"]
    return report._judged(rows), report.verdict("method", "cell", True, rows, True)


def read_audit(folder: Path) -> Any:
    return report._audited(report._read(folder / "x", report.Audited))


def read_setting(folder: Path) -> Any:
    return config.load(SearchSettings, sets=[words_of(folder)])


def read_value(folder: Path) -> Any:
    return config.load(SearchSettings, sets=[f"rate={words_of(folder)}"])


def read_landscape(folder: Path) -> Any:
    return problem_of(Setting(landscape=words_of(folder), edges=2, candidates=2, replicates=2))


def read_question(folder: Path) -> Any:
    return table.answer(known_table(), words_of(folder))


@cache
def known_table() -> nasbench201.Table:
    """A table of the right size, of made-up figures."""
    choices = np.array(np.unravel_index(np.arange(cells.CELLS), (5,) * 6)).T
    columns = {name: np.arange(cells.CELLS, dtype=float) for name in nasbench201.NEEDED[2:]}
    return nasbench201.Table(tuple(cells.write(row.tolist()) for row in choices), choices, columns)


def of_batch(edition: cifar.Edition) -> Read:
    """The reader of one file of an edition."""

    def read(folder: Path) -> Any:
        return edition.read(content_of(folder), "a batch")

    return read


def of_words(parse: Callable[[str], Any]) -> Read:
    """A parser of words as a reader of a folder."""

    def read(folder: Path) -> Any:
        return parse(words_of(folder))

    return read


def example(text: str) -> Callable[[], bytes]:
    def made() -> bytes:
        return text.encode()

    return made


def load_method(name: str) -> Any:
    return plugins.load(name, "method")


CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
RECURRENT = "|tanh~0|+|relu~0|identity~1|"
READERS = {
    "settings": Reader(
        "x", lambda folder: config.load(SearchSettings, folder / "x"), a_toml, ("nas/running/config.py",)
    ),
    "run": Reader("config.toml", experiments.reload, a_run, ("nas/tasks/experiments.py",)),
    "records": Reader(runs.METRICS, runs.records, some_records, ("nas/running/runs.py", "nas/running/files.py")),
    "search's records": Reader(runs.METRICS, read_search, some_records, ("nas/judging/figures.py",)),
    "sessions": Reader(runs.META, runs.sessions, some_sessions, ("nas/running/runs.py",)),
    "result": Reader(runs.RESULT, runs.result, a_result, ("nas/running/runs.py",)),
    "checkpoint": Reader(
        "x", lambda folder: runs.read_checkpoint(folder / "x"), a_checkpoint, ("nas/running/runs.py",)
    ),
    "facts": Reader("x", read_facts, some_facts, ("nas/running/runs.py",)),
    "evaluation": Reader("x", read_evaluation, an_evaluation, ("nas/judging/report.py",)),
    "audit": Reader("x", read_audit, an_audit, ("nas/judging/report.py",)),
    "study": Reader("x", lambda folder: study.load(folder / "x"), a_study, ("simulate/study.py",)),
    "cell": Reader("x", read_cell, a_cell, ("simulate/study.py",)),
    "seconds": Reader(prices.FILE, prices.read, some_seconds, ("simulate/prices.py",)),
    "text": Reader("x", lambda folder: ptb.from_files([str(folder / "x")]), a_text, ("nas/data/ptb.py",)),
    "policy": Reader("x", lambda folder: card.read_policy(str(folder / "x"), 2, 2), a_policy, ("theory/card.py",)),
    "proofs": Reader("x", read_proofs, some_proofs, ("theory/ledger.py",)),
    "table": Reader("nasbench201.csv", nasbench201.load, a_table, ("nas/data/nasbench201.py", "nas/data/places.py")),
    "packed table": Reader("nasbench201.csv.gz", nasbench201.load, a_packed_table, ("nas/data/places.py",)),
    "archive": Reader("cifar-10-binary.tar.gz", cifar10.load, an_archive, ("nas/data/cifar.py",)),
    "archive 100": Reader("cifar-100-binary.tar.gz", cifar100.load, an_archive, ("nas/data/cifar.py",)),
    "pickle": Reader("x", of_batch(cifar10.PYTHON), a_pickle, ("nas/data/cifar.py",)),
    "binary": Reader("x", of_batch(cifar10.BINARY), a_binary, ("nas/data/cifar.py",)),
    "pickle 100": Reader("x", of_batch(cifar100.PYTHON), a_pickle_of_100, ("nas/data/cifar.py",)),
    "binary 100": Reader("x", of_batch(cifar100.BINARY), a_binary_of_100, ("nas/data/cifar.py",)),
    **{
        f"image {kind}": Reader(
            "x", lambda folder: images.read(folder / "x"), lambda kind=kind: an_image(kind), ("nas/data/images.py",)
        )
        for kind in images.FORMATS
    },
    "images": Reader(
        "x.npz", lambda folder: images.load(folder / "x.npz"), lambda: an_image("NPZ"), ("nas/data/images.py",)
    ),
    "mapped": Reader("x.npy", lambda folder: Stored.mapped(folder / "x.npy"), a_mapped_array, ("nas/data/stored.py",)),
    "cell's name": Reader("x", of_words(cells.read), example(CELL), ("nas/spaces/nasbench201.py",)),
    "recurrent cell": Reader("x", of_words(recurrent.parse), example(RECURRENT), ("nas/spaces/recurrent.py",)),
    "method": Reader("x", of_words(methods.find), example("advantage"), ("nas/methods.py",)),
    "own method": Reader("x", of_words(load_method), example("mine.x:y"), ("nas/running/plugins.py",)),
    "task": Reader("x", of_words(tasks.find), example("cifar10"), ("nas/tasks/__init__.py",)),
    "derivation": Reader("x", of_words(derive.ranking_of), example("tuned:100:10:3"), ("nas/derive.py",)),
    "climb": Reader("x", of_words(derive.ranking_of), example("climbed:80"), ("nas/derive.py",)),
    "setting": Reader("x", read_setting, example("warmup_epochs=3"), ("nas/running/config.py",)),
    "value": Reader("x", read_value, example("1e-3"), ("nas/running/config.py",)),
    "landscape": Reader("x", read_landscape, example("quadratic"), ("simulate/landscapes/named.py",)),
    "question": Reader("x", read_question, example("best"), ("nas/judging/table.py",)),
}
# What reads, but nothing that anybody else could have written.
OWN = {
    "nas/running/warmup.py": "config.toml of finished warm-ups, by `config.read_toml`",
    "nas/running/trackers.py": "trackers.json of a run, which can only lose its tracker",
    "nas/tasks/cells/source.py": "config.toml of a run, by `config.read_toml`",
    "nas/running/program.py": "the null device, which takes what a full disk does not",
    "nas/running/elsewhere.py": "run folders as bytes, to and from a worker that may run anything anyway",
    "simulate/demo.py": "what the same demo wrote a moment ago",
    "theory/results.py": "the toolkit's own figures on file",
}


# ------------------------------------------------------------------ an input


@cache
def whole(name: str) -> bytes:
    """What a reader reads well."""
    return READERS[name].example()


TOKENS = (
    b"[", b"{", b'{"a":', b"]", b"}", b'"', b"'", b"\\", b"\n", b"\r", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xc2\xb2",
    b"-1", b"0", b"1e999", b"-0.0", b"nan", b"null", b"true", b"1/0", b"9" * 30, b"9" * 5000, b"=", b"#", b":", b",",
    b"../", b"os:dup2", b"~", b"|", b"\xf0\x9f\x98\x80", bytes(8), b"\xff" * 8, b"\x80\x02", b"PK\x03\x04", b"\x1f\x8b",
)  # fmt: skip


def mutated(content: bytes, dice: random.Random) -> bytes:
    """Noise now and then, else the content after one to four changes."""
    kind = dice.random()
    if kind < 0.05:
        return dice.randbytes(dice.randrange(300))
    if kind < 0.06:
        return dice.choice((b"[", b'{"a":', b"[[", b"(")) * 3000
    changed = bytearray(content)
    for _ in range(dice.randint(1, 4)):
        place = dice.randrange(len(changed) + 1)
        end = min(len(changed), place + dice.randint(1, 16))
        kind = dice.random()
        if kind < 0.25 and place < len(changed):
            changed[place] ^= 1 << dice.randrange(8)
        elif kind < 0.35:
            del changed[place:]
        elif kind < 0.5:
            del changed[place:end]
        elif kind < 0.6:
            changed[place:place] = changed[dice.randrange(len(changed) + 1) :][: dice.randint(1, 64)]
        elif kind < 0.7:
            changed[place:end] = dice.randbytes(dice.randint(1, 8))
        else:
            changed[place : place if kind < 0.85 else end] = dice.choice(TOKENS)
    return bytes(changed)


class Hangs(BaseException):
    """An input took too long. No Exception, so that no reader turns it into a refusal."""


def fault(name: str, content: bytes, folder: Path) -> str | None:
    """What is wrong with how a reader ends on this content, in a line; None if nothing is."""
    reader, target = READERS[name], folder / READERS[name].file
    target.write_bytes(content)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        answers(lambda: reader.read(folder), len(content))
    except (Exception, Hangs) as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        target.unlink(missing_ok=True)
    return None


def some(seed: int, first: int, count: int, names: list[str]) -> Iterator[str]:
    """Try inputs first to first + count - 1, the readers in turn. Yields: each fault, with what makes it again."""
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, _hangs)
    for name in names:
        whole(name)
    large = False
    with tempfile.TemporaryDirectory(dir=in_memory()) as place:
        for number in range(first, first + count):
            name = names[number % len(names)]
            content = mutated(whole(name), random.Random(f"{seed} {number}"))
            found = fault(name, content, Path(place))
            size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
            if found is None and size > MOST and not large:
                found, large = f"it took {size >> 20} MiB", True
            if found is not None:
                yield f"{name}, input {number} of seed {seed}, {content[:80]!r}{'…' * (len(content) > 80)}: {found}"


def in_memory() -> str | None:
    """A folder in memory, where there is one: a disk would be most of the time."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _hangs(number: int, frame: object) -> None:
    raise Hangs(f"it took more than {PATIENCE:.0f} s")


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 if no input was a fault, 1 otherwise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first (default: 0)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    names, faults = list(READERS), 0
    with contextlib.redirect_stderr(io.StringIO()):
        for line in some(options.seed, options.first, options.inputs, names):
            faults += 1
            print(line, flush=True)
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{options.inputs} inputs, {faults} faults, {len(names)} readers, seed {options.seed}; at most {size} MiB")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
