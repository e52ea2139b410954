"""NIfTI, Analyze and MGH files: read to a volume, and written with the header of the source.

`layout` reads a header, `voxels` the stored numbers, `image` reads and writes volumes, `maps` writes new files in the
grid of an image, and `format` offers all this to `mri_denoise.io.formats`.
"""
