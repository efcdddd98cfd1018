// libmagnets_cuda.so beside the addon, opened when somebody first asks for it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "../ops/backend.h"

namespace magnets::addon {

struct CudaDevices {
  struct Device {
    std::string name;
    int capability;  // 80 for 8.0
    int driver;      // the CUDA version of the driver, 13000 for 13.0
  };
  std::vector<Device> devices;
  std::string reason;  // why there are none
};

CudaDevices cuda_devices();

/// Throws ERR_UNSUPPORTED where there is no such device, and says why.
std::unique_ptr<Backend> open_cuda(int index, ComputeType compute, const std::vector<TileChoice>& choices);

}  // namespace magnets::addon
