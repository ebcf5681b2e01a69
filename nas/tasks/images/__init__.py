"""The user's own images: cells of NAS-Bench-201's operations, for any size and any number of classes."""
