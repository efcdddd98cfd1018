#include <chrono>
#include <vector>

#include "cuda_backend.h"
#include "cuda_stream.h"

namespace magnets::cuda {

namespace {

constexpr int kMostHeadDim = 128;

class CudaBackend : public Backend {
 public:
  CudaBackend(int index, DType dtype, int multiprocessors)
      : device_(std::make_shared<Device>(index, multiprocessors)), dtype_(dtype) {}

  std::string name() const override { return "cuda:" + std::to_string(device_->index()); }
  bool concurrent() const override { return true; }
  double measure_peak() override;
  std::unique_ptr<Stream> stream() override { return std::make_unique<CudaStream>(device_, dtype_); }
  std::unique_ptr<Buffer> allocate(ElementType type, int rows, int columns) override {
    return std::make_unique<CudaBuffer>(device_, type, rows, columns);
  }
  std::unique_ptr<KvCache> kv_cache(int layers, int branches, int heads, int head_dim, int positions) override {
    if (head_dim % 8 != 0 || head_dim > kMostHeadDim) {
      throw Error("ERR_UNSUPPORTED", "expected a head_dim that divides by 8 and is at most " +
                                         std::to_string(kMostHeadDim) + " on a CUDA device but received " +
                                         std::to_string(head_dim));
    }
    return std::make_unique<CudaKvCache>(device_, layers, branches, heads, head_dim, positions);
  }
  std::unique_ptr<Linear> linear(const HostMatrix& weight, const float* bias, DType dtype) override {
    if (dtype != dtype_) throw Error("ERR_UNSUPPORTED", "expected weights of the dtype that the device was opened for");
    return std::make_unique<CudaLinear>(device_, weight, bias, dtype);
  }

 private:
  std::shared_ptr<Device> device_;
  DType dtype_;
};

/// Matrix products large enough that nothing else counts.
double CudaBackend::measure_peak() {
  constexpr int kSize = 8192, kProducts = 20;
  std::vector<float> values(static_cast<size_t>(kSize) * kSize);
  uint32_t random = 1;
  for (float& value : values) {  // on zeros a device draws less power and runs faster
    random = random * 1664525 + 1013904223;
    value = static_cast<float>(random >> 8) * 0x1p-24f - 0.5f;
  }
  const auto weight = linear({values.data(), DType::f32, kSize, kSize}, nullptr, dtype_);
  const auto x = allocate(ElementType::activation, kSize, kSize), y = allocate(ElementType::activation, kSize, kSize);
  const auto own = stream();
  own->upload(values.data(), kSize, kSize, *x);
  const auto multiply = [&](int products) {
    for (int i = 0; i < products; ++i) own->linear(*weight, kSize, kSize, *x, kSize, Epilogue::store, Part::mlp, *y);
    own->synchronize();
  };
  multiply(kProducts / 4);
  const auto started = std::chrono::steady_clock::now();
  multiply(kProducts);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
  return 2.0 * kSize * kSize * kSize * kProducts / seconds.count();
}

}  // namespace

std::unique_ptr<Backend> open(int index, DType dtype, int multiprocessors) {
  if (dtype == DType::f32) throw Error("ERR_UNSUPPORTED", "expected bf16 or f16 on a CUDA device but received f32");
  return std::make_unique<CudaBackend>(index, dtype, multiprocessors);
}

}  // namespace magnets::cuda
