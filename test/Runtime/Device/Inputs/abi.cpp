//===- abi.cpp - Our declarations of the CUDA driver API against NVIDIA's ---------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/CudaDriver.h"

#include <cstddef>
#include <cuda.h>
#include <type_traits>

namespace {

/// Two functions agree when they take as many parameters and each pair of them is passed alike.
template <typename Ours, typename Theirs>
constexpr bool passedAlike() {
  return sizeof(Ours) == sizeof(Theirs) && std::is_pointer_v<Ours> == std::is_pointer_v<Theirs>;
}
template <typename... Ours, typename... Theirs>
constexpr bool agree(quern::cuda::Result (*)(Ours...), CUresult (*)(Theirs...)) {
  if constexpr (sizeof...(Ours) == sizeof...(Theirs))
    return (passedAlike<Ours, Theirs>() && ...);
  return false;
}

// cuda.h renames functions to their newest versions (`cuMemAlloc` is `cuMemAlloc_v2`), so that
// every name of ours is declared there.
#define COMPARE(name, parameters)                                                                  \
  static_assert(agree(static_cast<quern::cuda::Result(*) parameters>(nullptr),                     \
                      static_cast<decltype(&::name)>(nullptr)),                                    \
                #name);
} // namespace
namespace quern::cuda {
QUERN_CUDA_FUNCTIONS(COMPARE)
} // namespace quern::cuda

namespace cuda = quern::cuda;

#define SAME(ours, theirs) static_assert(int64_t(cuda::ours) == int64_t(theirs), #ours)
SAME(Success, CUDA_SUCCESS);
SAME(InvalidValue, CUDA_ERROR_INVALID_VALUE);
SAME(OutOfMemory, CUDA_ERROR_OUT_OF_MEMORY);
SAME(NotInitialized, CUDA_ERROR_NOT_INITIALIZED);
SAME(StubLibrary, CUDA_ERROR_STUB_LIBRARY);
SAME(NoDevice, CUDA_ERROR_NO_DEVICE);
SAME(InvalidDevice, CUDA_ERROR_INVALID_DEVICE);
SAME(InvalidContext, CUDA_ERROR_INVALID_CONTEXT);
SAME(NoBinaryForGpu, CUDA_ERROR_NO_BINARY_FOR_GPU);
SAME(EccUncorrectable, CUDA_ERROR_ECC_UNCORRECTABLE);
SAME(InvalidPtx, CUDA_ERROR_INVALID_PTX);
SAME(UnsupportedPtxVersion, CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
SAME(InvalidHandle, CUDA_ERROR_INVALID_HANDLE);
SAME(NotFound, CUDA_ERROR_NOT_FOUND);
SAME(IllegalAddress, CUDA_ERROR_ILLEGAL_ADDRESS);
SAME(MisalignedAddress, CUDA_ERROR_MISALIGNED_ADDRESS);
SAME(LaunchFailed, CUDA_ERROR_LAUNCH_FAILED);
SAME(StreamCaptureUnsupported, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
SAME(StreamCaptureUnmatched, CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
SAME(MaxThreadsPerBlock, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
SAME(WarpSize, CU_DEVICE_ATTRIBUTE_WARP_SIZE);
SAME(MultiprocessorCount, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
SAME(ComputeCapabilityMajor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
SAME(ComputeCapabilityMinor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
SAME(MaxSharedMemoryPerBlockOptin, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
SAME(ErrorLogBuffer, CU_JIT_ERROR_LOG_BUFFER);
SAME(ErrorLogBufferSizeBytes, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
SAME(MaxDynamicSharedSizeBytes, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
SAME(NonPortableClusterSizeAllowed, CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED);
SAME(ClusterDimension, CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION);
SAME(CaptureRelaxed, CU_STREAM_CAPTURE_MODE_RELAXED);
SAME(TensorMapFloat32, CU_TENSOR_MAP_DATA_TYPE_FLOAT32);
SAME(TensorMapBfloat16, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16);
SAME(InterleaveNone, CU_TENSOR_MAP_INTERLEAVE_NONE);
SAME(SwizzleNone, CU_TENSOR_MAP_SWIZZLE_NONE);
SAME(Swizzle32, CU_TENSOR_MAP_SWIZZLE_32B);
SAME(Swizzle64, CU_TENSOR_MAP_SWIZZLE_64B);
SAME(Swizzle128, CU_TENSOR_MAP_SWIZZLE_128B);
SAME(Promotion128, CU_TENSOR_MAP_L2_PROMOTION_L2_128B);
SAME(FillZeros, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
SAME(streamNonBlocking, CU_STREAM_NON_BLOCKING);
SAME(eventDisableTiming, CU_EVENT_DISABLE_TIMING);

static_assert(sizeof(cuda::LaunchAttribute) == sizeof(CUlaunchAttribute) &&
              offsetof(cuda::LaunchAttribute, value) == offsetof(CUlaunchAttribute, value));
static_assert(sizeof(cuda::LaunchConfiguration) == sizeof(CUlaunchConfig) &&
              offsetof(cuda::LaunchConfiguration, block) == offsetof(CUlaunchConfig, blockDimX) &&
              offsetof(cuda::LaunchConfiguration, sharedBytes) ==
                  offsetof(CUlaunchConfig, sharedMemBytes) &&
              offsetof(cuda::LaunchConfiguration, stream) == offsetof(CUlaunchConfig, hStream) &&
              offsetof(cuda::LaunchConfiguration, attributes) == offsetof(CUlaunchConfig, attrs) &&
              offsetof(cuda::LaunchConfiguration, attributeCount) ==
                  offsetof(CUlaunchConfig, numAttrs));
static_assert(sizeof(cuda::TensorMap) == sizeof(CUtensorMap));
