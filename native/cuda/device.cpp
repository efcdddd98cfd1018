#include "device.h"

#include <algorithm>
#include <cstdint>

namespace magnets::cuda {

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // an error that is not fatal must not come back at the next call
  const bool memory = error == cudaErrorMemoryAllocation;
  throw Error(memory ? "ERR_OUT_OF_MEMORY" : "ERR_DEVICE", std::string(what) + ": " + cudaGetErrorString(error));
}

Device::Device(int index, int multiprocessors) : index_(index) {
  int count = 0;
  check(cudaGetDeviceCount(&count), "counting devices");
  if (index < 0 || index >= count) {
    throw Error("ERR_UNSUPPORTED", "Expected a device below cuda:" + std::to_string(count) +
                                       " but received cuda:" + std::to_string(index));
  }
  make_current();
  int major = 0, minor = 0, pools = 0;
  check(cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, index), "reading the device");
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, index), "reading the device");
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, index), "reading the device");
  check(cudaDeviceGetAttribute(&block_shared_, cudaDevAttrMaxSharedMemoryPerBlockOptin, index), "reading the device");
  check(cudaDeviceGetAttribute(&cache_bytes_, cudaDevAttrL2CacheSize, index), "reading the device");
  multiprocessors_ = std::min(multiprocessors_, multiprocessors);
  capability_ = 10 * major + minor;
  if (capability_ < 80) {
    throw Error("ERR_UNSUPPORTED", "Expected compute capability 8.0 or later for cuda:" + std::to_string(index) +
                                       " but received " + std::to_string(major) + "." + std::to_string(minor));
  }
  check(cudaDeviceGetAttribute(&pools, cudaDevAttrMemoryPoolsSupported, index), "reading the device");
  if (pools == 0) {
    throw Error("ERR_UNSUPPORTED",
                "Expected memory pools for cuda:" + std::to_string(index) + " but received a device without them");
  }
  size_t free = 0;
  check(cudaMemGetInfo(&free, &total_memory_), "reading the device");
  // Memory that was freed stays with the process for the next session.
  cudaMemPool_t pool = nullptr;
  uint64_t keep = UINT64_MAX;
  check(cudaDeviceGetDefaultMemPool(&pool, index), "opening the memory pool");
  check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep), "opening the memory pool");
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "creating a stream");
}

Device::~Device() {
  cudaSetDevice(index_);
  cudaStreamDestroy(stream_);
  trim();
}

void Device::trim() noexcept {
  cudaMemPool_t pool = nullptr;
  if (cudaDeviceGetDefaultMemPool(&pool, index_) == cudaSuccess) cudaMemPoolTrimTo(pool, 0);
}

void* Device::allocate(size_t bytes) {
  const std::lock_guard lock(mutex_);
  make_current();
  void* memory = nullptr;
  const cudaError_t error = cudaMallocAsync(&memory, std::max<size_t>(bytes, 16), stream_);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    throw Error("ERR_OUT_OF_MEMORY", "cannot allocate " + std::to_string(bytes) +
                                         " bytes on cuda:" + std::to_string(index_) + ", where " +
                                         std::to_string(free) + " of " + std::to_string(total) + " are free");
  }
  check(error, "allocating");
  check(cudaStreamSynchronize(stream_), "allocating");
  return memory;
}

void Device::free(void* memory) noexcept {
  const std::lock_guard lock(mutex_);
  cudaSetDevice(index_);
  cudaFreeAsync(memory, stream_);
}

void Device::upload(const void* source, size_t bytes, void* target) {
  const std::lock_guard lock(mutex_);
  make_current();
  check(cudaMemcpyAsync(target, source, bytes, cudaMemcpyHostToDevice, stream_), "uploading");
  check(cudaStreamSynchronize(stream_), "uploading");
}

}  // namespace magnets::cuda
