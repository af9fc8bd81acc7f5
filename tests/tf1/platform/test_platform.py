"""Flags, main functions, files and messages."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rnngraph as rg
from rnngraph import tf1 as tf


@pytest.fixture
def flags() -> Iterator[Any]:
    """Flags of this test alone."""
    values = tf.flags.FLAGS
    before = dict(values._flags)
    values.remove_flag_values(before)
    yield values
    values.remove_flag_values(list(values))
    values._flags.update(before)


def define() -> None:
    tf.flags.DEFINE_string("name", "net", "a name")
    tf.app.flags.DEFINE_integer("batch_size", 32, "rows")
    tf.flags.DEFINE_float("rate", 1e-3, "a rate")
    tf.flags.DEFINE_boolean("train", True, "whether to train")
    tf.flags.DEFINE_bool("log", False, "whether to log")
    tf.flags.DEFINE_enum("kind", "lstm", ["lstm", "gru"], "a kind")
    tf.flags.DEFINE_list("sizes", "1,2", "sizes")


def test_flags_of_a_command_line(flags: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    define()
    monkeypatch.setattr(
        sys, "argv", ["x.py", "--batch_size=7", "-rate", "0.5", "--notrain", "--log", "in", "--other=3"]
    )
    assert (flags.batch_size, flags.rate, flags.train, flags.log, flags.name) == (7, 0.5, False, True, "net")
    assert flags(sys.argv) == ["x.py", "in", "--other=3"]
    assert flags(["x.py", "--name", "two words", "--log=false", "--sizes=a, b", "--", "--rate=1"]) == [
        "x.py",
        "--rate=1",
    ]
    assert (flags.name, flags.log, flags.sizes, flags.rate) == ("two words", False, ["a", "b"], 0.5)
    flags.rate = 2
    assert flags.rate == 2.0
    assert flags["rate"].value == 2.0
    assert "rate" in flags
    assert {name: flag.value for name, flag in getattr(flags, "__flags").items()} == flags.flag_values_dict()
    assert "{}".format(getattr(flags, "__flags")["name"]) == "two words"
    tf.flags.DEFINE_integer("batch_size", 5, "again")
    assert flags(["x.py"]) == ["x.py"]
    assert flags.batch_size == 5


def test_mistakes_in_flags(flags: Any, capsys: pytest.CaptureFixture[str]) -> None:
    define()
    for words, message in (
        (["--batch_size=x"], "whole number"), (["--train=maybe"], "bool"), (["--rate"], "no value"),
        (["--kind=x"], "one of"),
    ):  # fmt: skip
        with pytest.raises(tf.flags.Error, match=message):
            flags(["x.py", *words])
    with pytest.raises(AttributeError, match="did you mean batch_size"):
        _ = flags.batch_sise
    with pytest.raises(rg.RnnGraphError, match="no flag is named"):
        flags.nothing = 3
    with pytest.raises(rg.RnnGraphError, match="whole number"):
        tf.flags.DEFINE_integer("n", "x", "")
    tf.flags.DEFINE_string("needed", None, "")
    tf.flags.mark_flag_as_required("needed")
    with pytest.raises(tf.flags.Error, match="must be given"):
        flags(["x.py"])
    with pytest.raises(SystemExit):
        flags(["x.py", "--help"])
    assert "--batch_size: rows (default: 32)" in capsys.readouterr().out


def test_a_main_function_is_run(flags: Any) -> None:
    define()
    seen: list[Any] = []
    with pytest.raises(SystemExit) as ended:
        tf.app.run(lambda argv: seen.append((argv, flags.rate)), argv=["x.py", "--rate=3", "more"])
    assert seen == [(["x.py", "more"], 3.0)]
    assert not ended.value.code
    with pytest.raises(SystemExit) as ended:
        tf.app.run(argv=["x.py"])
    assert ended.value.code == 3


def main(argv: list[str]) -> int:
    """What ``tf.app.run()`` finds."""
    return 3


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
        (lambda: tf.gfile.Open(str(tmp_path / "no")), "there is no"),
        (lambda: tf.gfile.Open(str(path), "q"), "read, write or append"),
        (lambda: tf.gfile.Open(str(path)).read(), "UTF-8"),
        (lambda: tf.gfile.Open(str(path), "rb").write(b""), "opened with mode 'rb'"),
        (lambda: tf.gfile.ListDirectory(str(path)), "x: "),
        (lambda: tf.gfile.Copy(str(path), str(tmp_path / "y")), "overwrite"),
        (lambda: tf.gfile.Exists("gs://bucket/x"), "another machine"),
        (lambda: tf.gfile.Remove(3), "no path"),
    ):  # fmt: skip
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
        ("INFO", "step 3 of ten"), ("WARNING", "plain 100%"), ("ERROR", "wrong"),
    ]  # fmt: skip
    assert tf.logging.get_verbosity() == logging.INFO
    with pytest.raises(rg.DtypeError, match="does not fit"):
        tf.logging.info("%d", "x")
    logging.getLogger("tensorflow").setLevel(before)
