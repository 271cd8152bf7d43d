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
