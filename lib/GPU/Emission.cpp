//===- Emission.cpp - Launches: their host code and the frame of their kernels ----------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "quern/GPU/Emission.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace quern::nvidia {

namespace {

/// How a memref of the host reaches a kernel: the address of its first element, and what its type
/// leaves open.
struct BufferParameters {
  explicit BufferParameters(MemRefType type) : type(type) {
    std::tie(strides, offset) = type.getStridesAndOffset();
  }

  MemRefType type;
  SmallVector<int64_t> strides;
  int64_t offset;

  /// The same memory on the device. An offset has gone into the address, and the type goes on
  /// telling that this may not be where a buffer begins.
  MemRefType onDevice() const {
    MLIRContext *context = type.getContext();
    auto global = mlir::gpu::AddressSpaceAttr::get(context, mlir::gpu::AddressSpace::Global);
    MemRefLayoutAttrInterface layout;
    if (!type.getLayout().isIdentity())
      layout = StridedLayoutAttr::get(context, offset ? ShapedType::kDynamic : 0, strides);
    return MemRefType::get(type.getShape(), type.getElementType(), layout, global);
  }

  /// Calls `each(isStride, dim)` for every size and stride that is known at run time only.
  void forEachOpen(llvm::function_ref<void(bool isStride, int64_t dim)> each) const {
    for (int64_t dim = 0; dim < type.getRank(); ++dim)
      if (type.isDynamicDim(dim))
        each(false, dim);
    for (int64_t dim = 0; dim < type.getRank(); ++dim)
      if (ShapedType::isDynamic(strides[dim]))
        each(true, dim);
  }
};

Type pointerType(MLIRContext *context, unsigned space = 0) {
  return LLVM::LLVMPointerType::get(context, space);
}

/// Writes the values of one launch's parameters on the host.
class HostArguments {
public:
  explicit HostArguments(Emission &e) : e(e), i64(e.builder.getI64Type()) {}

  void add(Value operand) {
    if (auto type = dyn_cast<MemRefType>(operand.getType()))
      return addBuffer(operand, type);
    if (operand.getType().isIndex())
      operand = integer(operand);
    values.push_back(operand);
  }

  SmallVector<Value> values;

private:
  Value integer(Value index) { return arith::IndexCastOp::create(e.builder, e.loc, i64, index); }

  void addBuffer(Value memref, MemRefType type) {
    OpBuilder &b = e.builder;
    auto metadata = memref::ExtractStridedMetadataOp::create(b, e.loc, memref);
    Value address = memref::ExtractAlignedPointerAsIndexOp::create(b, e.loc, memref);
    int64_t bytes = llvm::divideCeil(type.getElementTypeBitWidth(), 8);
    Value offset = emission::mulIndex(e, metadata.getOffset(), e.index(bytes));
    values.push_back(integer(emission::addIndex(e, address, offset)));
    BufferParameters(type).forEachOpen([&](bool isStride, int64_t dim) {
      values.push_back(integer(isStride ? metadata.getStrides()[dim] : metadata.getSizes()[dim]));
    });
  }

  Emission &e;
  Type i64;
};

/// Reads a kernel's parameters back into what they were on the host.
class DeviceParameters {
public:
  DeviceParameters(OpBuilder &builder, Location loc) : b(builder), loc(loc) {}

  static void addTypes(Type host, SmallVectorImpl<Type> &types) {
    MLIRContext *context = host.getContext();
    Type i64 = IntegerType::get(context, 64);
    auto memref = dyn_cast<MemRefType>(host);
    if (!memref) {
      types.push_back(host.isIndex() ? i64 : host);
      return;
    }
    types.push_back(pointerType(context, 1));
    BufferParameters(memref).forEachOpen([&](bool, int64_t) { types.push_back(i64); });
  }

  Value read(Type host, ArrayRef<BlockArgument> &parameters) {
    auto next = [&]() -> Value {
      Value parameter = parameters.front();
      parameters = parameters.drop_front();
      return parameter;
    };
    auto memref = dyn_cast<MemRefType>(host);
    if (!memref && host.isIndex())
      return arith::IndexCastOp::create(b, loc, host, next());
    if (!memref)
      return next();
    return readBuffer(BufferParameters(memref), next);
  }

private:
  Value readBuffer(const BufferParameters &buffer, llvm::function_ref<Value()> next) {
    MLIRContext *context = b.getContext();
    Type i64 = b.getI64Type(), pointer = pointerType(context, 1);
    int64_t rank = buffer.type.getRank();
    SmallVector<Type> fields{pointer, pointer, i64};
    if (rank)
      fields.append(2, LLVM::LLVMArrayType::get(i64, rank));
    Value descriptor =
        LLVM::UndefOp::create(b, loc, LLVM::LLVMStructType::getLiteral(context, fields));
    auto set = [&](Value value, ArrayRef<int64_t> position) {
      descriptor = LLVM::InsertValueOp::create(b, loc, descriptor, value, position);
    };
    auto constant = [&](int64_t value) -> Value {
      return LLVM::ConstantOp::create(b, loc, i64, b.getI64IntegerAttr(value));
    };
    Value address = next();
    set(address, {0});
    set(address, {1});
    set(constant(0), {2});
    for (int64_t dim = 0; dim < rank; ++dim) {
      if (!buffer.type.isDynamicDim(dim))
        set(constant(buffer.type.getDimSize(dim)), {3, dim});
      if (!ShapedType::isDynamic(buffer.strides[dim]))
        set(constant(buffer.strides[dim]), {4, dim});
    }
    buffer.forEachOpen([&](bool isStride, int64_t dim) { set(next(), {isStride ? 4 : 3, dim}); });
    return UnrealizedConversionCastOp::create(b, loc, buffer.onDevice(), descriptor).getResult(0);
  }

