"""Parent networks: the weight-sharing networks whose edges a method chooses operations for.

What makes a network of your own searchable (docs/own_network.md) is named here.
"""

from nas.data.stored import Stored
from nas.supernets.batches import Batches
from nas.supernets.descent import Descent
from nas.supernets.edge import Edge, EdgeNetwork
from nas.supernets.supernet import Supernet

__all__ = ["Batches", "Descent", "Edge", "EdgeNetwork", "Stored", "Supernet"]
