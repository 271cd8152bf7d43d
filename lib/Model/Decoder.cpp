//===- Decoder.cpp - The programs prefill and decode ------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// From the causal forward pass by rewriting: keys and values of every self-attention go to a
/// cache, queries see the cache, and positions count from the number of tokens in it. What the
/// programs give, they give for the last position.
///
//===---------------------------------------------------------------------------------------------===//

#include "DecoderLast.h"
#include "DecoderSequence.h"
#include "DeriveDimensions.h"
#include "DeriveExpand.h"
#include "DerivePrograms.h"
#include "DeriveTypes.h"
#include "dialects/Quern/DifferentiableOpInterface.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"

#include "llvm/ADT/StringMap.h"

using namespace mlir;
using namespace quern;
using namespace quern::model;

static constexpr StringLiteral sequenceName = "sequence";

namespace {

/// A cache in one block: the value there, and the value after the block has appended to it.
struct CacheSlot {
  std::string name;
  Value before, after;
};

class DecoderBuilder {
public:
  DecoderBuilder(FunctionOp program, const SequenceAnalysis &sequence)
      : program(program), sequence(sequence), dimensions(program.getBody()) {}

  LogicalResult run(bool oneToken);

private:
  /// Rewrites the ops of a block; `slots` receives its caches. `makeCache` gives the block a new
  /// one.
  void rewrite(Block &block, StringRef path,
               function_ref<Value(RankedTensorType, StringRef)> makeCache,
               SmallVectorImpl<CacheSlot> &slots);
  void rewriteScan(ScanOp scan, StringRef path,
                   function_ref<Value(RankedTensorType, StringRef)> makeCache,
                   SmallVectorImpl<CacheSlot> &slots);
  void rewriteAttention(AttentionOp op, StringRef path,
                        function_ref<Value(RankedTensorType, StringRef)> makeCache,
                        SmallVectorImpl<CacheSlot> &slots);
  void replaceConstants();

  FunctionOp program;
  const SequenceAnalysis &sequence;
  Dimensions dimensions;
  Value position;
  std::string batchName;
  llvm::StringMap<unsigned> numbers; // of attentions, by path
};

} // namespace

/// A splat constant as long as the sequence becomes quern.full, which has the length of its
/// operand.
void DecoderBuilder::replaceConstants() {
  program.walk([&](Operation *op) {
    if (!op->hasTrait<OpTrait::Elementwise>())
      return;
    Value like;
    for (Value operand : op->getOperands())
      if (sequence.get(operand))
        like = operand;
    for (OpOperand &operand : op->getOpOperands()) {
      DenseElementsAttr constant;
      auto type = dyn_cast<RankedTensorType>(operand.get().getType());
      if (!like || !type || type.getRank() == 0 || !isa<FloatType>(type.getElementType()) ||
          !matchPattern(operand.get(), m_Constant(&constant)) ||
          type.getElementType() != cast<RankedTensorType>(like.getType()).getElementType())
        continue;
      OpBuilder b(op);
      operand.set(createFull(b, operand.get().getLoc(),
                             constant.getSplatValue<APFloat>().convertToDouble(), like));
    }
  });
}

void DecoderBuilder::rewriteAttention(AttentionOp op, StringRef path,
                                      function_ref<Value(RankedTensorType, StringRef)> makeCache,
                                      SmallVectorImpl<CacheSlot> &slots) {
  OpBuilder b(op);
  std::string base = ("cache." + path + (path.empty() ? "" : ".") + Twine(numbers[path]++)).str();
  auto append = [&](Value x, StringRef what) -> Value {
    auto type = cast<RankedTensorType>(x.getType());
    SmallVector<int64_t> shape(type.getShape());
    shape[1] = ShapedType::kDynamic;
    CacheSlot slot;
    slot.name = base + "." + what.str();
    slot.before = makeCache(RankedTensorType::get(shape, type.getElementType()), slot.name);
    slot.after = CacheAppendOp::create(b, op.getLoc(), slot.before, x, position);
    slots.push_back(slot);
    return slot.after;
  };
  Value keys = append(op.getK(), "keys"), values = append(op.getV(), "values");
  op.getKMutable().assign(keys);
  op.getVMutable().assign(values);
  op.getOffsetMutable().assign(position);
}

void DecoderBuilder::rewriteScan(ScanOp scan, StringRef path,
                                 function_ref<Value(RankedTensorType, StringRef)> makeCache,
                                 SmallVectorImpl<CacheSlot> &slots) {
  Block &body = scan.getBody().front();
  std::string inner = path.str();
  if (auto layers = scan->getAttrOfType<FlatSymbolRefAttr>("quern.layers"))
    inner = layers.getValue().str();
  SmallVector<CacheSlot> bodySlots;
  rewrite(
      body, inner,
      [&](RankedTensorType type, StringRef) -> Value {
        return body.addArgument(type, scan.getLoc());
      },
      bodySlots);
  if (bodySlots.empty())
    return;
  SmallVector<Value> stacks(scan.getStacks());
  SmallVector<Type> types(scan.getResultTypes());
  for (CacheSlot &slot : bodySlots) {
    RankedTensorType type = ScanOp::stack(slot.before.getType(), scan.getCount());
    stacks.push_back(makeCache(type, slot.name));
    types.push_back(type);
    scan.getYield()->insertOperands(scan.getYield().getNumOperands(), slot.after);
  }
  OpBuilder b(scan);
  auto rebuilt = ScanOp::create(b, scan.getLoc(), types, scan.getInits(), stacks, scan.getCount(),
                                scan.getReverse());
  rebuilt->setDiscardableAttrs(scan->getDiscardableAttrDictionary());
  rebuilt.getBody().takeBody(scan.getBody());
  unsigned numResults = scan.getNumResults();
  scan->replaceAllUsesWith(rebuilt.getResults().take_front(numResults));
  scan.erase();
  for (auto [i, slot] : llvm::enumerate(bodySlots))
    slots.push_back({slot.name,
                     rebuilt.getStacks()[rebuilt.getStacks().size() - bodySlots.size() + i],
                     rebuilt.getResult(numResults + i)});
}

