//===- NewText.h - Writing the text of a model -----------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===-----------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_TOOLS_NEWTEXT_H
#define QUERN_LIB_TOOLS_NEWTEXT_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/raw_ostream.h"

#include <cstdint>
#include <string>

namespace quern::tools {

/// Writes lines of the quern dialect. A tensor type is given by its static sizes: {48, 144} for
/// tensor<48x144xf32>; `activation` puts the two open dimensions of batch and sequence before them.
class ModelText {
public:
  explicit ModelText(llvm::raw_ostream &out) : out(out) {}

  static std::string tensor(llvm::ArrayRef<int64_t> sizes);
  static std::string activation(llvm::ArrayRef<int64_t> sizes);
  /// A number as MLIR reads it: with a point.
  static std::string number(double value);

  void indent(int by) { indentation += by; }
  void line(const llvm::Twine &text);
  void comment(const llvm::Twine &text) { line("// " + text); }
  void blank() { out << "\n"; }

  /// `quern.parameter`; `init` is "normal, 0.02" or the like. Matrices decay.
  void parameter(llvm::StringRef name, llvm::ArrayRef<int64_t> sizes, llvm::StringRef init,
                 const llvm::Twine &file);
  /// Reads parameter `name` as %name.
  void read(llvm::StringRef name, llvm::ArrayRef<int64_t> sizes);

  /// `%result = quern.linear %x, %weight ...` of an activation of `in` columns, after reading the
  /// weight and, if there is one, the bias `weight`_bias.
  void linear(llvm::StringRef result, llvm::StringRef x, llvm::StringRef weight, int64_t in,
              int64_t out, bool transposed, bool bias);
  /// The parameters that `linear` reads. `file` is the name without .weight and .bias.
  void linearParameters(llvm::StringRef weight, int64_t in, int64_t out, bool transposed, bool bias,
                        llvm::StringRef init, const llvm::Twine &file);

  /// The function `loss`: forward, then cross-entropy.
  void loss(int64_t vocabulary);

private:
  llvm::raw_ostream &out;
  int indentation = 0;
};

} // namespace quern::tools

#endif // QUERN_LIB_TOOLS_NEWTEXT_H
