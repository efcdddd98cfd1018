// What libmagnets_cuda.so exports. The addon opens the library at run time, so that it loads where there is no driver.
//
// Library and addon are built together, by one compiler: objects and exceptions of backend.h may cross between them.
#pragma once

#include "../backend.h"

namespace magnets::cuda {

/// A device as `info` shows it.
struct DeviceInfo {
  char name[256];
  int capability;  // 80 for 8.0
};

/// The functions of the library, found under the name "magnets_cuda_library".
struct Library {
  /// How many devices can be used; with 0 `reason` [capacity] says why.
  int (*count)(char* reason, int capacity);
  DeviceInfo (*describe)(int index);
  /// See cuda_backend.h.
  Backend* (*open)(int index, DType dtype);
};

}  // namespace magnets::cuda
