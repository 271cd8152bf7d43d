//===- LibraryHeader.cpp - The C header of a compiled library --------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===-----------------------------------------------------------------------------------------===//

#include "LibraryHeader.h"

#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;

namespace quern::tools {

/// include/quern/Runtime/quern.h, as it was when the tool was built.
static const char interface[] =
#include "QuernInterface.inc"
    ;

namespace {

/// A name as C takes it.
std::string identifier(StringRef name) {
  std::string text = name.str();
  for (char &c : text)
    if (!isAlnum(c))
      c = '_';
  return text.empty() || isDigit(text[0]) ? "_" + text : text;
}

struct CType {
  const char *name, *constant;
};

CType typeOf(StringRef type) {
  return StringSwitch<CType>(type)
      .Case("f64", {"double", "QUERN_F64"})
      .Case("i32", {"int32_t", "QUERN_I32"})
      .Case("i64", {"int64_t", "QUERN_I64"})
      .Default({"float", "QUERN_F32"});
}

/// One `static inline` function that runs a program.
class Wrapper {
public:
  Wrapper(StringRef model, const json::Object &program) : model(model), program(program) {}
  void write(raw_ostream &out);

private:
  bool addInput(const json::Object &argument);

  StringRef model;
  const json::Object &program;
  std::vector<std::string> parameters, inputs, results;
  SmallSetVector<StringRef, 4> sizes;
};

/// False for what the function cannot take.
bool Wrapper::addInput(const json::Object &argument) {
  StringRef name = argument.getString("name").value_or("");
  CType type = typeOf(argument.getString("type").value_or(""));
  const json::Array *shape = argument.getArray("shape"), *names = argument.getArray("dimensions");
  if (!shape || !names || shape->size() > 8)
    return false;
  std::vector<std::string> sizesHere;
  for (auto [size, dimension] : zip(*shape, *names)) {
    int64_t number = size.getAsInteger().value_or(-1);
    if (number >= 0) {
      sizesHere.push_back(std::to_string(number));
      continue;
    }
    StringRef dimensionName = dimension.getAsString().value_or("");
    if (dimensionName.empty())
      return false;
    sizes.insert(dimensionName);
    sizesHere.push_back(identifier(dimensionName));
  }
  if (sizesHere.empty())
    sizesHere.push_back("0");
  std::string variable = identifier(name);
  parameters.push_back(formatv("const {0} *{1}", type.name, variable));
  inputs.push_back(formatv("{{\"{0}\", {1}, {2}, {{{3}}, (void *){4}}", name, type.constant,
                           shape->size(), join(sizesHere, ", "), variable));
  return true;
}

void Wrapper::write(raw_ostream &out) {
  StringRef name = program.getString("name").value_or("");
  const json::Array *arguments = program.getArray("arguments");
  if (!arguments)
    return;
  for (const json::Value &value : *arguments) {
    const json::Object *argument = value.getAsObject();
    if (!argument)
      return;
    StringRef role = argument->getString("role").value_or("");
    // A decoder keeps caches between calls: quern_generate does that.
    if (role == "cache" || (role == "input" && !addInput(*argument)))
      return;
    if (role == "output")
      results.push_back(argument->getString("name").value_or("").str());
  }
  for (StringRef size : sizes)
    parameters.push_back("int64_t " + identifier(size));
  for (const std::string &result : results)
    parameters.push_back("quern_tensor *" + identifier(result));
  out << formatv(
      "/// Runs `{0}` with the weights of `model`. Returns 0, or -1 (see quern_error).\n", name);
  if (!results.empty())
    out << "/// Results live until the next run; a null pointer leaves one out.\n";
  out << formatv("static inline int {0}_{1}(quern_model *model{2}{3}) {{\n", identifier(model),
                 identifier(name), parameters.empty() ? "" : ", ", join(parameters, ", "));
  if (inputs.empty())
    out << formatv("  if (quern_run(model, \"{0}\", NULL, 0))\n    return -1;\n", name);
  else
    out << formatv("  const quern_tensor inputs[] = {{\n      {0}};\n"
                   "  if (quern_run(model, \"{1}\", inputs, {2}))\n    return -1;\n",
                   join(inputs, ",\n      "), name, inputs.size());
  for (const std::string &result : results)
    out << formatv("  if ({0} && quern_result(model, \"{1}\", {0}))\n    return -1;\n",
                   identifier(result), result);
  out << "  return 0;\n}\n\n";
}

} // namespace

std::string libraryHeader(StringRef description) {
  std::string text = interface;
  raw_string_ostream out(text);
  Expected<json::Value> json = json::parse(description);
  if (!json) {
    consumeError(json.takeError());
    return text;
  }
  const json::Object *object = json->getAsObject();
  if (!object)
    return text;
  StringRef model = object->getString("model").value_or("model");
  std::string upper = StringRef(identifier(model)).upper();
  out << formatv("\n/* What follows is the model '{0}'. */\n#ifndef QUERN_MODEL_{1}_H\n"
                 "#define QUERN_MODEL_{1}_H\n\n",
                 model, upper);
  out << formatv("#define {0}_CONTEXT {1} /* tokens; 0: no limit */\n", upper,
                 object->getInteger("context").value_or(0));
  out << formatv("#define {0}_VOCABULARY {1} /* tokens */\n\n", upper,
                 object->getInteger("vocabulary").value_or(0));
  out << "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n";
  if (const json::Array *programs = object->getArray("programs"))
    for (const json::Value &program : *programs)
      if (const json::Object *one = program.getAsObject())
        Wrapper(model, *one).write(out);
  out << "#ifdef __cplusplus\n}\n#endif\n";
  out << formatv("#endif /* QUERN_MODEL_{0}_H */\n", upper);
  return text;
}

} // namespace quern::tools
