"""Loading an operator's own validators from Python modules, at the start."""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from daemon.errors import ValidatorError
from daemon.validation.verdicts import Validator

FOLDER_PACKAGE = "recado_validators"
"""The modules of ``validators.folder`` are known to Python by names inside this one."""


def load_validators(modules: Sequence[str], folder: Path | None = None) -> list[Validator]:
    """Import an operator's modules and give their validators, in the order of their declaration.

    By name, and every ``*.py`` of a folder whose name begins with no underscore. Raises
    ValidatorError, naming the module and the fault, if one cannot be loaded or has no validator.
    """
    loaded = [_import(name) for name in modules]
    if folder is not None:
        if not folder.is_dir():
            raise ValidatorError(f"validators.folder: {folder} is not a folder")
        loaded += [_import_file(path) for path in sorted(folder.glob("[!_]*.py"))]
    found: list[Validator] = []
    for module in loaded:
        own = [value for value in vars(module).values() if isinstance(value, Validator)]
        if not own:
            raise ValidatorError(
                f"{module.__name__}: no validator in it; declare one with @validator"
            )
        # One module may import another's validator: the same one twice is one.
        found += [validator for validator in own if all(validator is not f for f in found)]
    return found


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ValidatorError as error:
        raise ValidatorError(f"{name}: {error}") from error
    except Exception as error:
        raise ValidatorError(
            f"{name}: cannot be imported: {type(error).__name__}: {error}"
        ) from error


def _import_file(path: Path) -> ModuleType:
    name = f"{FOLDER_PACKAGE}.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValidatorError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except ValidatorError as error:
        raise ValidatorError(f"{path}: {error}") from error
    except Exception as error:
        raise ValidatorError(f"{path}: {type(error).__name__}: {error}") from error
    return module
