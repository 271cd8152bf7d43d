//===- Checks.cpp - Comparing functions, and gradients with finite differences ---------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "quern/Reference/Checks.h"

#include "quern/Reference/Interpreter.h"

#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace quern;
using namespace quern::reference;

static const double infinity = std::numeric_limits<double>::infinity();

Difference quern::reference::compareArrays(const Array &a, const Array &b) {
  Difference result;
  if (a.shape() != b.shape() || a.isFloat() != b.isFloat())
    return {infinity, 0};
  for (int64_t i = 0; i < a.size(); ++i) {
    double x = a.isFloat() ? a.flat(i) : a.flatInteger(i);
    double y = b.isFloat() ? b.flat(i) : b.flatInteger(i);
    result.magnitude = std::max(result.magnitude, std::fabs(y));
    if (x == y || (std::isnan(x) && std::isnan(y)))
      continue;
    double difference = std::fabs(x - y);
    result.absolute = std::max(result.absolute, std::isnan(difference) ? infinity : difference);
  }
  return result;
}

static FailureOr<Arrays> evaluate(FunctionOp function, const ValueSource &source) {
  FailureOr<NamedArrays> parameters = parameterValues(function->getParentOfType<ModelOp>(), source);
  FailureOr<Arrays> arguments = argumentValues(function, source);
  if (failed(parameters) || failed(arguments))
    return failure();
  return Interpreter(*parameters).call(function, *arguments);
}

LogicalResult quern::reference::compareFunctions(FunctionOp a, FunctionOp b,
                                                 const ValueSource &source, double tolerance) {
  FailureOr<Arrays> resultsA = evaluate(a, source), resultsB = evaluate(b, source);
  if (failed(resultsA) || failed(resultsB))
    return failure();
  if (resultsA->size() != resultsB->size())
    return a.emitError("@") << a.getSymName() << " gives " << resultsA->size()
                            << " results here and " << resultsB->size() << " there";
  bool same = true;
  for (auto [i, x, y] : llvm::enumerate(*resultsA, *resultsB)) {
    Difference difference = compareArrays(x, y);
    bool fits = difference.absolute <= tolerance * std::max(1.0, difference.magnitude);
    std::string line;
    llvm::raw_string_ostream(line)
        << "@" << a.getSymName() << " " << resultName(a, i) << " " << formatShape(x.shape())
        << ": largest difference " << llvm::format("%.3g", difference.absolute) << " of "
        << llvm::format("%.3g", difference.magnitude);
    llvm::outs() << line << "\n";
    if (!fits)
      a.emitError(line) << ", more than " << llvm::formatv("{0:e2}", tolerance).str();
    same &= fits;
  }
  return success(same);
}

/// Evaluates `loss` with other values of single elements of parameters.
namespace {
class LossAt {
public:
  LossAt(FunctionOp loss, NamedArrays &parameters, Arrays arguments)
      : loss(loss), parameters(parameters), arguments(std::move(arguments)) {}

  FailureOr<double> operator()() {
    FailureOr<Arrays> results = Interpreter(parameters).call(loss, arguments);
    if (failed(results))
      return failure();
    return (*results)[0].flat(0);
  }

  /// d loss / d element by Ridders' method (1982): central differences at halved steps,
  /// extrapolated to a step of zero as long as that brings them closer together.
  FailureOr<double> derivative(double &element) {
    constexpr int levels = 7;
    double table[levels][levels], best = 0, error = infinity;
    double h = 0.04;
    for (int i = 0; i < levels; ++i, h /= 2) {
      FailureOr<double> difference = centralDifference(element, h);
      if (failed(difference))
        return failure();
      table[i][0] = *difference;
      double power = 1;
      for (int j = 1; j <= i; ++j) {
        power *= 4;
        table[i][j] = (power * table[i][j - 1] - table[i - 1][j - 1]) / (power - 1);
        double change = std::max(std::fabs(table[i][j] - table[i][j - 1]),
                                 std::fabs(table[i][j] - table[i - 1][j - 1]));
        if (change <= error) {
          error = change;
          best = table[i][j];
        }
      }
    }
    return best;
  }

private:
  FailureOr<double> centralDifference(double &element, double h) {
    const double start = element;
    element = start + h;
    FailureOr<double> above = (*this)();
    element = start - h;
    FailureOr<double> below = (*this)();
    element = start;
    if (failed(above) || failed(below))
      return failure();
    return (*above - *below) / (2 * h);
  }

  FunctionOp loss;
  NamedArrays &parameters;
  Arrays arguments;
};
} // namespace

LogicalResult quern::reference::checkGradients(ModelOp model, FunctionOp loss, FunctionOp program,
                                               const ValueSource &source, double tolerance) {
  FailureOr<NamedArrays> parameters = parameterValues(model, source);
  FailureOr<Arrays> arguments = argumentValues(loss, source);
  FailureOr<Arrays> results = evaluate(program, source);
  if (failed(parameters) || failed(arguments) || failed(results))
    return failure();
  if (loss.getNumResults() != 1 || cast<RankedTensorType>(loss.getResultTypes()[0]).getRank() != 0)
    return loss.emitError("a loss is one tensor of rank 0");

  NamedArrays gradients;
  for (auto [i, result] : llvm::enumerate(*results))
    if (auto role = program.getResultAttrOfType<StringAttr>(i, "quern.role");
        role && role.getValue() == "gradient")
      gradients[resultName(program, i)] = result;

  bool correct = true;
  LossAt at(loss, *parameters, *arguments);
  for (ParameterOp parameter : parametersOf(model)) {
    Array &value = (*parameters)[parameter.getProgramName()];
    Array differences = Array::zerosLike(value);
    for (int64_t i = 0; i < value.size(); ++i) {
      FailureOr<double> derivative = at.derivative(value.flat(i));
      if (failed(derivative))
        return failure();
      if (!std::isfinite(*derivative))
        return loss.emitError("the loss has no derivative by ")
               << parameter.getProgramName() << " here: choose another seed";
      differences.flat(i) = *derivative;
    }
    auto found = gradients.find(parameter.getProgramName());
    bool missing = found == gradients.end();
    Difference difference =
        compareArrays(missing ? Array::zerosLike(value) : found->second, differences);
    std::string line;
    llvm::raw_string_ostream(line)
        << "@" << model.getSymName() << " " << parameter.getProgramName() << " "
        << formatShape(value.shape()) << ": largest difference "
        << llvm::format("%.3g", difference.absolute) << " of "
        << llvm::format("%.3g", difference.magnitude) << (missing ? " (no gradient)" : "");
    llvm::outs() << line << "\n";
    // Where all derivatives vanish, what is left is the rounding of the loss.
    if (!(difference.absolute <= tolerance * std::max(1e-3, difference.magnitude))) {
      parameter.emitError("wrong gradient: ") << line;
      correct = false;
    }
  }
  return success(correct);
}
