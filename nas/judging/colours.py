"""Which colour has a method, and which an operation? One answer for every figure of the house.

Okabe & Ito's colours, told apart with every common kind of colour vision, and kin of them; AdvantageNAS is vermilion.
"""

METHODS = {
    "advantage": "#d55e00",
    "advantage_with_baseline": "#e69f00",
    "reinforce": "#0072b2",
    "parsec": "#56b4e9",
    "gdas": "#009e73",
    "proxyless": "#cc79a7",
    "snas": "#8c8c8c",
    "darts": "#404040",
    "nasp": "#b8a800",
    "random": "#a0522d",
    "exact_advantage": "#7b3294",
    "exact_advantage_with_baseline": "#b07cc6",
    "debiased_advantage": "#1b7837",
    "quadrature_advantage": "#1ce6c5",
    "reinforce_without_baseline": "#6baed6",
    "reinforce_leave_one_out": "#17becf",
    "counterfactual": "#66a61e",
    "marginalised": "#98df8a",
    "reinmax": "#bcbd22",
    "muprop": "#c5b0d5",
    "ars": "#ff9896",
    "binomial_advantage": "#8c2d04",
    "binomial_reinforce": "#023858",
    "exact": "#000000",
    "best_baseline": "#808080",
}
SPARE = ("#f7b6d2", "#dbdb8d", "#9edae5")
OPERATIONS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")
NOTHING = "#9a9a9a"  # the zero operation


def of_method(name: str) -> str:
    """The colour of a method; a user's own gets a fixed one of the spare ones."""
    return METHODS.get(name, SPARE[sum(name.encode()) % len(SPARE)])
