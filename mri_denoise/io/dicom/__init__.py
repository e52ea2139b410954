"""DICOM series: discovered, read to a volume, and written as a derived series."""
