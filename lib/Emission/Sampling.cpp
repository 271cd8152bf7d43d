//===- Sampling.cpp - A token drawn from a row of logits --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "quern/Emission/Sampling.h"
#include "quern/Emission/ElementaryFunctions.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;

namespace quern::emission {

namespace {

/// Weights are multiples of 2^-40 of the largest one; below this x there is none.
constexpr double largestWeight = 0x1p40, lowestX = -27.75;
/// Bins of x: 999 of them have weights.
constexpr double binsPerX = 36;
constexpr int64_t digitBits = 10; // of samplingBins

/// What was found: the token, as its place in the order, and the weights up to it, itself included.
struct Selected {
  Value place, weight;
};

class Sampler {
public:
  Sampler(Code &code, SamplingTeam &team, const SamplingOperands &in)
      : e(code), b(code.builder), loc(code.loc), team(team), in(in), i32(b.getI32Type()),
        i64(b.getI64Type()), f32(b.getF32Type()), f64(b.getF64Type()) {}

  Value run(Value row);

private:
  // Integers of 64 bits; comparisons are unsigned, of places, unless they say otherwise.
  Value number(int64_t value) {
    return arith::ConstantOp::create(b, loc, b.getI64IntegerAttr(value));
  }
  Value real(Type type, double value) {
    return arith::ConstantOp::create(b, loc, b.getFloatAttr(type, value));
  }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value sub(Value x, Value y) { return arith::SubIOp::create(b, loc, x, y); }
  Value mul(Value x, Value y) { return arith::MulIOp::create(b, loc, x, y); }
  Value both(Value x, Value y) { return arith::AndIOp::create(b, loc, x, y); }
  Value exclusive(Value x, Value y) { return arith::XOrIOp::create(b, loc, x, y); }
  Value left(Value x, Value by) { return arith::ShLIOp::create(b, loc, x, by); }
  Value right(Value x, Value by) { return arith::ShRUIOp::create(b, loc, x, by); }
  Value compare(arith::CmpIPredicate how, Value x, Value y) {
    return arith::CmpIOp::create(b, loc, how, x, y);
  }
  Value less(Value x, Value y) { return compare(arith::CmpIPredicate::ult, x, y); }
  Value atMost(Value x, Value y) { return compare(arith::CmpIPredicate::ule, x, y); }
  Value equal(Value x, Value y) { return compare(arith::CmpIPredicate::eq, x, y); }
  Value compare(arith::CmpFPredicate how, Value x, Value y) {
    return arith::CmpFOp::create(b, loc, how, x, y);
  }
  Value select(Value condition, Value x, Value y) {
    return arith::SelectOp::create(b, loc, condition, x, y);
  }
  Value least(Value x, Value y) { return arith::MinUIOp::create(b, loc, x, y); }
  Value asIndex(Value x) { return arith::IndexCastOp::create(b, loc, b.getIndexType(), x); }
  Value asNumber(Value index) { return arith::IndexCastOp::create(b, loc, i64, index); }
  Value low(Value x) { return both(x, number(0xFFFFFFFF)); }
  Value load(Value memory, Value index) { return memref::LoadOp::create(b, loc, memory, index); }
  Value option(Value memory) { return memref::LoadOp::create(b, loc, memory, ValueRange()); }
  void store(Value value, Value memory, int64_t index) {
    memref::StoreOp::create(b, loc, value, memory, e.index(index));
  }

  Value placeOf(Value id, Value logit);
  Value idOf(Value place);
  Value logitOf(Value place);
  Value distance(Value logit);
  Value isInside(Value x) { return compare(arith::CmpFPredicate::OGE, x, real(f32, lowestX)); }
  Value binOf(Value x);
  Value weightOf(Value x);
  Value uniform(Value row);

  void clear(ArrayRef<Value> memories);
  void makeBins();
  Value draw(Value row);
  Selected find(Value countsTokens, Value target);
  Value sumBefore(Value sums, Value bin);
  Value findBin(Value sums, Value target);
  using PlaceBody = llvm::function_ref<void(Value x, Value place)>;
  void forPlaces(Value bin, Value from, Value to, PlaceBody body);
  SmallVector<Value> cut(Value bin, Value countsTokens, Value target, ValueRange state);

