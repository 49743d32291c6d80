"""Opens the files that the settings name."""

import importlib

from pydantic import SecretStr

from daemon.errors import SettingsError
from daemon.files.folder import LocalFiles
from daemon.files.port import FileStore
from daemon.settings import Settings
from daemon.settings.rules import parse_bucket


def open_files(settings: Settings) -> FileStore:
    """The files of messages. Blocks for a third of a second if they are in an object store.

    Raises SettingsError if what that needs is not installed.
    """
    files = settings.files
    if not files.url:
        return LocalFiles(settings.data_dir)
    try:
        module = importlib.import_module("daemon.files.s3")  # late: boto3 is an extra
    except ImportError as error:
        raise SettingsError(
            [f"files.url: needs the package {error.name}: pip install 'recado[s3]'"]
        ) from error
    found: FileStore = module.open_s3(
        parse_bucket(files.url),
        settings.data_dir,
        access_key_id=_text(files.access_key_id),
        secret_access_key=_text(files.secret_access_key),
        seconds=files.timeout_seconds,
    )
    return found


def _text(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""