  OpBuilder &b;
  Location loc;
};

/// Fills what include/quern/Runtime/Program.h describes on the stack and hands it over.
class LaunchCall {
public:
  explicit LaunchCall(Emission &e)
      : architecture(e.architecture.name), b(e.builder), loc(e.loc),
        pointer(pointerType(b.getContext())), i64(b.getI64Type()),
        module(b.getInsertionBlock()->getParent()->getParentOfType<ModuleOp>()) {}

  void write(StringRef kernel, const Grid &grid, int64_t threads, int64_t sharedBytes,
             ArrayRef<Value> arguments, ArrayRef<TensorMap> maps) {
    auto count = static_cast<int64_t>(arguments.size() + maps.size());
    Value addresses = allocate(pointer, count);
    int64_t number = 0;
    auto pass = [&](Value slot) {
      LLVM::StoreOp::create(b, loc, slot, element(pointer, addresses, number++));
    };
    for (Value argument : arguments) {
      Value slot = allocate(argument.getType(), 1);
      LLVM::StoreOp::create(b, loc, argument, slot);
      pass(slot);
    }
    for (const TensorMap &map : maps)
      pass(encode(map));
    SmallVector<Value> fields{kernelName(kernel)};
    for (Value blocks : {grid.x, grid.y, grid.z})
      fields.push_back(blocks ? integer(blocks) : constant(1));
    for (int64_t size : {threads, 1L, 1L, grid.cluster, 1L, 1L, sharedBytes, count})
      fields.push_back(constant(size));
    fields.push_back(addresses);
    LLVM::CallOp::create(b, loc, runtimeFunction("quern_device_launch", 1),
                         ValueRange{structure(fields)});
  }

private:
  /// The place of the encoded map: a `quern_tensor_map` for the runtime.
  Value encode(const TensorMap &map) {
    int64_t type = map.element.isBF16() ? 0 : map.element.isF32() ? 1 : 2;
    SmallVector<Value> fields{integer(map.address), constant(type), constant(map.sizes.size())};
    auto add = [&](ArrayRef<Value> values, size_t room) {
      for (size_t i = 0; i < room; ++i)
        fields.push_back(i < values.size() ? values[i] : constant(0));
    };
    add(llvm::map_to_vector(map.sizes, [&](Value size) { return integer(size); }), 5);
    add(llvm::map_to_vector(map.strides, [&](Value stride) { return integer(stride); }), 4);
    add(llvm::map_to_vector(map.box, [&](int64_t size) { return constant(size); }), 5);
    fields.push_back(constant(map.swizzle));
    Value encoded = allocate(b.getI8Type(), tensorMapBytes, tensorMapAlignment);
    LLVM::CallOp::create(b, loc, runtimeFunction("quern_device_tensor_map", 2),
                         ValueRange{structure(fields), encoded});
    return encoded;
  }

  /// A struct whose fields are pointers and 64-bit integers.
  Value structure(ArrayRef<Value> fields) {
    Value result = allocate(i64, fields.size());
    for (auto [i, field] : llvm::enumerate(fields))
      LLVM::StoreOp::create(b, loc, field, element(i64, result, i));
    return result;
  }

  Value constant(int64_t value) {
    return LLVM::ConstantOp::create(b, loc, i64, b.getI64IntegerAttr(value));
  }
  Value integer(Value index) { return arith::IndexCastOp::create(b, loc, i64, index); }
  Value allocate(Type type, int64_t count, int64_t alignment = 8) {
    return LLVM::AllocaOp::create(b, loc, pointer, type, constant(count), alignment);
  }
  Value element(Type type, Value base, int64_t index) {
    return LLVM::GEPOp::create(b, loc, pointer, type, base,
                               ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(index)});
  }

  Value kernelName(StringRef kernel) {
    std::string symbol = (architecture + "." + kernel + ".kernel").str();
    std::string text = (kernel + Twine('\0')).str();
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(module.getBody());
      LLVM::GlobalOp::create(b, loc, LLVM::LLVMArrayType::get(b.getI8Type(), text.size()),
                             /*isConstant=*/true, LLVM::Linkage::Internal, symbol,
                             b.getStringAttr(text));
    }
    return LLVM::AddressOfOp::create(b, loc, pointer, symbol);
  }

  /// Takes pointers and returns nothing.
  LLVM::LLVMFuncOp runtimeFunction(StringRef name, size_t parameters) {
    if (auto known = module.lookupSymbol<LLVM::LLVMFuncOp>(name))
      return known;
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(module.getBody());
    SmallVector<Type> types(parameters, pointer);
    return LLVM::LLVMFuncOp::create(
        b, loc, name, LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()), types));
  }

  StringRef architecture;
  OpBuilder &b;
  Location loc;
  Type pointer, i64;
  ModuleOp module;
};

} // namespace

