"""A kernel, and what quern-emulate finds in it when lines of it change: for tests beside this file."""

import os
import subprocess

import numpy as np


class Kernel:
    """PTX text with one kernel, whose only parameter is a buffer of `words` 32-bit words."""

    def __init__(self, folder, text, words, launch):
        self.folder, self.text, self.words, self.launch = folder, text, words, launch
        os.makedirs(folder, exist_ok=True)

    def emulate(self, name, changes, launch):
        """Runs it with texts replaced; returns exit code, output, and the buffer."""
        text = self.text
        for old, new in changes:
            assert text.count(old) == 1, (name, old, text.count(old))
            text = text.replace(old, new)
        ptx = os.path.join(self.folder, name + ".ptx")
        out = os.path.join(self.folder, name + ".out")
        with open(ptx, "w", encoding="utf-8") as file:
            file.write(text)
        np.zeros(self.words, np.uint32).tofile(out)
        run = subprocess.run(
            ["quern-emulate", ptx, *(launch or self.launch), "--argument", "buffer:" + out],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return run.returncode, run.stdout, np.fromfile(out, np.uint32)

    def clean(self, name, *changes, launch=None):
        """Nothing is found; returns the buffer."""
        code, found, result = self.emulate(name, changes, launch)
        assert code == 0, (name, found)
        return result

    def finds(self, name, messages, *changes, code=1, launch=None):
        """All of `messages` are found; 2 is the exit code when the text cannot be loaded."""
        result, found, _ = self.emulate(name, changes, launch)
        assert result == code, (name, found)
        for message in messages:
            assert message in found, (name, message, found)
