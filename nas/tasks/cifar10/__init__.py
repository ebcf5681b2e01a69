"""CIFAR-10 in NAS-Bench-201's space: network, cell, training from scratch, presets."""
