"""Which colour has a method, and which an operation? One answer for every figure of the house.

Okabe & Ito's colours, told apart with every common kind of colour vision, and kin of them; AdvantageNAS is vermilion.
"""

from nas import methods
from nas.methods import Method

SPARE = ("#f7b6d2", "#dbdb8d", "#9edae5")
OPERATIONS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")
NOTHING = "#9a9a9a"  # the zero operation
VARIANCE, BIAS = "#4477aa", "#ee6677"  # parts of an estimator's error


def of_method(method: Method | str) -> str:
    """The colour of a method, or of what `nas.methods.find` takes for a name: that of its block, else a spare one.

    A user's own is not loaded for it: a name has a spare one, always the same.
    """
    found = method if isinstance(method, Method) else methods.known_as(method)
    name = method.name if isinstance(method, Method) else method
    return (found and found.colour) or SPARE[sum(name.encode()) % len(SPARE)]
