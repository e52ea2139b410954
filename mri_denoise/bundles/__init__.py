"""MONAI bundles: which ship, where they are, and their weights."""
