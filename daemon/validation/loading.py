"""Loading an operator's own validators from Python modules, at the start."""

import importlib
from collections.abc import Sequence
from types import ModuleType

from daemon.errors import ValidatorError
from daemon.validation.verdicts import Validator


def load_validators(modules: Sequence[str]) -> list[Validator]:
    """Import the modules and give their validators, in the order in which they are declared.

    Raises ValidatorError, naming the module and the fault, if one cannot be loaded or has none.
    """
    found: list[Validator] = []
    for name in modules:
        own = [value for value in vars(_import(name)).values() if isinstance(value, Validator)]
        if not own:
            raise ValidatorError(f"{name}: no validator in it; declare one with @validator")
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
