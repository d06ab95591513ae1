"""What users get: the wheel has everything, and works in an empty folder far from the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = ("workflow_runtime", "plugins", "schemes", "setup.cfg", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")
FOLDERS = {"plugins": "workflow_runtime.plugins", "schemes": "workflow_runtime.schemes"}  #: as package_dir says


@pytest.fixture(scope="module")
def setup() -> ConfigParser:
    config = ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg")
    return config


def test_every_package_is_listed(setup: ConfigParser) -> None:
    found = {".".join(path.parent.relative_to(ROOT).parts) for top in ("workflow_runtime", *FOLDERS) for path in (ROOT / top).rglob("__init__.py")}
    for folder, package in FOLDERS.items():
        found = {name.replace(folder, package, 1) if name.split(".")[0] == folder else name for name in found}
    listed = [line for line in setup["options"]["packages"].split("\n") if line]
    assert sorted(listed) == sorted(found)


def test_every_folder_with_code_is_a_package() -> None:
    bare = {path.parent for path in (ROOT / "workflow_runtime").rglob("*.py")} - {path.parent for path in (ROOT / "workflow_runtime").rglob("__init__.py")}
    assert not bare


def test_versions_have_bounds(setup: ConfigParser) -> None:
    required = [line for line in setup["options"]["install_requires"].split("\n") if line]
    assert required
    assert [line for line in required if ">=" not in line] == []


# ------------------------------------------------------------------ the wheel


def run(*arguments: str, cwd: Path, **environment: str) -> str:
    result = subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120, env={**os.environ, **environment})
    assert result.returncode == 0, f"{' '.join(arguments)}\n{result.stdout}{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that no build folder is left in the repository; needs no network."""
    assert int(metadata.version("setuptools").split(".")[0]) >= 77, "setuptools cannot build our wheel; pip install -e '.[dev]' brings one that can"
    copy, out = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy)
    build = f"from setuptools.build_meta import build_wheel; build_wheel({str(out)!r})"
    run("-c", build, cwd=copy)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    run("-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-compile", "--target", str(folder), str(wheel), cwd=folder)
    return folder


def test_the_wheel_has_everything(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {f"workflow_runtime/{name}" for name in ("py.typed", "__init__.pyi", "schemes/schema/workflow-scheme.schema.json")}
    for folder, suffixes in (("workflow_runtime", {".py"}), ("plugins", {".py"}), ("schemes", {".py", ".xml", ".yaml"})):
        inside = "" if folder == "workflow_runtime" else "workflow_runtime/"
        expected |= {f"{inside}{path.relative_to(ROOT).as_posix()}" for path in (ROOT / folder).rglob("*") if path.suffix in suffixes}
    assert expected - names == set()
    assert any("store/migrations/versions/r0001" in name for name in names)


def test_the_wheel_has_nothing_else(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"workflow_runtime"}


def test_the_wheel_declares_its_command_and_licence(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    texts = {name.split("/")[-1]: archive.read(name).decode() for name in archive.namelist() if ".dist-info/" in name}
    assert "wfr = workflow_runtime.cli:main" in texts["entry_points.txt"]
    assert "Requires-Python: >=3.11" in texts["METADATA"]
    assert "LICENSE" in texts


def test_it_runs_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    place = run("-c", "import workflow_runtime; print(workflow_runtime.__file__)", cwd=tmp_path, PYTHONPATH=str(installed))
    assert Path(place.strip()).is_relative_to(installed)
    version = (ROOT / "workflow_runtime" / "version.py").read_text().split('"')[-2]
    assert version in run("-m", "workflow_runtime", "--version", cwd=tmp_path, PYTHONPATH=str(installed))


PROGRAM = """
from importlib.resources import as_file, files
from workflow_runtime import WorkflowRuntime

runtime = WorkflowRuntime("sqlite:///empty.db").with_settings(ignore_missing_execution_items=True)
with as_file(files("workflow_runtime.schemes") / "order.yaml") as path:
    runtime.with_schemes(path)
    with runtime:
        print(runtime.create_instance("Order", parameters={"Amount": 12}).status)
        print([plugin.name for plugin in runtime.get_plugins()])
"""


def test_it_loads_a_scheme_and_the_built_in_plugins_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    status, plugins = run("-W", "ignore", "-c", PROGRAM, cwd=tmp_path, PYTHONPATH=str(installed)).splitlines()
    assert status == "Finalized"
    assert "roles" in plugins
