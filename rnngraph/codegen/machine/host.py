"""Facts about this machine that LLVM reports.

A file may hold the facts of an earlier process, so that a process with cached code does not load LLVM at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys

import llvmlite

from ...support.garbage import importing
from ...support.records import NamedTuple
from ...support.system.processor import described_processor


class HostFacts(NamedTuple):
    """LLVM's triple of this process, LLVM's name and features of the processor, and the version of LLVM.

    Features are in LLVM's syntax, such as ``+avx,-avx2``.
    """

    triple: str
    processor: str
    features: str
    llvm: str

    def has(self, feature: str) -> bool:
        """True if the processor has a feature."""
        return f"+{feature}" in self.features.split(",")


_facts: list[HostFacts] = []


def host_facts() -> HostFacts:
    """Return this machine's triple, processor and features, and LLVM's version, from a file or else from LLVM."""
    if not _facts:
        with importing():
            import llvmlite.binding as llvm  # slow to import, and not needed on a cache hit

        features = llvm.get_host_cpu_features().flatten()
        version = ".".join(map(str, llvm.llvm_version_info))
        _facts.append(HostFacts(str(llvm.get_process_triple()), str(llvm.get_host_cpu_name()), features, version))
    return _facts[0]


def are_known() -> bool:
    """True if this process has read or detected the facts about this machine already."""
    return bool(_facts)


def versions() -> tuple[str, str]:
    """Return the versions of llvmlite and LLVM, on which machine code depends."""
    return str(llvmlite.__version__), host_facts().llvm


def identity() -> str:
    """Return a digest of all that determines ``host_facts``, to check a stored copy; empty if unknown without LLVM.

    The digest includes the processor features that NumPy detects. In an emulator, they differ from those that the
    system reports.
    """
    library = os.path.join(os.path.dirname(llvmlite.__file__), "binding", "libllvmlite.so")
    try:
        status, processor = os.stat(library), described_processor()
    except OSError:
        return ""
    features = getattr(sys.modules.get("numpy._core._multiarray_umath"), "__cpu_features__", None)
    if not processor or not features:
        return ""
    known = HostFacts._fields, processor, features, status.st_size, status.st_mtime_ns, llvmlite.__version__, library
    return hashlib.sha256(repr(known).encode()).hexdigest()


def facts_text() -> bytes:
    """Return the facts about this machine as bytes, from which ``recall`` can read them in another process."""
    content = json.dumps(host_facts()).encode()
    return hashlib.sha256(content).hexdigest().encode() + content


def recall(text: bytes) -> bool:
    """Use the facts in ``text``, which ``facts_text`` returned in a process with the same ``identity``.

    Return True, or False if the text is damaged. The known facts then stay unchanged.
    """
    digest, content = text[:64], text[64:]
    is_intact = hashlib.sha256(content).hexdigest().encode() == digest
    if is_intact:
        _facts[:] = [HostFacts(*json.loads(content))]
    return is_intact