void Emission::launch(const Grid &grid, int64_t threads, ValueRange operands,
                      llvm::function_ref<void(Thread &, ValueRange)> body) {
  launch(grid, threads, operands, {},
         [&](Thread &thread, ValueRange onDevice, ValueRange) { body(thread, onDevice); });
}

void Emission::launch(const Grid &grid, int64_t threads, ValueRange operands,
                      ArrayRef<TensorMap> maps,
                      llvm::function_ref<void(Thread &, ValueRange, ValueRange)> body) {
  SmallVector<Type> types;
  for (Type type : operands.getTypes())
    DeviceParameters::addTypes(type, types);
  types.append(maps.size(), pointerType(builder.getContext()));
  std::string kernel = name + "_" + std::to_string(launches++);

  OpBuilder code(device.getContext());
  code.setInsertionPointToEnd(device.getBody());
  auto function = mlir::gpu::GPUFuncOp::create(code, loc, kernel, code.getFunctionType(types, {}));
  function->setAttr(mlir::gpu::GPUDialect::getKernelFuncAttrName(), code.getUnitAttr());
  function.setKnownBlockSizeAttr(code.getDenseI32ArrayAttr({static_cast<int32_t>(threads), 1, 1}));
  if (!maps.empty())
    function->setAttr(tensorMapsAttribute, code.getI64IntegerAttr(maps.size()));
  code.setInsertionPointToStart(&function.getBody().front());
  DeviceParameters parameters(code, loc);
  ArrayRef<BlockArgument> arguments = function.getArguments();
  SmallVector<Value> onDevice;
  for (Type type : operands.getTypes())
    onDevice.push_back(parameters.read(type, arguments));
  Thread thread(code, loc, threads);
  body(thread, onDevice, function.getArguments().take_back(maps.size()));
  function->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(),
                    code.getI32IntegerAttr(static_cast<int32_t>(thread.residentBlocks)));
  mlir::gpu::ReturnOp::create(code, loc);

  HostArguments host(*this);
  for (Value operand : operands)
    host.add(operand);
  LaunchCall(*this).write(kernel, grid, threads, thread.sharedBytes, host.values, maps);
}

Value Emission::scratch(ArrayRef<int64_t> shape, Type element) {
  auto type = MemRefType::get(shape, element);
  Value memory =
      memref::ViewOp::create(builder, loc, type, scratchBase, index(scratchBytes), ValueRange());
  int64_t bytes = type.getNumElements() * llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
  scratchBytes += static_cast<int64_t>(llvm::alignTo(bytes, 256));
  return memory;
}

Value Emission::constants(Thread &t, StringRef what, DenseElementsAttr values) {
  MLIRContext *context = device.getContext();
  auto space = mlir::gpu::AddressSpaceAttr::get(context, mlir::gpu::AddressSpace::Global);
  auto type = MemRefType::get(values.getType().getShape(), values.getElementType(),
                              MemRefLayoutAttrInterface(), space);
  OpBuilder code(context);
  code.setInsertionPointToStart(device.getBody());
  auto global =
      memref::GlobalOp::create(code, loc, symbol(what), code.getStringAttr("private"), type, values,
                               /*constant=*/true, code.getI64IntegerAttr(64));
  return memref::GetGlobalOp::create(t.builder, t.loc, type, global.getSymName());
}

Value Emission::constants(Thread &t, StringRef what, ArrayRef<double> values) {
  auto type = RankedTensorType::get({static_cast<int64_t>(values.size())}, t.builder.getF64Type());
  return constants(t, what, DenseElementsAttr::get(type, values));
}

Value atMost(Emission &e, Value count, int64_t limit) {
  return emission::minIndex(e, count, e.index(limit));
}

void choose(emission::Code &code, Value condition, llvm::function_ref<void()> then,
            llvm::function_ref<void()> otherwise) {
  auto conditional = scf::IfOp::create(code.builder, code.loc, condition, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(code.builder);
  code.builder.setInsertionPointToStart(conditional.thenBlock());
  then();
  code.builder.setInsertionPointToStart(conditional.elseBlock());
  otherwise();
}

void either(Emission &e, Value condition, llvm::function_ref<void()> one,
            llvm::function_ref<void()> other) {
  int64_t before = e.scratchBytes, after = before;
  auto keepingScratch = [&](llvm::function_ref<void()> body) {
    e.scratchBytes = before;
    body();
    after = std::max(after, e.scratchBytes);
  };
  choose(e, condition, [&] { keepingScratch(one); }, [&] { keepingScratch(other); });
  e.scratchBytes = after;
}

} // namespace quern::nvidia
