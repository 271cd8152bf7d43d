# ===- fused_linear.py - Gradient of quern.fused_linear ---------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: %python %s

from gradient import Case, check

cases = []
for rows, i, outputs in [("", 3, (5, 2)), ("2x5x", 8, (3, 3, 4)), ("3x", 7, (9, 1))]:
    x, names = f"{rows}{i}", [f"y{n}" for n in range(len(outputs))]
    results = {name: f"{rows}{o}" for name, o in zip(names, outputs)}
    left = ", ".join("%" + name for name in names)
    for transposed in ["", "transposed"]:
        for biases in [False, True]:
            parameters = {"x": x}
            for n, o in enumerate(outputs):
                parameters[f"w{n}"] = f"{o}x{i}" if transposed else f"{i}x{o}"
            ws = ", ".join(f"%w{n}" for n in range(len(outputs)))
            bias = ""
            if biases:
                parameters |= {f"b{n}": str(o) for n, o in enumerate(outputs)}
                bias = f"biases({', '.join(f'%b{n}' for n in range(len(outputs)))})"
            types = ", ".join(f"{{{name}}}" for name in parameters)
            body = f"{left} = quern.fused_linear %x weights({ws}) {bias} {transposed} : {types}"
            cases.append(Case(parameters, body, results))
    cases.append(Case(parameters, body, {names[-1]: results[names[-1]]}))  # only one result is used
check(cases)
