"""What tasks with NAS-Bench-201's cells share: the cell, the network of cells, and its source to be taken away."""
