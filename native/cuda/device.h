// One CUDA device: what it is, its memory, and its errors as coded ones.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>

#include "../ops/types.h"

namespace magnets::cuda {

/// Throws ERR_OUT_OF_MEMORY or ERR_DEVICE; `what` says what was being done.
void check(cudaError_t error, const char* what);

class Device {
 public:
  /// Counts at most `multiprocessors`.
  Device(int index, int multiprocessors);
  ~Device();
  Device(const Device&) = delete;

  int index() const { return index_; }
  int multiprocessors() const { return multiprocessors_; }
  /// 80 for compute capability 8.0
  int capability() const { return capability_; }
  /// Bytes of shared memory that a block may ask for.
  int block_shared() const { return block_shared_; }
  /// Bytes of its L2 cache.
  int cache_bytes() const { return cache_bytes_; }

  /// The runtime's current device is a thread's own: every entry from outside calls this first.
  void make_current() const { check(cudaSetDevice(index_), "choosing the device"); }

  /// From the device's memory pool; usable on every stream at once. Thread-safe.
  void* allocate(size_t bytes);
  /// Nothing that runs may use it any more.
  void free(void* memory) noexcept;
  /// Memory that was freed goes back from the pool.
  void trim() noexcept;
  /// Bytes of the device's memory.
  size_t total_memory() const { return total_memory_; }
  /// Host memory to memory of this device; done on return. Thread-safe, and allowed while a stream records.
  void upload(const void* source, size_t bytes, void* target);

 private:
  int index_, multiprocessors_, capability_, block_shared_, cache_bytes_;
  size_t total_memory_ = 0;
  cudaStream_t stream_ = nullptr;  // of allocations and of uploads that belong to no stream
  std::mutex mutex_;
};

/// Memory of a device for as long as this lives.
class DeviceMemory {
 public:
  DeviceMemory(std::shared_ptr<Device> device, size_t bytes)
      : device_(std::move(device)), memory_(device_->allocate(bytes)), bytes_(bytes) {}
  ~DeviceMemory() { device_->free(memory_); }
  DeviceMemory(const DeviceMemory&) = delete;
  void* get() const { return memory_; }
  size_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<Device> device_;
  void* memory_;
  size_t bytes_;
};

}  // namespace magnets::cuda
