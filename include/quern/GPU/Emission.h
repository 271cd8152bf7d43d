//===- Emission.h - Where an emitter writes the launches of one kernel ------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// An op of the kernel dialect becomes a function of the host that computes sizes and addresses and
/// asks for one or more launches, and the device code of these. How work is divided into blocks and
/// threads, and the order in which each adds, depend on shapes only: the same program gives the
/// same bits on every run.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_GPU_EMISSION_H
#define QUERN_GPU_EMISSION_H

#include "quern/GPU/Architecture.h"
#include "quern/GPU/Thread.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"

#include <string>

namespace quern::nvidia {

/// Blocks of a launch in each dimension: indices of the host.
struct Grid {
  mlir::Value x, y, z; ///< null where it is 1
  /// So many blocks, neighbours in x, which is a multiple of it, run at the same time and reach
  /// each other's shared memory. Above 1 for sm_90 and newer alone.
  int64_t cluster = 1;
};

/// Bytes of an encoded tensor map, and of what its address is a multiple.
constexpr int64_t tensorMapBytes = 128, tensorMapAlignment = 64;
/// The attribute of a kernel's function that says how many of its last parameters are addresses of
/// tensor maps, which are passed by value: the accelerator reads them where they are.
constexpr llvm::StringLiteral tensorMapsAttribute = "quern.tensor_maps";

/// A tensor in device memory and the boxes in which a kernel copies it by the tensor memory
/// accelerator, of sm_90a (quern_tensor_map, include/quern/Runtime/Program.h). Dimension 0 is the
/// innermost. All values are indices of the host.
struct TensorMap {
  mlir::Value address;                       ///< a multiple of 16
  mlir::Type element;                        ///< bf16, f16 or f32
  llvm::SmallVector<mlir::Value, 5> sizes;   ///< elements in each dimension, 1 or more
  llvm::SmallVector<mlir::Value, 4> strides; ///< bytes from one index of dimension 1, 2, ... to the
                                             ///< next, multiples of 16
  llvm::SmallVector<int64_t, 5> box;         ///< elements, 256 at most in each dimension
  int64_t swizzle;                           ///< bytes: 0 (none), 32, 64 or 128
};

class Emission : public emission::Code {
public:
  /// Writes host code at `builder`, and kernels into `device` under names that begin with `name`.
  Emission(mlir::OpBuilder &builder, mlir::Location loc, const Architecture &architecture,
           mlir::gpu::GPUModuleOp device, llvm::StringRef name, mlir::Value scratch,
           bool tensorFloat = false)
      : Code(builder, loc), architecture(architecture), tensorFloat(tensorFloat), device(device),
        name(name), scratchBase(scratch) {}

  const Architecture &architecture;
  /// Whether products may round f32 factors to TF32 (10 bits of mantissa).
  const bool tensorFloat;

  /// Launches a kernel of `threads` threads a block (a multiple of 32) over `grid`. `operands` are
  /// memrefs, indices and integers or floats of the host; `body` writes the kernel, with what each
  /// of them is on the device: memrefs become memrefs in global memory, of the same shape.
  /// Launches run one after the other: each sees what those before it wrote. A grid in which a
  /// dimension is 0 launches nothing.
  void launch(const Grid &grid, int64_t threads, mlir::ValueRange operands,
              llvm::function_ref<void(Thread &thread, mlir::ValueRange operands)> body);
  /// The same with tensor maps: in the kernel, generic addresses of what the runtime encoded.
  void
  launch(const Grid &grid, int64_t threads, mlir::ValueRange operands,
         llvm::ArrayRef<TensorMap> maps,
         llvm::function_ref<void(Thread &thread, mlir::ValueRange operands, mlir::ValueRange maps)>
             body);

  /// Device memory that lasts for this kernel's launches, 256-byte aligned, uninitialized. Its size
  /// must be static, so that the size of the arena stays a closed formula.
  mlir::Value scratch(llvm::ArrayRef<int64_t> shape, mlir::Type element);

  /// Rank-1 `values` as constants of the device's code, in global memory, seen from a kernel.
  /// `what` names them: once in the kernels of this op.
  mlir::Value constants(Thread &thread, llvm::StringRef what, mlir::DenseElementsAttr values);
  mlir::Value constants(Thread &thread, llvm::StringRef what, llvm::ArrayRef<double> values);

  /// A name for a symbol of this kernel's device code.
  std::string symbol(llvm::StringRef what) const { return (llvm::Twine(name) + "_" + what).str(); }
  mlir::gpu::GPUModuleOp deviceModule() const { return device; }

  /// Bytes of scratch that this kernel has asked for.
  int64_t scratchBytes = 0;

private:
  mlir::gpu::GPUModuleOp device;
  std::string name;
  mlir::Value scratchBase; ///< memref<?xi8>
  int64_t launches = 0;
};

/// The most blocks that a kernel with one partial result a block is given: enough to fill a GPU,
/// few enough to add up in one more block.
constexpr int64_t partialBlocks = 256;

/// min(count, limit) blocks.
mlir::Value atMost(Emission &emission, mlir::Value count, int64_t limit);

/// Runs `then` where `condition` (i1, of the host or the device) holds, `otherwise` elsewhere.
void choose(emission::Code &code, mlir::Value condition, llvm::function_ref<void()> then,
            llvm::function_ref<void()> otherwise);

/// Launches of one kind or the other, as the host finds `condition` (i1) to be. Only one of them
/// runs, and so they use the same scratch memory.
void either(Emission &emission, mlir::Value condition, llvm::function_ref<void()> one,
            llvm::function_ref<void()> other);

} // namespace quern::nvidia

#endif // QUERN_GPU_EMISSION_H
