//===- Description.h - The description that a module carries ----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_DIALECTS_KERNEL_DESCRIPTION_H
#define QUERN_DIALECTS_KERNEL_DESCRIPTION_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/Support/JSON.h"

namespace quern::kernel {

/// The name of a program as the model has it: a copy for another target bears the target's before
/// that.
llvm::StringRef programName(mlir::func::FuncOp program);

/// What `quern-convert-to-kernel` wrote about a model and its programs, the text of the attribute
/// `quern.model` (Program.h has its format), for passes that find out more about them.
class Description {
public:
  /// Reads that of `module`; one that has no such text is described by null. Fails where the text
  /// is not JSON.
  static llvm::Expected<Description> read(mlir::ModuleOp module);

  /// The description of the model; null where it is no JSON object.
  llvm::json::Object *model() { return value.getAsObject(); }

  /// The description of a program, also for its copies for other targets, or null.
  llvm::json::Object *find(mlir::func::FuncOp program);

  std::string text() const;

  /// Replaces the text of `module`, if it has one.
  void write(mlir::ModuleOp module) const;

private:
  explicit Description(llvm::json::Value value) : value(std::move(value)) {}

  llvm::json::Value value;
};

} // namespace quern::kernel

#endif // QUERN_DIALECTS_KERNEL_DESCRIPTION_H
