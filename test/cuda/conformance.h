// What conformance.cu runs, and the cases of conformance_wgmma.cu, which is compiled for sm_90a alone.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "../../native/cuda/device.h"

namespace magnets::test {

struct Case {
  const char* name;
  double relative, absolute;  // how far numbers may be apart as floats; both 0: not at all
  bool f16;                   // pairs of inputs are f16; else bf16
  int capability;             // of the devices that have it: 90, or 0 for all
  int inputs, outputs;        // numbers of 32 bits
  std::function<void(cudaStream_t, const uint32_t* in, uint32_t* out)> launch;
};

std::vector<Case> wgmma_cases();

/// kernel<<<blocks, threads, shared>>>(arguments...), in one cluster
template <class... Parameters, class... Arguments>
void launch_cluster(cudaStream_t stream, void (*kernel)(Parameters...), int blocks, int threads, size_t shared,
                    Arguments... arguments) {
  cuda::check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)),
              "reserving shared memory");
  cudaLaunchConfig_t config{};
  cudaLaunchAttribute cluster{};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {static_cast<unsigned>(blocks), 1, 1};
  config.attrs = &cluster;
  config.numAttrs = blocks > 1 ? 1 : 0;
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = shared;
  config.stream = stream;
  cuda::check(cudaLaunchKernelEx(&config, kernel, arguments...), "launching");
}

/// kernel<<<1, threads, shared>>>(arguments...)
template <class... Parameters, class... Arguments>
void launch_block(cudaStream_t stream, void (*kernel)(Parameters...), int threads, size_t shared,
                  Arguments... arguments) {
  launch_cluster(stream, kernel, 1, threads, shared, arguments...);
}

}  // namespace magnets::test
