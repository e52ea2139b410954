"""The files of one result, written where nobody looks and given their names together: all of them, or none."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from mri_denoise.errors import OutputError
from mri_denoise.io.files import IS_INPUT, same_file, sync, write_beside, writing
from mri_denoise.io.leftovers import Temporary, locked, undo

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)


class TakenError(OutputError):
    """A final name that is taken, perhaps by another program since this one looked."""


def common_folder(finals: Sequence[Path]) -> Path:
    """The folder that holds all files of a result, some of them perhaps in folders below it."""
    return Path(os.path.commonpath([final.parent for final in finals]))


def refuse_inputs(finals: Sequence[Path], sources: Sequence[Path]) -> None:
    """OutputError for a final name that is a file which must never be replaced."""
    for final in finals:
        if any(same_file(final, source) for source in sources):
            raise OutputError(f"{final}: {IS_INPUT}")


class Staging:
    """A hidden folder in which each file of a result has the path that it will have below the common folder.

    A file is published by a second hard link, its final name; the first one stays until `seal`. So of a run that was
    killed in between, it is known which files under final names are its own: the next run removes them together with
    the folder (`mri_denoise.io.leftovers.sweep`). Where a file system has no hard links, files are moved, and what a
    killed run had published stays.

    Args:
        finals: all files that may be published.

    Raises:
        OutputError: The folder cannot be made.
    """

    def __init__(self, finals: Sequence[Path]) -> None:
        self._root = common_folder(finals)
        self._moved: list[Path] = []
        self._made = [folder for folder in (self._root, *self._root.parents) if not folder.exists()]
        try:
            with writing(self._root):
                self._root.mkdir(parents=True, exist_ok=True)
                self._temporary = Temporary(self._root, Path.mkdir)
        except OutputError:
            self._remove_folders()
            raise

    def place(self, final: Path) -> Path:
        """Where a file is written, or a folder of files, that will be published as `final`."""
        return self._temporary.path / final.relative_to(self._root)

    def final(self, staged: Path) -> Path:
        """The final name of what was written to its `place`."""
        return self._root / staged.relative_to(self._temporary.path)

    @contextmanager
    def errors_by_final_name(self) -> Iterator[None]:
        """Let messages name final paths in place of those in the hidden folder."""
        try:
            yield
        except OutputError as error:
            text = str(error).replace(str(self._temporary.path) + os.sep, str(self._root / "x")[:-1])
            raise OutputError(text) from error

    def publish(self, finals: Sequence[Path], sources: Sequence[Path] = (), *, overwrite: bool = False) -> None:
        """Give files their final names. After an error, `abandon` takes them away again.

        Args:
            finals: files that were written to their `place`.
            sources: files that must never be replaced.
            overwrite: replace files that exist.

        Raises:
            TakenError: One of them exists and may not be replaced.
            OutputError: One of them is an input, or the operating system refuses.
        """
        refuse_inputs(finals, sources)
        for final in finals:
            with writing(final):
                sync(self.place(final))
        with locked(self._root):
            folders = self._new_folders(finals)
            for folder in folders:
                with writing(folder):
                    self._publish_folder(folder)
            for final in finals:
                if not folders & set(final.parents):
                    with writing(final):
                        self._publish_file(final, overwrite=overwrite)
        for parent in {final.parent for final in finals}:
            sync(parent)

    def _new_folders(self, finals: Sequence[Path]) -> set[Path]:
        """The folders right below the common one that do not exist yet: they appear with all their files at once."""
        below = {self._root / final.relative_to(self._root).parts[0] for final in finals if final.parent != self._root}
        return {folder for folder in below if not folder.exists()}

    def _publish_folder(self, folder: Path) -> None:
        linked = self._temporary.path / f".{secrets.token_hex(8)}"
        try:
            shutil.copytree(self.place(folder), linked, copy_function=os.link)
            os.rename(linked, folder)
        except (OSError, shutil.Error):
            shutil.rmtree(linked, ignore_errors=True)
            os.rename(self.place(folder), folder)
            self._moved += [path for path in folder.rglob("*") if not path.is_dir()]

    def _publish_file(self, final: Path, *, overwrite: bool) -> None:
        final.parent.mkdir(parents=True, exist_ok=True)
        link = self.place(final).with_name(f".{secrets.token_hex(8)}") if overwrite else final
        try:
            os.link(self.place(final), link)
            if overwrite:
                os.replace(link, final)
        except FileExistsError as error:
            raise _taken(final) from error
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            self._move(final, overwrite=overwrite)

    def _move(self, final: Path, *, overwrite: bool) -> None:
        """Publish where there are no hard links."""
        if not overwrite and final.exists():
            raise _taken(final)
        try:
            os.replace(self.place(final), final)
        except OSError as error:
            if error.errno != errno.EXDEV:  # the final folder is on another disk
                raise
            with write_beside(final) as beside:
                shutil.copyfile(self.place(final), beside)
        self._moved.append(final)

    def seal(self) -> None:
        """Everything is published: from now on nothing is taken away."""
        with writing(self._root):
            self._temporary.finish()
        self._temporary.close()

    def abandon(self) -> None:
        """Remove the folder, and under final names what was published; has no effect after `seal`."""
        if not self._temporary.closed:
            for final in self._moved:
                final.unlink(missing_ok=True)
            with locked(self._root):
                undo(self._temporary.path)
            self._temporary.close()
            self._remove_folders()

    def _remove_folders(self) -> None:
        """Remove the folders that were made for the result."""
        for folder in self._made:
            with suppress(OSError):  # others may have put something there
                folder.rmdir()


def _taken(final: Path) -> TakenError:
    return TakenError(
        f"{final}: cannot be written (exists, perhaps since this run began); move it away or overwrite it"
    )
