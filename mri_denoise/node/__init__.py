"""A DICOM node that receives series over the network, denoises them and sends the derived series on.

`settings` says what the node does, `spool` keeps its queue on disk, `receiver`, `worker` and `sender` move series
through the queue, `service` runs them. Needs the optional packages of ``pip install mri-denoise[node]``.
"""
