import os
import tempfile
from tempfile import mktemp


def export(rows):
    # ruleid: python.security.mktemp
    path = tempfile.mktemp(suffix=".csv")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(rows)
    return path


def short():
    # ruleid: python.security.mktemp
    return mktemp()


def opened(rows):
    # ok: python.security.mktemp
    handle, path = tempfile.mkstemp(suffix=".csv")
    os.close(handle)
    return path


def folder():
    # ok: python.security.mktemp
    return tempfile.mkdtemp()
