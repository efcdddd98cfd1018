#include "library.h"

#include <cuda_runtime.h>

#include <climits>
#include <cstdio>
#include <string>

#include "cuda_backend.h"
#include "device.h"

namespace magnets::cuda {

namespace {

std::string version_of(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

int count(char* reason, int capacity) {
  int devices = 0, driver = 0, runtime = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  cudaGetLastError();
  if (error == cudaSuccess && devices > 0) return devices;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  std::string why = cudaGetErrorString(error);
  if (error == cudaSuccess) why = "there is no CUDA device";
  if (error == cudaErrorInsufficientDriver || error == cudaErrorNoDevice) {
    why = driver == 0 ? "there is no NVIDIA driver"
                      : "the NVIDIA driver supports CUDA " + version_of(driver) + ", expected " + version_of(runtime) +
                            " or later";
    if (error == cudaErrorNoDevice) why = "there is no CUDA device";
  }
  std::snprintf(reason, capacity, "%s", why.c_str());
  return 0;
}

DeviceInfo describe(int index) {
  DeviceInfo info{};
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, index), "reading the device");
  std::snprintf(info.name, sizeof info.name, "%s", properties.name);
  info.capability = 10 * properties.major + properties.minor;
  check(cudaDriverGetVersion(&info.driver), "reading the driver");
  return info;
}

Backend* open_device(int index, ComputeType compute, const std::vector<TileChoice>& choices) {
  char reason[512];
  if (count(reason, sizeof reason) == 0) {
    throw Error("ERR_UNSUPPORTED", "cannot open cuda:" + std::to_string(index) + ": " + reason);
  }
  return open(index, compute, INT_MAX, choices).release();
}

}  // namespace

extern "C" __attribute__((visibility("default")))
const Library magnets_cuda_library = {MAGNETS_ABI, MAGNETS_VERSION, count, describe, open_device};

}  // namespace magnets::cuda
