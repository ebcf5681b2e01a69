"""What must the algorithms do? Landscapes with a known truth, exact moments of any estimator, and the claims.

    exact     truth, moments (Truth, Moments), expected_loss, conditional_losses: sums over every architecture
    cards     card (Card), samples_for_full_step: what an estimator is worth on a landscape
    claims    CLAIMS (Claim), verify: do the theorems hold, and are their controls caught?

>>> import theory
>>> theory.CLAIMS["T4"].title  # every theorem by its id
'the exact advantage is unbiased'
"""

from typing import TYPE_CHECKING

from nas.front_door import opened

__all__ = [
    "CLAIMS",
    "Card",
    "Claim",
    "Moments",
    "Truth",
    "card",
    "conditional_losses",
    "expected_loss",
    "moments",
    "samples_for_full_step",
    "truth",
    "verify",
]

if TYPE_CHECKING:
    from theory.card import Card, CardModule
    from theory.claim import Claim
    from theory.claims import CLAIMS
    from theory.exact import Moments, Truth, moments, truth
    from theory.ledger import verify
    from theory.quantities import conditional_losses, expected_loss
    from theory.sampled import samples_for_full_step

    card: CardModule
    __version__: str
else:
    __getattr__, __dir__ = opened(
        __name__,
        {
            "CLAIMS": "theory.claims",
            "Card": "theory.card",
            "Claim": "theory.claim",
            "Moments": "theory.exact",
            "Truth": "theory.exact",
            "card": "theory.card",
            "conditional_losses": "theory.quantities",
            "expected_loss": "theory.quantities",
            "moments": "theory.exact",
            "samples_for_full_step": "theory.sampled",
            "truth": "theory.exact",
            "verify": "theory.ledger",
        },
    )
