"""Flags, main functions, files and messages."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rnngraph as rg
from rnngraph import tf1 as tf


@pytest.fixture
def flags() -> Iterator[Any]:
    """Define flags that only the test sees."""
    values = pytest.importorskip("absl.flags").FLAGS
    before = {*values}
    values.unparse_flags()
    yield tf.flags.FLAGS
    values.unparse_flags()
    values.remove_flag_values([name for name in values if name not in before])


def define() -> None:
    tf.flags.DEFINE_string("name", "net", "a name")
    tf.app.flags.DEFINE_integer("batch_size", 32, "rows")
    tf.flags.DEFINE_float("rate", 1e-3, "a rate")
    tf.flags.DEFINE_boolean("train", True, "whether to train")
    tf.flags.DEFINE_bool(flag_name="log", default_value=False, docstring="whether to log")
    tf.flags.DEFINE_enum("kind", "lstm", ["lstm", "gru"], "a kind")
    tf.flags.DEFINE_list("sizes", "1,2", "sizes")


def test_the_first_value_that_is_read_parses_the_command_line(flags: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    define()
    words = ["x.py", "--batch_size=7", "-rate", "0.5", "--notrain", "--log", "in", "--other=3"]
    monkeypatch.setattr(sys, "argv", words)
    assert not flags.is_parsed()
    assert (flags.batch_size, flags.rate, flags.train, flags.log, flags.name) == (7, 0.5, False, True, "net")
    assert flags.is_parsed()
    assert flags(sys.argv, known_only=True) == ["x.py", "in", "--other=3"]
    assert flags._parse_flags(["--kind=gru", "rest"]) == ["rest"]
    assert flags.kind == "gru"
    flags.rate = 2.0
    assert flags["rate"].value == flags.rate == 2.0
    assert "rate" in flags
    assert {"rate", "kind"} <= {*flags}
    assert "rate" in dir(flags)
    assert {name: flag.value for name, flag in getattr(flags, "__flags").items()} == flags.flag_values_dict()
    del flags.rate
    assert "rate" not in flags


def test_mistakes_in_flags(flags: Any) -> None:
    define()
    for words in (["--batch_size=x"], ["--train=maybe"], ["--rate"], ["--kind=x"], ["--nothing=1"]):
        with pytest.raises(tf.flags.Error):
            flags(["x.py", *words])
    with pytest.raises(AttributeError, match="batch_sise"):
        _ = flags.batch_sise
    tf.flags.DEFINE_string("needed", None, "")
    tf.flags.mark_flag_as_required("needed")
    with pytest.raises(tf.flags.Error, match="needed"):
        flags(["x.py"])


def test_a_main_function_is_run(flags: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    define()
    seen: list[Any] = []
    with pytest.raises(SystemExit) as ended:
        tf.app.run(lambda argv: seen.append((argv, flags.rate)), argv=["x.py", "--rate=3", "more", "--other"])
    assert seen == [(["x.py", "more", "--other"], 3.0)]
    assert not ended.value.code
    monkeypatch.setattr(sys.modules["__main__"], "main", lambda argv: 3, raising=False)
    with pytest.raises(SystemExit) as ended:
        tf.app.run(argv=["x.py"])
    assert ended.value.code == 3
    monkeypatch.delattr(sys.modules["__main__"], "main")
    with pytest.raises(rg.ArgumentError, match="needs a function main"):
        tf.app.run()
    with pytest.raises(rg.DtypeError, match=r"main of tf\.app\.run must be a function, not 3"):
        tf.app.run(3)  # type: ignore[arg-type]


def test_flags_need_absl_and_names_are_imported_when_they_are_read() -> None:
    """``tf`` without flags does not need absl."""
    code = """
import sys
sys.modules["absl"] = sys.modules["absl.flags"] = None
import rnngraph as rg
from rnngraph import tf1 as tf
assert not any(name.startswith("rnngraph.tf1.ops") for name in sys.modules)
tf.placeholder(tf.float32, [2])
assert "rnngraph.tf1.seq2seq.helpers" not in sys.modules
for read in (lambda: tf.flags.FLAGS, lambda: tf.app.run):
    try:
        read()
    except rg.MissingExtraError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (
        done.stdout.count("tf.flags and tf.app need absl-py; pip install absl-py, or pip install 'rnngraph[tf1]'\n")
        == 2
    ), done.stderr


