"""How is what a search found taken away? As source that needs PyTorch alone, as weights, ONNX, JSON, as a drawing.

The task says what the network is (`Task.export`); a cell's edges and operations are known of every task.
"""

import importlib.util
import json
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

from nas import tasks
from nas.running import files, runs
from nas.tasks import experiments
from nas.tasks.task import Exported

FORMS = (".py", ".json", ".dot", ".onnx")


def export(folder: Path, to: Path, weights: Path | None = None, data: Path | None = None) -> list[Path]:
    """Write the result of the finished search in `folder` to a file whose ending says how.

    Args: to, FILE.py (a PyTorch module), FILE.onnx, FILE.json (the genotype) or FILE.dot (Graphviz); weights: the run
    folder of the search itself, or of a training from scratch, whose weights go into FILE.onnx or, with FILE.py, to
    FILE.safetensors beside it; data: the data folder, for a task that reads its data once more.
    Returns: the files written. Raises: ValueError in one line for another ending, or what the task cannot export.
    """
    if to.suffix not in FORMS:
        raise ValueError(f"cannot export to {to.name}: its ending must be one of {', '.join(FORMS)}")
    if weights is not None and to.suffix not in (".py", ".onnx"):
        raise ValueError(f"--weights belongs to a module, FILE.py or FILE.onnx, not to {to.name}")
    result, experiment = runs.result(folder), experiments.reload(folder)
    files.check_target(to)
    task = tasks.find(experiment.task)
    if task.export is not None:
        exported = task.export(experiment.network, result, weights, data)
    elif to.suffix in (".py", ".onnx"):
        raise ValueError(
            f"task {task.name} has no export, only .json and .dot can be written; in Python, EdgeNetwork.chosen makes "
            "the found network (docs/own_network.md)"
        )
    else:
        space = task.space(experiment.network)
        named = (space.operations[choice] for choice in result["choices"])
        exported = Exported(tuple((*edge, name) for edge, name in zip(space.edges, named, strict=True)))
    if to.suffix == ".onnx":
        if exported.asked is None:
            raise ValueError(
                f"the network of task {task.name} loops over its input, which ONNX would unroll: export FILE.py"
            )
        if weights is None:
            raise ValueError(f"{to.name} holds weights: add --weights RUN, of the search or of a training from scratch")
        runs.write_atomically(to, onnx(exported))
        return [to]
    text = {".py": lambda: exported.source, ".json": lambda: genotype(result, exported), ".dot": lambda: dot(exported)}
    runs.write_atomically(to, text[to.suffix]())
    if weights is None:
        return [to]
    from safetensors.torch import save

    beside = to.with_suffix(".safetensors")
    runs.write_atomically(beside, save({name: part.contiguous() for name, part in exported.tensors.items()}))
    return [to, beside]


NEEDED = ("onnx", "onnxscript")  # of torch.onnx


def onnx(exported: Exported) -> bytes:
    """The exported module with its weights as an ONNX model, of any number of inputs at once.

    Raises: ValueError in one line if a package is missing, or PyTorch cannot write it.
    """
    import torch
    from safetensors.torch import save

    if missing := [package for package in NEEDED if importlib.util.find_spec(package) is None]:
        raise ValueError(f"ONNX needs {' and '.join(missing)}: pip install {' '.join(missing)}")
    module: dict[str, Any] = {"__name__": "exported"}
    exec(compile(exported.source, "exported.py", "exec"), module)  # the toolkit's own words, or the task's
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch's own parts about each other
        file = Path(folder) / "weights.safetensors"
        file.write_bytes(save({name: part.contiguous() for name, part in exported.tensors.items()}))
        logging.disable(logging.WARNING)  # of torchvision, which is not needed
        try:
            written = torch.onnx.export(
                module["load"](file),
                (exported.asked,),
                input_names=["input"],
                output_names=["output"],
                dynamic_shapes=({0: "N"},),
                dynamo=True,
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise ValueError(f"PyTorch cannot write this network as ONNX: {error}") from error
        finally:
            logging.disable(logging.NOTSET)
    content: bytes = written.model_proto.SerializeToString()  # type: ignore[union-attr]
    return content


def genotype(result: dict[str, Any], exported: Exported) -> str:
    """The cell as JSON: its edges with their operations, and what the search said of it."""
    edges = [{"source": source, "target": target, "operation": name} for source, target, name in exported.edges]
    told = {name: result[name] for name in ("space", "architecture", "method", "seed", "probabilities")}
    return json.dumps({**told, "edges": edges}, indent=2) + "\n"


def dot(exported: Exported) -> str:
    """The cell for Graphviz: nodes from left to right, operations on the edges."""
    lines = [f"  {source} -> {target} [label={json.dumps(name)}];" for source, target, name in exported.edges]
    return "\n".join(["digraph cell {", "  rankdir=LR;", "  node [shape=circle];", *lines, "}", ""])
