// The operations of backend.h on a CUDA device. Each is implemented in a file of its own.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <ptx.cuh>
#include <string>
#include <utility>
#include <vector>

#include "../backend.h"
#include "device.h"
#include "storage.h"

namespace magnets::cuda {

struct Matmul;

/// Small arrays that kernels read, uploaded once: where the rows of a branch start, how many stay masked.
class Constants {
 public:
  explicit Constants(std::shared_ptr<Device> device) : device_(std::move(device)) {}
  const int* get(const std::vector<int>& values);
  size_t size() const { return arrays_.size(); }
  void clear() { arrays_.clear(); }

 private:
  std::shared_ptr<Device> device_;
  std::map<std::vector<int>, std::unique_ptr<DeviceMemory>> arrays_;
};

/// Operations that were asked for once, as a CUDA graph.
struct Recording {
  explicit Recording(const std::shared_ptr<Device>& device) : constants(device) {}
  ~Recording();
  Recording(const Recording&) = delete;
  cudaGraphExec_t graph = nullptr;
  Constants constants;
  Flops flops;
};

class CudaStream : public Stream {
 public:
  CudaStream(std::shared_ptr<Device> device, DType dtype);
  ~CudaStream() override;

  void synchronize() override;
  void replay(const std::string& key, const std::function<void()>& body) override;
  void upload(const void* source, int rows, int columns, Buffer& target) override;
  void download(const Buffer& source, int rows, int columns, void* target) override;
  void select_rows(const Buffer& state, int samples, int tokens, bool refresh, bool head_all,
                   const Selection& selection, Buffer& rows, Buffer& head) override;
  void embed(const Linear* words, const Buffer& positions, const Buffer* ids, const Buffer* class_ids, int samples,
             const Rows& rows, const Norm* norm, int width, Buffer& x) override;
  void layer_norm(const Buffer& x, const Norm& norm, int rows, int width, Buffer& y) override;
  void linear(const Linear& layer, int out, int in, const Buffer& x, int rows, Epilogue epilogue, Part part,
              Buffer& y) override;
  void project_qkv(const Linear& query, const Linear& key, const Linear& value, int heads, int head_dim, int in,
                   const Buffer& x, const Rows& rows, int layer, Part part, KvCache& cache, Buffer& q) override;
  void attention(const Buffer& q, const Rows& rows, int layer, const KvCache& cache, int heads, int head_dim, Part part,
                 Buffer& out) override;
  void gather(const Buffer& x, const Buffer& index, int count, const Norm* norm, int width, Buffer& y) override;
  void sample(const Buffer& logits, const Rows& rows, const Buffer& head, int head_count, const Buffer& state,
              const Buffer& noise_keys, int samples, int token_count, const Sampling& sampling, Buffer& tokens,
              Buffer& confidence) override;
  void reveal(const Buffer& tokens, const Buffer& confidence, const std::vector<int>& masked_after, int token_count,
              Buffer& ids, Buffer& state) override;
  void argmax(const Buffer& x, int rows, int columns, Buffer& index) override;

 private:
  void record(Recording& recording, const std::function<void()>& body);

  /// On the device for as long as the operation that asks for it now may run; an operation asks once.
  const int* constants(const std::vector<int>& values);

  void multiply(Matmul& matmul, const CudaLinear& weight);

  /// kernel<<<grid, threads, shared>>>(arguments...), which may start before the grid before it has ended: every kernel
  /// calls wait_for_previous_grid before it touches what another one wrote.
  template <class... Parameters, class... Arguments>
  void launch(void (*kernel)(Parameters...), dim3 grid, dim3 threads, size_t shared, Arguments... arguments) {
    constexpr size_t kWithoutAsking = 48 << 10;
    if (shared > kWithoutAsking) {
      check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)),
            "reserving shared memory");
    }
    cudaLaunchAttribute overlap{};
    overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    overlap.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = threads;
    config.dynamicSmemBytes = shared;
    config.stream = stream_;
    config.attrs = &overlap;
    config.numAttrs = device_->capability() >= 90 ? 1 : 0;
    check(cudaLaunchKernelEx(&config, kernel, arguments...), "launching a kernel");
  }

  /// body(T()) for the type of this backend's activations.
  template <class Body>
  void with_element(const Body& body) const {
    if (dtype_ == DType::f16) {
      body(f16());
    } else {
      body(bf16());
    }
  }

  std::shared_ptr<Device> device_;
  DType dtype_;
  cudaStream_t stream_ = nullptr;
  Constants constants_;
  Recording* recording_ = nullptr;
  std::map<std::string, Recording> recordings_;
  DeviceMemory partial_sums_;  // f32, of matrix products that are split along their inputs
  DeviceMemory tickets_;       // u32, zeros between products
};

inline dim3 grid_of(int x, int y = 1, int z = 1) {
  return dim3(static_cast<unsigned>(x), static_cast<unsigned>(y), static_cast<unsigned>(z));
}
constexpr int divide_up(int value, int by) { return (value + by - 1) / by; }

}  // namespace magnets::cuda
