"""NIfTI, Analyze and MGH: read to a volume, and written with the source's header."""
