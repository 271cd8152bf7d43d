#===- elementwise_generic.py - The text of a function with one linalg.generic ------------------------===//
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===---------------------------------------------------------------------------------------------===//


def generic(name, dims, operands, body, iterators=None):
    """A function of one generic. `operands` are (memref type, indexing map results), the last the output;
    their block arguments are %a0, %a1, ... and the body yields %r."""
    iterators = iterators or ["parallel"] * dims
    d = ", ".join("d%d" % i for i in range(dims))
    names = ["%%m%d" % i for i in range(len(operands))]
    element = lambda t: t[len("memref<"):].split(",")[0].rstrip(">").split("x")[-1]
    return """func.func @%s(%s) {
      linalg.generic {indexing_maps = [%s], iterator_types = [%s]} %s outs(%s : %s) {
        ^bb0(%s):
        %s
        linalg.yield %%r : %s
      }
      return
    }\n""" % (name, ", ".join("%s: %s" % (n, t) for n, (t, _) in zip(names, operands)),
              ", ".join("affine_map<(%s) -> (%s)>" % (d, m) for _, m in operands),
              ", ".join('"%s"' % i for i in iterators),
              "ins(%s : %s)" % (", ".join(names[:-1]), ", ".join(t for t, _ in operands[:-1])) if operands[:-1] else "",
              names[-1], operands[-1][0],
              ", ".join("%%a%d: %s" % (i, element(t)) for i, (t, _) in enumerate(operands)), body,
              element(operands[-1][0]))
