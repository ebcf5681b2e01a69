"""How is what a search found taken away? As source that needs PyTorch alone, as weights, as JSON, as a drawing.

The task says what the network is (`Task.export`); a cell's edges and operations are known of every task.
"""

import json
from pathlib import Path
from typing import Any

from nas import tasks
from nas.running import files, runs
from nas.tasks import experiments
from nas.tasks.task import Exported

FORMS = (".py", ".json", ".dot")


def export(folder: Path, to: Path, weights: Path | None = None) -> list[Path]:
    """Write the result of the finished search in `folder` to a file whose ending says how.

    Args: to, FILE.py (a PyTorch module), FILE.json (the genotype) or FILE.dot (Graphviz); weights, with FILE.py: the
    run folder of the search itself, or of a training from scratch, whose weights go to FILE.safetensors beside it.
    Returns: the files written. Raises: ValueError in one line for another ending, or what the task cannot export.
    """
    if to.suffix not in FORMS:
        onnx = "; for ONNX export FILE.py, and give its module to torch.onnx.export" if to.suffix == ".onnx" else ""
        raise ValueError(f"cannot export to {to.name}: its ending must be one of {', '.join(FORMS)}{onnx}")
    if weights is not None and to.suffix != ".py":
        raise ValueError(f"--weights belongs to a module, FILE.py, not to {to.name}")
    result, experiment = runs.result(folder), experiments.reload(folder)
    files.check_target(to)
    task = tasks.find(experiment.task)
    if task.export is not None:
        exported = task.export(experiment.network, result, weights)
    elif to.suffix == ".py":
        raise ValueError(f"task {task.name} has no export: only {', '.join(FORMS[1:])} can be written")
    else:
        space = task.space(experiment.network)
        named = (space.operations[choice] for choice in result["choices"])
        exported = Exported(tuple((*edge, name) for edge, name in zip(space.edges, named, strict=True)))
    text = {".py": lambda: exported.source, ".json": lambda: genotype(result, exported), ".dot": lambda: dot(exported)}
    runs.write_atomically(to, text[to.suffix]())
    if weights is None:
        return [to]
    from safetensors.torch import save

    beside = to.with_suffix(".safetensors")
    runs.write_atomically(beside, save({name: part.contiguous() for name, part in exported.tensors.items()}))
    return [to, beside]


def genotype(result: dict[str, Any], exported: Exported) -> str:
    """The cell as JSON: its edges with their operations, and what the search said of it."""
    edges = [{"source": source, "target": target, "operation": name} for source, target, name in exported.edges]
    told = {name: result[name] for name in ("space", "architecture", "method", "seed", "probabilities")}
    return json.dumps({**told, "edges": edges}, indent=2) + "\n"


def dot(exported: Exported) -> str:
    """The cell for Graphviz: nodes from left to right, operations on the edges."""
    lines = [f"  {source} -> {target} [label={json.dumps(name)}];" for source, target, name in exported.edges]
    return "\n".join(["digraph cell {", "  rankdir=LR;", "  node [shape=circle];", *lines, "}", ""])