void DecoderBuilder::rewrite(Block &block, StringRef path,
                             function_ref<Value(RankedTensorType, StringRef)> makeCache,
                             SmallVectorImpl<CacheSlot> &slots) {
  for (Operation &op : llvm::make_early_inc_range(block.without_terminator())) {
    if (auto attention = dyn_cast<AttentionOp>(op)) {
      if (sequence.get(attention.getK()))
        rewriteAttention(attention, path, makeCache, slots);
    } else if (auto scan = dyn_cast<ScanOp>(op)) {
      rewriteScan(scan, path, makeCache, slots);
    } else if (auto embedding = dyn_cast<PositionEmbeddingOp>(op)) {
      if (sequence.get(embedding.getTokens()))
        embedding.getOffsetMutable().assign(position);
    } else if (auto rotary = dyn_cast<RotaryEmbeddingOp>(op)) {
      if (sequence.get(rotary.getX()))
        rotary.getOffsetMutable().assign(position);
    }
  }
}

LogicalResult DecoderBuilder::run(bool oneToken) {
  replaceConstants();
  if (!oneToken)
    keepLast(program, sequence);
  ProgramBuilder builder(program);
  MLIRContext *context = program.getContext();
  unsigned numInputs = 0;
  while (numInputs < program.getNumArguments() && getRole(program, numInputs) == "input")
    ++numInputs;

  // What the inputs call the first dimension beside the sequence names that of the caches too.
  DenseMap<unsigned, StringRef> names;
  for (unsigned i = 0; i < numInputs; ++i)
    for (auto [dim, name] : llvm::enumerate(getDimensionNames(program, i)))
      names.try_emplace(dimensions.classOf(program.getArgument(i), dim), name);

  position = builder.insertArgument(
      numInputs, RankedTensorType::get({}, IntegerType::get(context, 32)), "position", "option");
  SmallVector<CacheSlot> slots;
  auto makeCache = [&](RankedTensorType type, StringRef name) -> Value {
    return builder.insertArgument(program.getNumArguments(), type, name, "cache");
  };
  // The batch's name, from any attention's keys: all of them have the inputs' batch.
  program.walk([&](AttentionOp op) {
    if (sequence.get(op.getK()) && batchName.empty())
      batchName = names.lookup(dimensions.classOf(op.getK(), 0)).str();
  });
  rewrite(program.getBody().front(), "", makeCache, slots);
  Builder b(context);
  for (CacheSlot &slot : slots) {
    unsigned index = cast<BlockArgument>(slot.before).getArgNumber();
    int64_t rank = cast<RankedTensorType>(slot.before.getType()).getRank();
    SmallVector<StringRef> dims(rank);
    dims[rank - 4] = batchName;
    dims[rank - 3] = "capacity";
    program.setArgAttr(index, "quern.dims", b.getStrArrayAttr(dims));
    builder.addResult(slot.after, slot.name, "cache", {}, slot.name);
  }
  // One position at a time.
  for (unsigned i = 0; oneToken && i < numInputs; ++i) {
    SmallVector<StringRef> dims = getDimensionNames(program, i);
    auto type = cast<RankedTensorType>(program.getArgument(i).getType());
    SmallVector<int64_t> shape(type.getShape());
    for (auto [dim, name] : llvm::enumerate(dims))
      if (name == sequenceName) {
        shape[dim] = 1;
        name = "";
      }
    program.getArgument(i).setType(RankedTensorType::get(shape, type.getElementType()));
    if (!dims.empty())
      program.setArgAttr(i, "quern.dims", b.getStrArrayAttr(dims));
  }
  for (unsigned i = 0; i < program.getNumResults(); ++i)
    program.removeResultAttr(i, b.getStringAttr("quern.dims"));
  if (failed(inferTypes(program)))
    return failure();
  nameDimensions(program);
  return success();
}

FunctionOp model::deriveDecoder(ModelOp model, StringRef name, bool oneToken) {
  FunctionOp program = expand(model, model.lookupSymbol<FunctionOp>("forward"), name);
  if (!program)
    return {};
  SequenceAnalysis sequence;
  if (failed(sequence.run(program, sequenceName)) ||
      failed(DecoderBuilder(program, sequence).run(oneToken))) {
    program.erase();
    return {};
  }
  return program;
}