def test_files(tmp_path: Path) -> None:
    gfile, folder = tf.gfile, str(tmp_path / "a" / "b")
    gfile.MakeDirs(folder)
    gfile.MakeDirs(folder)
    with gfile.GFile(f"{folder}/x.txt", "w") as file:
        file.write("ä one\ntwo\n")
    with gfile.Open(f"{folder}/x.txt") as file:
        assert list(file) == ["ä one\n", "two\n"]
        assert file.size() == 11
        file.seek(0)
        assert file.readline() == "ä one\n"
        assert file.read() == "two\n"
    assert gfile.FastGFile(f"{folder}/x.txt", "rb").read() == "ä one\ntwo\n".encode()
    assert gfile.Exists(folder)
    assert gfile.IsDirectory(folder)
    assert not gfile.Exists(f"{folder}/y")
    gfile.Copy(f"{folder}/x.txt", f"{folder}/y.txt")
    assert gfile.ListDirectory(folder) == ["x.txt", "y.txt"]
    assert len(gfile.Glob(f"{folder}/*.txt")) == 2
    gfile.Rename(f"{folder}/y.txt", f"{folder}/z.txt")
    gfile.Remove(f"{folder}/z.txt")
    assert gfile.Stat(f"{folder}/x.txt").length == 11
    assert [files for _, _, files in tf.io.gfile.walk(str(tmp_path))][-1] == ["x.txt"]
    gfile.DeleteRecursively(str(tmp_path / "a"))
    assert not gfile.Exists(folder)


def test_mistakes_with_files(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"\xff\xfe")
    (tmp_path / "y").write_text("")
    for call, message in (
        (lambda: tf.gfile.Open(str(tmp_path / "no")), "does not exist"),
        (lambda: tf.gfile.Open(str(tmp_path / "folder" / "no"), "w"), "/folder does not exist"),
        (lambda: tf.gfile.MkDir(str(tmp_path / "folder" / "no")), "/folder does not exist"),
        (lambda: tf.gfile.Rename(str(path), str(tmp_path / "folder" / "x")), "/folder does not exist"),
        (lambda: tf.gfile.Open(str(path), "q"), "must be 'r', 'w' or 'a'"),
        (lambda: tf.gfile.Open(str(path)).read(), "UTF-8"),
        (lambda: tf.gfile.Open(str(path), "rb").write(b""), "opened with mode 'rb'"),
        (lambda: tf.gfile.ListDirectory(str(path)), "x: "),
        (lambda: tf.gfile.Copy(str(path), str(tmp_path / "y")), "overwrite"),
        (lambda: tf.gfile.Exists("gs://bucket/x"), "to this machine"),
        (lambda: tf.gfile.Remove(3), "3 is not a path"),
    ):
        with pytest.raises(rg.RnnGraphError, match=message):
            call()
    with pytest.raises(tf.errors.NotFoundError):
        tf.gfile.Remove(str(tmp_path / "no"))


def test_messages(caplog: pytest.LogCaptureFixture) -> None:
    before = logging.getLogger("tensorflow").level
    tf.logging.set_verbosity(tf.logging.INFO)
    tf.logging.debug("not written")
    tf.logging.info("step %d of %s", 3, "ten")
    tf.logging.warn("plain 100%")
    tf.logging.log(tf.logging.ERROR, "wrong")
    assert [(item.levelname, item.getMessage()) for item in caplog.records] == [
        ("INFO", "step 3 of ten"),
        ("WARNING", "plain 100%"),
        ("ERROR", "wrong"),
    ]
    assert tf.logging.get_verbosity() == logging.INFO
    with pytest.raises(rg.DtypeError, match="do not match the format"):
        tf.logging.info("%d", "x")
    logging.getLogger("tensorflow").setLevel(before)
