//===- Module.h - What a compiled model says about itself -------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// The JSON description in Program.h, checked and as C++ values, joined with the table of programs.
///
#ifndef QUERN_RUNTIME_MODULE_H
#define QUERN_RUNTIME_MODULE_H

#include "quern/Runtime/Program.h"
#include "quern/Runtime/Tensor.h"

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace quern::runtime {

/// A sum of coefficient x product of dimension^exponent.
struct Polynomial {
  struct Term {
    double coefficient = 0;
    std::map<std::string, int> exponents;
  };
  std::vector<Term> terms;
  /// Its value where every dimension it mentions is known; nothing otherwise.
  std::optional<double> evaluate(const Dimensions &dimensions) const;
};

struct Parameter {
  std::string name;
  std::string file; // name in weight files, perhaps with {layer}
  Type type = Type::F32;
  Shape shape;
  int64_t layers = 0;
  bool decay = true;
  std::string initializer; // zeros, ones, normal, uniform, residual
  double scale = 0;
  Panels panels; // how programs of the host keep it, its moments and its gradient

  bool perLayer() const { return file.find("{layer}") != std::string::npos; }
  /// The name in a file of layer `layer` (or of the whole, which has no {layer}).
  std::string fileName(int64_t layer) const;
  /// Views of `whole` (all of the parameter) under the names of weight files: one a layer for a
  /// name with {layer}, else one; `prefix` goes before each name.
  std::vector<Tensor> fileTensors(const Tensor &whole, const std::string &prefix = "") const;
};

enum class Role {
  Input,
  Option,
  State,
  Parameter,
  FirstMoment,
  SecondMoment,
  Cache,
  Output,
  Gradient
};

struct Argument {
  std::string name;
  Role role = Role::Input;
  Type type = Type::F32, deviceType = Type::F32;    // in programs of the host, and of a device
  Shape shape;                                      // -1: known at run time
  std::vector<std::string> dimensions;              // "" where unnamed; as long as shape
  size_t parameter = 0;                             // index, for the roles of parameters
  std::optional<std::pair<int64_t, int64_t>> range; // of the values of an integer input

  Type typeOn(bool host) const { return host ? type : deviceType; }
};

struct Program {
  std::string name;
  const quern_program *code = nullptr; // for the host's processor; null if there is none
  Polynomial flops;
  std::vector<std::pair<std::string, Polynomial>> arena; // use, bytes
  std::vector<Argument> arguments;

  /// The argument of that name and role, or null.
  const Argument *find(const std::string &argument, Role role) const;
  bool has(Role role) const;
  /// Whether it writes the parameters that it takes, as AdamW does with its moments.
  bool updatesParameters() const { return has(Role::FirstMoment); }
  /// Whether it updates parameters by gradients whose norm it never limits.
  bool neverClips() const { return updatesParameters() && !find("clip", Role::Option); }
  /// The sizes that are compiled in, by name ({batch: 4, ...}).
  Dimensions fixedDimensions() const;
};

struct Module {
  std::string name, kind;
  int64_t context = 0, vocabulary = 0;
  std::string triple, cpu;
  std::vector<std::string> requires_;
  const quern_device_code *deviceCodes = nullptr; // ends with a row whose architecture is null
  std::string precision, devicePrecision;         // "f32", "bf16"; "" without code for a device
  std::vector<Parameter> parameters;
  std::vector<Program> programs;
  std::string text; // the JSON itself

  /// Reads a description. Throws Error ("the compiled model is damaged: ...") for anything that the
  /// contract does not allow.
  static Module parse(const char *json, const quern_program *table,
                      const quern_device_code *deviceCodes);

  /// The program, or null.
  const Program *find(const std::string &program) const;
  /// The program, or an error that lists those there are and how to compile it in.
  const Program &get(const std::string &program) const;
  /// Whether there are programs for the host's processor.
  bool hasHostCode() const;
  /// Those of which there is code for a device: "sm_80", ...
  std::vector<std::string> deviceArchitectures() const;
  int64_t parameterCount() const;
  /// Sixteen hex digits that differ between models with other parameters, kind or vocabulary.
  std::string fingerprint() const;
};

} // namespace quern::runtime

#endif // QUERN_RUNTIME_MODULE_H
