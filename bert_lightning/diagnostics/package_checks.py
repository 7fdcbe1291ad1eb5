"""Check the installed packages against the metadata of this one: versions, imports and optional packages."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import TYPE_CHECKING

from bert_lightning.diagnostics.check_result import NOTE, OK, PROBLEM, CheckResult, error_text

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_PACKAGE = "bert-lightning"
_OWN_LINE = ("torch", "lightning", "hydra-core")  # the packages whose versions users are asked for
_FOR_DEVELOPERS = ("test", "dev")  # extras that no verb needs
# Modules without which no config is composed. Their packages have other names.
ESSENTIAL = {"torch": "torch", "hydra": "hydra-core", "omegaconf": "omegaconf"}


@dataclass(frozen=True)
class PackageFacts:
    """The facts about a package that the metadata of this one requires.

    Args:
        name: name of the package, as pip knows it.
        bounds: the versions that are required, such as `>=2.9`.
        version: the installed version; None: it is not installed.
        within: whether the installed version is within the bounds.
        error: the error of importing it; empty if it can be imported.
    """

    name: str
    bounds: str
    version: str | None
    within: bool = True
    error: str = ""

    @property
    def flaw(self) -> str:
        """Return what is wrong with the package; empty if nothing is."""
        if self.version is None:
            return "not installed"
        if self.error:
            return f"{self.version} cannot be imported: {self.error}"
        return "" if self.within else f"{self.version} is not {self.bounds}"


def broken_essentials() -> list[CheckResult]:
    """Import the packages without which no config is composed, and return a problem for each that fails."""
    errors = {package: import_error(module) for module, package in ESSENTIAL.items()}
    return [
        CheckResult(PROBLEM, package, f"cannot be imported: {error}", f"pip install --force-reinstall {package}")
        for package, error in errors.items()
        if error
    ]


def package_results() -> Iterator[CheckResult]:
    """Check Python and all packages that this one requires."""
    from packaging.specifiers import SpecifierSet

    about = metadata.metadata(_PACKAGE)
    python = about["Requires-Python"] or ""
    yield python_result(platform.python_version(), python, SpecifierSet(python).contains(platform.python_version()))
    yield from required_results([package_facts(requirement) for requirement in _requirements("")])


def optional_results() -> Iterator[CheckResult]:
    """Check the packages of each extra of this package."""
    for extra in metadata.metadata(_PACKAGE).get_all("Provides-Extra") or []:
        if extra not in _FOR_DEVELOPERS:
            yield extra_result(extra, [package_facts(requirement) for requirement in _requirements(extra)])


def python_result(version: str, bounds: str, within: bool) -> CheckResult:
    """Return the result for Python's version."""
    if within:
        return CheckResult(OK, "python", f"{version} ({bounds})")
    return CheckResult(
        PROBLEM, "python", f"{version} is not {bounds}", "make a new environment: python3.12 -m venv .venv"
    )


def required_results(packages: Sequence[PackageFacts]) -> Iterator[CheckResult]:
    """Return a line for each important or flawed package, and one for all others."""
    packages = sorted(packages, key=lambda package: (package.name not in _OWN_LINE, package.name))
    for package in packages:
        if package.flaw:
            again = "--force-reinstall " if package.error else ""
            advice = f"pip install {again}'{package.name}{package.bounds}'"
            yield CheckResult(PROBLEM, package.name, package.flaw, advice)
        elif package.name in _OWN_LINE:
            yield CheckResult(OK, package.name, f"{package.version} ({package.bounds})")
    others = [f"{p.name} {p.version}" for p in packages if p.name not in _OWN_LINE and not p.flaw]
    yield CheckResult(OK, "other packages", ", ".join(others))


def extra_result(extra: str, packages: Sequence[PackageFacts]) -> CheckResult:
    """Return the result for an extra. What is missing there stops only the verbs and options that need it."""
    name, flaws = f"extra {extra}", [f"{package.name} {package.flaw}" for package in packages if package.flaw]
    if not flaws:
        return CheckResult(OK, name, ", ".join(f"{package.name} {package.version}" for package in packages))
    return CheckResult(NOTE, name, ", ".join(flaws), f"pip install '{_PACKAGE}[{extra}]', if you want it")


def package_facts(requirement: Requirement) -> PackageFacts:
    """Read the facts about a required package, and import it."""
    name, bounds = requirement.name, str(requirement.specifier)
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return PackageFacts(name, bounds, None)
    within = requirement.specifier.contains(distribution.version, prereleases=True)
    return PackageFacts(name, bounds, distribution.version, within, import_error(_module_of(name, distribution)))


def import_error(module: str) -> str:
    """Import a module, and return the error as text; empty if there is none. A broken library raises any error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import_module(module)
    except (Exception, SystemExit) as error:
        return error_text(error)
    return ""


def _requirements(extra: str) -> list[Requirement]:
    """Return what an extra of this package requires; an empty extra: what the package requires always."""
    from packaging.requirements import Requirement

    found = [Requirement(text) for text in metadata.requires(_PACKAGE) or []]
    return [
        requirement
        for requirement in found
        if (requirement.marker.evaluate({"extra": extra}) if requirement.marker else not extra)
        and (not extra or requirement.marker is None or not requirement.marker.evaluate({"extra": ""}))
    ]


def _module_of(name: str, distribution: metadata.Distribution) -> str:
    """Return the module that a package is imported by: the one of the package's name if there are several."""
    own = name.lower().replace("-", "_")
    modules = (distribution.read_text("top_level.txt") or "").split()
    if not modules:
        files = [file.parts for file in distribution.files or [] if file.name == "__init__.py"]
        modules = sorted(parts[0] for parts in files if len(parts) == 2)
    public = [module for module in modules if not module.startswith("_")]
    named = [module for module in public if module == own or own.startswith(f"{module}_")]
    return (named or public or [own])[0]
