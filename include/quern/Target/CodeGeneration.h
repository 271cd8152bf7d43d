//===- CodeGeneration.h - LLVM IR to machine code --------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===-----------------------------------------------------------------------------------------===//
///
/// \file
/// From a module in the LLVM dialect to LLVM IR, and from there to assembly or an object file for
/// the machine that the kernels were emitted for.
///
//===-----------------------------------------------------------------------------------------===//
#ifndef QUERN_TARGET_CODEGENERATION_H
#define QUERN_TARGET_CODEGENERATION_H

#include "quern/CPU/Machine.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"

#include <memory>
#include <vector>

namespace mlir {
class DialectRegistry;
}

namespace quern::target {

/// What `translateToLLVMIR` needs to know of dialects.
void registerTranslations(mlir::DialectRegistry &registry);

/// LLVM's code generator for `machine`, at -O3, position-independent.
llvm::Expected<std::unique_ptr<llvm::TargetMachine>>
createTargetMachine(const cpu::Machine &machine);

/// LLVM IR of a module in the LLVM dialect, for `target`. Of a module with a `quern_programs`
/// table, that table and the description stay visible from outside, and nothing else; of other
/// modules all public functions do. Errors are reported as diagnostics of `module`.
std::unique_ptr<llvm::Module> translateToLLVMIR(mlir::ModuleOp module, const cpu::Machine &machine,
                                                llvm::TargetMachine &target,
                                                llvm::LLVMContext &context);

/// LLVM's -O3 pipeline.
void optimize(llvm::Module &module, llvm::TargetMachine &target);

/// Writes an object file (or assembly) of `module` to `out`.
llvm::Error generateCode(llvm::Module &module, llvm::TargetMachine &target,
                         llvm::CodeGenFileType type, llvm::raw_pwrite_stream &out);

/// Object files of `module`, optimized: it is split into parts that are worked on side by side. The
/// parts, and so the code, do not depend on the number of cores.
llvm::Expected<std::vector<llvm::SmallString<0>>> generateObjects(llvm::Module &module,
                                                                  const cpu::Machine &machine);

} // namespace quern::target

#endif // QUERN_TARGET_CODEGENERATION_H
