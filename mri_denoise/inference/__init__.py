"""Tensors to tensors: slices through the network, in tiles if they are large, and the collaborative filter."""
