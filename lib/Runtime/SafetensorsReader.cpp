//===- SafetensorsReader.cpp - Reads tensors from files, checking everything ------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/Bfloat.h"
#include "quern/Runtime/Error.h"
#include "quern/Runtime/Safetensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

namespace quern::runtime {

using Json = nlohmann::json;

namespace {
struct FileType {
  const char *name;
  int64_t bytes;
};
} // namespace

static const FileType fileTypes[] = {{"F32", 4},  {"F64", 8},     {"F16", 2},    {"BF16", 2},
                                     {"I64", 8},  {"I32", 4},     {"I16", 2},    {"I8", 1},
                                     {"U64", 8},  {"U32", 4},     {"U16", 2},    {"U8", 1},
                                     {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};

SafetensorsFile::SafetensorsFile(const std::string &path) : name(path), file(path) {
  try {
    parse();
  } catch (const Error &error) {
    throw Error(concat(path, " is not a valid safetensors file: ", error.what()));
  }
}

const FileTensor *SafetensorsFile::find(const std::string &tensor) const {
  auto found = index.find(tensor);
  return found == index.end() ? nullptr : &list[found->second];
}

/// The header as JSON; names that appear twice are an error, which JSON itself would let pass.
static Json parseHeader(const char *text, size_t length) {
  std::set<std::string> names;
  std::string twice;
  auto watch = [&](int depth, Json::parse_event_t event, Json &value) {
    if (event == Json::parse_event_t::key && depth == 1 &&
        !names.insert(value.get_ref<const std::string &>()).second)
      twice = value.get_ref<const std::string &>();
    return true;
  };
  Json header;
  try {
    header = Json::parse(text, text + length, watch);
  } catch (const Json::exception &error) {
    throw Error(concat("its header is not JSON (", error.what(), ")"));
  }
  if (!twice.empty())
    throw Error(concat("its header names tensor '", twice, "' twice"));
  if (!header.is_object())
    throw Error("its header is not a JSON object");
  return header;
}

static FileTensor parseTensor(const std::string &name, const Json &entry, const unsigned char *data,
                              size_t dataBytes) {
  auto fail = [&](const std::string &what) { return Error(concat("tensor '", name, "' ", what)); };
  if (!entry.is_object() || !entry.contains("dtype") || !entry["dtype"].is_string() ||
      !entry.contains("shape") || !entry["shape"].is_array() || !entry.contains("data_offsets") ||
      !entry["data_offsets"].is_array() || entry["data_offsets"].size() != 2)
    throw fail("lacks a dtype, shape or pair of data_offsets");
  FileTensor tensor;
  tensor.name = name;
  tensor.type = entry["dtype"].get<std::string>();
  const FileType *type = nullptr;
  for (const FileType &candidate : fileTypes)
    if (tensor.type == candidate.name)
      type = &candidate;
  if (!type)
    throw fail(concat("has the unknown dtype '", tensor.type, "'"));
  for (const Json &size : entry["shape"]) {
    if (!size.is_number_unsigned() || size.get<uint64_t>() > uint64_t(INT64_MAX))
      throw fail(concat("has the shape ", entry["shape"].dump(), ", whose sizes are not counts"));
    tensor.shape.push_back(size.get<int64_t>());
  }
  tensor.elements = countElements(tensor.shape, "tensor '" + name + "'");
  const Json &begin = entry["data_offsets"][0], &end = entry["data_offsets"][1];
  if (!begin.is_number_unsigned() || !end.is_number_unsigned() ||
      begin.get<uint64_t>() > end.get<uint64_t>())
    throw fail(concat("has data_offsets ", entry["data_offsets"].dump(), ", which is not a range"));
  if (end.get<uint64_t>() > dataBytes)
    throw fail(concat("ends at byte ", end.get<uint64_t>(), " of the data, but the file has only ",
                      uint64_t(dataBytes),
                      " bytes of data: it is truncated or its header is wrong"));
  uint64_t bytes = end.get<uint64_t>() - begin.get<uint64_t>();
  if (bytes != uint64_t(tensor.elements * type->bytes))
    throw fail(concat("of shape ", formatShape(tensor.shape), " and dtype ", tensor.type, " needs ",
                      tensor.elements * type->bytes, " bytes, but its data_offsets span ", bytes));
  tensor.data = data + begin.get<uint64_t>();
  return tensor;
}

void SafetensorsFile::parse() {
  if (file.size() < 8)
    throw Error(
        concat("it has ", uint64_t(file.size()), " bytes, fewer than the 8 of its header length"));
  uint64_t length = 0;
  std::memcpy(&length, file.data(), 8);
  if (length > file.size() - 8)
    throw Error(concat("its header should have ", length, " bytes, but the file has only ",
                       uint64_t(file.size()), ": it is truncated or of another format"));
  if (length > 100'000'000)
    throw Error(concat("its header of ", length, " bytes exceeds the format's limit of 100 MB"));
  Json header = parseHeader(reinterpret_cast<const char *>(file.data()) + 8, length);
  const unsigned char *data = file.data() + 8 + length;
  size_t dataBytes = file.size() - 8 - length;
  for (const auto &[key, entry] : header.items()) {
    if (key != "__metadata__") {
      list.push_back(parseTensor(key, entry, data, dataBytes));
      continue;
    }
    if (!entry.is_object())
      throw Error("its __metadata__ is not an object");
    for (const auto &[metaKey, value] : entry.items()) {
      if (!value.is_string())
        throw Error(concat("its __metadata__ entry '", metaKey, "' is not a string"));
      pairs[metaKey] = value.get<std::string>();
    }
  }
  checkLayout(dataBytes);
}

void SafetensorsFile::checkLayout(size_t dataBytes) {
  std::sort(list.begin(), list.end(), [](const FileTensor &a, const FileTensor &b) {
    // An empty tensor may share its offset with its successor.
    return std::make_tuple(a.data, a.elements != 0, std::string_view(a.name)) <
           std::make_tuple(b.data, b.elements != 0, std::string_view(b.name));
  });
  const unsigned char *expected = file.data() + (file.size() - dataBytes);
  const std::string *previous = nullptr;
  for (const FileTensor &tensor : list) {
    if (tensor.data < expected)
      throw Error(concat("tensors '", *previous, "' and '", tensor.name, "' overlap"));
    if (tensor.data > expected)
      throw Error(concat("there is a hole of ", int64_t(tensor.data - expected),
                         " bytes before tensor '", tensor.name, "'"));
    int64_t bytes = 0;
    for (const FileType &type : fileTypes)
      if (tensor.type == type.name)
        bytes = tensor.elements * type.bytes;
    expected += bytes;
    previous = &tensor.name;
  }
  if (expected != file.data() + file.size())
    throw Error(concat("there are ", int64_t(file.data() + file.size() - expected),
                       " bytes after the last tensor"));
  for (size_t i = 0; i < list.size(); ++i)
    index[list[i].name] = i;
}

/// IEEE half precision, exactly.
static float fromHalf(uint16_t half) {
  uint32_t sign = uint32_t(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
  uint32_t bits;
  if (exponent == 31)
    bits = sign | 0x7F800000u | fraction << 13;
  else if (exponent)
    bits = sign | (exponent + 112) << 23 | fraction << 13;
  else {
    float value = float(fraction) * 0x1p-24f;
    std::memcpy(&bits, &value, 4);
    bits |= sign;
  }
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

template <typename To, typename From, typename Convert>
static void convertAll(const FileTensor &from, void *to, Convert convert) {
  auto *out = static_cast<To *>(to);
  for (int64_t i = 0; i < from.elements; ++i) {
    From value; // data in a file need not be aligned
    std::memcpy(&value, from.data + i * int64_t(sizeof(From)), sizeof(From));
    out[i] = To(convert(value));
  }
}

/// `convert` makes an element of `to` of a float or a double.
template <typename To, typename Convert>
static bool convertFloats(const FileTensor &from, void *to, Convert convert) {
  if (from.type == "F32")
    convertAll<To, float>(from, to, convert);
  else if (from.type == "F64")
    convertAll<To, double>(from, to, convert);
  else if (from.type == "F16")
    convertAll<To, uint16_t>(from, to, [&](uint16_t half) { return convert(fromHalf(half)); });
  else if (from.type == "BF16")
    convertAll<To, uint16_t>(from, to, [&](uint16_t half) { return convert(fromBfloat(half)); });
  else
    return false;
  return true;
}

template <typename To, typename From>
static bool convertIntegers(const FileTensor &from, const Tensor &to, const std::string &path) {
  int64_t i = 0;
  convertAll<To, From>(from, to.data, [&](From value) {
    if (int64_t(To(value)) != int64_t(value))
      throw Error(concat("tensor '", from.name, "' in ", path, " has the value ", int64_t(value),
                         " at index ", i, ", which does not fit into ", nameOf(to.type)));
    ++i;
    return To(value);
  });
  return true;
}

template <typename To>
static bool convertAnyIntegers(const FileTensor &from, const Tensor &to, const std::string &path) {
  if (from.type == "I32")
    return convertIntegers<To, int32_t>(from, to, path);
  if (from.type == "I64")
    return convertIntegers<To, int64_t>(from, to, path);
  if (from.type == "U8")
    return convertIntegers<To, uint8_t>(from, to, path);
  return false;
}

bool convertTensor(const FileTensor &from, const Tensor &to, const std::string &path) {
  static const char *const same[] = {"F32", "F64", "I32", "I64", "BF16"};
  if (from.type == same[int(to.type)]) {
    if (from.elements)
      std::memcpy(to.data, from.data, size_t(from.elements * sizeOf(to.type)));
    return false;
  }
  auto plain = [](auto value) { return value; };
  auto half = [](auto value) { return toBfloat(value); };
  bool done = to.type == Type::F32    ? convertFloats<float>(from, to.data, plain)
              : to.type == Type::F64  ? convertFloats<double>(from, to.data, plain)
              : to.type == Type::BF16 ? convertFloats<uint16_t>(from, to.data, half)
              : to.type == Type::I32  ? convertAnyIntegers<int32_t>(from, to, path)
                                      : convertAnyIntegers<int64_t>(from, to, path);
  if (!done)
    throw Error(concat("tensor '", from.name, "' in ", path, " has dtype ", from.type,
                       ", which cannot be converted to the program's ", nameOf(to.type),
                       "; store it as ", same[int(to.type)]));
  return true;
}

} // namespace quern::runtime
