"""Files become plugins: which of a folder count, which are refused, how they are imported."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from workflow_runtime.catalogue import Level, gather
from workflow_runtime.errors import PluginError
from workflow_runtime.plugin_loading import Plugins, find, new_parent, single_file

MAIL = """
from workflow_runtime.hooks import hookimpl

def mail(ctx, parameter):
    return __name__

@hookimpl
def register_actions():
    return {"Mail": mail}
"""


BEFORE: set[str] = set()  #: modules that other tests of this worker have left: loaded plugins stay


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    BEFORE.clear()
    BEFORE.update(sys.modules)
    place = tmp_path / "plugins"
    place.mkdir(mode=0o755)
    yield place
    for name in set(sys.modules) - BEFORE:
        if name.startswith("workflow_runtime_plugins_"):
            del sys.modules[name]


def write(file: Path, text: str = "", mode: int = 0o644) -> Path:
    file.parent.mkdir(exist_ok=True, mode=0o755)
    file.write_text(dedent(text))
    file.chmod(mode)
    return file


def loaded(folder: Path) -> Plugins:
    plugins = Plugins()
    plugins.add_folder(folder)
    return plugins


def errors(plugins: Plugins) -> dict[str, str]:
    return {record.name: record.error for record in plugins.report()}


def leftovers() -> list[str]:
    return [name for name in sys.modules if name.startswith("workflow_runtime_plugins_") and "." in name and name not in BEFORE]


def test_files_and_packages_count_sorted_and_the_rest_is_left_alone(folder: Path) -> None:
    for name in ("b.py", "a.py", "_template.py", ".hidden.py", "notes.txt", "c.pyc", "pack/__init__.py", "data/table.csv", "_pack/__init__.py"):
        write(folder / name)
    assert [(found.name, found.refused) for found in find(folder)] == [("a", ""), ("b", ""), ("pack", "")]


def test_a_plugin_of_a_folder_works(folder: Path) -> None:
    write(folder / "mails.py", MAIL)
    plugins = loaded(folder)
    (record,) = plugins.report()
    assert (record.name, record.level, record.file, record.hooks, record.error) == (
        "mails",
        Level.FOLDER,
        str((folder / "mails.py").resolve()),
        ("register_actions",),
        "",
    )
    spec = gather(plugins.sources()).action("Mail")
    assert spec.origin == f"plugins folder: {record.file}"
    assert spec.function(None, None).endswith(".mails")


def test_a_file_without_hooks_only_offers_classes(folder: Path) -> None:
    write(folder / "classes.py", "class Mine: pass")
    assert errors(loaded(folder)) == {"classes": ""}


def test_a_forgotten_mark_is_told_with_its_line(folder: Path) -> None:
    hooks = "def register_actions():\n    return {}\n"
    file = write(folder / "forgot.py", f"from workflow_runtime.hooks import hookimpl\n{hooks}")
    write(folder / "marked.py", f"from workflow_runtime.hooks import hookimpl\n@hookimpl\n{hooks}")
    reported = errors(loaded(folder))
    assert reported == {"forgot": f"register_actions() has the name of a hook and no mark; did you forget @hookimpl? ({file}:2)", "marked": ""}
    with pytest.raises(PluginError, match="did you forget @hookimpl"):
        loaded(file)


def test_the_attribute_plugin_is_the_plugin(folder: Path) -> None:
    text = """
    from workflow_runtime.hooks import hookimpl
    class Mine:
        @hookimpl
        def register_actions(self):
            return {"Mine": lambda ctx, parameter: None}
    plugin = Mine()
    """
    write(folder / "mine.py", text)
    assert list(gather(loaded(folder).sources()).actions) == ["Mine"]


def test_plugins_import_their_neighbours_and_packages_their_parts(folder: Path) -> None:
    write(folder / "mails.py", MAIL)
    write(folder / "pack/__init__.py", "from .part import number\nfrom ..mails import mail")
    write(folder / "pack/part.py", "number = 5")
    assert errors(loaded(folder)) == {"mails": "", "pack": ""}
    assert sum(name.endswith(".pack.part") for name in leftovers()) == 1


def test_two_runtimes_do_not_exchange_modules(folder: Path) -> None:
    write(folder / "mails.py", MAIL)
    first, second = (gather(loaded(folder).sources()).action("Mail").function for _ in range(2))
    assert first is not second
    assert first.__globals__ is not second.__globals__
    assert new_parent(folder) != new_parent(folder)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("x = 1\ndef broken(:\n", "SyntaxError: invalid syntax ({file}:2)"),
        ("x = 1\n\nraise RuntimeError('no key\\nfound')", "RuntimeError: no key found ({file}:3)"),
        ("import no_such_module_anywhere", "ModuleNotFoundError: No module named 'no_such_module_anywhere' ({file}:1)"),
        (
            "from workflow_runtime.hooks import hookimpl\n@hookimpl\ndef runtime_startet(): ...",
            "there is no hook 'runtime_startet'; did you mean 'runtime_started'? ({file}:2)",
        ),
        ("def help():\n    return 1 / 0\nhelp()", "ZeroDivisionError: division by zero ({file}:2)"),
    ],
)
def test_a_broken_file_is_reported_with_its_line_and_the_others_load(folder: Path, text: str, error: str) -> None:
    file = write(folder / "a_broken.py", text)
    write(folder / "mails.py", MAIL)
    plugins = loaded(folder)
    assert errors(plugins) == {"a_broken": error.format(file=file.resolve()), "mails": ""}
    assert list(gather(plugins.sources()).actions) == ["Mail"]


def test_a_neighbour_that_cannot_be_read_is_blamed_on_the_line_that_imports_it(folder: Path) -> None:
    write(folder / "mine.py", "x = 1\nfrom .zoo import animals\n")
    write(folder / "zoo.py", "\n\n\nanimals = (")
    places = {name: error.rpartition(" ")[2] for name, error in errors(loaded(folder)).items()}
    assert places == {"mine": f"({(folder / 'mine.py').resolve()}:2)", "zoo": f"({(folder / 'zoo.py').resolve()}:4)"}


def test_a_failed_import_leaves_nothing_behind(folder: Path) -> None:
    write(folder / "pack/__init__.py", "from . import part\nraise RuntimeError('late')")
    write(folder / "pack/part.py")
    assert errors(loaded(folder))["pack"].startswith("RuntimeError: late")
    assert leftovers() == []


def test_leaving_the_interpreter_is_not_swallowed(folder: Path) -> None:
    write(folder / "leaves.py", "raise SystemExit(3)")
    with pytest.raises(SystemExit):
        loaded(folder)
    assert leftovers() == []


def test_links_out_of_the_folder_are_refused(folder: Path, tmp_path: Path) -> None:
    outside = write(tmp_path / "elsewhere/outside.py", MAIL)
    inside = write(folder / "mails.py", MAIL)
    (folder / "away.py").symlink_to(outside)
    (folder / "dangling.py").symlink_to(tmp_path / "nothing.py")
    (folder / "twin.py").symlink_to(inside)
    write(folder / "pack/__init__.py")
    (folder / "pack" / "part.py").symlink_to(outside)
    found = {found.name: found.refused for found in find(folder)}
    assert f"leads out of the plugins folder, to {outside.resolve()}" in found["away"]
    assert "leads out of the plugins folder" in found["pack"]
    assert (found["mails"], found["twin"]) == ("", "")
    assert "dangling" not in found or "leads nowhere" in found["dangling"]


def test_a_refused_file_is_never_executed(folder: Path, tmp_path: Path) -> None:
    outside = write(tmp_path / "elsewhere/outside.py", "raise SystemExit('it ran')")
    (folder / "away.py").symlink_to(outside)
    assert "leads out" in errors(loaded(folder))["away"]


def test_a_folder_that_is_a_link_itself_is_fine(folder: Path, tmp_path: Path) -> None:
    write(folder / "mails.py", MAIL)
    (tmp_path / "current").symlink_to(folder)
    assert errors(loaded(tmp_path / "current")) == {"mails": ""}


def test_what_everybody_may_write_is_refused(folder: Path) -> None:
    write(folder / "open.py", "raise SystemExit('it ran')", mode=0o666)
    write(folder / "pack/__init__.py")
    write(folder / "pack/part.py", mode=0o646)
    write(folder / "closed.py")
    reported = errors(loaded(folder))
    assert "open.py can be written by everybody; take that right away (chmod o-w" in reported["open"]
    assert "part.py can be written by everybody" in reported["pack"]
    assert reported["closed"] == ""


@pytest.mark.parametrize("inner", ["", "__pycache__"])
def test_a_folder_that_everybody_may_write_is_refused_as_a_whole(folder: Path, inner: str) -> None:
    write(folder / "mails.py", MAIL)
    place = folder / inner
    place.mkdir(exist_ok=True)
    place.chmod(0o1777)
    with pytest.raises(PluginError, match="can be written by everybody"):
        loaded(folder)


def test_a_folder_that_is_not_there_is_told(folder: Path) -> None:
    with pytest.raises(PluginError, match=r"nothing does not exist; expected a folder with one .py file per plugin"):
        loaded(folder / "nothing")


def test_a_single_file_may_be_named_even_with_an_underscore(folder: Path) -> None:
    file = write(folder / "_mails.py", MAIL)
    plugins = loaded(file)
    assert errors(plugins) == {"_mails": ""}
    assert list(gather(plugins.sources()).actions) == ["Mail"]


def test_a_broken_file_that_was_named_raises(folder: Path) -> None:
    file = write(folder / "broken.py", "raise RuntimeError('no key')")
    with pytest.raises(PluginError, match=r"the plugin 'broken' cannot be used: RuntimeError: no key \(.*broken.py:1\)") as caught:
        loaded(file)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert caught.value.file == str(file.resolve())


def test_a_named_file_must_be_python_and_must_be_safe(folder: Path) -> None:
    with pytest.raises(PluginError, match=r"is no plugin; expected a folder or a file that ends with .py"):
        loaded(write(folder / "notes.txt"))
    with pytest.raises(PluginError, match=r"open\.py can be written by everybody"):
        loaded(write(folder / "open.py", mode=0o666))
    file = write(folder / "mails.py", MAIL)
    folder.chmod(0o777)
    with pytest.raises(PluginError, match="plugins can be written by everybody"):
        single_file(file)
    folder.chmod(0o1777)
    assert single_file(file).refused == "", "under the sticky bit strangers cannot replace it"


def test_what_is_named_twice_is_told_and_what_is_found_twice_is_ignored(folder: Path) -> None:
    file = write(folder / "mails.py", MAIL)
    plugins = loaded(folder)
    plugins.add_folder(folder)
    assert [record.name for record in plugins.report()] == ["mails"]
    with pytest.raises(PluginError, match="the plugin 'mails' is there already"):
        plugins.add_folder(file)
    assert list(gather(plugins.sources()).actions) == ["Mail"]
