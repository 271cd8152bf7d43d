//===- PerThreadBuffers.cpp - Small buffers of which each thread has a copy -------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "dialects/Kernel/Kernel.h"
#include "quern/Kernels/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "llvm/ADT/SetVector.h"

namespace quern::kernels {
#define GEN_PASS_DEF_PERTHREADBUFFERS
#include "quern/Kernels/Passes.h.inc"
} // namespace quern::kernels

using namespace mlir;
using namespace quern;

namespace {

/// Rows that a thread computes in about the time of a barrier, and no more than products by single
/// rows take (lib/CPU/Gemm.h).
constexpr int64_t rowsBytes = 16 << 10, mostRows = 7;
/// Even one row is too long from here on, and all copies together would need too much of a stack.
constexpr int64_t longestRow = 64 << 10, mostBytes = 128 << 10;

struct Candidate {
  memref::AllocOp alloc;
  int64_t rowBytes, rows; ///< rows: as many as its copies may have
};

class Finder {
public:
  explicit Finder(func::FuncOp program);

  SmallVector<memref::AllocOp> buffers() const;
  /// Rows that copies of buffers with a dynamic size have.
  int64_t dynamicRows() const;

private:
  bool isWrittenWhole(memref::AllocOp alloc);
  bool isWholeOnEachThread(Operation *kernel, OpOperand &output);
  bool isTaken(Value memref) const;
  void settle();

  SmallVector<Candidate> candidates; ///< in program order
  llvm::DenseSet<Operation *> taken;
};

/// What `memref` is a view of.
Value rootOf(Value memref) {
  while (auto view = memref.getDefiningOp<ViewLikeOpInterface>())
    memref = view.getViewSource();
  return memref;
}

bool isDynamic(Value memref) { return !cast<MemRefType>(memref.getType()).hasStaticShape(); }

Finder::Finder(func::FuncOp program) {
  Value size; // the dynamic size of all of them
  program.walk([&](memref::AllocOp alloc) {
    MemRefType type = alloc.getType();
    if (!type.getLayout().isIdentity() || !type.getElementType().isIntOrFloat())
      return;
    // A vector is a row of its own.
    ArrayRef<int64_t> row = type.getShape();
    int64_t rows = 1;
    if (type.getRank() > 1 || !type.hasStaticShape()) {
      rows = row.front();
      row = row.drop_front();
    }
    if (llvm::any_of(row, ShapedType::isDynamic))
      return;
    int64_t bytes = llvm::divideCeil(type.getElementTypeBitWidth(), 8);
    for (int64_t dim : row)
      bytes *= dim;
    if (bytes < 1 || bytes > longestRow)
      return;
    int64_t most = std::clamp<int64_t>(rowsBytes / bytes, 1, mostRows);
    if (ShapedType::isDynamic(rows)) {
      Value own = alloc.getDynamicSizes()[0];
      if (size && own != size)
        return;
      size = own;
    } else if (rows > most) {
      return;
    } else {
      most = rows;
    }
    candidates.push_back({alloc, bytes, most});
    taken.insert(alloc);
  });
  settle();
  // Those that do not fit any more, in program order, are shared, and with them what depends on
  // them.
  int64_t bytes = 0;
  for (const Candidate &candidate : candidates) {
    if (!taken.contains(candidate.alloc))
      continue;
    bytes += candidate.rowBytes * candidate.rows;
    if (bytes > mostBytes)
      taken.erase(candidate.alloc);
  }
  settle();
}

bool Finder::isTaken(Value memref) const {
  auto alloc = rootOf(memref).getDefiningOp<memref::AllocOp>();
  return alloc && taken.contains(alloc);
}

/// Whether a kernel can be run whole by each thread, and everything that it writes is a copy of the
/// thread's; of attention, what it makes of what all threads computed.
bool Finder::isWholeOnEachThread(Operation *kernel, OpOperand &output) {
  auto inits = cast<DestinationStyleOpInterface>(kernel);
  if (isa<kernel::CachedAttentionOp>(kernel))
    return &output == inits.getDpsInitOperand(0);
  auto generic = dyn_cast<linalg::GenericOp>(kernel);
  bool isSmall =
      generic
          ? generic.getNumParallelLoops() == generic.getNumLoops()
          : isa<kernel::NormOp, kernel::RotaryOp, kernel::EmbeddingOp, kernel::PositionEmbeddingOp>(
                kernel);
  // Whether there are few rows is known of all outputs or of none.
  return isSmall && llvm::all_of(inits.getDpsInits(), [&](Value other) {
           return isTaken(other) && isDynamic(rootOf(other)) == isDynamic(rootOf(output.get()));
         });
}

bool Finder::isWrittenWhole(memref::AllocOp alloc) {
  SmallVector<Value> views{alloc.getResult()};
  while (!views.empty()) {
    for (OpOperand &use : views.pop_back_val().getUses()) {
      Operation *user = use.getOwner();
      if (isa<memref::LoadOp, memref::DimOp>(user))
        continue;
      if (isa<ViewLikeOpInterface>(user)) {
        views.push_back(user->getResult(0));
        continue;
      }
      if (!isa<kernel::KernelDialect>(user->getDialect()) && !isa<linalg::GenericOp>(user))
        return false;
      auto inits = cast<DestinationStyleOpInterface>(user);
      if (inits.isDpsInit(&use) && !isWholeOnEachThread(user, use))
        return false;
    }
  }
  return true;
}

/// Gives up what some other kernel writes, until nothing more follows from that.
void Finder::settle() {
  bool changes = true;
  while (changes) {
    changes = false;
    for (const Candidate &candidate : candidates)
      if (taken.contains(candidate.alloc) && !isWrittenWhole(candidate.alloc))
        changes |= taken.erase(candidate.alloc);
  }
}

SmallVector<memref::AllocOp> Finder::buffers() const {
  SmallVector<memref::AllocOp> result;
  for (const Candidate &candidate : candidates)
    if (taken.contains(candidate.alloc))
      result.push_back(candidate.alloc);
  return result;
}

int64_t Finder::dynamicRows() const {
  int64_t rows = mostRows;
  for (Candidate candidate : candidates)
    if (taken.contains(candidate.alloc) && isDynamic(candidate.alloc.getResult()))
      rows = std::min(rows, candidate.rows);
  return rows;
}

struct PerThreadBuffers : quern::kernels::impl::PerThreadBuffersBase<PerThreadBuffers> {
  void runOnOperation() override {
    for (auto program : getOperation().getOps<func::FuncOp>()) {
      if (program->hasAttr("quern.target") || !program->hasAttr("quern.program")) // of a GPU
        continue;
      Finder finder(program);
      int64_t rows = finder.dynamicRows();
      for (memref::AllocOp alloc : finder.buffers()) {
        MemRefType type = alloc.getType();
        int64_t most = !type.hasStaticShape() ? rows : type.getRank() > 1 ? type.getDimSize(0) : 1;
        alloc->setAttr("quern.per_thread",
                       IntegerAttr::get(IntegerType::get(&getContext(), 64), most));
        ++numBuffers;
      }
    }
  }
};

} // namespace
