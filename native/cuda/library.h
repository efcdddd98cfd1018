// What libmagnets_cuda.so exports. The addon opens the library at run time, so that it loads where there is no driver.
//
// Objects and exceptions of native/ops cross between them, so both must have been built of the same headers by one
// compiler. The addon compares `abi` with its own MAGNETS_ABI before it uses anything else.
#pragma once

#include <vector>

#include "../ops/backend.h"

namespace magnets::cuda {

/// A device as `info` shows it.
struct DeviceInfo {
  char name[256];
  int capability;  // 80 for 8.0
  int driver;      // the CUDA version of the driver, 13000 for 13.0
};

/// The object that the library exports as "magnets_cuda_library".
struct Library {
  /// MAGNETS_ABI: a hash of this header and those of native/ops (CMakeLists.txt). It stays the first member.
  const char* abi;
  /// Of the package that the library was built from, "0.1.0".
  const char* version;
  /// How many devices can be used; with 0 `reason` [capacity] says why.
  int (*count)(char* reason, int capacity);
  DeviceInfo (*describe)(int index);
  /// See cuda_backend.h.
  Backend* (*open)(int index, ComputeType compute, const std::vector<TileChoice>& choices);
};

}  // namespace magnets::cuda
