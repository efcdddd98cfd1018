#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <vector>

#include "cuda_backend.h"
#include "cuda_stream.h"
#include "kernels/attention.h"

namespace magnets::cuda {

namespace {

const char* name_of(WeightFormat format) {
  switch (format.values) {
    case WeightFormat::Values::f32:
      return "f32";
    case WeightFormat::Values::f16:
      return "f16";
    case WeightFormat::Values::int8:
      return "int8";
    default:
      return "bf16";
  }
}

class CudaBackend : public Backend {
 public:
  CudaBackend(int index, ComputeType compute, int multiprocessors, const std::vector<TileChoice>& choices)
      : device_(std::make_shared<Device>(index, multiprocessors)),
        registry_(std::make_shared<Registry>(device_->capability(), device_->multiprocessors(), choices)),
        compute_(compute) {}

  std::string name() const override { return "cuda:" + std::to_string(device_->index()); }
  int threads() const override { return 1; }
  bool concurrent() const override { return true; }
  double measure_peak() override;
  std::vector<TileTiming> time_tiles() override {
    return CudaStream(device_, registry_, compute_).time_tiles(registry_->met());
  }
  uint64_t own_memory() const override { return device_->total_memory(); }
  void trim() override { device_->trim(); }
  size_t buffer_bytes(ElementType type, int rows, int columns, int head_dim) const override {
    return CudaBuffer::bytes_of(type, rows, columns, head_dim);
  }
  size_t cache_bytes(int layers, int branches, int heads, int head_dim, int positions) const override {
    return 2 * layers * CudaKvCache::layer_bytes_of(branches, heads, head_dim, positions);
  }
  size_t scratch_bytes(int rows, int in, int) const override {
    return CudaBuffer::bytes_of(ElementType::activation, rows, in, 0);  // of normalized rows
  }
  std::unique_ptr<Buffer> allocate(ElementType type, int rows, int columns) override {
    return std::make_unique<CudaBuffer>(device_, type, rows, columns);
  }
  void reshape(Buffer& buffer, int, int columns) override { static_cast<CudaBuffer&>(buffer).reshape(columns); }
  std::unique_ptr<Buffer> allocate_heads(int rows, int heads, int head_dim) override {
    return std::make_unique<CudaBuffer>(device_, ElementType::activation, rows, heads * head_dim, head_dim);
  }
  std::unique_ptr<KvCache> kv_cache(int layers, int branches, int heads, int head_dim, int positions) override {
    if (head_dim > kMostWideHeadDim) {
      throw Error("ERR_UNSUPPORTED", "Expected at most " + std::to_string(kMostWideHeadDim) +
                                         " for head_dim on a CUDA device but received " + std::to_string(head_dim));
    }
    return std::make_unique<CudaKvCache>(device_, layers, branches, heads, head_dim, positions);
  }
  std::unique_ptr<Linear> linear(const HostMatrix& weight, const float* bias, WeightFormat format,
                                 HeadDims heads) override {
    check_format(format);
    return std::make_unique<CudaLinear>(device_, weight, bias, compute_, heads);
  }
  std::unique_ptr<Table> table(const HostMatrix& entries, WeightFormat format) override {
    check_format(format);
    return std::make_unique<CudaTable>(device_, entries, compute_);
  }

 private:
  std::unique_ptr<Stream> make_stream() override { return std::make_unique<CudaStream>(device_, registry_, compute_); }
  /// The format whose values are of the compute type: kernels multiply weights as they lie.
  WeightFormat own_format() const {
    return {compute_ == ComputeType::f16 ? WeightFormat::Values::f16 : WeightFormat::Values::bf16};
  }
  void check_format(WeightFormat format) const {
    if (format == own_format()) return;
    throw Error("ERR_UNSUPPORTED", std::string("Expected ") + name_of(own_format()) +
                                       ", the type that the CUDA device computes in, for weights but received " +
                                       name_of(format));
  }

  std::shared_ptr<Device> device_;
  std::shared_ptr<Registry> registry_;
  ComputeType compute_;
};

/// Matrix products large enough that nothing else counts: of a real device, whose L2 cache holds megabytes.
double CudaBackend::measure_peak() {
  constexpr int kMostSize = 8192, kProducts = 20;
  const auto size_of_cache = static_cast<unsigned>(std::sqrt(2.0 * device_->cache_bytes()));
  const int size = std::min<int>(kMostSize, std::bit_floor(size_of_cache));
  std::vector<float> values(static_cast<size_t>(size) * size);
  uint32_t random = 1;
  for (float& value : values) {  // on zeros a device draws less power and runs faster
    random = random * 1664525 + 1013904223;
    value = static_cast<float>(random >> 8) * 0x1p-24f - 0.5f;
  }
  const auto weight = linear({values.data(), DType::f32, size, size}, nullptr, own_format(), {});
  const auto x = allocate(ElementType::activation, size, size), y = allocate(ElementType::activation, size, size);
  const auto own = stream();
  own->upload(values.data(), size, size, *x);
  const auto multiply = [&](int products) {
    for (int i = 0; i < products; ++i) {
      own->run(Matmul{.layer = *weight, .out = size, .in = size, .x = {*x}, .rows = size, .y = *y});
    }
    own->synchronize();
  };
  multiply(kProducts / 4);
  const auto started = std::chrono::steady_clock::now();
  multiply(kProducts);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
  return 2.0 * size * size * size * kProducts / seconds.count();
}

}  // namespace

std::unique_ptr<Backend> open(int index, ComputeType compute, int multiprocessors,
                              const std::vector<TileChoice>& choices) {
  if (compute == ComputeType::f32) {
    throw Error("ERR_UNSUPPORTED", "Expected bf16 or f16 for compute on a CUDA device but received f32");
  }
  return std::make_unique<CudaBackend>(index, compute, multiprocessors, choices);
}

}  // namespace magnets::cuda
