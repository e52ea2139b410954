"""``mri-denoise benchmark speed``: time and memory of methods, precisions and backends."""
