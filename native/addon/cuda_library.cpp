#include "cuda_library.h"

#include <cstring>

#include "../cuda/library.h"

#ifndef _WIN32
#include <dlfcn.h>
#endif

namespace magnets::addon {

namespace {

struct Opened {
  const cuda::Library* library = nullptr;
  std::string reason;
};

/// Never closed: the CUDA runtime does not like to be unloaded.
const Opened& opened() {
  static const Opened result = []() -> Opened {
#ifdef _WIN32
    return {nullptr, "there is no CUDA library for this platform"};
#else
    Dl_info self{};
    dladdr(reinterpret_cast<const void*>(&cuda_devices), &self);
    const std::string addon = self.dli_fname;
    const std::string path = addon.substr(0, addon.find_last_of('/') + 1) + "libmagnets_cuda.so";
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) return {nullptr, std::string("built without it: ") + dlerror()};
    const auto* library = static_cast<const cuda::Library*>(dlsym(handle, "magnets_cuda_library"));
    if (library == nullptr) return {nullptr, path + " is no CUDA library of magnets"};
    // C++ objects cross between the two, so the headers that describe them must have been the same.
    if (std::strcmp(library->abi, MAGNETS_ABI) != 0) {
      return {nullptr, path + " is of magnets " + library->version + " (headers " + library->abi + "), but " + addon +
                           " is of magnets " + MAGNETS_VERSION + " (headers " + MAGNETS_ABI + "): build them together"};
    }
    return {library, ""};
#endif
  }();
  return result;
}

}  // namespace

CudaDevices cuda_devices() {
  const auto& [library, reason] = opened();
  CudaDevices result;
  result.reason = reason;
  if (library == nullptr) return result;
  char why[512] = "";
  const int count = library->count(why, sizeof why);
  result.reason = why;
  for (int i = 0; i < count; ++i) {
    const cuda::DeviceInfo info = library->describe(i);
    result.devices.push_back({info.name, info.capability, info.driver});
  }
  return result;
}

std::unique_ptr<Backend> open_cuda(int index, ComputeType compute, const std::vector<TileChoice>& choices) {
  const auto& [library, reason] = opened();
  if (library == nullptr) throw Error("ERR_UNSUPPORTED", "cannot open cuda:" + std::to_string(index) + ": " + reason);
  return std::unique_ptr<Backend>(library->open(index, compute, choices));
}

}  // namespace magnets::addon
