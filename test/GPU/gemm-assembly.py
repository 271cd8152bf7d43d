#===- gemm-assembly.py - Matrix products in registers -------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===---------------------------------------------------------------------------------------------===#
# REQUIRES: ptxas
# RUN: %python %s
"""Products of the shapes that models have, assembled: no register goes to memory, ptxas warns of nothing, and as many
blocks find registers beside each other as the kernels count on."""

from device import ALL_ARCHITECTURES, Program, function


def product(name, a, b, c, options="", extra="", layer=None):
    """One product; with `layer`, B is the part of stacked weights that this is the shape of: who knows where it
    starts."""
    arguments = {"a": a, "b": b, "c": c}
    if extra:
        arguments["residual"] = c
    types = [a, b] + ([c] if extra else []) + [c]
    body, operand = "", "%b"
    if layer:
        k, n = layer
        types[1] = "memref<%dx%dx%s, strided<[%d, 1], offset: ?>>" % (k, n, b[:-1].split("x")[-1], n)
        body = """%%zero = arith.constant 0 : index
  %%number = memref.dim %%a, %%zero : %s
  %%layer = memref.subview %%b[%%number, 0, 0] [1, %d, %d] [1, 1, 1] : %s to %s
  """ % (a, k, n, b, types[1])
        operand = "%layer"
    body += "kernel.gemm %%a, %s %s into %%c {%s} : (%s) -> ()" % (
        operand, extra and "residual %residual", options, ", ".join(types))
    return function(name, arguments, body)


def programs():
    for element in ("f32", "bf16"):
        for n, k in ((2304, 768), (768, 3072), (50257, 768)):
            weights = "memref<12x%dx%dx%s>" % (k, n, element)
            rows_n, rows_k = "memref<?x%dx%s>" % (n, element), "memref<?x%dx%s>" % (k, element)
            name = "%s_%d" % (element, n)
            yield product("forward_" + name, rows_k, weights, rows_n, "activation = 2 : i32" if n == 2304 else "",
                          "residual" if n == 768 else "", (k, n))
            yield product("input_" + name, rows_n, weights, rows_k, "transpose_b", "", (k, n))
            yield product("weight_" + name, rows_k, rows_n, "memref<%dx%dxf32>" % (k, n), "transpose_a")
        fixed = tuple("memref<%s%s>" % (sizes, element) for sizes in ("1024x768x", "2304x768x", "1024x2304x"))
        yield product("fixed_" + element, *fixed, "transpose_b, activation = 3 : i32")


def main():
    text = "".join(programs())
    for architecture in ALL_ARCHITECTURES:
        for name, kernel in Program(text, architecture).assemble().items():
            assert not kernel["spills"], "%s spills %d bytes on %s" % (name, kernel["spills"], architecture)
            print(architecture, name, kernel["registers"], "registers")


main()
