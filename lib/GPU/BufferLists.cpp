//===- BufferLists.cpp - One launch over the elements of many buffers -------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "BufferLists.h"
#include "quern/Emission/Indices.h"
#include "quern/Emission/Views.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;

namespace quern::nvidia {

using namespace emission;

Value BufferLists::flatten(Emission &e, Value memref) {
  Value flat = emission::flatten(e, memref);
  // Whole buffers are aligned for any access (include/quern/Runtime/Program.h).
  bool isWhole = flat && cast<MemRefType>(flat.getType()).getLayout().isIdentity();
  return isWhole ? flat : Value();
}

SmallVector<SmallVector<size_t>> BufferLists::divide(ArrayRef<List> lists, int64_t others) {
  // PTX ISA 7.8, section 5.1.6.1: the size of all parameters is limited to 4,352 bytes, and to
  // 4 KiB by the driver.
  constexpr int64_t mostBytes = 4096, forAll = 256;
  struct Part {
    SmallVector<Type> elements;
    int64_t bytes;
    SmallVector<size_t> numbers;
  };
  SmallVector<Part> parts;
  for (auto [number, list] : llvm::enumerate(lists)) {
    SmallVector<Type> elements;
    int64_t bytes = others;
    for (Value buffer : list) {
      auto type = cast<MemRefType>(buffer.getType());
      elements.push_back(type.getElementType());
      bytes += type.hasStaticShape() ? 8 : 16;
    }
    auto fits = [&](const Part &part) {
      return part.elements == elements && part.bytes + bytes <= mostBytes;
    };
    auto *part = llvm::find_if(parts, fits);
    if (part == parts.end()) {
      parts.push_back({elements, forAll, {}});
      part = &parts.back();
    }
    part->bytes += bytes;
    part->numbers.push_back(number);
  }
  SmallVector<SmallVector<size_t>> result;
  for (const Part &part : parts)
    result.push_back(part.numbers);
  return result;
}

BufferLists::BufferLists(ArrayRef<List> lists) : count(lists.size()) {
  int64_t bytes = 2; // more than eight neighbours take more registers than they save
  for (Value buffer : lists.front()) {
    elements.push_back(cast<MemRefType>(buffer.getType()).getElementType());
    bytes = std::max(bytes, elementBytes(elements.back()));
  }
  lanes = 16 / bytes;
  for (const List &list : lists)
    llvm::append_range(all, list);
}

Value BufferLists::chunks(Emission &e) const {
  Value sum = e.index(0);
  for (size_t list = 0; list < count; ++list)
    sum = addIndex(
        e, sum,
        ceilDiv(e, e.dim(all[list * elements.size()], 0), e.index(chunkElements(listThreads))));
  return sum;
}

void BufferLists::writeTable(Thread &t, ValueRange onDevice) {
  OpBuilder &b = t.builder;
  Type i64 = b.getI64Type();
  auto lists = static_cast<int64_t>(count), buffers = static_cast<int64_t>(elements.size());
  addresses = t.shared({lists, buffers}, i64);
  sizes = t.shared({lists}, i64);
  firstChunks = t.shared({lists + 1}, i64);
  auto put = [&](Value index, Value memref, ArrayRef<int64_t> at) {
    SmallVector<Value> place;
    for (int64_t i : at)
      place.push_back(t.index(i));
    memref::StoreOp::create(b, t.loc, arith::IndexCastOp::create(b, t.loc, i64, index), memref,
                            place);
  };
  t.when(t.equal(t.thread(), t.index(0)), [&] {
    Value before = t.index(0);
    for (int64_t list = 0; list < lists; ++list) {
      for (int64_t i = 0; i < buffers; ++i)
        put(memref::ExtractAlignedPointerAsIndexOp::create(b, t.loc, onDevice[list * buffers + i]),
            addresses, {list, i});
      Value size = t.dim(onDevice[list * buffers], 0);
      put(size, sizes, {list});
      put(before, firstChunks, {list});
      before = addIndex(t, before, ceilDiv(t, size, t.index(chunkElements(t.threads))));
    }
    put(before, firstChunks, {lists});
  });
}

/// This thread's groups of the chunk of `list` that begins with element `first`.
BufferLists::Values BufferLists::visit(Thread &t, Value list, Value first, ValueRange carried,
                                       Body body) const {
  Value number = t.toIndex(list), size = t.loadIndex(sizes, {number});
  SmallVector<Pointer> starts;
  for (auto [i, element] : llvm::enumerate(elements)) {
    Value address = t.load(addresses, {number, t.index(static_cast<int64_t>(i))});
    starts.push_back(Pointer::global(t, address, element));
  }
  auto elementsAt = [&](Value element, int64_t many, ValueRange values) {
    SmallVector<Pointer> places;
    for (const Pointer &start : starts)
      places.push_back(start.at(t, element));
    return body(list, places, many, values);
  };
  Value end = addIndex(t, first, t.index(chunkElements(t.threads)));
  Value own = addIndex(t, first, mulIndex(t, t.thread(), t.index(lanes)));
  return t.strided(own, minIndex(t, end, size), t.index(t.threads * lanes), carried,
                   [&](Value element, ValueRange values) {
                     Value isWhole = t.no(t.less(size, addIndex(t, element, t.index(lanes))));
                     return t.choose(
                         isWhole, [&] { return elementsAt(element, lanes, values); },
                         [&] {
                           return t.strided(element, size, t.index(1), values,
                                            [&](Value one, ValueRange inner) {
                                              return elementsAt(one, 1, inner);
                                            });
                         });
                   });
}

BufferLists::Values BufferLists::forChunks(Thread &t, ValueRange carried, Body body) const {
  Value total = t.loadIndex(firstChunks, {t.index(static_cast<int64_t>(count))});
  Values initial{t.int32(0)};
  llvm::append_range(initial, carried);
  Values last =
      t.strided(t.block(0), total, t.blocks(0), initial, [&](Value chunk, ValueRange now) {
        auto firstOf = [&](Value list) { return t.loadIndex(firstChunks, {t.toIndex(list)}); };
        auto next = [&](Value list) { return addIndex(t, list, t.int32(1)); };
        Value list = t.repeatWhile(
            now[0], [&](ValueRange at) { return t.no(t.less(chunk, firstOf(next(at[0])))); },
            [&](ValueRange at) { return Values{next(at[0])}; })[0];
        Value before = arith::SubIOp::create(t.builder, t.loc, chunk, firstOf(list));
        Value first = mulIndex(t, before, t.index(chunkElements(t.threads)));
        Values result{list};
        llvm::append_range(result, visit(t, list, first, now.drop_front(), body));
        return result;
      });
  last.erase(last.begin());
  return last;
}

} // namespace quern::nvidia
