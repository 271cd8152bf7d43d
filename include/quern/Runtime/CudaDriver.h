//===- CudaDriver.h - The part of the CUDA driver API that is used ----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// Types, numbers and functions of libcuda.so.1 (the "CUDA Driver API" manual), declared here so
/// that neither building nor running needs a CUDA toolkit. The runtime looks the functions up in
/// the library (`CudaDriver`); the emulator's driver defines them. test/Runtime/Device/abi.test
/// compares all of it with cuda.h where there is one.
///
#ifndef QUERN_RUNTIME_CUDADRIVER_H
#define QUERN_RUNTIME_CUDADRIVER_H

#include <cstddef>
#include <cstdint>
#include <string>

namespace quern::cuda {

/// CUresult. Values that the runtime tells apart or the emulator's driver returns.
enum Result : int {
  Success = 0,
  InvalidValue = 1,
  OutOfMemory = 2,
  NotInitialized = 3,
  StubLibrary = 34,
  NoDevice = 100,
  InvalidDevice = 101,
  InvalidContext = 201,
  NoBinaryForGpu = 209,
  EccUncorrectable = 214,
  InvalidPtx = 218,
  UnsupportedPtxVersion = 222,
  InvalidHandle = 400,
  NotFound = 500,
  IllegalAddress = 700,
  MisalignedAddress = 716,
  LaunchFailed = 719,
  StreamCaptureUnsupported = 900,
  StreamCaptureUnmatched = 903,
};

// Opaque handles.
using DeviceHandle = int;
using Context = struct ContextRecord *;
using ModuleHandle = struct ModuleRecord *;
using Function = struct FunctionRecord *;
using Stream = struct StreamRecord *;
using Event = struct EventRecord *;
using Graph = struct GraphRecord *;
using GraphExecution = struct GraphExecutionRecord *;
/// An address in the memory of a device.
using Pointer = unsigned long long;

// Numbers of enumerations.
enum DeviceAttribute : int {
  MaxThreadsPerBlock = 1,
  WarpSize = 10,
  MultiprocessorCount = 16,
  ComputeCapabilityMajor = 75,
  ComputeCapabilityMinor = 76,
  MaxSharedMemoryPerBlockOptin = 97,
};
enum JitOption : int { ErrorLogBuffer = 5, ErrorLogBufferSizeBytes = 6 };
enum FunctionAttribute : int { MaxDynamicSharedSizeBytes = 8, NonPortableClusterSizeAllowed = 14 };
enum LaunchAttributeId : int { ClusterDimension = 4 };
enum CaptureMode : int { CaptureRelaxed = 2 };
enum TensorMapType : int { TensorMapFloat16 = 6, TensorMapFloat32 = 7, TensorMapBfloat16 = 9 };
enum TensorMapInterleave : int { InterleaveNone = 0 };
enum TensorMapSwizzle : int { SwizzleNone = 0, Swizzle32 = 1, Swizzle64 = 2, Swizzle128 = 3 };
enum TensorMapPromotion : int { Promotion128 = 2 };
enum TensorMapFill : int { FillZeros = 0 };
constexpr unsigned streamNonBlocking = 1, eventDisableTiming = 2;

// The driver's layout, of whose attributes only one is used.
struct LaunchAttribute { // NOLINT(bugprone-tagged-union-member-count)
  LaunchAttributeId id;
  union alignas(8) {
    char padding[64];
    struct {
      unsigned x, y, z;
    } clusterDimension;
  } value;
};

struct LaunchConfiguration {
  unsigned grid[3], block[3], sharedBytes;
  Stream stream;
  LaunchAttribute *attributes;
  unsigned attributeCount;
};

struct alignas(64) TensorMap {
  uint64_t opaque[16];
};

/// Every function that is used, under the name that the library exports: F(name, parameters).
#define QUERN_CUDA_FUNCTIONS(F)                                                                    \
  F(cuInit, (unsigned flags))                                                                      \
  F(cuDriverGetVersion, (int *version))                                                            \
  F(cuGetErrorName, (Result result, const char **text))                                            \
  F(cuGetErrorString, (Result result, const char **text))                                          \
  F(cuDeviceGetCount, (int *count))                                                                \
  F(cuDeviceGet, (DeviceHandle * device, int index))                                               \
  F(cuDeviceGetName, (char *name, int size, DeviceHandle device))                                  \
  F(cuDeviceGetAttribute, (int *value, DeviceAttribute attribute, DeviceHandle device))            \
  F(cuDeviceTotalMem_v2, (size_t *bytes, DeviceHandle device))                                     \
  F(cuDevicePrimaryCtxRetain, (Context * context, DeviceHandle device))                            \
  F(cuDevicePrimaryCtxRelease_v2, (DeviceHandle device))                                           \
  F(cuCtxSetCurrent, (Context context))                                                            \
  F(cuModuleLoadDataEx,                                                                            \
    (ModuleHandle * module, const void *image, unsigned count, JitOption *options, void **values)) \
  F(cuModuleUnload, (ModuleHandle module))                                                         \
  F(cuModuleGetFunction, (Function * function, ModuleHandle module, const char *name))             \
  F(cuFuncSetAttribute, (Function function, FunctionAttribute attribute, int value))               \
  F(cuMemAlloc_v2, (Pointer * pointer, size_t bytes))                                              \
  F(cuMemFree_v2, (Pointer pointer))                                                               \
  F(cuMemGetInfo_v2, (size_t *free, size_t *total))                                                \
  F(cuMemHostAlloc, (void **pointer, size_t bytes, unsigned flags))                                \
  F(cuMemFreeHost, (void *pointer))                                                                \
  F(cuMemcpyHtoDAsync_v2, (Pointer to, const void *from, size_t bytes, Stream stream))             \
  F(cuMemcpyDtoHAsync_v2, (void *to, Pointer from, size_t bytes, Stream stream))                   \
  F(cuMemcpyDtoDAsync_v2, (Pointer to, Pointer from, size_t bytes, Stream stream))                 \
  F(cuMemsetD8Async, (Pointer to, unsigned char value, size_t bytes, Stream stream))               \
  F(cuStreamCreate, (Stream * stream, unsigned flags))                                             \
  F(cuStreamDestroy_v2, (Stream stream))                                                           \
  F(cuStreamSynchronize, (Stream stream))                                                          \
  F(cuStreamWaitEvent, (Stream stream, Event event, unsigned flags))                               \
  F(cuStreamBeginCapture_v2, (Stream stream, CaptureMode mode))                                    \
  F(cuStreamEndCapture, (Stream stream, Graph * graph))                                            \
  F(cuEventCreate, (Event * event, unsigned flags))                                                \
  F(cuEventDestroy_v2, (Event event))                                                              \
  F(cuEventRecord, (Event event, Stream stream))                                                   \
  F(cuEventSynchronize, (Event event))                                                             \
  F(cuLaunchKernelEx, (const LaunchConfiguration *configuration, Function function,                \
                       void **parameters, void **extra))                                           \
  F(cuGraphInstantiateWithFlags,                                                                   \
    (GraphExecution * execution, Graph graph, unsigned long long flags))                           \
  F(cuGraphLaunch, (GraphExecution execution, Stream stream))                                      \
  F(cuGraphExecDestroy, (GraphExecution execution))                                                \
  F(cuGraphDestroy, (Graph graph))                                                                 \
  F(cuTensorMapEncodeTiled,                                                                        \
    (TensorMap * map, TensorMapType type, unsigned rank, void *address, const uint64_t *sizes,     \
     const uint64_t *strides, const unsigned *box, const unsigned *elementStrides,                 \
     TensorMapInterleave interleave, TensorMapSwizzle swizzle, TensorMapPromotion promotion,       \
     TensorMapFill fill))

/// The functions of a driver that was opened.
class CudaDriver {
public:
  /// Opens libcuda.so.1, or what the environment variable QUERN_CUDA_DRIVER names, and initializes
  /// it. Throws Error when there is none, when it is older than every driver that could work, or
  /// when it finds no GPU.
  CudaDriver();
  CudaDriver(const CudaDriver &) = delete;
  CudaDriver &operator=(const CudaDriver &) = delete;

  /// The newest CUDA that it knows: 1000 x major + 10 x minor.
  int version() const { return cudaVersion; }
  /// "570.86.10 (CUDA 12.8)", or "CUDA 12.8" when the release is not known.
  std::string describe() const;
  /// "an illegal memory access was encountered (CUDA_ERROR_ILLEGAL_ADDRESS)".
  std::string describe(Result result) const;
  /// Throws Error when the driver is older than `version`, which `what` needs.
  void require(int version, const std::string &what) const;
  /// Throws Error unless `result` is success: "ACTION: DESCRIPTION".
  void check(Result result, const char *action) const;

#define QUERN_CUDA_DECLARE(name, parameters) Result(*name) parameters = nullptr;
  QUERN_CUDA_FUNCTIONS(QUERN_CUDA_DECLARE)
#undef QUERN_CUDA_DECLARE

private:
  std::string name; // of the library
  int cudaVersion = 0;
};

/// "12.8" for 12080.
std::string formatCudaVersion(int version);

} // namespace quern::cuda

#endif // QUERN_RUNTIME_CUDADRIVER_H
