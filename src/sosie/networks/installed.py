"""Weights that lie in an installed Python package: found without importing it, held to their digest."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from sosie.errors import UntrustedModel
from sosie.extras import install_command, missing
from sosie.networks.hub import Fetched
from sosie.networks.published import RemoteFile
from sosie.networks.runtime import digest_of

__all__ = ["installed_file"]


def installed_file(file: RemoteFile) -> Fetched:
    """Return a file of an installed package; nothing of the package runs, and nothing is downloaded.

    Raises MissingExtra where the package is not installed, UntrustedModel where the file is not the one published.
    """
    again = install_command(package=f"{file.repo}=={file.revision}", again=True)
    try:
        package = distribution(file.repo)
    except PackageNotFoundError as error:
        raise missing(f"{file.name} lies in the package {file.repo}", "imagenet") from error
    path = Path(str(package.locate_file(file.path)))
    if not path.is_file():
        raise UntrustedModel(f"the package {file.repo} {package.version} has no {file.path}: {again}")
    sha256 = digest_of(path)
    if sha256 != file.sha256:
        raise UntrustedModel(
            f"{path.name} has SHA-256 {sha256[:12]}…, and {str(file.sha256)[:12]}… is what {file.repo} {file.revision} "
            f"was published with: not read. {again}"
        )
    return Fetched(path, file.revision, sha256)
