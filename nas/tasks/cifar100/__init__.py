"""CIFAR-100 in NAS-Bench-201's space: the search on CIFAR-10, on other images."""
