# ===- expected_story.py - The story that llama2.c's test expects --------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
"""expected_story.py SOURCE.txt: prints the quoted text after GOLDEN, which ends its paragraph."""

import re
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    story = re.search(r'GOLDEN.*?464 bytes:\n"(.*)"\nCHECKED', file.read(), re.DOTALL).group(1)
story = story.replace("\\n", "\n")
assert len(story) == 464, len(story)
sys.stdout.write(story)
