// libmagnets_cuda.so beside the addon, opened when somebody first asks for it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "../backend.h"

namespace magnets::addon {

struct CudaDevices {
  struct Device {
    std::string name;
    int capability;
  };
  std::vector<Device> devices;
  std::string reason;  // why there are none
};

CudaDevices cuda_devices();

/// Throws ERR_UNSUPPORTED where there is no such device, and says why.
std::unique_ptr<Backend> open_cuda(int index, DType dtype);

}  // namespace magnets::addon
