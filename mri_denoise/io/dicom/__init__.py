"""DICOM series: found, read to a volume, and written as a derived series.

`discover` sorts files into volumes: `instance` reads a header, `eligibility` decides whether an image is denoised,
`planes` finds the slices in a file, `diffusion` reads what weights them, `sort` brings slices together, `layout` places
their files. `read` and `write` move the pixels through `pixels`; `derive` and `functional_groups` write the header of
the result. `to_nifti` writes a NIfTI file instead. `dataset` reads attributes, `open` reads files, `format` offers all
this to `mri_denoise.io.formats`.
"""

MANUFACTURER = "mri-denoise"
"""Manufacturer in Contributing Equipment, by which the node knows its own images."""
