"""Training: manifests, losses, train, adapt."""
