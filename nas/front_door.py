"""How does `import nas` offer its names without importing what stands behind them?

A name is fetched from its home when it is first asked for (PEP 562), so that the estimators need neither torch nor
SymPy. theory and simulate do the same.
"""

from collections.abc import Callable, Mapping
from importlib import import_module, metadata
from typing import Any

DISTRIBUTION = "advantage-nas-toolkit"  # pyproject.toml: the one place of the version


def opened(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package. homes: public name -> "module", or "module:its name there"."""

    def fetch(name: str) -> Any:
        if name == "__version__":
            return metadata.version(DISTRIBUTION)
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, own_name = homes[name].partition(":")
        home = import_module(module)
        return home if module == f"{package}.{name}" else getattr(home, own_name or name)

    def names() -> list[str]:
        return sorted([*homes, "__version__"])

    return fetch, names
