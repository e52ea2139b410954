"""Cases to files: batches, reading ahead, workers, results."""
