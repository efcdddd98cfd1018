// How much memory something takes on a device, before it is taken: it is made and run on a backend that only counts.
#pragma once

#include <algorithm>

#include "../ops/backend.h"

namespace magnets {

/// Bytes that are taken now, and that were taken at most.
struct Tally {
  size_t now = 0, most = 0, scratch = 0;

  void take(size_t bytes) { most = std::max(most, now += bytes); }
  void give(size_t bytes) { now -= bytes; }
};

/// Buffers as large as those of another backend but without memory, and streams whose operations do nothing. It has no
/// weights.
class MeasuringBackend : public Backend {
 public:
  explicit MeasuringBackend(const Backend& real) : real_(real) {}

  /// What was taken at most, with what a stream kept beside it.
  size_t most() const { return tally_.most + tally_.scratch; }

  std::string name() const override { return real_.name(); }
  int threads() const override { return real_.threads(); }
  bool concurrent() const override { return false; }
  double measure_peak() override { return 0; }
  uint64_t own_memory() const override { return real_.own_memory(); }
  size_t buffer_bytes(ElementType type, int rows, int columns, int head_dim) const override {
    return real_.buffer_bytes(type, rows, columns, head_dim);
  }
  size_t cache_bytes(int layers, int branches, int heads, int head_dim, int positions) const override {
    return real_.cache_bytes(layers, branches, heads, head_dim, positions);
  }
  size_t scratch_bytes(int rows, int in, int inner) const override { return real_.scratch_bytes(rows, in, inner); }
  std::unique_ptr<Buffer> allocate(ElementType type, int rows, int columns) override;
  void reshape(Buffer&, int, int) override {}
  std::unique_ptr<Buffer> allocate_heads(int rows, int heads, int head_dim) override;
  std::unique_ptr<KvCache> kv_cache(int layers, int branches, int heads, int head_dim, int positions) override;
  std::unique_ptr<Linear> linear(const HostMatrix&, const float*, WeightFormat, HeadDims) override;
  std::unique_ptr<Table> table(const HostMatrix&, WeightFormat) override;

 private:
  std::unique_ptr<Stream> make_stream() override;

  const Backend& real_;
  Tally tally_;
};

}  // namespace magnets
