#include "cpu_backend.h"

#include <algorithm>
#include <chrono>

#include "cpu_stream.h"

namespace magnets::cpu {

namespace {

class CpuBackend : public Backend {
 public:
  CpuBackend(const Kernels& kernels, int threads) : kernels_(kernels), pool_(std::make_shared<ThreadPool>(threads)) {}
  /// After everything that was on it: the C library keeps what is too small to be mapped by itself, for each thread.
  ~CpuBackend() override { give_back_freed(); }

  std::string name() const override { return std::string("cpu/") + kernels_.name; }
  int threads() const override { return pool_->threads(); }
  bool concurrent() const override { return false; }  // its threads work for one at a time
  double measure_peak() override;
  void trim() override { give_back_freed(); }
  size_t buffer_bytes(ElementType type, int rows, int columns, int) const override {
    return CpuBuffer::bytes_of(type, rows, columns);
  }
  size_t cache_bytes(int layers, int branches, int heads, int head_dim, int positions) const override {
    return CpuKvCache::bytes_of(layers, branches, heads, head_dim, positions);
  }
  size_t scratch_bytes(int rows, int in, int inner) const override {
    return sizeof(float) * rows * (activation_stride(in) + 2 * activation_stride(inner));
  }
  std::unique_ptr<Buffer> allocate(ElementType type, int rows, int columns) override {
    return std::make_unique<CpuBuffer>(type, rows, columns);
  }
  void reshape(Buffer& buffer, int, int columns) override { static_cast<CpuBuffer&>(buffer).reshape(columns); }
  std::unique_ptr<KvCache> kv_cache(int layers, int branches, int heads, int head_dim, int positions) override {
    return std::make_unique<CpuKvCache>(layers, branches, heads, head_dim, positions);
  }
  std::unique_ptr<Linear> linear(const HostMatrix& weight, const float* bias, WeightFormat format, HeadDims) override {
    return std::make_unique<PackedLinear>(weight, bias, format, kernels_, *pool_);
  }
  std::unique_ptr<Table> table(const HostMatrix& entries, WeightFormat format) override {
    return std::make_unique<CpuTable>(entries, format, *pool_);
  }

 private:
  std::unique_ptr<Stream> make_stream() override { return std::make_unique<CpuStream>(kernels_, pool_); }

  const Kernels& kernels_;
  std::shared_ptr<ThreadPool> pool_;
};

/// Multiply-adds on registers by all threads.
double CpuBackend::measure_peak() {
  constexpr int kIterations = 4'000'000;
  const auto started = std::chrono::steady_clock::now();
  std::vector<double> flops(pool_->threads());
  pool_->run(pool_->threads(), [&](int task, int) { flops[task] = kernels_.burn(kIterations); });
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
  double total = 0;
  for (const double part : flops) total += part;
  return total / seconds.count();
}

}  // namespace

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const Kernels* kernels : available_kernels()) names.push_back(kernels->name);
  return names;
}

std::unique_ptr<Backend> open_cpu(int threads, const std::string& instruction_set) {
  std::string names;
  for (const Kernels* kernels : available_kernels()) {
    if (instruction_set.empty() || instruction_set == kernels->name) {
      return std::make_unique<CpuBackend>(*kernels, std::max(1, threads));
    }
    names += (names.empty() ? "" : ", ") + std::string(kernels->name);
  }
  throw Error("ERR_UNSUPPORTED",
              "expected an instruction set of this processor (" + names + ") but received " + instruction_set);
}

}  // namespace magnets::cpu
