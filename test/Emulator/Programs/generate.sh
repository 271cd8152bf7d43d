#!/bin/sh
# Compiles the kernels of this folder with nvcc (13.0 wrote what is committed) and checks that ptxas takes
# them. The names of folders do not belong into the result.
cd "$(dirname "$0")" || exit 1
set -e
for kernel in gemm_mma:sm_80 gemm_wgmma:sm_90a cluster_multicast:sm_90a attention_registers:sm_90a \
    bulk_sum:sm_90a; do
  name=${kernel%%:*}
  nvcc -arch="${kernel##*:}" -O3 -lineinfo -ptx "$name.cu" -o "$name.ptx"
  sed -i 's|^\(\t*\.file\t[0-9]* "\).*/|\1|' "$name.ptx"
  ptxas -arch="${kernel##*:}" "$name.ptx" -o /dev/null
done
# The same from two compilers: clang-22 needs only the headers of CUDA.
for name in reduce multiply diverge together functions; do
  nvcc -arch=sm_80 -O3 -lineinfo -ptx "$name.cu" -o "$name.nvcc.ptx"
  clang++-22 -x cuda --cuda-gpu-arch=sm_80 --cuda-device-only -O2 -g1 -S -Wno-unknown-cuda-version \
    "$name.cu" -o "$name.clang.ptx"
  for compiler in nvcc clang; do
    sed -i 's|^\(\t*\.file\t[0-9]* "\).*/|\1|' "$name.$compiler.ptx"
    ptxas -arch=sm_80 "$name.$compiler.ptx" -o /dev/null
  done
done
