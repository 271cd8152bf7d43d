//===- LoadWeights.cpp - Reads a weight file into a model's parameters ------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/Error.h"
#include "quern/Runtime/ParameterBlock.h"

#include <algorithm>
#include <set>

namespace quern::runtime {

static bool startsWith(const std::string &text, const std::string &prefix) {
  return text.compare(0, prefix.size(), prefix) == 0;
}

/// How file names differ from the model's: `strip` is removed from a model's name, `add` put before
/// it.
namespace {
struct Renaming {
  std::string strip, add;
  std::string apply(const std::string &name) const {
    if (!startsWith(name, strip))
      return name;
    return add + name.substr(strip.size());
  }
};
} // namespace

/// How many of `names` the file has after renaming.
static size_t countFound(const SafetensorsFile &file, const std::vector<Tensor> &tensors,
                         const Renaming &renaming) {
  size_t found = 0;
  for (const Tensor &tensor : tensors)
    found += file.find(renaming.apply(tensor.name)) != nullptr;
  return found;
}

/// Hugging Face saves a bare model without, and one with a head with, a prefix such as
/// `transformer.`. Takes such a difference only if no name fits as it stands and exactly one prefix
/// makes all fit.
static Renaming findRenaming(const SafetensorsFile &file, const std::vector<Tensor> &tensors) {
  size_t plain = countFound(file, tensors, {});
  if (plain == tensors.size())
    return {};
  std::vector<Renaming> fitting;
  for (const char *prefix : {"transformer.", "model.", "module.", "gpt_neox.", "base_model."}) {
    for (const Renaming &candidate : {Renaming{"", prefix}, Renaming{prefix, ""}}) {
      size_t found = countFound(file, tensors, candidate);
      // A head outside the prefix (lm_head.weight) may keep its name.
      bool complete = true;
      for (const Tensor &tensor : tensors)
        complete &= file.find(candidate.apply(tensor.name)) || file.find(tensor.name);
      if (complete && found > plain)
        fitting.push_back(candidate);
    }
  }
  return fitting.size() == 1 ? fitting[0] : Renaming{};
}

/// The message for a tensor that the file lacks, with the nearest name in the file that no other
/// parameter of the model has.
static Error missing(const SafetensorsFile &file, const Tensor &tensor,
                     const std::vector<Tensor> &wanted) {
  std::set<std::string> names;
  for (const FileTensor &candidate : file.tensors())
    names.insert(candidate.name);
  for (const Tensor &other : wanted)
    names.erase(other.name);
  return Error(concat("tensor '", tensor.name, "' (", formatShape(tensor.shape), " ",
                      nameOf(tensor.type), ") is missing in ", file.path(), ", which has ",
                      int64_t(file.tensors().size()), " tensors",
                      suggest(tensor.name, {names.begin(), names.end()}),
                      "; use the weights of this model, or correct the file name of the parameter "
                      "in the model text"));
}

void ParameterBlock::load(const SafetensorsFile &file, const std::string &prefix) {
  std::vector<Tensor> wanted = fileTensors(prefix);
  Renaming renaming = findRenaming(file, wanted);
  if (!renaming.strip.empty() || !renaming.add.empty())
    note(concat("names in ", file.path(), " differ by the prefix '", renaming.strip, renaming.add,
                "'; matched them without it"));
  std::set<std::string> used;
  std::set<std::string> converted, rounded;
  for (const Tensor &tensor : wanted) {
    const FileTensor *source = file.find(renaming.apply(tensor.name));
    if (!source)
      source = file.find(tensor.name);
    if (!source)
      throw missing(file, tensor, wanted);
    if (source->shape != tensor.shape)
      throw Error(concat("tensor '", source->name, "' in ", file.path(), " has shape ",
                         formatShape(source->shape), ", the model needs ",
                         formatShape(tensor.shape),
                         "; use the weights of this model, or change the sizes in the model text"));
    writeTensor(tensor, [&](const Tensor &to) {
      if (convertTensor(*source, to, file.path()))
        (to.type == Type::BF16 ? rounded : converted).insert(source->type);
    });
    used.insert(source->name);
  }
  changed();
  for (const std::string &type : rounded)
    note(concat("rounded ", type, " weights of ", file.path(),
                " to bf16, in which this program keeps them"));
  for (const std::string &type : converted)
    note(concat("converted ", type, " weights of ", file.path(), " to the model's type"));
  std::vector<std::string> extra;
  bool checkpoint = file.metadata().count("quern_checkpoint") != 0;
  for (const FileTensor &tensor : file.tensors())
    if (!used.count(tensor.name) && !checkpoint)
      extra.push_back(tensor.name);
  if (extra.empty())
    return;
  size_t count = extra.size();
  extra.resize(std::min<size_t>(count, 3));
  note(concat("ignored ", int64_t(count), " tensor", count > 1 ? "s" : "", " of ", file.path(),
              " that the model does not have: ", join(extra, ", "), count > 3 ? ", ..." : ""));
}

} // namespace quern::runtime
