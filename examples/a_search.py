"""A search in a run folder: stopped in the middle, gone on with, and the same to the last bit as one left alone.

A small recurrent cell on the text that comes with Python. The folder holds settings, records and a checkpoint; the loop
itself is `nas.search.steps`, which a loop of your own can take as well.

    python examples/a_search.py

    stopped after 12 steps, went on: the same cell, probabilities and records as the search in one call
    perplexity of the shared weights: first epoch 16915, last epoch 172
    the first step of a loop of your own: weight loss 258.4
"""

import itertools
import tempfile
from pathlib import Path

import nas
from nas.running.runs import open_run, records
from nas.running.searching import search_in
from nas.tasks.text.network import Settings, build


def network():
    """Two inner nodes, three edges, 8 units; the same each time."""
    small = Settings(corpus="embedded", nodes=2, units=8, batch=256)
    return build(small, data=None, device="cpu", seed=0)


settings = nas.SearchSettings(epochs=4, warmup_epochs=1, rate=0.05)
with tempfile.TemporaryDirectory() as folder:
    run_folder, counted = Path(folder) / "run", itertools.count(1)
    with open_run(run_folder, settings) as run:
        assert search_in(run, network(), settings, seed=0, stopped=lambda: next(counted) == 12) is None
    with open_run(run_folder, settings) as run:
        result = search_in(run, network(), settings, seed=0)
    written = [{**record, "seconds": 0} for record in records(run_folder)]

found = nas.search(network(), epochs=4, seed=0, warmup_epochs=1, rate=0.05)
told = [{**record, "seconds": 0} for record in found.records]
same = told == written and {**found.result, "seconds": 0} == {**result, "seconds": 0}
print(
    "stopped after 12 steps, went on:",
    "the same" if same else "NOT the same",
    "cell, probabilities and records",
    end="",
)
print(" as the search in one call")
perplexity = [record["validation"]["perplexity"] for record in told if "validation" in record]
print(f"perplexity of the shared weights: first epoch {perplexity[0]:.0f}, last epoch {perplexity[-1]:.0f}")
first = next(nas.search.steps(network(), settings, seed=0))
print(f"the first step of a loop of your own: weight loss {float(first.weight_loss):.1f}")
