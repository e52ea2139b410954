"""The estimate of the noise against random simulated scanners, whose local level is known."""
