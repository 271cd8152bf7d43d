# ===- unit.cfg.py - How lit runs the GoogleTest programs ------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
"""The programs are BUILD/unit/*Tests; see quern_unit_test in CMakeLists.txt."""

import os

import lit.formats

config.name = "Quern-Unit"
config.test_source_root = os.path.join(config.quern_build, "unit")
config.test_exec_root = config.test_source_root
config.test_format = lit.formats.GoogleTest("", "Tests")
config.environment["QUERN_TEST_DATA"] = os.environ.get("QUERN_TEST_DATA") or os.path.realpath(
    os.path.join(config.quern_source, "..", "shared", "data")
)
config.environment["QUERN_SOURCE"] = config.quern_source
config.environment["OMP_WAIT_POLICY"] = "passive"
# As in lit.cfg.py.
config.environment["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "detect_leaks=0:detect_container_overflow=0:allow_user_poisoning=0")
