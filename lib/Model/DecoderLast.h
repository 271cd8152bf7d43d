//===- DecoderLast.h - Results of a program for the last position alone -----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_MODEL_DECODERLAST_H
#define QUERN_LIB_MODEL_DECODERLAST_H

#include "DecoderSequence.h"

namespace quern::model {

/// Makes `program` return its results along the sequence for the last position alone, with a
/// sequence of 1, and compute no more of them than that: ops that treat positions one by one see
/// the last one only. Types, of the program and of what comes after the ops that changed, are to be
/// inferred anew.
void keepLast(FunctionOp program, const SequenceAnalysis &sequence);

} // namespace quern::model

#endif // QUERN_LIB_MODEL_DECODERLAST_H
