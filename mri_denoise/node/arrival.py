"""Write images to files as they arrive, where pynetdicom holds them in memory; limit the size of other messages."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dsutils import create_file_meta
from pynetdicom.pdu_primitives import P_DATA

from mri_denoise.node import disk

_MAX_MESSAGE = 1 << 20
_COMMAND, _LAST = 1, 2
_INVALID_PDU = "Evt19"  # the state machine answers with A-ABORT


class Arrival:
    """An image that is being received. Errors are kept, so that the peer gets a status and not a broken connection.

    Args:
        path: the file, which must not exist.
        max_bytes: size of the image; what exceeds it is dropped.
        meta: class, instance and transfer syntax for the file meta information.
    """

    def __init__(self, path: Path, max_bytes: float, meta: tuple[UID, UID, UID]) -> None:
        self.path, self._max_bytes = path, max_bytes
        self.size = 0
        self.problem: str | None = None
        self._file: Any = None
        try:
            self._file = os.fdopen(disk.create(path), "wb")
            self._file.write(bytes(128) + b"DICM")
            write_file_meta_info(
                self._file, create_file_meta(sop_class_uid=meta[0], sop_instance_uid=meta[1], transfer_syntax=meta[2])
            )
        except Exception as error:  # also UIDs that cannot be encoded
            self._fail(f"cannot be written ({error})")

    def write(self, data: bytes) -> None:
        """Append a fragment."""
        self.size += len(data)
        if self.size > self._max_bytes:
            self._fail("image is larger than limits.file_mb")
        if self.problem is None:
            try:
                self._file.write(data)
            except OSError as error:
                self._fail(f"cannot be written ({error.strerror})")

    def finish(self) -> None:
        """Write the rest to disk and close the file."""
        if self.problem is None:
            try:
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
            except OSError as error:
                self._fail(f"cannot be written ({error.strerror})")

    def discard(self) -> None:
        """Remove the file."""
        with suppress(OSError):
            if self._file is not None:
                self._file.close()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _fail(self, problem: str) -> None:
        self.problem = self.problem or problem
        self.discard()


class SpoolingDimse(DIMSEServiceProvider):
    """Provides DIMSE messages, the images of C-STORE requests in files.

    Args:
        assoc: the association.
        new_path: names a file for the next image.
        max_bytes: largest image.
    """

    def __init__(self, assoc: Association, new_path: Callable[[], Path], max_bytes: float) -> None:
        super().__init__(assoc)
        self._new_path, self._max_bytes = new_path, max_bytes
        self._current: Arrival | None = None
        self._whole: dict[int, Arrival] = {}

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take the fragments of a P-DATA primitive."""
        for context_id, data in primitive.presentation_data_value_list:
            try:
                taken = self._take_fragment(context_id, data) if data else False
            except Exception:  # whatever the decoder meets in a message that is none
                taken = False
            if not taken:
                self.dul.event_queue.put(_INVALID_PDU)
                return

    def take(self, message_id: int) -> Arrival | None:
        """Hand over the image of a request; None if there is none."""
        return self._whole.pop(message_id, None)

    def discard(self) -> None:
        """Remove images that nobody has taken."""
        for arrival in (*self._whole.values(), self._current):
            if arrival is not None:
                arrival.discard()
        self._whole, self._current = {}, None

    def _take_fragment(self, context_id: int, data: bytes) -> bool:
        """Handle a fragment; False if it exceeds a limit."""
        message: Any = self.message
        if not data[0] & _COMMAND and isinstance(message, C_STORE_RQ):
            return self._take_image(message, context_id, data)
        if message is not None:
            held = message.encoded_command_set.tell() + message.data_set.tell()
            if held + len(data) > _MAX_MESSAGE:
                return False
        self._pass_on(context_id, data)
        return True

    def _take_image(self, message: Any, context_id: int, data: bytes) -> bool:
        if self._current is None:
            context = self.assoc._accepted_cx.get(context_id)
            if context is None:
                return False
            command = message.command_set
            meta = (command.AffectedSOPClassUID, command.AffectedSOPInstanceUID, context.transfer_syntax[0])
            self._current = Arrival(self._new_path(), self._max_bytes, meta)
        arrival = self._current
        arrival.write(data[1:])
        if data[0] & _LAST:
            arrival.finish()
            earlier = self._whole.pop(message.command_set.MessageID, None)
            if earlier is not None:
                earlier.discard()
            self._whole[message.command_set.MessageID] = arrival
            self._current = None
            self._pass_on(context_id, data[:1])
        return arrival.size <= 2 * self._max_bytes + _MAX_MESSAGE

    def _pass_on(self, context_id: int, data: bytes) -> None:
        part = P_DATA()
        part.presentation_data_value_list = [[context_id, data]]  # type: ignore[list-item]
        super().receive_primitive(part)
