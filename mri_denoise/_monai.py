"""MONAI imported in a third of its usual time, for the shipped bundles.

``import monai`` loads every module of MONAI, and with them pandas, scikit-image, tifffile and its engines, none of
which :class:`mri_denoise.denoiser.Denoiser` uses: 3.6 s in place of 1.0 s on two cores at 2.4 GHz. Here MONAI's
packages are loaded when somebody imports them, and its optional dependencies when somebody uses them. Bundles of a
user's own get all of MONAI, because MONAI finds classes by name among the modules that are loaded.

Only the command line does so, and the processes that it starts: it sets the environment variable
``MRI_DENOISE_QUICK_IMPORT=1`` unless it is set (0 switches this off). In a program of somebody else's, ``monai.losses``
and all the rest has to be there after ``import monai``, whatever was imported before.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

# optional dependencies of MONAI that take long to import and that inference does without
_DEFERRED = (
    *("cv2", "einops", "h5py", "huggingface_hub", "itk", "matplotlib", "nrrd", "onnx", "pandas", "pydicom", "pynvml"),
    *("requests", "scipy.optimize", "scipy.signal", "scipy.sparse", "scipy.spatial", "scipy.stats", "skimage"),
    *("sklearn", "tensorboard", "tensorboardX", "tifffile", "torch.utils.tensorboard", "torchvision"),
    *("transformers", "zarr"),
)
_UTILS = "monai.utils.module"
_DISTRIBUTED = "torch.distributed.optim"
QUICK = "MRI_DENOISE_QUICK_IMPORT"  # environment variable
# where the classes of the shipped bundles' steps live: MONAI looks a class up by name among loaded modules.
# apps comes first as in `import monai`: transforms and data import each other, and only this way round goes well
_NEEDED = ("apps", "transforms", "data", "inferers", "bundle")


_usual_loading: list[Callable[..., Any]] = []  # MONAI's own load_submodules, while its work is left undone


def import_monai(*, everything: bool = False) -> None:
    """Import MONAI, or of it what the shipped bundles' steps need, if the environment asks for the quick import.

    Args:
        everything: all of MONAI in any case, also where only a part was loaded before.
    """
    if everything or os.environ.get(QUICK, "0") in ("", "0"):
        monai = importlib.import_module("monai")
        while _usual_loading:
            _usual_loading.pop()(monai, True, exclude_pattern=monai.excludes)
    elif "monai" not in sys.modules:
        with _without_extras():
            for name in _NEEDED:
                importlib.import_module(f"monai.{name}")


class _Deferred:
    """Stands for a module, or for something in it, until it is used."""

    def __init__(self, module: str, name: str) -> None:
        self._where = (module, name)

    def _load(self) -> Any:
        module, name = self._where
        loaded = importlib.import_module(module)
        return getattr(loaded, name) if name else loaded

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._load(), attribute)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._load()(*args, **kwargs)


class _IsInstance(type):
    """The class of a stand-in, which has the instances of the class that it stands for."""

    def __instancecheck__(cls, instance: object) -> bool:
        real = getattr(sys.modules.get(_DISTRIBUTED), cls.__name__, cls)  # not loaded by anybody: no instances
        return real is not cls and isinstance(instance, real)


class _Finder(MetaPathFinder, Loader):
    """Finds MONAI's import helpers, and changes them once they are loaded."""

    def __init__(self) -> None:
        self._original: Loader | None = None

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The usual place, with this as the loader; no matplotlib, which MONAI tries here for its notebooks alone."""
        if fullname == "matplotlib":
            raise ImportError(f"{fullname} is left out while MONAI is being imported")
        if fullname != _UTILS:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None:
            self._original, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As Python would."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, then put the quick helpers in the place of the thorough ones."""
        assert self._original is not None
        self._original.exec_module(module)
        _usual_loading.append(module.load_submodules)
        module.load_submodules = lambda *args, **kwargs: ([], [])  # type: ignore[attr-defined]
        module.optional_import = _deferring(module.optional_import)  # type: ignore[attr-defined]


def _deferring(usual: Callable[..., tuple[Any, bool]]) -> Callable[..., tuple[Any, bool]]:
    """MONAI's ``optional_import``, which puts off what takes long."""

    def optional_import(
        module: str, version: str = "", version_checker: Any = None, name: str = "", **kwargs: Any
    ) -> tuple[Any, bool]:
        slow = any(module == root or module.startswith(root + ".") for root in _DEFERRED)
        if slow and "as_type" not in kwargs and PathFinder.find_spec(module.partition(".")[0]) is not None:
            return _Deferred(module, name), True
        if version_checker is not None:
            kwargs["version_checker"] = version_checker
        return usual(module, version, name=name, **kwargs)

    return optional_import


@contextmanager
def _without_extras() -> Iterator[None]:
    """Quick helpers in the place of MONAI's own while its packages are imported.

    MONAI's enumerations load Ignite, whose checkpoints know one class of torch.distributed, which in turn loads SymPy
    and takes as long as all of MONAI. They test for its instances alone, so a stand-in answers for it.
    """
    finder, stand_in = _Finder(), ModuleType(_DISTRIBUTED)
    stand_in.ZeroRedundancyOptimizer = _IsInstance("ZeroRedundancyOptimizer", (), {})  # type: ignore[attr-defined]
    needed = sys.modules.setdefault(_DISTRIBUTED, stand_in) is stand_in
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        if needed:
            del sys.modules[_DISTRIBUTED]
