//===- QuernOps.td - All operations of the quern dialect --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
include "StructureOps.td"
include "TransformerOps.td"
include "TensorOps.td"
include "TrainingOps.td"