  Code &e;
  OpBuilder &b;
  Location loc;
  SamplingTeam &team;
  const SamplingOperands &in;
  Type i32, i64, f32, f64;
  Value maximum, inverse;
  Value weights, counts;         ///< of bins of x
  Value fineWeights, fineCounts; ///< of bins of places
  Value places, placeWeights;    ///< the tokens of a bin
  Value found;                   ///< what one thread tells the others
};

/// Where a token stands in the order: the larger the earlier. The bits of floats become integers
/// of the same order; lower ids come first among equal logits. 2^64 - 1 for a NaN.
Value Sampler::placeOf(Value id, Value logit) {
  // 0 and -0 are equal.
  Value positive = arith::AddFOp::create(b, loc, logit, real(f32, 0));
  Value bits = arith::BitcastOp::create(b, loc, i32, positive);
  auto constant = [&](int32_t value) -> Value {
    return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(value));
  };
  Value sign = arith::ShRSIOp::create(b, loc, bits, constant(31));
  Value flips = arith::OrIOp::create(b, loc, sign, constant(INT32_MIN));
  Value key = arith::ExtUIOp::create(b, loc, i64, exclusive(bits, flips));
  Value place =
      arith::OrIOp::create(b, loc, left(key, number(32)), sub(number(0xFFFFFFFF), asNumber(id)));
  return select(compare(arith::CmpFPredicate::UNO, logit, logit), number(-1), place);
}

Value Sampler::idOf(Value place) { return sub(number(0xFFFFFFFF), low(place)); }

Value Sampler::logitOf(Value place) { return widenLogit(e, load(in.row, asIndex(idOf(place)))); }

/// x, at most 0. Where temperatures are extreme, or logits infinite, that of the largest is 0 too.
Value Sampler::distance(Value logit) {
  Value difference = arith::SubFOp::create(b, loc, logit, maximum);
  Value x = arith::MulFOp::create(b, loc, difference, inverse);
  return select(compare(arith::CmpFPredicate::OEQ, logit, maximum), real(f32, 0), x);
}

Value Sampler::binOf(Value x) {
  Value scaled = arith::MulFOp::create(b, loc, x, real(f32, -binsPerX));
  return asIndex(arith::FPToSIOp::create(b, loc, i32, scaled));
}

Value Sampler::weightOf(Value x) {
  // Not math.exp, which targets expand in their own ways.
  Value exponential = ElementaryFunctions(b, loc, f32).exp(x);
  return arith::FPToSIOp::create(
      b, loc, i64, arith::MulFOp::create(b, loc, exponential, real(f32, largestWeight)));
}

/// Philox 4x32-10 (include/quern/Runtime/Philox.h) in integers of 64 bits: 53 bits of two words.
Value Sampler::uniform(Value row) {
  Value seed = option(in.seed), index = option(in.index), word = number(32);
  SmallVector<Value> counter{low(index), right(index, word), asNumber(row), number(2)};
  Value key[2] = {low(seed), right(seed, word)};
  for (int round = 0; round < 10; ++round) {
    if (round) {
      key[0] = low(add(key[0], number(0x9E3779B9)));
      key[1] = low(add(key[1], number(0xBB67AE85)));
    }
    Value p = mul(counter[0], number(0xD2511F53)), q = mul(counter[2], number(0xCD9E8D57));
    counter = {exclusive(exclusive(right(q, word), counter[1]), key[0]), low(q),
               exclusive(exclusive(right(p, word), counter[3]), key[1]), low(p)};
  }
  Value bits = right(arith::OrIOp::create(b, loc, left(counter[0], word), counter[1]), number(11));
  return arith::MulFOp::create(b, loc, arith::SIToFPOp::create(b, loc, f64, bits),
                               real(f64, 0x1p-53));
}

void Sampler::clear(ArrayRef<Value> memories) {
  team.forShare(e.index(samplingBins), [&](Value i) {
    for (Value memory : memories)
      memref::StoreOp::create(b, loc, number(0), memory, i);
  });
  team.barrier();
}

/// Tokens and weights of the bins of x, each with those before it.
void Sampler::makeBins() {
  clear({weights, counts});
  team.forLogits(in.row, {}, [&](Value, Value logit, ValueRange) {
    Value x = distance(logit);
    e.when(isInside(x), [&] {
      Value bin = binOf(x);
      team.fetchAdd(weights, bin, weightOf(x));
      team.fetchAdd(counts, bin, number(1));
    });
    return SmallVector<Value>();
  });
  team.barrier();
  team.prefixSums({weights, counts});
}

/// The bin, an index, in which `sums` pass `target`.
Value Sampler::findBin(Value sums, Value target) {
  team.forShare(e.index(samplingBins), [&](Value i) {
    e.when(both(atMost(sumBefore(sums, i), target), less(target, load(sums, i))),
           [&] { store(asNumber(i), found, 0); });
  });
  team.barrier();
  return asIndex(load(found, e.index(0)));
}

/// Runs `body` for the tokens of a bin of x whose places are in [from, to].
void Sampler::forPlaces(Value bin, Value from, Value to, PlaceBody body) {
  team.forLogits(in.row, {}, [&](Value id, Value logit, ValueRange) {
    Value x = distance(logit);
    // Below the lowest x a bin is none that was found.
    e.when(isInside(x), [&] {
      e.when(equal(binOf(x), bin), [&] {
        Value place = placeOf(id, logit);
        e.when(both(atMost(from, place), atMost(place, to)), [&] { body(x, place); });
      });
    });
    return SmallVector<Value>();
  });
}

/// What is before `bin` in prefix sums.
Value Sampler::sumBefore(Value sums, Value bin) {
  Value isFirst = equal(bin, e.index(0));
  Value before = arith::SubIOp::create(b, loc, bin, e.index(1));
  return select(isFirst, number(0), load(sums, select(isFirst, bin, before)));
}

/// One digit more: of the places [from, to], those with the digit in which the target is. `state`
/// is from, to, the digit's last bit, tokens and weights before `from`, tokens in between.
SmallVector<Value> Sampler::cut(Value bin, Value countsTokens, Value target, ValueRange state) {
  Value to = state[1], shift = state[2];
  clear({fineWeights, fineCounts});
  forPlaces(bin, state[0], to, [&](Value x, Value place) {
    Value digit = asIndex(right(sub(to, place), shift));
    team.fetchAdd(fineWeights, digit, weightOf(x));
    team.fetchAdd(fineCounts, digit, number(1));
  });
  team.barrier();
  team.prefixSums({fineWeights, fineCounts});
  Value within = sub(target, select(countsTokens, state[3], state[4]));
  Value digit = e.choose(
      countsTokens, [&] { return SmallVector<Value>{findBin(fineCounts, within)}; },
      [&] { return SmallVector<Value>{findBin(fineWeights, within)}; })[0];
  Value tokens = sumBefore(fineCounts, digit), weight = sumBefore(fineWeights, digit);
  Value all = load(fineCounts, digit);
  Value last = sub(to, left(asNumber(digit), shift));
  Value first = sub(last, sub(left(number(1), shift), number(1)));
  Value isLow = less(shift, number(digitBits));
  Value next = select(isLow, number(0), sub(shift, number(digitBits)));
  team.barrier(); // before the bins are cleared again
  return {first, last, next, add(state[3], tokens), add(state[4], weight), sub(all, tokens)};
}

/// The token with `target` tokens (where `countsTokens`) before it, or with weights before it that
/// pass `target` together with its own.
Selected Sampler::find(Value countsTokens, Value target) {
  Value bin = e.choose(
      countsTokens, [&] { return SmallVector<Value>{findBin(counts, target)}; },
      [&] { return SmallVector<Value>{findBin(weights, target)}; })[0];
  Value tokensBefore = sumBefore(counts, bin);
  Value tokens = sub(load(counts, bin), tokensBefore);
  team.barrier(); // before another thread tells something
  SmallVector<Value> start{
      number(0), number(-1), number(64 - digitBits), tokensBefore, sumBefore(weights, bin), tokens};
  SmallVector<Value> state = e.repeatWhile(
      start, [&](ValueRange carried) { return less(number(team.listSize()), carried[5]); },
      [&](ValueRange carried) { return cut(bin, countsTokens, target, carried); });

  team.forShare(e.index(1), [&](Value) { store(number(0), found, 3); });
  team.barrier();
  forPlaces(bin, state[0], state[1], [&](Value x, Value place) {
    Value slot = asIndex(team.fetchAdd(found, e.index(3), number(1)));
    memref::StoreOp::create(b, loc, place, places, slot);
    memref::StoreOp::create(b, loc, weightOf(x), placeWeights, slot);
  });
  team.barrier();
  Value count = asIndex(state[5]);
  team.forShare(count, [&](Value i) {
    Value place = load(places, i), weight = load(placeWeights, i);
    SmallVector<Value> before =
        e.forLoop(e.index(0), count, 1, {state[3], state[4]}, [&](Value j, ValueRange sums) {
          Value earlier = less(place, load(places, j));
          Value more = select(earlier, load(placeWeights, j), number(0));
          return SmallVector<Value>{
              add(sums[0], arith::ExtUIOp::create(b, loc, i64, earlier).getResult()),
              add(sums[1], more)};
        });
    Value from = select(countsTokens, before[0], before[1]);
    Value to = add(from, select(countsTokens, number(1), weight));
    e.when(both(atMost(from, target), less(target, to)), [&] {
      store(place, found, 1);
      store(add(before[1], weight), found, 2);
    });
  });
  team.barrier();
  return {load(found, e.index(1)), load(found, e.index(2))};
}

/// The place of the token. Three times one is searched for: the last that top_k keeps, the last
/// that top_p keeps, and the one that is drawn.
Value Sampler::draw(Value row) {
  Value last = e.index(samplingBins - 1);
  makeBins();
  Value tokens = load(counts, last), topK = option(in.topK), topP = option(in.topP);
  Value random = uniform(row), zero = number(0);
  // Where fewer tokens have weights than top_k keeps, it takes nothing away.
  Value cutsK = both(compare(arith::CmpIPredicate::sgt, topK, zero),
                     compare(arith::CmpIPredicate::slt, topK, tokens));
  Value cutsP = compare(arith::CmpFPredicate::OLT, topP, real(f64, 1));
  SmallVector<Value> result = e.forLoop(
      e.index(0), e.index(3), 1, {load(weights, last), zero}, [&](Value step, ValueRange carried) {
        Value isK = equal(step, e.index(0)), isP = equal(step, e.index(1));
        Value runs = select(
            isK, cutsK, select(isP, cutsP, arith::ConstantOp::create(b, loc, b.getBoolAttr(true))));
        return e.when(runs, carried, [&] {
          Value kept = carried[0];
          Value sum = arith::SIToFPOp::create(b, loc, f64, kept);
          auto part = [&](Value factor) { return arith::MulFOp::create(b, loc, factor, sum); };
          Value goal = math::CeilOp::create(b, loc, part(topP));
          Value upTo = sub(arith::FPToSIOp::create(b, loc, i64, goal), number(1));
          upTo = arith::MaxSIOp::create(b, loc, upTo, zero);
          Value drawn = arith::FPToSIOp::create(b, loc, i64, part(random));
          // Where a product was rounded up.
          Value target = least(select(isP, upTo, drawn), sub(kept, number(1)));
          target = select(isK, sub(topK, number(1)), target);
          Selected selected = find(isK, target);
          team.barrier(); // before another search
          return SmallVector<Value>{selected.weight, selected.place};
        });
      });
  return result[1];
}

Value Sampler::run(Value row) {
  weights = team.memory(samplingBins, i64);
  counts = team.memory(samplingBins, i64);
  fineWeights = team.memory(samplingBins, i64);
  fineCounts = team.memory(samplingBins, i64);
  places = team.memory(team.listSize(), i64);
  placeWeights = team.memory(team.listSize(), i64);
  found = team.memory(4, i64);
  Value most = team.forLogits(in.row, number(0), [&](Value id, Value logit, ValueRange carried) {
    return SmallVector<Value>{
        arith::MaxUIOp::create(b, loc, carried[0], placeOf(id, logit)).getResult()};
  })[0];
  Value first = team.combine(
      most, [&](Value x, Value y) -> Value { return arith::MaxUIOp::create(b, loc, x, y); });
  Value temperature = option(in.temperature);
  Value isNumber = compare(arith::CmpIPredicate::ne, first, number(-1));
  Value draws = both(isNumber, compare(arith::CmpFPredicate::OGT, temperature, real(f64, 0)));
  Value place = e.when(draws, first, [&] {
    maximum = logitOf(first);
    Value reciprocal = arith::DivFOp::create(b, loc, real(f64, 1), temperature);
    inverse = arith::TruncFOp::create(b, loc, f32, reciprocal);
    return SmallVector<Value>{draw(row)};
  })[0];
  Value id = select(isNumber, idOf(place), number(-1));
  return arith::TruncIOp::create(b, loc, i32, id);
}

} // namespace

Value drawToken(Code &code, SamplingTeam &team, const SamplingOperands &operands, Value row) {
  return Sampler(code, team, operands).run(row);
}

Value widenLogit(Code &code, Value logit) {
  OpBuilder &b = code.builder;
  Type i32 = b.getI32Type(), f32 = b.getF32Type();
  if (logit.getType().isF16())
    return arith::ExtFOp::create(b, code.loc, f32, logit);
  if (logit.getType().isF32())
    return logit;
  // As integers: arithmetic that LLVM narrows to bf16 ends as a call on processors without it.
  Value bits = arith::BitcastOp::create(b, code.loc, b.getI16Type(), logit);
  Value half = arith::ConstantOp::create(b, code.loc, b.getI32IntegerAttr(16));
  Value wide =
      arith::ShLIOp::create(b, code.loc, arith::ExtUIOp::create(b, code.loc, i32, bits), half);
  return arith::BitcastOp::create(b, code.loc, f32, wide);
}

Value tokenToGoOnFrom(Code &code, Value token) {
  OpBuilder &b = code.builder;
  Value zero = arith::ConstantOp::create(b, code.loc, b.getI32IntegerAttr(0));
  return arith::MaxSIOp::create(b, code.loc, token, zero);
}

} // namespace quern::emission
