# ===- shapes.py - Gradients of ops that move or repeat elements ------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: %python %s

# Of quern.split_heads, quern.merge_heads, quern.transpose, quern.split, quern.concatenate,
# quern.repeat, quern.broadcast, quern.sum, tensor.expand_shape, tensor.collapse_shape, tensor.cast.

from gradient import Case, check

cases = [
    Case({"x": "2x3x8"}, "%y = quern.split_heads %x heads 4 : {x}", {"y": "2x3x4x2"}),
    Case({"x": "6"}, "%y = quern.split_heads %x heads 1 : {x}", {"y": "1x6"}),
    Case({"x": "2x3x4x2"}, "%y = quern.merge_heads %x : {x}", {"y": "2x3x8"}),
    Case({"x": "3x5"}, "%y = quern.merge_heads %x : {x}", {"y": "15"}),
    Case({"x": "2x3"}, "%y = quern.transpose %x [1, 0] : {x}", {"y": "3x2"}),
    Case({"x": "2x3x4x5"}, "%y = quern.transpose %x [2, 0, 3, 1] : {x}", {"y": "4x2x5x3"}),
    Case({"x": "2x9"}, "%a, %b, %c = quern.split %x dimension 1 sizes [2, 3, 4] : {x}", {"a": "2x2", "b": "2x3", "c": "2x4"}),
    Case({"x": "2x9"}, "%a, %b, %c = quern.split %x dimension 1 sizes [2, 3, 4] : {x}", {"b": "2x3"}),
    Case({"x": "5x2x3"}, "%a, %c = quern.split %x dimension 0 sizes [1, 4] : {x}", {"a": "1x2x3", "c": "4x2x3"}),
    Case({"a": "2x3", "b": "2x1"}, "%y = quern.concatenate %a, %b, %a dimension 1 : {a}, {b}, {a}", {"y": "2x7"}),
    Case({"a": "2x3x2", "b": "1x3x2"}, "%y = quern.concatenate %a, %b dimension 0 : {a}, {b}", {"y": "3x3x2"}),
    Case({"x": "2x3x4"}, "%y = quern.repeat %x dimension 1 times 3 : {x}", {"y": "2x9x4"}),
    Case({"x": "5"}, "%y = quern.repeat %x dimension 0 times 1 : {x}", {"y": "5"}),
    Case({"x": "3"}, "%y = quern.broadcast %x like %like : {x}, {like}", {"y": "2x5x3"}, floats={"like": "2x5x3"}),
    Case({"x": "2x1x3"}, "%y = quern.broadcast %x like %like : {x}, {like}", {"y": "2x5x3"}, floats={"like": "2x5x3"}),
    Case({"x": "5x1"}, "%y = quern.broadcast %x like %like : {x}, {like}", {"y": "2x5x3"}, floats={"like": "2x5x3"}),
    Case({"x": ""}, "%y = quern.broadcast %x like %like : {x}, {like}", {"y": "2x3"}, floats={"like": "2x3"}),
    Case({"x": "2x3x4"}, "%y = quern.sum %x dimensions [1] : {x}", {"y": "2x4"}),
    Case({"x": "2x3x4"}, "%y = quern.sum %x dimensions [0, 2] : {x}", {"y": "3"}),
    Case({"x": "2x3"}, "%y = quern.sum %x dimensions [0, 1] : {x}", {"y": ""}),
    Case({"x": "6x2"}, "%y = tensor.expand_shape %x [[0, 1], [2]] output_shape [2, 3, 2] : {x} into {y}", {"y": "2x3x2"}),
    Case({"x": "2x3x2"}, "%y = tensor.collapse_shape %x [[0], [1, 2]] : {x} into {y}", {"y": "2x6"}),
    Case(
        {"x": "2x3"},
        "%d = tensor.cast %x : {x} to tensor<?x3xf32>\n%e = arith.mulf %d, %d : tensor<?x3xf32>\n"
        "%y = tensor.cast %e : tensor<?x3xf32> to {y}",
        {"y": "2x3"},
    ),
]
# With squares around them, so that the adjoint depends on the value.
for case in list(cases[:2]) + [cases[5], cases[11]]:
    name, shape = next(iter(case.parameters.items()))
    body = case.body.replace("%x ", "%square ")
    cases.append(Case(case.parameters, f"%square = arith.mulf %x, %x : {{x}}\n{body}", case.results))
check(cases)
