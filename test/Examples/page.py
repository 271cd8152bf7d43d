"""Runs the commands of a page: all ```sh blocks of a Markdown file, in their order, in one shell.

usage: page.py PAGE FOLDER REPOSITORY BUILD

The shell stops at the first command that fails. FOLDER is made anew; commands see the repository's
`examples` and `LICENSE` there, and the build folder as `build`.
"""
import os
import re
import shutil
import subprocess
import sys

page, folder, repository, build = sys.argv[1:]
with open(page, encoding="utf-8") as file:
    blocks = re.findall(r"^```sh\n(.*?)^```$", file.read(), re.MULTILINE | re.DOTALL)
if not blocks:
    sys.exit(f"{page} has no commands")
shutil.rmtree(folder, ignore_errors=True)
os.makedirs(folder)
for name in ("examples", "LICENSE"):
    os.symlink(os.path.join(repository, name), os.path.join(folder, name))
os.symlink(build, os.path.join(folder, "build"))
script = "set -euxo pipefail\n" + "".join(blocks)
result = subprocess.run(["bash", "-c", script], cwd=folder)
print(f"{len(blocks)} blocks, status {result.returncode}")
sys.exit(result.returncode)
