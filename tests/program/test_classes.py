"""Names of classes are preserved with a program."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

NAMES = ("cat", 'a "dog"', "café\\?", "x")


def scorer(**options: Any) -> rg.Program:
    x = rg.placeholder("x", (None, None, 3))
    outputs, state = rg.dynamic_rnn(rg.GRUCell(4), x)
    return rg.compile({"scores": rg.softmax(rg.dense(outputs, 4)), "parts": (state, outputs)}, **options)


def test_programs_keep_them(tmp_path: Path) -> None:
    program = scorer(classes={"scores": NAMES, "parts/0": [3, 1.5, True, np.int64(7)]})
    expected = {"scores": NAMES, "parts/0": (3, 1.5, True, 7)}
    program.save(tmp_path / "model")
    loaded = rg.load(tmp_path / "model")
    loaded.save(tmp_path / "again")
    for compiled in (program, loaded, rg.load(tmp_path / "again"), pickle.loads(pickle.dumps(program))):
        assert compiled.classes == expected
        assert [type(name) for name in compiled.classes["parts/0"]] == [int, float, bool, int]
    assert scorer().classes == {}
    x = rg.placeholder("x", (None, 2))
    for classes in (["no", "yes"], {"output": ["no", "yes"]}):
        bare = rg.compile(x * 2.0, classes=classes, loss=rg.reduce_sum(x))
        assert rg.loads(rg.dumps(bare)).classes == {"output": ("no", "yes")}
    with pytest.raises(TypeError):
        program.classes["scores"] = ()  # type: ignore[index]


@pytest.mark.parametrize("form", ["stream", "sequence"])
def test_exports_have_them(form: str, tmp_path: Path) -> None:
    program = scorer(classes={"scores": NAMES})
    program.inference.export(tmp_path, "net", form=form)
    described = json.loads((tmp_path / "net.json").read_text())
    assert described["classes"] == {"scores": [*NAMES]}
    source = tmp_path / "names.c"
    source.write_text(
        '#include <stdio.h>\n#include "net.h"\nint main(void) {\n'
        '    for (int i = 0; i < NET_SCORES_CLASSES; i++) printf("%s\\n", net_scores_classes[i]);\n    return 0;\n}\n'
    )
    if (compiler := shutil.which("cc")) is None:
        pytest.skip("needs a C compiler")
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    subprocess.run([compiler, *flags, "-o", tmp_path / "names", source], check=True)
    output = subprocess.run([tmp_path / "names"], check=True, capture_output=True).stdout
    assert output.decode().splitlines() == [*NAMES]
    test = [compiler, *flags, "-c", "-o", tmp_path / "test.o", tmp_path / "net_test.c"]
    subprocess.run(test, check=True, cwd=tmp_path)


def test_exports_without_them_are_as_before(tmp_path: Path) -> None:
    scorer().inference.export(tmp_path, "net")
    assert "CLASSES" not in (tmp_path / "net.h").read_text()
    assert "classes" not in json.loads((tmp_path / "net.json").read_text())


def test_estimators_set_classes(tmp_path: Path) -> None:
    sklearn = pytest.importorskip("rnngraph.sklearn")
    generator = np.random.default_rng(0)
    x = generator.normal(size=(12, 5, 2)).astype(np.float32)
    for labels, expected in ((["dog", "ant", "cat"], ("ant", "cat", "dog")), ([5, 2, 9], (2, 5, 9))):
        actual = sklearn.SequenceClassifier(units=3, epochs=1, random_state=0).fit(x, np.array(labels * 4))
        assert actual.program_.classes == {"probabilities": expected}
        actual.program_.save(tmp_path / "model")
        loaded = rg.load(tmp_path / "model")
        best = loaded.predict({"x": x})["probabilities"].argmax(1)
        assert [loaded.classes["probabilities"][index] for index in best] == actual.predict(x).tolist()
        assert pickle.loads(pickle.dumps(actual)).program_.classes == actual.program_.classes


@pytest.mark.parametrize(
    ("classes", "error", "words"),
    [
        ({"score": NAMES}, rg.NameLookupError, "did you mean scores"),
        ({"scores": NAMES[:3]}, rg.ShapeError, "has 3 names, and the output is"),
        ({"scores": ["a", "b", "a", "c"]}, rg.ArgumentError, "a name twice"),
        ({"scores": "abcd"}, rg.DtypeError, "must be a list of names"),
        (NAMES, rg.ArgumentError, r"has 3 outputs, so classes= must name one: \{'scores'"),
        (4, rg.ArgumentError, "has 3 outputs"),
    ],
    ids=["name", "count", "twice", "text", "several", "number"],
)
def test_others_are_errors(classes: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=f"test_classes.py:[0-9]+: .*{words}"):
        scorer(classes=classes)


def test_damaged_files_are_errors(tmp_path: Path) -> None:
    data = scorer(classes={"scores": NAMES})
    data.save(tmp_path / "model")
    for text in ('["cat"]', '{"scores": ["cat"]}', '{"nothing": []}', "3", '{"scores": "abcd"}'):
        files = {**_files(tmp_path / "model")}
        document = json.loads(files["declaration.json"]) | {"classes": json.loads(text)}
        files["declaration.json"] = json.dumps(document).encode()
        from rnngraph.program.saved.save_load import source_from

        with pytest.raises(rg.FileError, match="can't be read as a program"):
            source_from(files, "it")


def _files(folder: Path) -> dict[str, bytes]:
    from rnngraph.program.saved.save_load import KIND, VERSION
    from rnngraph.storage.versioned_directory import read_directory

    return read_directory(folder, KIND, VERSION)
