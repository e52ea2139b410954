"""Tensors to tensors: slices through the network, tiles, and the collaborative filter."""
